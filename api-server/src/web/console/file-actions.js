// What can be done with files: each action asks, calls the server and says what came of it.

import { documented, documentedAsUser } from './api.js';
import { copyLinks } from './copy-dialog.js';
import { describe } from './errors.js';
import { downloadPath, sharePage } from './file-links.js';
import { t } from './i18n.js';
import { session } from './session.js';
import { toast } from './toast.js';

const PARALLEL = 4;

/**
 * Runs `act` on every file, a few at a time, and reports in one message.
 *
 * `done` and `word` name texts: the message of success and the error that counts as success.
 */
async function forEach(files, act, done) {
  const queue = [...files];
  const errors = [];
  const work = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      try {
        await act(file);
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  const count = files.length - errors.length;
  if (count > 0) toast(t(done, { count }), 'good');
  if (errors.length === 1) toast(describe(errors[0]), 'bad');
  else if (errors.length > 1) toast(t('action.some_failed', { count: errors.length, cause: describe(errors[0]) }), 'bad');
  return count;
}

/** How the documented calls name a file: by its MD5 and its label, which may differ from its name in a folder. */
const key = ({ md5, name, label = name }) => ({ md5, filename: label });

export function share(files) {
  return forEach(files, (file) => documentedAsUser('dealfile?cmd=share', key(file), { 1: 'not_found', 3: 'already_shared' }),
    'action.shared');
}

export function unshare(files) {
  return forEach(files, (file) => documentedAsUser('dealsharefile?cmd=cancel', key(file), { 1: 'not_shared' }),
    'action.unshared');
}

export function saveToMine(files) {
  return forEach(files, (file) => documentedAsUser('dealsharefile?cmd=save', key(file), { 1: 'not_shared', 5: 'present' }),
    'action.saved');
}

/** Makes a picture share of one's own file and offers its link. */
export async function makePictureShare(file) {
  try {
    const { urlmd5 } = await documentedAsUser('sharepic?cmd=share', key(file), { 1: 'not_found' });
    await copyLinks([file], { title: t('pictures.made'), extra: sharePage(urlmd5) });
  } catch (error) {
    toast(describe(error), 'bad');
  }
}

/**
 * Counts a download. `shared` files count on the share, others on one's own row.
 * Nobody waits for the answer, and a failure is not worth a message.
 */
export function countDownload(file, { shared }) {
  const current = session();
  if (!current) return;
  const path = shared ? 'dealsharefile?cmd=pv' : 'dealfile?cmd=pv';
  documented(path, { ...key(file), user: current.user, token: current.token }).catch(() => {});
}

/** Starts a download as a click on a link would. */
export function download(file, options) {
  const anchor = document.createElement('a');
  anchor.href = downloadPath(file);
  anchor.download = file.name;
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  countDownload(file, options);
}
