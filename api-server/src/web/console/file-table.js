// Files as rows of a table whose headings sort.

import { checkbox, menuButton, opener } from './file-grid.js';
import { h, icon } from './dom.js';
import { t } from './i18n.js';
import { thumbnailOf } from './thumbnail.js';

/**
 * Builds the table.
 *
 * `columns` follow the name: `{title, order, cell(file), className}`, sortable where `order` is given.
 * `sort` is `{order, direction, change(order, direction)}` or `null`; `selection` may be `null`; `href`
 * and `decorate` as in `fileGrid`.
 */
export function fileTable({
  files, caption, selection, columns, sort, nameOrder = null, open, menu, href = () => null, decorate = () => {},
}) {
  const all = selection && h('input', {
    type: 'checkbox', 'aria-label': t('files.select_all'),
    on: { change: (event) => selection.pickAll(files, event.target.checked) },
  });
  const rows = files.map((file, index) => h('tr', { dataset: { name: file.name } },
    selection && h('td', { class: 'check-cell' }, checkbox(files, index, selection)),
    h('td', { class: 'name-cell' },
      opener('row-open', file, href(file), () => open(index), null,
        thumbnailOf(file, 'small'), h('span', { class: 'row-name', title: file.name }, file.name))),
    columns.map(({ cell, className }) => h('td', { class: className }, cell(file))),
    h('td', { class: 'menu-cell' }, menuButton(file, menu))));
  rows.forEach((row, index) => decorate(row, files[index]));

  const show = () => {
    const count = files.filter((file) => selection.has(file)).length;
    all.checked = count > 0 && count === files.length;
    all.indeterminate = count > 0 && count < files.length;
    files.forEach((file, index) => {
      rows[index].classList.toggle('selected', selection.has(file));
      rows[index].querySelector('input').checked = selection.has(file);
    });
  };
  if (selection) {
    selection.drawnBy(show);
    show();
  }

  return h('div', { class: 'table-frame' }, h('table', { class: 'table' },
    h('caption', { class: 'visually-hidden' }, caption),
    h('thead', {}, h('tr', {},
      selection && h('th', { scope: 'col', class: 'check-cell' }, h('label', { class: 'check' }, all)),
      heading({ title: t('column.name'), order: nameOrder, className: 'name-cell' }, sort),
      columns.map((column) => heading(column, sort)),
      h('th', { scope: 'col', class: 'menu-cell' }, h('span', { class: 'visually-hidden' }, t('files.actions'))))),
    h('tbody', {}, rows)));
}

function heading({ title, order, className }, sort) {
  if (!sort || !order) return h('th', { scope: 'col', class: className }, title);
  const current = sort.order === order;
  const ascending = sort.direction === 'asc';
  // A new column starts as one mostly wants it: names from the first, everything else from the most.
  const next = current ? (ascending ? 'desc' : 'asc') : order === 'name' ? 'asc' : 'desc';
  return h('th', { scope: 'col', class: className, 'aria-sort': current ? (ascending ? 'ascending' : 'descending') : 'none' },
    h('button', { type: 'button', class: 'sort-button', on: { click: () => sort.change(order, next) } },
      title, current && icon(ascending ? 'up' : 'down')));
}
