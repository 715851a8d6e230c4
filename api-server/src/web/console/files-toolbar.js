// The bars above a list of files: search, order and view; and what can be done with selected rows.

import { button, debounce, fill, h, icon, iconButton, uniqueId } from './dom.js';
import { t } from './i18n.js';
import { viewSwitch } from './view-switch.js';

/** Orders of the list of all files; a folder has one, by name. */
export const ORDERS = ['created', 'name', 'size', 'views'];

/** Search field, lists, order and view. `set(wanted, tabs)` shows what the address says; `tabs` are its links. */
export function toolbar({ onSearch, onSort, redraw }) {
  const lists = h('div', { class: 'tabs-place' });
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
    element: h('div', { class: 'toolbar' },
      h('div', { class: 'search-field', role: 'search' }, icon('search'), search), lists, sorting, viewSwitch(redraw)),
    set({ mode, search: text, order: by, direction: way }, tabs) {
      fill(lists, tabs);
      // What is being typed is newer than the address.
      if (document.activeElement !== search) search.value = text;
      order.value = by;
      direction = way;
      const label = t(direction === 'asc' ? 'order.ascending' : 'order.descending');
      fill(turn, icon(direction === 'asc' ? 'up' : 'down'));
      turn.title = label;
      turn.setAttribute('aria-label', label);
      // What is found comes in the order of names.
      sorting.hidden = mode === 'found';
      order.hidden = mode === 'folder';
    },
  };
}

/** What can be done with all selected rows; hidden while none is. Links and shares are of files only. */
export function selectionBar(selection, { share, unshare, remove, copy, move }) {
  const count = h('span', { role: 'status' });
  const act = (run, rows = () => selection.values()) => () => run(rows());
  const files = () => selection.values().filter((row) => !row.isFolder);
  const copying = button(t('copy.action'), act(copy, files), { iconName: 'link', kind: 'quiet' });
  const sharing = button(t('action.share'), act(share, files), { iconName: 'share', kind: 'quiet' });
  const unsharing = button(t('action.unshare'), act(unshare, files), { iconName: 'unshare', kind: 'quiet' });
  const bar = h('section', { class: 'selection-bar', 'aria-label': t('selection.label'), hidden: true },
    count,
    copying,
    sharing,
    unsharing,
    button(t('move.action'), act(move), { iconName: 'move', kind: 'quiet' }),
    button(t('trash.action'), act(remove), { iconName: 'trash', kind: 'quiet danger-text' }),
    iconButton('close', t('selection.clear'), () => selection.clear()));
  selection.addEventListener('change', () => {
    bar.hidden = selection.size === 0;
    count.textContent = t('selection.count', { count: selection.size });
    copying.disabled = files().length === 0;
    sharing.disabled = files().every((file) => file.shared);
    unsharing.disabled = !files().some((file) => file.shared);
  });
  return bar;
}
