// The way from the root to the folder that is open; its parts take what is dropped on them.

import { h, icon } from './dom.js';
import { folderAddress } from './folders.js';
import { t } from './i18n.js';
import { openMenu } from './menu.js';
import { ROOT } from './upload-folders.js';

/** Folders that are named; those between the first and the last ones move into a menu. */
const NAMED_MAX = 4;
const NAMED_MAX_NARROW = 3;

/** `path` as the server gives it; `dropTarget(element, id)` makes an element take entries. */
export function breadcrumbs(path, dropTarget) {
  const crumbs = [{ id: ROOT, name: t('files.title') }, ...path];
  const most = matchMedia('(max-width: 760px)').matches ? NAMED_MAX_NARROW : NAMED_MAX;
  const hidden = crumbs.length > most + 1 ? crumbs.slice(1, crumbs.length - most + 1) : [];
  const shown = crumbs.filter((crumb) => !hidden.includes(crumb));
  const items = shown.map((crumb, index) => h('li', {},
    index > 0 && icon('right'), index === shown.length - 1 ? current(crumb) : link(crumb, dropTarget)));
  if (hidden.length > 0) items.splice(1, 0, h('li', {}, icon('right'), rest(hidden)));
  return h('nav', { class: 'crumbs', 'aria-label': t('folder.path') }, h('ol', {}, items));
}

function current({ name }) {
  return h('span', { class: 'crumb', 'aria-current': 'page', title: name }, name);
}

function link({ id, name }, dropTarget) {
  return dropTarget(h('a', { class: 'crumb', href: folderAddress(id), title: name, draggable: 'false' }, name), id);
}

function rest(folders) {
  const anchor = h('button', {
    type: 'button', class: 'crumb', 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-label': t('folder.between'),
    title: t('folder.between'),
    on: {
      click: () => openMenu(anchor, t('folder.between'), folders.map(({ id, name }) => ({
        text: name, iconName: 'folder', href: folderAddress(id),
      }))),
    },
  }, '…');
  return anchor;
}
