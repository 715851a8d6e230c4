// Uploads that an earlier page began: asked of the server once somebody is signed in, without those
// that another tab of this browser is working on.

import { call } from './api.js';
import { addUnfinished, allUploads } from './upload-queue.js';

const QUESTION = 'who uploads?';
const ANSWERS_MS = 300;

const tabs = new BroadcastChannel('hayloft.uploads');
const elsewhere = new Set();

tabs.addEventListener('message', ({ data }) => {
  if (data !== QUESTION) {
    data.forEach((id) => elsewhere.add(id));
    return;
  }
  const mine = allUploads().filter(({ file, session }) => file && session).map(({ session }) => session.id);
  if (mine.length > 0) tabs.postMessage(mine);
});

/** Puts the unfinished uploads of the signed-in user into the queue; a failure leaves them for later. */
export async function loadUnfinished() {
  tabs.postMessage(QUESTION);
  try {
    const [{ uploads }] = await Promise.all([call('GET', 'uploads'), new Promise((done) => { setTimeout(done, ANSWERS_MS); })]);
    addUnfinished(uploads.filter(({ id }) => !elsewhere.has(id)));
  } catch {
    // The pages say themselves when the server cannot be reached.
  }
}
