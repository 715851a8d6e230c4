// Fields of forms: label, hint, error and the wiring between them.

import { h, iconButton, uniqueId } from './dom.js';
import { t } from './i18n.js';

/** A labelled text field; `element` goes into the form, `fail(text)` shows an error at it. */
export function field(label, { hint = null, password = false, ...attributes }) {
  const id = uniqueId('field');
  const error = h('p', { class: 'field-error', id: `${id}-error`, hidden: true });
  const input = h('input', {
    id, type: password ? 'password' : 'text', class: 'input',
    'aria-describedby': [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(' '), ...attributes,
  });
  input.addEventListener('input', () => fail(null));

  function fail(text) {
    error.hidden = text === null;
    error.textContent = text ?? '';
    if (text === null) input.removeAttribute('aria-invalid');
    else input.setAttribute('aria-invalid', 'true');
  }

  const element = h('div', { class: 'field' },
    h('label', { for: id }, label),
    password ? h('div', { class: 'with-reveal' }, input, revealButton(input)) : input,
    hint && h('p', { class: 'hint', id: `${id}-hint` }, hint),
    error);
  return { element, input, fail, value: () => input.value };
}

/** Shows and hides the characters of a password. */
function revealButton(input) {
  const element = iconButton('eye', t('password.show'), () => {
    const shown = input.type === 'password';
    input.type = shown ? 'text' : 'password';
    const label = t(shown ? 'password.hide' : 'password.show');
    element.title = label;
    element.setAttribute('aria-label', label);
    element.setAttribute('aria-pressed', String(shown));
  }, { 'aria-pressed': 'false' });
  return element;
}

/** Whether a text has between `min` and `max` characters (not bytes, not UTF-16 units). */
export function hasLength(text, min, max) {
  const length = [...text].length;
  return length >= min && length <= max;
}

/** Shows errors at their fields (`[field, text or null]`), focuses the first; `true` if there are none. */
export function valid(checks) {
  const failed = checks.filter(([, text]) => text);
  for (const [target, text] of failed) target.fail(text);
  failed[0]?.[0].input.focus();
  return failed.length === 0;
}

/** A form that runs `submit` once at a time, with its button busy meanwhile. */
export function form(attributes, submit, ...children) {
  const element = h('form', { novalidate: '', ...attributes }, children);
  let running = false;
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (running) return;
    running = true;
    const submitter = element.querySelector('[type=submit]');
    submitter?.setAttribute('aria-busy', 'true');
    try {
      await submit();
    } finally {
      running = false;
      submitter?.removeAttribute('aria-busy');
    }
  });
  return element;
}

export function submitButton(text) {
  return h('button', { type: 'submit', class: 'button primary' }, h('span', {}, text));
}

/** The rules of the fields that accounts have; each gives an error text or `null`. */
export const rules = {
  user: (text) => (hasLength(text, 1, 32) ? null : t('rule.user')),
  nick: (text) => (hasLength(text, 1, 32) ? null : t('rule.nick')),
  password: (text) => (hasLength(text, 6, 128) ? null : t('rule.password')),
  email: (text) => (text === '' || (text.length <= 254 && /^[^\s@]+@[^\s@]+\.[^\s@.]+$/.test(text)) ? null : t('rule.email')),
  phone: (text) => (hasLength(text, 0, 16) ? null : t('rule.phone')),
};
