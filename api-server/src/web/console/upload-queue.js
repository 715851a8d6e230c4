// Uploads waiting, under way, paused and unfinished. Knows no element of the page; the panel listens to
// its events. What happens to one upload is upload-run.js.

import { ApiError } from './api.js';
import { entryName, nameRefusal } from './names.js';
import { FolderMaker, ROOT } from './upload-folders.js';
import { discard, runUpload } from './upload-run.js';

/** Files at a time. Small ones mostly wait for answers, so there may be more of them than slices. */
const PARALLEL = 4;

/**
 * States of an upload. `waiting`, `asking` (folder, instant upload), `hashing`, `sending` and `storing`
 * (all bytes sent, being put together) lead to `stored`, `instant`, `present` (already in the folder),
 * `failed` or `cancelled`. `paused` goes on when asked; `unfinished` comes from an earlier page and goes
 * on when its file is chosen again.
 */
const ACTIVE = new Set(['waiting', 'asking', 'hashing', 'sending', 'storing']);
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

function newUpload(fields) {
  lastId += 1;
  return {
    id: lastId, file: null, directory: [], parent: null, folders: null, md5: null, duplicate: 'refuse', session: null,
    state: 'waiting', done: 0, trouble: null, error: null, abort: null, ...fields,
  };
}

/**
 * Adds files that go below the folder `parent`. An entry is `{file, name?, directory?}`: `name` replaces
 * the file's own, `directory` is the path of folders to make for it. What an earlier batch finished is
 * forgotten.
 */
export function enqueue(entries, parent = ROOT) {
  if (!uploads.some(isActive)) {
    uploads.splice(0, uploads.length, ...uploads.filter((upload) => !isDone(upload) && upload.state !== 'cancelled'));
  }
  const folders = new FolderMaker(parent);
  for (const { file, name = file.name, directory = [] } of entries) {
    const upload = newUpload({ file, name: entryName(name), size: file.size, directory, folders });
    uploads.push(upload);
    emit('added', upload);
    const word = refusal(upload);
    if (word) set(upload, { state: 'failed', error: new ApiError(0, word) });
  }
  pump();
}

/** Adds what the server says to be unfinished, unless the queue has it already. */
export function addUnfinished(sessions) {
  const known = new Set(uploads.map((upload) => upload.session?.id));
  for (const one of sessions.filter(({ id }) => !known.has(id))) {
    const upload = newUpload({
      name: one.name, size: one.size, parent: one.parent, folders: new FolderMaker(one.parent), session: one,
      state: 'unfinished', done: Math.min(one.size, one.received * one.slice_size),
    });
    uploads.push(upload);
    emit('added', upload);
  }
}

/** Goes on with an unfinished upload; `false` if `file` has not its name and size. */
export function resumeWith(upload, file) {
  if (upload.state !== 'unfinished' || entryName(file.name) !== upload.name || file.size !== upload.size) return false;
  set(upload, { file, state: 'waiting' });
  pump();
  return true;
}

/** Why a file cannot be uploaded at all, as the word of an error. */
function refusal({ name, size, directory }) {
  if (size > sizeMax) return 'too_large';
  return [name, ...directory.map(entryName)].map(nameRefusal).find(Boolean) ?? null;
}

export function cancel(upload) {
  if (!canCancel(upload)) return;
  const { abort, session } = upload;
  set(upload, { state: 'cancelled', session: null, trouble: null });
  abort?.abort();
  if (session) void discard(session.id);
  pump();
}

export function canCancel(upload) {
  return isActive(upload) || upload.state === 'paused' || upload.state === 'unfinished';
}

/** Stops sending; the server keeps what it has. */
export function pause(upload) {
  if (!isActive(upload)) return;
  set(upload, { state: 'paused', trouble: null });
  upload.abort?.abort();
  pump();
}

/** Tries again, or goes on; `duplicate` says what to do about a file of the same name. */
export function retry(upload, duplicate = upload.duplicate) {
  if (!canRetry(upload)) return;
  set(upload, { state: 'waiting', error: null, duplicate });
  pump();
}

/** Whether trying again can help. */
export function canRetry(upload) {
  return upload.file !== null && ['failed', 'cancelled', 'paused'].includes(upload.state) && refusal(upload) === null;
}

/** Whether an upload failed only because its name is taken, which the user can decide. */
export function needsDecision(upload) {
  return upload.state === 'failed' && upload.error.word === 'name_taken';
}

export function cancelAll() {
  uploads.filter(isActive).forEach(cancel);
}

/** Ends everything here and forgets it; the server keeps what it has, for going on later. */
export function stopAll() {
  uploads.filter(isActive).forEach(pause);
  uploads.splice(0);
  emit('removed');
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
  set(upload, { abort });
  try {
    const state = await runUpload(upload, {
      signal, update: (changes) => { if (!signal.aborted) set(upload, changes); }, adopt: (parent) => adopt(upload, parent),
    });
    if (signal.aborted) return;
    set(upload, { state, done: upload.size, trouble: null, session: null });
    emit('stored', upload);
  } catch (error) {
    if (!signal.aborted) set(upload, { state: 'failed', error, trouble: null });
  } finally {
    pump();
  }
}

/** The session of an unfinished upload of the same file, whose row goes. */
function adopt(upload, parent) {
  const index = uploads.findIndex((one) => (
    one.state === 'unfinished' && one.parent === parent && one.name === upload.name && one.size === upload.size));
  if (index < 0) return null;
  const [{ session }] = uploads.splice(index, 1);
  emit('removed');
  return session;
}

function set(upload, changes) {
  Object.assign(upload, changes);
  emit('changed', upload);
}

function emit(type, detail = null) {
  uploadEvents.dispatchEvent(new CustomEvent(type, { detail }));
}

addEventListener('beforeunload', (event) => {
  if (uploads.some(isActive)) event.preventDefault();
});
