// Errors as sentences for people: what happened and what to do about it.

import { ApiError } from './api.js';
import { has, t } from './i18n.js';

/** The text for an error, in the reader's language. */
export function describe(error) {
  if (error instanceof ApiError) {
    const key = `error.${error.word}`;
    if (has(key)) return t(key);
    return error.message && error.message !== error.word ? error.message : t('error.internal');
  }
  console.error(error);
  return t('error.internal');
}

/** Whether an error only says that somebody else cancelled the request. */
export function isAbort(error) {
  return error?.name === 'AbortError';
}
