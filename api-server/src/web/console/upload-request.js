// One POST /api/upload. XMLHttpRequest, because fetch does not tell how much was sent.

import { ApiError, errorOfStatus } from './api.js';

/** Sends a file in the documented form; gives the answer with its `code`. Fields come before the file. */
export function postFile({ user, token, md5, name, file }, { signal, onProgress }) {
  const form = new FormData();
  form.append('user', user);
  form.append('token', token);
  form.append('md5', md5);
  form.append('size', String(file.size));
  form.append('file', file, name);

  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open('POST', '/api/upload');
    request.responseType = 'json';
    // The form's own framing is counted as well, so the number is cut to the file's size.
    request.upload.onprogress = (event) => onProgress(Math.min(event.loaded, file.size));
    request.upload.onload = () => onProgress(file.size);
    request.onload = () => {
      if (request.status !== 200) reject(errorOfStatus(request.status));
      else if (typeof request.response?.code === 'number') resolve(request.response);
      else reject(errorOfStatus(500));
    };
    request.onerror = () => reject(new ApiError(0, 'network'));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(form);
  });
}
