// A menu of actions below a button: a popover with arrow keys.

import { h, icon } from './dom.js';

/** Opens a menu below `anchor`. `entries`: `{text, iconName, run, danger, href, download, newTab}`; `null` is left out. */
export function openMenu(anchor, label, entries) {
  const items = entries.filter(Boolean).map((entry) => item(entry));
  const menu = h('div', { class: 'menu', role: 'menu', 'aria-label': label, popover: 'auto' }, items);
  const focusAt = (index) => items[(index + items.length) % items.length].focus();

  menu.addEventListener('keydown', (event) => {
    const at = items.indexOf(document.activeElement);
    const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (target !== undefined) {
      event.preventDefault();
      focusAt(target);
    } else if (event.key === 'Tab') {
      menu.hidePopover();
    }
  });
  // Captured, so that focus is back on the anchor before an action opens a dialog that will return it.
  menu.addEventListener('click', (event) => {
    if (!event.target.closest('[role=menuitem]')) return;
    menu.hidePopover();
    anchor.focus();
  }, { capture: true });
  menu.addEventListener('toggle', (event) => {
    if (event.newState !== 'closed') return;
    anchor.setAttribute('aria-expanded', 'false');
    const focusInside = menu.contains(document.activeElement) || document.activeElement === document.body;
    menu.remove();
    if (focusInside && anchor.isConnected) anchor.focus();
  });

  // Inside an open dialog the menu has to be part of it, or it would be inert.
  (anchor.closest('dialog') ?? document.getElementById('overlays')).append(menu);
  anchor.setAttribute('aria-expanded', 'true');
  menu.showPopover();
  place(menu, anchor);
  focusAt(0);
}

function item({ text, iconName, run, danger, href, download, newTab }) {
  const content = [icon(iconName), h('span', {}, text)];
  const shared = { role: 'menuitem', tabindex: '-1', class: danger ? 'menu-item danger' : 'menu-item' };
  if (href) {
    const away = newTab ? { target: '_blank', rel: 'noopener noreferrer' } : {};
    return h('a', { ...shared, href, download, ...away, on: run ? { click: run } : {} }, content);
  }
  return h('button', { ...shared, type: 'button', on: { click: run } }, content);
}

function place(menu, anchor) {
  const GAP = 4;
  const box = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const left = Math.max(8, Math.min(box.right - width, innerWidth - width - 8));
  const below = box.bottom + GAP;
  const top = below + height > innerHeight - 8 ? Math.max(8, box.top - GAP - height) : below;
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
}
