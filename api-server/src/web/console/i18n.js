// Texts in the reader's language: choice, look-up, plural forms.

import { EN } from './text-en.js';
import { ZH } from './text-zh.js';

const KEY = 'hayloft.language';
const DICTIONARIES = { en: EN, zh: ZH };

let current = document.documentElement.lang.startsWith('zh') ? 'zh' : 'en';

/** `en` or `zh`. */
export function language() {
  return current;
}

/** The tag for Intl and for the `lang` attribute. */
export function locale() {
  return current === 'zh' ? 'zh-CN' : 'en';
}

/** Switches the language and remembers it; the caller draws the page anew. */
export function setLanguage(next) {
  current = next;
  document.documentElement.lang = locale();
  try {
    localStorage.setItem(KEY, locale());
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}

/**
 * The text named `key`, with `{name}` replaced by `values.name`.
 *
 * An entry may be an object of plural forms; the form is chosen by `values.count`.
 */
export function t(key, values = {}) {
  let text = DICTIONARIES[current][key];
  if (text === undefined) {
    console.error(`no text for ${key}`);
    return key;
  }
  if (typeof text === 'object') {
    const form = new Intl.PluralRules(locale()).select(values.count ?? 0);
    text = text[form] ?? text.other;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Whether a text of this name exists, for keys that come from the server. */
export function has(key) {
  return Object.hasOwn(DICTIONARIES[current], key);
}
