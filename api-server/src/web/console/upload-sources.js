// Where files to upload come from: the file chooser, a folder, drag and drop, the clipboard.

import { h } from './dom.js';
import { t } from './i18n.js';
import { announce, toast } from './toast.js';
import { uploadFolder } from './upload-folders.js';
import { enqueue } from './upload-queue.js';
import { signedIn } from './session.js';

const FILES_AT_ONCE_MAX = 10_000;

/** Takes a list of files into the queue, for the folder that is open, and says so. */
function take(files) {
  if (files.length === 0) return;
  if (files.length > FILES_AT_ONCE_MAX) toast(t('upload.too_many', { count: FILES_AT_ONCE_MAX }), 'bad');
  const entries = [...files].slice(0, FILES_AT_ONCE_MAX).map((entry) => (entry instanceof File ? chosen(entry) : entry));
  enqueue(entries, uploadFolder());
  announce(t('upload.added', { count: entries.length }));
}

/** A file of the chooser; one of a chosen folder knows its path from that folder on. */
function chosen(file) {
  return { file, directory: file.webkitRelativePath.split('/').slice(0, -1) };
}

/** Opens the file chooser; with `folder` one chooses a folder and all files in it are taken. */
export function chooseFiles({ folder = false } = {}) {
  openChooser({ multiple: true, webkitdirectory: folder }, folder ? 'folder' : 'files', take);
}

/** Opens the file chooser for one file and gives it to `use`. */
export function chooseFile(use) {
  openChooser({}, 'one', ([file]) => { if (file) use(file); });
}

function openChooser(properties, purpose, use) {
  const input = h('input', {
    type: 'file', class: 'off-screen', tabindex: '-1', 'aria-hidden': 'true', dataset: { purpose }, ...properties,
  });
  input.addEventListener('change', () => {
    use([...input.files]);
    input.remove();
  });
  input.addEventListener('cancel', () => input.remove());
  // Some browsers forget a chooser whose input is not part of the page.
  document.body.append(input);
  input.click();
}

/** Listens on the whole window for dropped and pasted files, as long as somebody is signed in. */
export function listenForFiles(overlays) {
  const overlay = h('div', { class: 'drop-overlay', hidden: true }, h('p', {}, ''));
  overlays.append(overlay);
  let depth = 0;
  const show = (shown) => {
    overlay.hidden = !shown;
    overlay.firstElementChild.textContent = t('upload.drop_here');
  };
  const carriesFiles = (event) => signedIn() && [...(event.dataTransfer?.types ?? [])].includes('Files');

  addEventListener('dragenter', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth += 1;
    show(true);
  });
  addEventListener('dragleave', (event) => {
    if (!carriesFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) show(false);
  });
  addEventListener('dragover', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
  });
  addEventListener('drop', async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show(false);
    take(await droppedFiles(event.dataTransfer));
  });
  addEventListener('paste', (event) => {
    if (!signedIn() || event.target.closest?.('input, textarea')) return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    take(files.map(namedPaste));
  });
}

/** Browsers call every pasted picture `image.png`; the time tells them apart. */
function namedPaste(file, index) {
  if (!/^image\.\w+$/.test(file.name)) return { file };
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString();
  const stamp = local.slice(0, 23).replaceAll(/[-:]/g, '').replace('T', '-').replace('.', '-');
  return { file, name: `paste-${stamp}${index > 0 ? `-${index + 1}` : ''}.${file.name.split('.').pop()}` };
}

/** The files of a drop; folders are walked through, and their files keep the path. */
async function droppedFiles(transfer) {
  // Entries have to be fetched before the first await, when the browser takes the list away.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = [];
  for (const entry of entries) await walk(entry, [], files);
  return files;
}

async function walk(entry, directory, files) {
  if (files.length > FILES_AT_ONCE_MAX) return;
  if (entry.isFile) {
    files.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), directory });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader gives a folder in portions; an empty one is the end.
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0) return;
    for (const child of portion) await walk(child, [...directory, entry.name], files);
  }
}
