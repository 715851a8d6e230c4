// My files: the folder that is open, the list of all files, and what a search finds.

import { call } from './api.js';
import { breadcrumbs } from './breadcrumbs.js';
import { copyLinks } from './copy-dialog.js';
import { button, fill, h, icon, throttle } from './dom.js';
import { dropTarget } from './drag.js';
import * as entryActions from './entry-actions.js';
import * as fileActions from './file-actions.js';
import { FilesList } from './files-list.js';
import { ORDERS, selectionBar, toolbar } from './files-toolbar.js';
import { openFolder } from './folders.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { listenForListKeys } from './list-keys.js';
import { Loading, emptyState } from './list-state.js';
import { pager } from './pager.js';
import { profileEvents } from './profile.js';
import { fullNotice } from './quota.js';
import { address, go } from './router.js';
import { searchFiles } from './search.js';
import { Selection } from './selection.js';
import { ROOT, setUploadFolder } from './upload-folders.js';
import { uploadEvents } from './upload-queue.js';
import { chooseFiles } from './upload-sources.js';

const PAGE_SIZE = 48;

/**
 * The page of `/files`. Parameter `folder` is the folder that is open, `list=all` shows all files, `q`
 * searches; `page`, `sort` and `direction` belong to the lists.
 */
export function filesPage({ path, params: firstParams, signal }) {
  let params = firstParams;
  let way = [];
  const selection = new Selection((row) => row.id);
  const place = h('div', { class: 'list-place' });
  const loading = new Loading(place, signal);
  const count = h('span', { class: 'count' });
  const where = h('div', { class: 'where' });
  const notice = h('div', { class: 'notice-place' });
  const making = button(t('folder.new'), makeFolder, { iconName: 'folder-new', dataset: { role: 'new-folder' } });
  const controls = toolbar({ onSearch, onSort, redraw: () => show() });
  const list = new FilesList(selection, { share, unshare, trash, rename, move, moveTo, openedFrom: () => current().mode });
  const bar = selectionBar(selection, { share, unshare, remove: trash, move, copy: (files) => copyLinks(files) });
  listenForListKeys(place, { rows: () => list.rows, selection, remove: trash, rename, signal });

  const element = h('div', { class: 'page files-page' },
    h('header', { class: 'page-head' },
      h('h1', { tabindex: '-1' }, t('files.title'), ' ', count),
      h('div', { class: 'page-actions' },
        making,
        button(t('upload.folder'), () => chooseFiles({ folder: true }), { iconName: 'folder-up', kind: 'plain wide-only', dataset: { role: 'upload-folder' } }),
        button(t('upload.files'), () => chooseFiles(), { iconName: 'upload', kind: 'primary', dataset: { role: 'upload' } }))),
    notice, controls.element, where, bar, place);

  /** What the address says. */
  function current() {
    const search = (params.q ?? '').trim();
    const mode = search ? 'found' : params.list === 'all' ? 'all' : 'folder';
    const order = mode === 'folder' ? 'name' : ORDERS.includes(params.sort) ? params.sort : 'created';
    const given = params.direction === 'asc' || params.direction === 'desc' ? params.direction : null;
    return {
      mode, search, order, direction: given ?? (order === 'name' ? 'asc' : 'desc'), folder: params.folder || ROOT,
      page: Math.max(1, Math.trunc(Number(params.page)) || 1),
    };
  }

  function onSearch(q) {
    go(path, { ...params, q, page: '' }, { replace: true });
  }

  function onSort(sort, direction) {
    go(path, { ...params, sort, direction, page: '' });
  }

  function show(options) {
    const wanted = current();
    controls.set(wanted, tabs(wanted.mode));
    making.hidden = wanted.mode !== 'folder';
    setUploadFolder(wanted.mode === 'folder' ? wanted.folder : ROOT);
    if (wanted.mode === 'found') return showFound(wanted.search, options);
    return wanted.mode === 'all' ? showAll(wanted, options) : showFolder(wanted, options);
  }

  function showFolder({ folder, direction, page }, options) {
    const load = async (inner) => {
      try {
        return await openFolder(folder, { start: (page - 1) * PAGE_SIZE, count: PAGE_SIZE, direction, signal: inner });
      } catch (error) {
        if (error.status === 404) return null;
        throw error;
      }
    };
    return loading.show(load, (found) => {
      way = found?.path ?? [];
      fill(where, breadcrumbs(way, (crumb, id) => dropTarget(crumb, id, moveTo)));
      if (found === null) return gone();
      const { total, rows } = found;
      if (rows.length === 0 && page > 1) return lastPage(total);
      count.textContent = format.number(total);
      if (total === 0) return fill(place, nothingYet(way.length > 0));
      const sort = { order: 'name', direction, change: onSort };
      return fill(place, list.draw(rows, { sort, mode: 'folder' }), pager({ path, params, page, total, pageSize: PAGE_SIZE }));
    }, options);
  }

  function showAll({ order, direction, page }, options) {
    return loading.show((inner) => call('GET', 'files', {
      query: { start: (page - 1) * PAGE_SIZE, count: PAGE_SIZE, order, direction }, signal: inner,
    }), ({ total, files }) => {
      fill(where, h('p', { class: 'lead' }, t('files.all.lead')));
      if (files.length === 0 && page > 1) return lastPage(total);
      count.textContent = format.number(total);
      if (total === 0) return fill(place, nothingYet(false));
      return fill(place, list.draw(files, { sort: { order, direction, change: onSort }, mode: 'all' }),
        pager({ path, params, page, total, pageSize: PAGE_SIZE }));
    }, options);
  }

  function showFound(text, options) {
    return loading.show((inner) => searchFiles(text, null, inner), (result) => {
      let { files, next } = result;
      fill(where, h('p', { class: 'lead' }, t('search.lead', { text })));
      const draw = () => {
        count.textContent = next ? `${format.number(files.length)}+` : format.number(files.length);
        if (files.length === 0) return fill(place, emptyState('search', t('search.none'), t('search.none.text', { text })));
        return fill(place, list.draw(files, { sort: null, mode: 'found' }), next && h('div', { class: 'more-place' }, moreButton()));
      };
      const moreButton = () => button(t('search.more'), () => loading.show(
        (inner) => searchFiles(text, next, inner),
        (more) => {
          files = [...files, ...more.files];
          next = more.next;
          draw();
        },
      ));
      draw();
    }, options);
  }

  /** Links between the two lists. */
  function tabs(mode) {
    const tab = (name, iconName, href) => h('a', { class: 'tab', href, 'aria-current': name === mode ? 'true' : null },
      icon(iconName), h('span', {}, t(`files.tab.${name}`)));
    return h('nav', { class: 'tabs', 'aria-label': t('files.tabs') },
      tab('folder', 'folder', address(path, { folder: params.folder })),
      tab('all', 'files', address(path, { list: 'all', folder: params.folder })));
  }

  /** Deleting the last rows of the last page leaves a page that no longer exists. */
  function lastPage(total) {
    return go(path, { ...params, page: Math.ceil(total / PAGE_SIZE) || 1 }, { replace: true });
  }

  function gone() {
    count.textContent = '';
    setUploadFolder(ROOT);
    return fill(place, emptyState('folder', t('folder.gone'), t('folder.gone.text'),
      h('a', { class: 'button', href: '#/files' }, h('span', {}, t('files.title')))));
  }

  async function makeFolder() {
    if (await entryActions.newFolder(current().folder)) await show();
  }

  async function rename(row) {
    if (await entryActions.rename(row)) await afterChange();
  }

  async function move(rows) {
    if (await entryActions.move(rows, way)) await afterChange();
  }

  async function moveTo(rows, id) {
    if (await entryActions.moveTo(rows, id)) await afterChange();
  }

  async function share(files) {
    await fileActions.share(files.filter((file) => !file.shared));
    await afterChange();
  }

  async function unshare(files) {
    await fileActions.unshare(files.filter((file) => file.shared));
    await afterChange();
  }

  async function trash(rows) {
    if (await entryActions.trash(rows, () => { if (!signal.aborted) return show(); return undefined; })) await afterChange();
  }

  async function afterChange() {
    list.closePreview();
    selection.clear();
    await show();
  }

  function nothingYet(below) {
    return emptyState(below ? 'folder' : 'upload', t(below ? 'folder.empty' : 'files.empty'), t('files.empty.text'),
      button(t('upload.files'), () => chooseFiles(), { iconName: 'upload', kind: 'primary' }));
  }

  const showNotice = () => fill(notice, fullNotice());
  profileEvents.addEventListener('change', showNotice, { signal });
  uploadEvents.addEventListener('stored', throttle(() => { if (!signal.aborted) void show({ quiet: true }); }, 400), { signal });
  signal.addEventListener('abort', () => setUploadFolder(ROOT));
  showNotice();
  void show();
  return {
    element,
    title: t('files.title'),
    update(next) {
      // What is selected in one folder is not seen in another, and would be moved or deleted unseen.
      if (next.folder !== params.folder || next.list !== params.list) selection.clear();
      params = next;
      void show();
    },
  };
}
