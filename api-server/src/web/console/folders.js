// Folders as the pages see them: the entries of one, the tree below it, and how rows of a list tell
// folders from files.

import { call } from './api.js';
import { address } from './router.js';
import { ROOT } from './upload-folders.js';

const PART = 200;

/**
 * A part of a folder's entries as rows: files as they are, folders with `isFolder`. Gives
 * `{folder, path, total, rows}`; `path` leads from the root, which it leaves out, to the folder itself.
 */
export async function openFolder(id, { start = 0, count = PART, direction = 'asc', signal } = {}) {
  const answer = await call('GET', `folders/${encodeURIComponent(id)}`, { query: { start, count, direction }, signal });
  return { folder: answer.folder, path: answer.path, total: answer.total, rows: answer.entries.map(rowOf) };
}

/** The row of an entry that is `{folder}` or `{file}`; what stands beside them stays. */
export function rowOf({ folder, file, ...rest }) {
  return folder ? { ...folder, ...rest, isFolder: true } : { ...file, ...rest };
}

/** The folders within a folder from `start` on, and whether there may be more. */
export async function foldersIn(id, start, signal) {
  const { rows, total } = await openFolder(id, { start, signal });
  const folders = rows.filter((row) => row.isFolder);
  // Folders come before files: a file, or the end, means that all folders have been seen.
  return { folders, more: folders.length === rows.length && start + rows.length < total };
}

/** The address of the page that shows a folder. */
export function folderAddress(id) {
  return address('/files', { folder: id === ROOT ? '' : id });
}
