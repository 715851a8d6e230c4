// What can be done with entries of folders: make, rename, move, trash, restore, delete for good.

import { call } from './api.js';
import { confirmDialog, openDialog } from './dialog.js';
import { button, h } from './dom.js';
import { describe } from './errors.js';
import { folderTree } from './folder-tree.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { askName } from './name-dialog.js';
import { quotaChanged } from './quota.js';
import { toast } from './toast.js';

/** Ids of one request: what the server takes at most. */
const IDS_MAX = 100;

/** Does `act(ids)` for rows in portions, and tells what came of it; gives whether all went well. */
async function inPortions(rows, act, done) {
  const ids = rows.map(({ id }) => id);
  try {
    for (let at = 0; at < ids.length; at += IDS_MAX) await act(ids.slice(at, at + IDS_MAX));
    done();
    return true;
  } catch (error) {
    toast(describe(error), 'bad');
    return false;
  } finally {
    quotaChanged();
  }
}

/** Asks for a name and makes a folder; gives it, or `null`. */
export function newFolder(parent) {
  return askName(t('folder.new'), {
    label: t('folder.name'), confirm: t('folder.make'),
    act: (name) => call('POST', 'folders', { body: { parent, name } }),
  });
}

/** Asks for another name; gives whether the row has it now. */
export async function rename(row) {
  const renamed = await askName(t('rename.title', { name: row.name }), {
    name: row.name, label: t('rename.name'), confirm: t('rename.confirm'), isFile: !row.isFolder,
    act: async (name) => {
      await call('POST', 'entries/rename', { body: { id: row.id, name } });
      return name;
    },
  });
  return renamed !== null;
}

/** Moves rows into a folder; gives whether it did. */
export function moveTo(rows, parent) {
  return inPortions(rows, (ids) => call('POST', 'entries/move', { body: { ids, parent } }),
    () => toast(t('move.done', { count: rows.length }), 'good'));
}

/** Lets a folder be chosen and moves rows there. `path` is the way to the folder that is open. */
export async function move(rows, path) {
  const loading = new AbortController();
  const target = await openDialog(t('move.title', { count: rows.length, name: rows[0].name }), (close) => {
    let chosen = null;
    const confirm = button(t('move.confirm'), () => close(chosen), { kind: 'primary', disabled: true });
    const tree = folderTree({
      excluded: new Set(rows.filter((row) => row.isFolder).map(({ id }) => id)),
      open: path,
      signal: loading.signal,
      onChoose: (id) => {
        chosen = id;
        confirm.disabled = rows.every((row) => row.parent === id);
      },
    });
    const make = async () => {
      const folder = await newFolder(chosen ?? '0');
      if (folder) await tree.add(folder);
    };
    return {
      body: [h('div', { class: 'tree-frame' }, tree.element)],
      actions: [
        button(t('folder.new'), make, { kind: 'quiet left', iconName: 'folder-new' }),
        button(t('cancel'), () => close(null)), confirm,
      ],
    };
  });
  loading.abort();
  return target !== null && moveTo(rows, target);
}

/**
 * Moves rows to the trash, after a question if that takes something away from others; `after` runs when
 * they have been brought back. Gives whether it did.
 */
export async function trash(rows, after) {
  const shared = rows.filter((row) => row.shared).length;
  if (shared > 0) {
    const sure = await confirmDialog(t('trash.shared.title', { count: rows.length }), t('trash.shared.text', { count: shared }), {
      confirm: t('trash.move'), list: rows.map(({ name }) => name),
    });
    if (!sure) return false;
  }
  const undo = async () => {
    if (await restore(rows)) await after();
  };
  return inPortions(rows, (ids) => call('POST', 'entries/trash', { body: { ids } }),
    () => toast(t('trash.moved', { count: rows.length }), 'good', { text: t('undo'), run: undo }));
}

/** Brings rows back from the trash; says so where they are not as they were. */
export function restore(rows) {
  const sum = { restored: 0, renamed: 0, moved_to_root: 0 };
  return inPortions(rows, async (ids) => {
    const answer = await call('POST', 'trash/restore', { body: { ids } });
    for (const key of Object.keys(sum)) sum[key] += answer[key];
  }, () => {
    const notes = [
      t('trash.restored', { count: sum.restored }),
      sum.renamed > 0 && t('trash.renamed', { count: sum.renamed }),
      sum.moved_to_root > 0 && t('trash.to_root', { count: sum.moved_to_root }),
    ];
    toast(notes.filter(Boolean).join(' '), sum.renamed + sum.moved_to_root > 0 ? 'info' : 'good');
  });
}

/** Deletes rows of the trash for good, after a question that says what is lost. */
export async function purge(rows) {
  const sure = await confirmDialog(t('purge.title', { count: rows.length }), `${lossOf(rows)} ${t('purge.text')}`, {
    confirm: t('purge.confirm'), list: rows.map(({ name }) => name),
  });
  return sure && inPortions(rows, (ids) => call('POST', 'trash/purge', { body: { ids } }),
    () => toast(t('purge.done', { count: rows.length }), 'good'));
}

/** Empties the trash, which holds `total` entries of `bytes` together, after a question. */
export async function emptyTrash(total, bytes) {
  const sure = await confirmDialog(t('trash.empty.title'), `${t('trash.empty.loss', {
    count: total, entries: format.number(total), size: format.size(bytes),
  })} ${t('purge.text')}`, { confirm: t('trash.empty') });
  return sure && inPortions([{ id: '' }], () => call('DELETE', 'trash'), () => toast(t('trash.emptied'), 'good'));
}

/** What rows hold, as a sentence. */
function lossOf(rows) {
  const files = rows.reduce((sum, row) => sum + (row.isFolder ? row.files : 1), 0);
  const bytes = rows.reduce((sum, row) => sum + (row.isFolder ? row.bytes : row.size), 0);
  return t('purge.loss', { count: files, files: format.number(files), size: format.size(bytes) });
}
