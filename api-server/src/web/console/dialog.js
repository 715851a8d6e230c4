// Modal dialogs on the browser's own <dialog>: focus trap, Escape and return of focus come with it.

import { button, h, iconButton, uniqueId } from './dom.js';
import { t } from './i18n.js';

/**
 * Opens a dialog and resolves with the value given to `close`, or with `null` when it was dismissed.
 *
 * `build(close)` returns `{body, actions}`: lists of nodes.
 */
export function openDialog(title, build, { wide = false } = {}) {
  return new Promise((resolve) => {
    let result = null;
    const headingId = uniqueId('dialog');
    const dialog = h('dialog', { class: wide ? 'dialog wide' : 'dialog', 'aria-labelledby': headingId });
    const close = (value) => {
      result = value;
      dialog.close();
    };
    const { body, actions } = build(close);
    dialog.append(
      h('header', {}, h('h2', { id: headingId }, title), iconButton('close', t('close'), () => close(null))),
      h('div', { class: 'dialog-body' }, body),
      h('footer', {}, actions),
    );
    // Only a press that began on the backdrop counts: selecting text may end outside of the dialog.
    let pressedOutside = false;
    dialog.addEventListener('pointerdown', (event) => { pressedOutside = event.target === dialog; });
    dialog.addEventListener('click', (event) => {
      if (pressedOutside && event.target === dialog) close(null);
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(result);
    });
    document.getElementById('overlays').append(dialog);
    dialog.showModal();
    dialog.querySelector('[autofocus]')?.focus();
  });
}

/** Asks before something that cannot be taken back; resolves with `true` or `false`. */
export async function confirmDialog(title, text, { confirm, danger = true, list = [] }) {
  const answer = await openDialog(title, (close) => ({
    body: [
      h('p', {}, text),
      list.length > 0 && h('ul', { class: 'name-list', tabindex: '0', 'aria-label': t('files.names') },
        list.slice(0, 50).map((name) => h('li', {}, name)),
        list.length > 50 && h('li', {}, t('files.and_more', { count: list.length - 50 }))),
    ],
    actions: [
      button(t('cancel'), () => close(false), { autofocus: danger }),
      button(confirm, () => close(true), { kind: danger ? 'danger' : 'primary', autofocus: !danger }),
    ],
  }));
  return answer === true;
}
