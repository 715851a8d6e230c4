// One upload from the file to the entry: checksum, question whether the content is known, slices,
// completion. Every step goes on where an earlier try ended; the server may restart in between.

import { call } from './api.js';
import { md5OfFile } from './md5-pool.js';
import { pause, persist } from './retry.js';
import { Slots } from './slots.js';
import { putSlice } from './upload-request.js';

/** Slices under way at a time, of all uploads together: browsers open six connections to a server. */
const SLICES_AT_ONCE = 3;
const ASK_AGAIN_MS = 1000;

const slots = new Slots(SLICES_AT_ONCE);

/**
 * Runs `upload` and gives how it ended: `stored`, `instant` or `present`.
 *
 * `update(changes)` changes the upload; `adopt(parent)` gives an unfinished session of the same file, if
 * there is one. A session that the server no longer has is forgotten, so that the next try starts anew.
 */
export async function runUpload(upload, { signal, update, adopt }) {
  const options = { signal, onWait: (error) => update({ trouble: error }) };
  try {
    update({ state: 'asking' });
    const parent = await upload.folders.idOf(upload.directory, options);
    if (!upload.session) update({ parent, session: adopt(parent), trouble: null });
    const missing = upload.session ? await missingSlices(upload, options) : await begin(upload, parent, options, update);
    if (typeof missing === 'string') return missing;
    await sendAll(upload, missing, options, update);
    return 'stored';
  } catch (error) {
    if (!signal.aborted && isFinal(error)) {
      if (upload.session) void discard(upload.session.id);
      upload.folders.forget();
      update({ session: null });
    }
    throw error;
  }
}

/** Whether an error says that this session leads nowhere any more. */
function isFinal({ status, word }) {
  return status === 404 || word === 'wrong_content' || word === 'name_taken';
}

/** Announces the upload; gives the slices to send, or how it ended because no bytes are needed. */
async function begin(upload, parent, options, update) {
  if (!upload.md5) {
    update({ state: 'hashing', done: 0 });
    const onProgress = (done) => update({ done });
    update({ md5: await md5OfFile(upload.file, { signal: options.signal, onProgress }), state: 'asking' });
  }
  const { name, size, md5, duplicate } = upload;
  // Not given the signal: an answer that nobody waits for would leave a session that nobody knows.
  const answer = await persist(async (tries) => (tries > 0 && (await lost(upload, parent)))
    || call('POST', 'uploads', { body: { parent, name, size, md5, duplicate } }), options);
  if (answer.file) return answer.present ? 'present' : 'instant';
  if (upload.state === 'cancelled') void discard(answer.upload.id);
  else upload.session = answer.upload;
  options.signal.throwIfAborted();
  return answer.upload.slices > 0 ? [[1, answer.upload.slices]] : [];
}

/** The session that an announcement made whose answer was lost on its way. */
async function lost({ name, size }, parent) {
  const { uploads } = await call('GET', 'uploads');
  const made = uploads.find((one) => one.name === name && one.size === size && one.parent === parent && one.received === 0);
  return made && { upload: made };
}

/** Sends slices and completes; the server names so many missing ones at a time, so there may be more. */
async function sendAll(upload, missing, options, update) {
  await sendSlices(upload, missing, options, update);
  update({ state: 'storing', done: upload.size, trouble: null });
  try {
    await complete(upload, options);
  } catch (error) {
    if (error.word !== 'slices_missing') throw error;
    const more = await missingSlices(upload, options);
    if (more.length === 0) throw error;
    await sendAll(upload, more, options, update);
  }
}

async function missingSlices({ session }, options) {
  const { missing } = await persist(() => call('GET', path(session.id), { signal: options.signal }), options);
  return missing;
}

/** Sends the missing slices, a few at a time; the first failure that does not pass ends them all. */
async function sendSlices(upload, missing, { signal, onWait }, update) {
  const { id, slice_size: sliceSize, slices } = upload.session;
  const numbers = missing.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
  const bytesOf = (number) => upload.file.slice((number - 1) * sliceSize, Math.min(upload.size, number * sliceSize));
  const sent = new Map(numbers.map((number) => [number, 0]));
  const whole = numbers.reduce((sum, number) => sum + bytesOf(number).size, 0);
  const stop = new AbortController();
  const inner = AbortSignal.any([signal, stop.signal]);

  function progress(number, bytes) {
    sent.set(number, bytes);
    const done = upload.size - whole + [...sent.values()].reduce((sum, one) => sum + one, 0);
    update({ state: 'sending', done, ...(bytes > 0 ? { trouble: null } : {}) });
  }

  async function sendOne(number) {
    const bytes = bytesOf(number);
    // The whole's MD5 is known and is the slice's where there is only one.
    const md5 = slices === 1 && upload.md5 ? upload.md5 : await md5OfFile(bytes, { signal: inner, onProgress: () => {} });
    await persist(async (tries) => {
      progress(number, 0);
      // A short question first: sixteen megabytes are much to send to a server that is not there.
      if (tries > 0) await call('GET', path(id), { signal: inner });
      await putSlice({ id, number, bytes, md5 }, {
        signal: inner, onProgress: (loaded) => progress(number, Math.min(loaded, bytes.size)),
      });
    }, { signal: inner, onWait });
    progress(number, bytes.size);
  }

  async function sendNext() {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      await slots.run(() => sendOne(number), inner);
    }
  }

  if (numbers.length > 0) update({ state: 'sending', done: upload.size - whole });
  try {
    await Promise.all(Array.from({ length: SLICES_AT_ONCE }, sendNext));
  } catch (error) {
    stop.abort();
    throw error;
  }
}

async function complete({ session }, options) {
  for (;;) {
    const { completed } = await persist(() => call('POST', `${path(session.id)}/complete`, { signal: options.signal }), options);
    if (completed) return;
    await pause(ASK_AGAIN_MS, options.signal);
  }
}

/** Ends a session of the server; if it cannot be told, it forgets the session by itself in time. */
export async function discard(id) {
  await call('DELETE', path(id)).catch(() => {});
}

function path(id) {
  return `uploads/${encodeURIComponent(id)}`;
}
