// The request that carries a slice. XMLHttpRequest, because fetch does not tell how much was sent.

import { ApiError, errorOfStatus } from './api.js';
import { expireSession, replaced, session } from './session.js';

/** Sends slice `number` of an upload; resolves once the server has it for good. */
export async function putSlice({ id, number, bytes, md5 }, { signal, onProgress }) {
  const url = `/console/api/uploads/${encodeURIComponent(id)}/slices/${number}`;
  const used = session();
  if (!used) throw new ApiError(401, 'session_ended');
  let answer = await put(url, used.token, bytes, md5, { signal, onProgress });
  if (answer.status === 401 && (await replaced(used.token))) {
    answer = await put(url, session()?.token, bytes, md5, { signal, onProgress });
  }
  if (answer.status >= 200 && answer.status < 300) return;
  if (answer.status === 401) expireSession(used.token);
  const { word } = errorOfStatus(answer.status);
  throw new ApiError(answer.status, answer.body?.error ?? word, answer.body?.message);
}

function put(url, token, bytes, md5, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    const end = (settle, value) => {
      signal.removeEventListener('abort', stop);
      settle(value);
    };
    request.open('PUT', url);
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.setRequestHeader('X-Slice-MD5', md5);
    request.responseType = 'json';
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => end(resolve, { status: request.status, body: request.response });
    request.onerror = () => end(reject, new ApiError(0, 'network'));
    request.onabort = () => end(reject, signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    request.send(bytes);
  });
}
