// My files: the list, searching, sorting, selecting, and everything one does with files.

import { call } from './api.js';
import { copyLinks } from './copy-dialog.js';
import { button, debounce, fill, h, icon, iconButton, throttle, uniqueId } from './dom.js';
import { downloadPath, ownPath } from './file-links.js';
import { fileGrid, sharedBadge } from './file-grid.js';
import { fileTable } from './file-table.js';
import * as actions from './file-actions.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { Loading, emptyState } from './list-state.js';
import { openMenu } from './menu.js';
import { pager } from './pager.js';
import { openPreview } from './preview.js';
import { go } from './router.js';
import { searchFiles } from './search.js';
import { Selection } from './selection.js';
import { uploadEvents } from './upload-queue.js';
import { chooseFiles } from './upload-sources.js';
import { viewSwitch, view } from './view-switch.js';

const PAGE_SIZE = 48;
const ORDERS = ['created', 'name', 'size', 'views'];

/** The page of `/files`; parameters `page`, `sort`, `direction`, `q`. */
export function filesPage({ path, params: firstParams, signal }) {
  let params = firstParams;
  let open = null;
  const selection = new Selection((file) => file.id);
  const place = h('div', { class: 'list-place' });
  const loading = new Loading(place, signal);
  const count = h('span', { class: 'count' });
  const controls = toolbar({ onSearch, onSort, redraw: () => show() });
  const bar = selectionBar(selection, { share, unshare, remove, copy: (files) => copyLinks(files) });

  const element = h('div', { class: 'page files-page' },
    h('header', { class: 'page-head' },
      h('h1', { tabindex: '-1' }, t('files.title'), ' ', count),
      h('div', { class: 'page-actions' },
        button(t('upload.folder'), () => chooseFiles({ folder: true }), { iconName: 'folder', kind: 'plain wide-only' }),
        button(t('upload.files'), () => chooseFiles(), { iconName: 'upload', kind: 'primary', dataset: { role: 'upload' } }))),
    controls.element, bar, place);

  function onSearch(q) {
    go(path, { ...params, q, page: '' }, { replace: true });
  }

  function onSort(sort, direction) {
    go(path, { ...params, sort, direction, page: '' });
  }

  function current() {
    const order = ORDERS.includes(params.sort) ? params.sort : 'created';
    return {
      order,
      direction: params.direction === 'asc' || params.direction === 'desc' ? params.direction : order === 'name' ? 'asc' : 'desc',
      page: Math.max(1, Math.trunc(Number(params.page)) || 1),
      search: (params.q ?? '').trim(),
    };
  }

  function show() {
    const wanted = current();
    controls.set(wanted);
    return wanted.search ? showFound(wanted.search) : showPage(wanted);
  }

  function showPage({ order, direction, page }) {
    return loading.show((inner) => call('GET', 'files', {
      query: { start: (page - 1) * PAGE_SIZE, count: PAGE_SIZE, order, direction }, signal: inner,
    }), ({ total, files }) => {
      // Deleting the last rows of the last page leaves a page that no longer exists.
      if (files.length === 0 && page > 1) return go(path, { ...params, page: Math.ceil(total / PAGE_SIZE) || 1 }, { replace: true });
      count.textContent = format.number(total);
      if (total === 0) return fill(place, nothingYet());
      return fill(place, collection(files, { order, direction, change: onSort }),
        pager({ path, params, page, total, pageSize: PAGE_SIZE }));
    });
  }

  function showFound(text) {
    return loading.show((inner) => searchFiles(text, null, inner), (result) => {
      let { files, next } = result;
      const draw = () => {
        count.textContent = next ? `${format.number(files.length)}+` : format.number(files.length);
        if (files.length === 0) return fill(place, emptyState('search', t('search.none'), t('search.none.text', { text })));
        return fill(place, collection(files, null), next && h('div', { class: 'more-place' }, moreButton()));
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
    });
  }

  function collection(files, sort) {
    selection.refresh(files);
    const shared = {
      files,
      selection,
      open: (index) => preview(files, index),
      menu: (file, anchor) => openMenu(anchor, t('files.actions_of', { name: file.name }), entries(file)),
    };
    if (view() === 'grid') return fileGrid({ ...shared, badge: sharedBadge });
    return fileTable({
      ...shared, caption: t('files.title'), sort, nameOrder: 'name',
      columns: [
        { title: t('column.size'), order: 'size', className: 'number', cell: (file) => format.size(file.size) },
        { title: t('column.created'), order: 'created', className: 'time', cell: (file) => format.dateTime(file.created) },
        { title: t('column.views'), order: 'views', className: 'number minor', cell: (file) => format.number(file.views) },
        { title: t('column.shared'), className: 'minor', cell: (file) => (file.shared ? sharedBadge(file) : '–') },
      ],
    });
  }

  function preview(files, index) {
    open = openPreview({
      files, index, actions: entries, copy: (file) => copyLinks([file]),
      download: (file) => actions.download(file, { shared: false }),
      details: (file) => [
        [t('column.size'), format.size(file.size)], [t('column.created'), format.dateTime(file.created)],
        [t('column.views'), format.number(file.views)], ['MD5', file.md5],
      ],
    });
  }

  function entries(file) {
    return [
      { text: t('preview.original'), iconName: 'open', href: ownPath(file), newTab: true },
      { text: t('download'), iconName: 'download', href: downloadPath(file), download: file.name, run: () => actions.countDownload(file, { shared: false }) },
      { text: t('copy.action'), iconName: 'link', run: () => copyLinks([file]) },
      { text: t('pictures.make'), iconName: 'picture-share', run: () => actions.makePictureShare(file) },
      file.shared
        ? { text: t('action.unshare'), iconName: 'unshare', run: () => unshare([file]) }
        : { text: t('action.share'), iconName: 'share', run: () => share([file]) },
      { text: t('delete'), iconName: 'trash', danger: true, run: () => remove([file]) },
    ];
  }

  async function share(files) {
    await actions.share(files.filter((file) => !file.shared));
    await afterChange();
  }

  async function unshare(files) {
    await actions.unshare(files.filter((file) => file.shared));
    await afterChange();
  }

  async function remove(files) {
    if ((await actions.remove(files)) > 0) await afterChange();
  }

  async function afterChange() {
    open?.close();
    open = null;
    selection.clear();
    await show();
  }

  function nothingYet() {
    return emptyState('upload', t('files.empty'), t('files.empty.text'),
      button(t('upload.files'), () => chooseFiles(), { iconName: 'upload', kind: 'primary' }));
  }

  uploadEvents.addEventListener('stored', throttle(() => { if (!signal.aborted) void show(); }, 400), { signal });
  void show();
  return {
    element,
    title: t('files.title'),
    update(next) {
      params = next;
      void show();
    },
  };
}

/** Search field, order and view. */
function toolbar({ onSearch, onSort, redraw }) {
  const id = uniqueId('order');
  const search = h('input', {
    type: 'search', class: 'input', maxLength: 128, placeholder: t('search.placeholder'), 'aria-label': t('search.label'), autocomplete: 'off',
  });
  const late = debounce(() => onSearch(search.value.trim()), 250);
  search.addEventListener('input', late);
  const order = h('select', { id, class: 'input' }, ORDERS.map((value) => h('option', { value }, t(`order.${value}`))));
  let direction = 'desc';
  order.addEventListener('change', () => onSort(order.value, ''));
  const turn = iconButton('down', '', () => onSort(order.value, direction === 'asc' ? 'desc' : 'asc'));
  const sorting = h('div', { class: 'sorting' }, h('label', { for: id, class: 'visually-hidden' }, t('order.label')), order, turn);
  return {
    element: h('div', { class: 'toolbar', role: 'search' },
      h('div', { class: 'search-field' }, icon('search'), search), sorting, viewSwitch(redraw)),
    set(wanted) {
      // What is being typed is newer than the address.
      if (document.activeElement !== search) search.value = wanted.search;
      order.value = wanted.order;
      direction = wanted.direction;
      const label = t(direction === 'asc' ? 'order.ascending' : 'order.descending');
      fill(turn, icon(direction === 'asc' ? 'up' : 'down'));
      turn.title = label;
      turn.setAttribute('aria-label', label);
      sorting.classList.toggle('off', wanted.search !== '');
      order.disabled = wanted.search !== '';
      turn.disabled = wanted.search !== '';
    },
  };
}

/** What can be done with all selected files; hidden while none is. */
function selectionBar(selection, { share, unshare, remove, copy }) {
  const count = h('span', { role: 'status' });
  const act = (run) => () => run(selection.values());
  const sharing = button(t('action.share'), act(share), { iconName: 'share', kind: 'quiet' });
  const unsharing = button(t('action.unshare'), act(unshare), { iconName: 'unshare', kind: 'quiet' });
  const bar = h('section', { class: 'selection-bar', 'aria-label': t('selection.label'), hidden: true },
    count,
    button(t('copy.action'), act(copy), { iconName: 'link', kind: 'quiet' }),
    sharing,
    unsharing,
    button(t('delete'), act(remove), { iconName: 'trash', kind: 'quiet danger-text' }),
    iconButton('close', t('selection.clear'), () => selection.clear()));
  selection.addEventListener('change', () => {
    bar.hidden = selection.size === 0;
    count.textContent = t('selection.count', { count: selection.size });
    sharing.disabled = selection.values().every((file) => file.shared);
    unsharing.disabled = !selection.values().some((file) => file.shared);
  });
  return bar;
}
