// A worker that computes the MD5 of files, reading them slice by slice so that memory stays flat.
//
// Receives `{id, file}` or `{id, cancel: true}`; sends `{id, done}` (bytes so far), `{id, md5}` or
// `{id, error}`. One file at a time per worker.

import { Md5 } from './md5.js';

const SLICE = 4 * 1024 * 1024;
const cancelled = new Set();

async function digest(id, file) {
  const md5 = new Md5();
  for (let offset = 0; offset < file.size; offset += SLICE) {
    const bytes = new Uint8Array(await file.slice(offset, offset + SLICE).arrayBuffer());
    if (cancelled.delete(id)) return;
    md5.update(bytes);
    postMessage({ id, done: offset + bytes.length });
  }
  postMessage({ id, md5: md5.hex() });
}

addEventListener('message', ({ data: { id, file, cancel } }) => {
  if (cancel) {
    cancelled.add(id);
    return;
  }
  digest(id, file).catch((error) => postMessage({ id, error: error.name }));
});
