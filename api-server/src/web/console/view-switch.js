// Grid or table: the reader's choice, remembered, the same on all lists.

import { h, icon } from './dom.js';
import { t } from './i18n.js';

const KEY = 'hayloft.view';
let current = localStorage.getItem(KEY) === 'table' ? 'table' : 'grid';

/** `grid` or `table`. */
export function view() {
  return current;
}

/** The pair of buttons; `onChange` is called after a change. */
export function viewSwitch(onChange) {
  const buttons = ['grid', 'table'].map((name) => h('button', {
    type: 'button', class: 'icon-button', title: t(`view.${name}`), 'aria-label': t(`view.${name}`),
    'aria-pressed': String(name === current), dataset: { view: name }, on: { click: () => choose(name) },
  }, icon(name)));
  const choose = (name) => {
    current = name;
    localStorage.setItem(KEY, name);
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.view === name));
    onChange();
  };
  return h('div', { class: 'view-switch', role: 'group', 'aria-label': t('view.label') }, buttons);
}
