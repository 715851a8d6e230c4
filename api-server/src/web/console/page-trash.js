// The trash: what was deleted and can be brought back, or be deleted for good.

import { call } from './api.js';
import * as actions from './entry-actions.js';
import { button, fill, h, iconButton } from './dom.js';
import { checkbox } from './file-grid.js';
import { rowOf } from './folders.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { listenForListKeys } from './list-keys.js';
import { Loading, emptyState } from './list-state.js';
import { pager } from './pager.js';
import { profile } from './profile.js';
import { go } from './router.js';
import { Selection } from './selection.js';
import { thumbnailOf } from './thumbnail.js';

const PAGE_SIZE = 50;

/** The page of `/trash`; parameter `page`. */
export function trashPage({ path, params: firstParams, signal }) {
  let params = firstParams;
  let rows = [];
  let total = 0;
  const selection = new Selection((row) => row.id);
  const place = h('div', { class: 'list-place' });
  const loading = new Loading(place, signal);
  const count = h('span', { class: 'count' });
  const emptying = button(t('trash.empty'), empty, { iconName: 'trash', kind: 'plain danger-text', hidden: true, dataset: { role: 'empty-trash' } });
  const bar = selectionBar();
  listenForListKeys(place, { rows: () => rows, selection, remove: purge, signal });

  const element = h('div', { class: 'page trash-page' },
    h('header', { class: 'page-head' },
      h('div', {}, h('h1', { tabindex: '-1' }, t('trash.title'), ' ', count), h('p', { class: 'lead' }, t('trash.lead'))),
      h('div', { class: 'page-actions' }, emptying)),
    bar, place);

  function show() {
    const page = Math.max(1, Math.trunc(Number(params.page)) || 1);
    const query = { start: (page - 1) * PAGE_SIZE, count: PAGE_SIZE };
    return loading.show((inner) => call('GET', 'trash', { query, signal: inner }), (answer) => {
      rows = answer.entries.map(rowOf);
      total = answer.total;
      if (rows.length === 0 && page > 1) return go(path, { page: Math.ceil(total / PAGE_SIZE) || 1 }, { replace: true });
      count.textContent = format.number(total);
      emptying.hidden = total === 0;
      selection.refresh(rows);
      if (total === 0) return fill(place, emptyState('trash', t('trash.nothing'), t('trash.nothing.text')));
      return fill(place, table(), pager({ path, params: {}, page, total, pageSize: PAGE_SIZE }));
    });
  }

  function table() {
    const all = h('input', {
      type: 'checkbox', 'aria-label': t('files.select_all'), on: { change: (event) => selection.pickAll(rows, event.target.checked) },
    });
    const lines = rows.map(line);
    const draw = () => {
      const chosen = rows.filter((row) => selection.has(row)).length;
      all.checked = chosen === rows.length;
      all.indeterminate = chosen > 0 && chosen < rows.length;
      rows.forEach((row, index) => {
        lines[index].classList.toggle('selected', selection.has(row));
        lines[index].querySelector('input').checked = selection.has(row);
      });
    };
    selection.drawnBy(draw);
    draw();
    return h('div', { class: 'table-frame' }, h('table', { class: 'table trash' },
      h('caption', { class: 'visually-hidden' }, t('trash.title')),
      h('thead', {}, h('tr', {},
        h('th', { scope: 'col', class: 'check-cell' }, h('label', { class: 'check' }, all)),
        h('th', { scope: 'col', class: 'name-cell' }, t('column.name')),
        h('th', { scope: 'col', class: 'where-cell minor' }, t('trash.from')),
        h('th', { scope: 'col', class: 'number' }, t('column.size')),
        h('th', { scope: 'col', class: 'time' }, t('trash.when')),
        h('th', { scope: 'col', class: 'tools-cell' }, h('span', { class: 'visually-hidden' }, t('files.actions'))))),
      h('tbody', {}, lines)));
  }

  function line(row, index) {
    const from = [t('files.title'), ...row.from].join(' › ');
    return h('tr', { dataset: { name: row.name } },
      h('td', { class: 'check-cell' }, checkbox(rows, index, selection)),
      h('td', { class: 'name-cell' }, h('button', {
        type: 'button', class: 'row-open', title: t('files.select', { name: row.name }),
        on: { click: (event) => selection.pick(rows, index, !selection.has(row), event.shiftKey) },
      }, thumbnailOf(row, 'small'), h('span', { class: 'row-name', title: row.name }, row.name))),
      h('td', { class: 'where-cell minor', title: from }, from),
      h('td', { class: 'number' }, format.size(row.isFolder ? row.bytes : row.size)),
      h('td', { class: 'time' }, format.dateTime(row.trashed)),
      h('td', { class: 'tools-cell' },
        iconButton('restore', t('trash.restore_of', { name: row.name }), () => restore([row])),
        iconButton('trash', t('purge.of', { name: row.name }), () => purge([row]))));
  }

  function selectionBar() {
    const chosen = h('span', { role: 'status' });
    const element = h('section', { class: 'selection-bar', 'aria-label': t('selection.label'), hidden: true },
      chosen,
      button(t('trash.restore'), () => restore(selection.values()), { iconName: 'restore', kind: 'quiet' }),
      button(t('purge.confirm'), () => purge(selection.values()), { iconName: 'trash', kind: 'quiet danger-text' }),
      iconButton('close', t('selection.clear'), () => selection.clear()));
    selection.addEventListener('change', () => {
      element.hidden = selection.size === 0;
      chosen.textContent = t('selection.count', { count: selection.size });
    });
    return element;
  }

  async function restore(chosen) {
    if (await actions.restore(chosen)) await afterChange();
  }

  async function purge(chosen) {
    if (await actions.purge(chosen)) await afterChange();
  }

  async function empty() {
    if (await actions.emptyTrash(total, profile()?.trash ?? 0)) await afterChange();
  }

  async function afterChange() {
    selection.clear();
    await show();
  }

  void show();
  return {
    element,
    title: t('trash.title'),
    update(next) {
      params = next;
      void show();
    },
  };
}
