// The console's requests: its own API below /console/api and the documented API below /api.

import { expireSession, replaced, session } from './session.js';

/** A request that did not succeed. `word` is stable and names a text (`error.<word>`). */
export class ApiError extends Error {
  constructor(status, word, message = word) {
    super(message);
    this.status = status;
    this.word = word;
  }
}

const WORD_OF_STATUS = {
  400: 'bad_request', 401: 'session_ended', 403: 'forbidden', 404: 'not_found', 409: 'conflict',
  413: 'too_large', 429: 'too_many', 500: 'internal', 502: 'unavailable', 503: 'unavailable', 504: 'unavailable',
};

/** The error for an answer of this status whose body says no more. */
export function errorOfStatus(status) {
  return new ApiError(status, WORD_OF_STATUS[status] ?? 'internal');
}

async function send(url, options, signal) {
  try {
    return await fetch(url, { cache: 'no-store', credentials: 'omit', signal, ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'network');
  }
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw errorOfStatus(response.ok ? 500 : response.status);
  }
}

/**
 * Calls `/console/api/<path>`; the session's token goes along where there is one.
 *
 * A refused token that was renewed meanwhile is tried once more; otherwise the session has ended.
 */
export async function call(method, path, { body, query, signal } = {}) {
  const used = session();
  const url = `/console/api/${path}${query ? `?${new URLSearchParams(query)}` : ''}`;
  const request = (token) => send(url, {
    method,
    headers: {
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  }, signal);

  let response = await request(used?.token);
  if (response.status === 401 && used && (await replaced(used.token))) {
    response = await request(session()?.token);
  }
  if (response.ok) return response.status === 204 ? null : json(response);
  if (response.status === 401 && used) expireSession(used.token);
  const answer = await response.json().catch(() => ({}));
  const { word, message } = errorOfStatus(response.status);
  throw new ApiError(response.status, answer.error ?? word, answer.message ?? message);
}

/** Calls a documented endpoint and gives its answer, whatever its `code`. */
export async function documented(path, body, { signal } = {}) {
  const response = await send(`/api/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  }, signal);
  if (!response.ok) throw errorOfStatus(response.status);
  return json(response);
}

/**
 * Calls a documented endpoint as the signed-in user; a code that `words` names becomes an error.
 *
 * The documented answers do not always tell a refused token from other failures, so after any failure
 * the console asks for itself whether the session still lives.
 */
export async function documentedAsUser(path, body, words = {}, options = {}) {
  const used = session();
  if (!used) throw new ApiError(401, 'session_ended');
  const answer = await documented(path, { ...body, user: used.user, token: used.token }, options);
  if (answer.code === 0) return answer;
  if (answer.code === 1 || answer.code === 4) await call('GET', 'me', options);
  throw new ApiError(200, words[answer.code] ?? 'refused');
}
