// Short messages at the edge of the window, spoken by screen readers.

import { fill, h, icon, iconButton } from './dom.js';
import { t } from './i18n.js';

const SHOWN_MS = { info: 4500, good: 4500, bad: 10_000 };
const AT_MOST = 4;

// Live regions have to exist before text enters them.
const polite = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });
const spoken = h('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });

/** Puts the live regions into the page. They are a popover so that modal dialogs do not cover them. */
export function mountToasts(parent) {
  polite.popover = 'manual';
  parent.append(polite, spoken);
}

/** Shows a message; `tone` is `info`, `good` or `bad`. `action` is `{text, run}`. Returns what takes it away. */
export function toast(text, tone = 'info', action = null) {
  const close = () => {
    clearTimeout(timer);
    element.remove();
    if (polite.childElementCount === 0 && polite.matches(':popover-open')) polite.hidePopover();
  };
  const element = h('div', { class: `toast ${tone}` },
    icon(tone === 'bad' ? 'alert' : tone === 'good' ? 'check' : 'info'),
    h('p', {}, text),
    action && h('button', {
      type: 'button', class: 'button quiet small', on: { click: () => { close(); action.run(); } },
    }, action.text),
    iconButton('close', t('close'), close));
  let timer = setTimeout(close, SHOWN_MS[tone]);
  element.addEventListener('pointerenter', () => clearTimeout(timer));
  element.addEventListener('focusin', () => clearTimeout(timer));
  element.addEventListener('pointerleave', () => { timer = setTimeout(close, SHOWN_MS[tone]); });
  polite.append(element);
  while (polite.childElementCount > AT_MOST) polite.firstElementChild.remove();
  // Shown anew each time: the last popover to open lies above dialogs that opened since.
  if (polite.matches(':popover-open')) polite.hidePopover();
  polite.showPopover();
  return close;
}

/** Tells screen readers something that the page shows in another way. */
export function announce(text) {
  fill(spoken, text);
}
