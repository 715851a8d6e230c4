// Uploads waiting and under way: MD5 first, then the instant upload by that MD5, then the bytes.
// Knows no element of the page; the panel listens to its events.

import { ApiError, call, documentedAsUser } from './api.js';
import { md5OfFile } from './md5-pool.js';
import { session } from './session.js';
import { postFile } from './upload-request.js';

const PARALLEL = 3;
const NAME_CHARACTERS_MAX = 128;

/**
 * States of an upload. `waiting`, `hashing`, `asking` (instant upload), `sending` and `storing` (all
 * bytes sent, no answer yet) lead to `stored`, `instant`, `present` (already among one's files),
 * `failed` or `cancelled`.
 */
const ACTIVE = new Set(['waiting', 'hashing', 'asking', 'sending', 'storing']);
const DONE = new Set(['stored', 'instant', 'present']);

/** Events: `added` and `changed` (`detail` is the upload), `removed`, `stored` (a file came in), `idle`. */
export const uploadEvents = new EventTarget();

const uploads = [];
let lastId = 0;
let sizeMax = Infinity;

/** Tells the queue the largest size that the server takes, in bytes. */
export function limitUploads(bytes) {
  sizeMax = bytes;
}

export function allUploads() {
  return uploads;
}

export function isActive(upload) {
  return ACTIVE.has(upload.state);
}

export function isDone(upload) {
  return DONE.has(upload.state);
}

/** Adds files; `name` of an entry replaces the file's own name. What an earlier batch finished is forgotten. */
export function enqueue(entries) {
  if (!uploads.some(isActive)) {
    uploads.splice(0, uploads.length, ...uploads.filter((upload) => upload.state === 'failed'));
  }
  for (const { file, name = file.name } of entries) {
    lastId += 1;
    const upload = { id: lastId, file, name, size: file.size, state: 'waiting', done: 0, error: null, abort: null };
    uploads.push(upload);
    emit('added', upload);
    const word = refusal(upload);
    if (word) set(upload, { state: 'failed', error: new ApiError(0, word) });
  }
  pump();
}

/** Why a file cannot be uploaded at all, as the word of an error. */
function refusal({ name, size }) {
  if ([...name].length > NAME_CHARACTERS_MAX) return 'name_too_long';
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (name === '' || /[\u0000-\u001f\u007f]/.test(name)) return 'name_invalid';
  if (size > sizeMax) return 'too_large';
  return null;
}

export function cancel(upload) {
  if (!isActive(upload)) return;
  upload.abort?.abort();
  set(upload, { state: 'cancelled' });
  pump();
}

export function retry(upload) {
  if (isActive(upload) || isDone(upload) || refusal(upload)) return;
  set(upload, { state: 'waiting', done: 0, error: null });
  pump();
}

/** Whether trying again can help. */
export function canRetry(upload) {
  return (upload.state === 'failed' || upload.state === 'cancelled') && refusal(upload) === null;
}

export function cancelAll() {
  uploads.filter(isActive).forEach(cancel);
}

/** Forgets everything that is not under way. */
export function clearFinished() {
  const kept = uploads.filter(isActive);
  uploads.splice(0, uploads.length, ...kept);
  emit('removed');
}

function pump() {
  const running = uploads.filter((upload) => isActive(upload) && upload.state !== 'waiting').length;
  const next = uploads.filter((upload) => upload.state === 'waiting').slice(0, Math.max(0, PARALLEL - running));
  for (const upload of next) void run(upload);
  if (running === 0 && next.length === 0) emit('idle');
}

async function run(upload) {
  const abort = new AbortController();
  const { signal } = abort;
  set(upload, { state: 'hashing', done: 0, abort });
  try {
    const md5 = await md5OfFile(upload.file, { signal, onProgress: (done) => set(upload, { done }) });
    set(upload, { state: 'asking' });
    const known = await askInstant(upload, md5, signal);
    if (!known) await sendBytes(upload, md5, signal);
    set(upload, { state: known ?? 'stored', done: upload.size });
    emit('stored', upload);
  } catch (error) {
    if (!signal.aborted) set(upload, { state: 'failed', error });
  } finally {
    pump();
  }
}

/** `instant`, `present`, or `null` when the bytes are needed. */
async function askInstant(upload, md5, signal) {
  try {
    await documentedAsUser('md5', { md5, filename: upload.name }, { 1: 'unknown_content', 5: 'present' }, { signal });
    return 'instant';
  } catch (error) {
    if (error.word === 'unknown_content') return null;
    if (error.word === 'present') return 'present';
    throw error;
  }
}

async function sendBytes(upload, md5, signal) {
  const { user, token } = session() ?? {};
  if (!token) throw new ApiError(401, 'session_ended');
  set(upload, { state: 'sending', done: 0 });
  const answer = await postFile({ user, token, md5, name: upload.name, file: upload.file }, {
    signal,
    onProgress: (done) => set(upload, { state: done < upload.size ? 'sending' : 'storing', done }),
  });
  if (answer.code === 0) return;
  await call('GET', 'me', { signal }); // A refused token and a refused file have the same code.
  throw new ApiError(200, 'upload_refused');
}

function set(upload, changes) {
  if (upload.state === 'cancelled' && changes.state !== 'waiting') return;
  Object.assign(upload, changes);
  emit('changed', upload);
}

function emit(type, detail = null) {
  uploadEvents.dispatchEvent(new CustomEvent(type, { detail }));
}

addEventListener('beforeunload', (event) => {
  if (uploads.some(isActive)) event.preventDefault();
});
