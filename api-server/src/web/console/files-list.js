// A list of one's own files and folders, as cards or as a table, with their menus and the preview.

import { copyLinks } from './copy-dialog.js';
import { h } from './dom.js';
import { dragSource, dropTarget } from './drag.js';
import * as actions from './file-actions.js';
import { fileGrid, sharedBadge } from './file-grid.js';
import { downloadPath, ownPath } from './file-links.js';
import { fileTable } from './file-table.js';
import { folderAddress } from './folders.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { openMenu } from './menu.js';
import { openPreview } from './preview.js';
import { go } from './router.js';
import { view } from './view-switch.js';

export class FilesList {
  /** What is drawn now, in order. */
  rows = [];
  #selection;
  #acts;
  #preview = null;
  #mode = 'folder';

  /** `acts`: `share`, `unshare`, `trash`, `move` get rows; `rename` one; `moveTo` rows and a folder's id. */
  constructor(selection, acts) {
    this.#selection = selection;
    this.#acts = acts;
  }

  /** Builds the list; `mode` is `folder`, `all` or `found`. */
  draw(rows, { sort, mode }) {
    this.rows = rows;
    this.#mode = mode;
    this.#selection.refresh(rows);
    const shared = {
      files: rows,
      selection: this.#selection,
      href: (row) => (row.isFolder ? folderAddress(row.id) : null),
      open: (index) => this.#open(rows, index),
      menu: (row, anchor) => openMenu(anchor, t('files.actions_of', { name: row.name }), this.#entries(row)),
      decorate: (element, row) => this.#decorate(element, row),
    };
    if (view() === 'grid') {
      return fileGrid({ ...shared, badge: sharedBadge, note: (row) => (mode === 'found' ? whereText(row) : noteOf(row)) });
    }
    return fileTable({ ...shared, caption: t('files.title'), sort, nameOrder: 'name', columns: columnsOf(mode) });
  }

  closePreview() {
    this.#preview?.close();
    this.#preview = null;
  }

  /** Rows of a folder can be dragged, and its folders take them. */
  #decorate(element, row) {
    if (this.#mode !== 'folder') return;
    dragSource(element, () => (this.#selection.has(row) ? this.#selection.values() : [row]));
    if (row.isFolder) dropTarget(element, row.id, this.#acts.moveTo);
  }

  #open(rows, index) {
    const files = rows.filter((row) => !row.isFolder);
    this.#preview = openPreview({
      files, index: files.indexOf(rows[index]), actions: (file) => this.#entries(file), copy: (file) => copyLinks([file]),
      download: (file) => actions.download(file, { shared: false }),
      details: (file) => [
        [t('column.size'), format.size(file.size)], [t('column.created'), format.dateTime(file.created)],
        [t('column.views'), format.number(file.views)], ['MD5', file.md5],
      ],
    });
  }

  #entries(row) {
    const { rename, move, trash, share, unshare } = this.#acts;
    const common = [
      { text: t('rename.action'), iconName: 'edit', run: () => rename(row) },
      { text: t('move.action'), iconName: 'move', run: () => move([row]) },
      { text: t('trash.action'), iconName: 'trash', danger: true, run: () => trash([row]) },
    ];
    if (row.isFolder) return [{ text: t('folder.open'), iconName: 'folder', run: () => go('/files', { folder: row.id }) }, ...common];
    return [
      { text: t('preview.original'), iconName: 'open', href: ownPath(row), newTab: true },
      { text: t('download'), iconName: 'download', href: downloadPath(row), download: row.name, run: () => actions.countDownload(row, { shared: false }) },
      this.#mode !== 'folder' && { text: t('folder.show'), iconName: 'folder', href: folderAddress(row.parent) },
      { text: t('copy.action'), iconName: 'link', run: () => copyLinks([row]) },
      { text: t('pictures.make'), iconName: 'picture-share', run: () => actions.makePictureShare(row) },
      row.shared
        ? { text: t('action.unshare'), iconName: 'unshare', run: () => unshare([row]) }
        : { text: t('action.share'), iconName: 'share', run: () => share([row]) },
      ...common,
    ];
  }
}

/** The second line of a card. */
function noteOf(row) {
  if (!row.isFolder) return `${format.size(row.size)} · ${format.shortDate(row.created)}`;
  if (row.files + row.folders === 0) return t('folder.blank');
  return `${t('folder.files', { count: row.files, files: format.number(row.files) })} · ${format.size(row.bytes)}`;
}

/** Where a found file is. */
function whereText(file) {
  return [t('files.title'), ...file.path].join(' › ');
}

function columnsOf(mode) {
  const created = { title: t('column.created'), className: 'time', cell: (row) => format.dateTime(row.created) };
  const size = { title: t('column.size'), className: 'number', cell: (row) => format.size(row.isFolder ? row.bytes : row.size) };
  const views = { title: t('column.views'), className: 'number minor', cell: (row) => (row.isFolder ? '–' : format.number(row.views)) };
  const sharing = { title: t('column.shared'), className: 'minor', cell: (row) => (row.shared ? sharedBadge(row) : '–') };
  if (mode === 'folder') {
    const files = { title: t('column.files'), className: 'number minor', cell: (row) => (row.isFolder ? format.number(row.files) : '–') };
    return [size, files, created, sharing];
  }
  if (mode === 'found') {
    const where = {
      title: t('column.folder'), className: 'where-cell',
      cell: (row) => h('a', { href: folderAddress(row.parent), title: whereText(row) }, row.path.at(-1) ?? t('files.title')),
    };
    return [where, { ...size, className: 'number minor' }, created];
  }
  return [{ ...size, order: 'size' }, { ...created, order: 'created' }, { ...views, order: 'views' }, sharing];
}
