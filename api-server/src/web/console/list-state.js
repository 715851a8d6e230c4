// What a list shows while it loads, when it is empty, and when loading failed.

import { button, fill, h, icon } from './dom.js';
import { describe, isAbort } from './errors.js';
import { t } from './i18n.js';

/** A friendly blank: what this place is for and what to do. */
export function emptyState(iconName, title, text, action = null) {
  return h('div', { class: 'empty' }, h('span', { class: 'empty-icon' }, icon(iconName)),
    h('h2', {}, title), h('p', {}, text), action);
}

export function errorState(error, retry) {
  return h('div', { class: 'empty failed', role: 'alert' }, h('span', { class: 'empty-icon' }, icon('alert')),
    h('h2', {}, t('load.failed')), h('p', {}, describe(error)), button(t('retry'), retry, { iconName: 'retry' }));
}

/**
 * A place whose content is loaded: `show(load, draw)` loads, draws, and discards answers that a later
 * call or the page's end has overtaken. The old content stays, dimmed, until the new one is there; with
 * `quiet`, for what nobody asked for, it is not dimmed.
 */
export class Loading {
  #place;
  #outer;
  #current = null;

  constructor(place, signal) {
    this.#place = place;
    this.#outer = signal;
  }

  async show(load, draw, { quiet = false } = {}) {
    this.#current?.abort();
    const abort = new AbortController();
    this.#current = abort;
    const signal = AbortSignal.any([abort.signal, this.#outer]);
    if (!quiet) this.#place.setAttribute('aria-busy', 'true');
    if (this.#place.childElementCount === 0) fill(this.#place, skeleton());
    try {
      const value = await load(signal);
      if (!signal.aborted) keepingFocus(this.#place, () => draw(value));
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      fill(this.#place, errorState(error, () => this.show(load, draw)));
    } finally {
      if (this.#current === abort) this.#place.setAttribute('aria-busy', 'false');
    }
  }
}

/**
 * Draws anew; focus that was inside goes to the control of the same name, else to the one that stands
 * where it stood, or to the place itself.
 */
function keepingFocus(place, draw) {
  const before = place.contains(document.activeElement) ? document.activeElement : null;
  const alike = () => [...place.querySelectorAll(before.className ? `.${before.classList[0]}` : before.localName)];
  const index = before === null || before === place ? -1 : alike().indexOf(before);
  const nameOf = (element) => element.getAttribute('aria-label') ?? element.textContent;
  draw();
  if (before === null || place.contains(document.activeElement)) return;
  const now = before === place ? [] : alike();
  const again = now.find((element) => nameOf(element) === nameOf(before)) ?? now[Math.min(index, now.length - 1)];
  place.tabIndex = -1;
  (again ?? place).focus({ preventScroll: true });
}

function skeleton() {
  return h('div', { class: 'skeleton', 'aria-hidden': 'true' }, Array.from({ length: 12 }, () => h('span', {})));
}
