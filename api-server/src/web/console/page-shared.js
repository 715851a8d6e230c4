// What everybody shares, and its ranking by views. Readable without an account; saving needs one.

import { call } from './api.js';
import { copyLinks } from './copy-dialog.js';
import { fill, h, icon } from './dom.js';
import { downloadPath, ownPath } from './file-links.js';
import { fileGrid, menuButton } from './file-grid.js';
import { fileTable } from './file-table.js';
import * as actions from './file-actions.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { Loading, emptyState } from './list-state.js';
import { openMenu } from './menu.js';
import { pager } from './pager.js';
import { openPreview } from './preview.js';
import { address, go } from './router.js';
import { signedIn } from './session.js';
import { thumbnailOf } from './thumbnail.js';
import { viewSwitch, view } from './view-switch.js';

const PAGE_SIZE = 48;

/** The page of `/shared` (newest first) and `/ranking` (most viewed first); parameter `page`. */
export function sharedPage({ path, params: firstParams, signal }) {
  const ranking = path === '/ranking';
  const words = ranking ? 'ranking' : 'shared';
  let params = firstParams;
  let open = null;
  const place = h('div', { class: 'list-place' });
  const loading = new Loading(place, signal);
  const count = h('span', { class: 'count' });

  const element = h('div', { class: 'page' },
    h('header', { class: 'page-head' },
      h('div', {}, h('h1', { tabindex: '-1' }, t(`${words}.title`), ' ', count), h('p', { class: 'lead' }, t(`${words}.lead`))),
      !ranking && h('div', { class: 'page-actions' }, viewSwitch(() => show()))),
    place);

  function show() {
    const page = Math.max(1, Math.trunc(Number(params.page)) || 1);
    const query = {
      start: (page - 1) * PAGE_SIZE, count: PAGE_SIZE, order: ranking ? 'views' : 'created', direction: 'desc',
    };
    return loading.show((inner) => call('GET', 'shares', { query, signal: inner }), ({ total, files }) => {
      if (files.length === 0 && page > 1) return go(path, { page: Math.ceil(total / PAGE_SIZE) || 1 }, { replace: true });
      count.textContent = format.number(total);
      if (total === 0) return fill(place, emptyState('shared', t('shared.empty'), t(signedIn() ? 'shared.empty.text' : 'shared.empty.guest')));
      return fill(place, ranking ? ranks(files, query.start) : collection(files),
        pager({ path, params: {}, page, total, pageSize: PAGE_SIZE }));
    });
  }

  function collection(files) {
    const handlers = { files, selection: null, open: (index) => preview(files, index), menu };
    if (view() === 'grid') {
      return fileGrid({
        ...handlers,
        note: (file) => `${file.sharer} · ${t('views', { count: file.views, views: format.number(file.views) })}`,
        badge: (file) => file.mine && h('span', { class: 'badge' }, icon('user'), h('span', {}, t('shared.mine'))),
      });
    }
    return fileTable({
      ...handlers, caption: t('shared.title'), sort: null,
      columns: [
        { title: t('column.sharer'), className: 'text', cell: (file) => (file.mine ? t('shared.you') : file.sharer) },
        { title: t('column.size'), className: 'number', cell: (file) => format.size(file.size) },
        { title: t('column.shared_at'), className: 'time', cell: (file) => format.dateTime(file.created) },
        { title: t('column.views'), className: 'number minor', cell: (file) => format.number(file.views) },
      ],
    });
  }

  /** The ranking: places, and bars against the first. */
  function ranks(files, start) {
    const most = Math.max(1, ...files.map((file) => file.views));
    return h('ol', { class: 'ranks', start: start + 1 }, files.map((file, index) => h('li', { class: start + index < 3 ? 'rank top' : 'rank' },
      h('span', { class: 'rank-place', 'aria-hidden': 'true' }, String(start + index + 1)),
      h('button', { type: 'button', class: 'row-open', 'aria-label': t('files.open', { name: file.name }), on: { click: () => preview(files, index) } },
        thumbnailOf(file, 'small')),
      h('div', { class: 'rank-text' }, h('span', { class: 'row-name', title: file.name }, file.name),
        h('span', { class: 'rank-sharer' }, file.mine ? t('shared.you') : file.sharer),
        h('progress', { max: most, value: file.views, 'aria-hidden': 'true' })),
      h('span', { class: 'rank-views' }, t('views', { count: file.views, views: format.number(file.views) })),
      menuButton(file, menu))));
  }

  function menu(file, anchor) {
    openMenu(anchor, t('files.actions_of', { name: file.name }), entries(file));
  }

  function entries(file) {
    return [
      { text: t('preview.original'), iconName: 'open', href: ownPath(file), newTab: true },
      {
        text: t('download'), iconName: 'download', href: downloadPath(file), download: file.name,
        run: () => actions.countDownload(file, { shared: true }),
      },
      { text: t('copy.action'), iconName: 'link', run: () => copyLinks([file]) },
      !file.mine && { text: t('action.save'), iconName: 'save', run: () => save(file) },
      file.mine && { text: t('action.unshare'), iconName: 'unshare', run: () => unshare(file) },
    ];
  }

  async function save(file) {
    if (!signedIn()) return go('/login', { back: address(path, params).slice(1) });
    return actions.saveToMine([file]);
  }

  async function unshare(file) {
    if ((await actions.unshare([file])) === 0) return;
    open?.close();
    await show();
  }

  function preview(files, index) {
    open = openPreview({
      files, index, actions: entries, copy: (file) => copyLinks([file]),
      download: (file) => actions.download(file, { shared: true }),
      details: (file) => [
        [t('column.sharer'), file.sharer], [t('column.size'), format.size(file.size)],
        [t('column.shared_at'), format.dateTime(file.created)], [t('column.views'), format.number(file.views)],
      ],
    });
  }

  void show();
  return {
    element,
    title: t(`${words}.title`),
    update(next) {
      params = next;
      void show();
    },
  };
}
