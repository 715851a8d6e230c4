// Files as cards with large thumbnails.

import { h, icon } from './dom.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { thumbnailOf } from './thumbnail.js';

/**
 * Builds the grid.
 *
 * `selection` may be `null`; `open(index)` shows a file, `href(file)` is the address of what is not shown
 * but gone to, `menu(file, anchor)` the actions, `note(file)` the second line of a card, `badge(file)` a
 * mark over its picture; `decorate(element, file)` gets each card.
 */
export function fileGrid({
  files, selection, open, menu, note = sizeAndDate, badge = () => null, href = () => null, decorate = () => {},
}) {
  const list = h('ul', { class: selection?.size > 0 ? 'grid selecting' : 'grid' });
  list.append(...files.map((file, index) => card(file, index)));

  function card(file, index) {
    const element = h('li', { class: selection?.has(file) ? 'card selected' : 'card', dataset: { name: file.name } },
      opener('card-open', file, href(file), () => open(index), t(file.isFolder ? 'folder.open_of' : 'files.open', { name: file.name }),
        thumbnailOf(file, 'medium')),
      selection && checkbox(files, index, selection),
      badge(file),
      h('div', { class: 'card-text' },
        h('span', { class: 'card-name', title: file.name }, file.name),
        h('span', { class: 'card-note' }, note(file))),
      menuButton(file, menu));
    decorate(element, file);
    return element;
  }

  selection?.drawnBy(() => {
    list.classList.toggle('selecting', selection.size > 0);
    files.forEach((file, index) => {
      const selected = selection.has(file);
      list.children[index].classList.toggle('selected', selected);
      list.children[index].querySelector('input').checked = selected;
    });
  });
  return list;
}

/** What opens a row: a link where there is an address, so that it can be opened in another tab as well. */
export function opener(className, file, href, open, label, ...content) {
  if (href) return h('a', { class: className, href, 'aria-label': label, draggable: 'false' }, content);
  return h('button', { type: 'button', class: className, 'aria-label': label, on: { click: open } }, content);
}

function sizeAndDate(file) {
  return `${format.size(file.size)} · ${format.shortDate(file.created)}`;
}

/** The mark of a file that everybody can see. */
export function sharedBadge(file) {
  return file.shared && h('span', { class: 'badge' }, icon('share'), h('span', {}, t('files.shared')));
}

/** The checkbox of a row, with ranges by Shift. */
export function checkbox(files, index, selection) {
  const file = files[index];
  let shift = false;
  const input = h('input', {
    type: 'checkbox', 'aria-label': t('files.select', { name: file.name }), checked: selection.has(file),
    on: {
      click: (event) => { shift = event.shiftKey; },
      change: (event) => selection.pick(files, index, event.target.checked, shift),
    },
  });
  return h('label', { class: 'check' }, input);
}

/** The button that opens a file's menu. */
export function menuButton(file, menu) {
  const anchor = h('button', {
    type: 'button', class: 'icon-button more', title: t('files.actions'), 'aria-haspopup': 'menu', 'aria-expanded': 'false',
    'aria-label': t('files.actions_of', { name: file.name }), on: { click: () => menu(file, anchor) },
  }, icon('more'));
  return anchor;
}
