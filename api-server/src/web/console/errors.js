// Errors as sentences for people: what happened and what to do about it.

import { ApiError, errorOfStatus } from './api.js';
import { has, t } from './i18n.js';

/** The text for an error, in the reader's language; `kind` is `error`, or `trouble` where it passes by itself. */
export function describe(error, kind = 'error') {
  if (error instanceof ApiError) {
    // A word that this version does not know still has a status that says what kind of failure it is.
    const known = [error.word, errorOfStatus(error.status).word].find((word) => has(`${kind}.${word}`));
    return t(`${kind}.${known ?? 'internal'}`);
  }
  console.error(error);
  return t('error.internal');
}

/** Whether an error only says that somebody else cancelled the request. */
export function isAbort(error) {
  return error?.name === 'AbortError';
}
