// Searching one's files by name: pages by cursor, gathered until there is enough to show.

import { call } from './api.js';

const WANTED = 60;

/**
 * The next files whose names contain `text`, and the cursor behind them (`null` at the end).
 *
 * The server looks at a bounded number of names per request, so one answer may be short or even empty
 * although more would follow.
 */
export async function searchFiles(text, after, signal) {
  const files = [];
  let next = after;
  do {
    const query = { search: text, count: WANTED, ...(next === null ? {} : { after: next }) };
    const answer = await call('GET', 'files', { query, signal });
    files.push(...answer.files);
    next = answer.next;
  } while (next !== null && files.length < WANTED);
  return { files, next };
}
