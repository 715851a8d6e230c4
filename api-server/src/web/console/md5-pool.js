// MD5 of files off the main thread: a few workers, one file each at a time.

import { ApiError } from './api.js';

const WORKERS_MAX = Math.max(1, Math.min(3, navigator.hardwareConcurrency ?? 2));

const idle = [];
const waiting = [];
let workers = 0;
let lastId = 0;

/**
 * The MD5 of a file as 32 lower-case hex digits.
 *
 * `onProgress` receives the bytes read so far. Fails with `unreadable` when the file changed or went away.
 */
export async function md5OfFile(file, { signal, onProgress }) {
  const worker = await take(signal);
  try {
    return await run(worker, file, signal, onProgress);
  } finally {
    giveBack(worker);
  }
}

function run(worker, file, signal, onProgress) {
  lastId += 1;
  const id = lastId;
  return new Promise((resolve, reject) => {
    const listening = new AbortController();
    const end = (settle, value) => {
      listening.abort();
      settle(value);
    };
    const options = { signal: listening.signal };
    worker.addEventListener('message', ({ data }) => {
      if (data.id !== id) return;
      if (data.md5) end(resolve, data.md5);
      else if (data.error) end(reject, new ApiError(0, 'unreadable'));
      else onProgress(data.done);
    }, options);
    worker.addEventListener('error', () => end(reject, new ApiError(0, 'unreadable')), options);
    signal.addEventListener('abort', () => {
      worker.postMessage({ id, cancel: true });
      end(reject, signal.reason);
    }, options);
    worker.postMessage({ id, file });
  });
}

async function take(signal) {
  signal.throwIfAborted();
  if (idle.length > 0) return idle.pop();
  if (workers < WORKERS_MAX) {
    workers += 1;
    return new Worker('/console/md5-worker.js', { type: 'module' });
  }
  return new Promise((resolve, reject) => {
    const place = { resolve };
    waiting.push(place);
    signal.addEventListener('abort', () => {
      const index = waiting.indexOf(place);
      if (index < 0) return;
      waiting.splice(index, 1);
      reject(signal.reason);
    }, { once: true });
  });
}

function giveBack(worker) {
  const next = waiting.shift();
  if (next) next.resolve(worker);
  else idle.push(worker);
}
