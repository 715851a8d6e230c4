// A row of the upload panel: what one upload is doing, and what can be done about it.

import { confirmDialog } from './dialog.js';
import { button, fill, h, icon, iconButton } from './dom.js';
import { describe } from './errors.js';
import { kind } from './file-kind.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { toast } from './toast.js';
import {
  canCancel, canRetry, cancel, isActive, isDone, needsDecision, pause, resumeWith, retry,
} from './upload-queue.js';
import { chooseFile } from './upload-sources.js';

/** Bytes from which on pausing is worth a button. */
const PAUSABLE_MIN = 16 * 1024 * 1024;

/** How much of everything is done, by bytes. */
export function fractionOf(uploads) {
  const counted = uploads.filter((upload) => upload.state !== 'cancelled' && upload.state !== 'unfinished');
  const weight = (upload) => upload.size + 1;
  const whole = counted.reduce((sum, upload) => sum + weight(upload), 0);
  const done = counted.reduce((sum, upload) => sum + weight(upload) * fraction(upload), 0);
  return whole === 0 ? 1 : done / whole;
}

/** How much of one is done; hashing counts for a tenth of a file, sending for the rest. */
function fraction(upload) {
  const part = upload.size === 0 ? 1 : upload.done / upload.size;
  switch (upload.state) {
    case 'waiting': case 'asking': return upload.session ? 0.1 + part * 0.9 : 0;
    case 'hashing': return part * 0.1;
    case 'sending': case 'storing': case 'paused': case 'unfinished': return 0.1 + part * 0.9;
    default: return 1;
  }
}

/** Builds the row; `update` draws what has changed. */
export function uploadRow(upload) {
  const state = h('span', { class: 'upload-state' });
  const bar = h('progress', { max: 1, 'aria-label': t('upload.progress_of', { name: upload.name }) });
  const tools = h('span', { class: 'upload-row-tools' });
  const decision = h('span', { class: 'upload-decision' });
  const element = h('li', { class: 'upload-row', dataset: { name: upload.name } },
    icon(`kind-${kind({ name: upload.name })}`),
    h('div', { class: 'upload-text' },
      h('span', { class: 'upload-name', title: [...upload.directory, upload.name].join('/') }, upload.name), state, bar, decision),
    tools);
  let drawn = null;
  let drawnText = null;

  function update() {
    const text = stateText(upload);
    if (drawn === upload.state && drawnText === text) return;
    drawnText = text;
    element.dataset.state = upload.state;
    element.classList.toggle('troubled', upload.trouble !== null);
    state.textContent = text;
    bar.hidden = isDone(upload) || ['waiting', 'failed', 'cancelled'].includes(upload.state);
    bar.value = fraction(upload);
    if (drawn === upload.state) return;
    drawn = upload.state;
    const hadFocus = element.contains(document.activeElement);
    fill(decision, decisions(upload));
    fill(tools, toolsOf(upload));
    if (hadFocus) element.querySelector('button')?.focus();
  }
  return { element, update };
}

function toolsOf(upload) {
  const { name } = upload;
  return [
    isActive(upload) && upload.size > PAUSABLE_MIN && iconButton('pause', t('upload.pause', { name }), () => pause(upload)),
    upload.state === 'paused' && iconButton('play', t('upload.resume', { name }), () => retry(upload)),
    canCancel(upload) && iconButton('close', t('upload.cancel', { name }), () => giveUp(upload)),
    canRetry(upload) && upload.state !== 'paused' && !needsDecision(upload)
      && iconButton('retry', t('upload.retry', { name }), () => retry(upload)),
    isDone(upload) && h('span', { class: 'upload-done' }, icon('check')),
  ];
}

/** Cancels; where nothing is under way that one would want to stop at once, only after a question. */
async function giveUp(upload) {
  const sure = isActive(upload) || await confirmDialog(t('upload.give_up.title'), t('upload.give_up.text', {
    name: upload.name, done: format.size(upload.done),
  }), { confirm: t('upload.give_up') });
  if (sure) cancel(upload);
}

/** Buttons with words, where something has to be decided. */
function decisions(upload) {
  const { name } = upload;
  const small = (text, run) => button(text, run, { kind: 'plain small', 'aria-label': `${text}: ${name}` });
  if (needsDecision(upload)) {
    return [
      small(t('upload.keep'), () => retry(upload, 'keep')),
      small(t('upload.replace'), () => retry(upload, 'replace')),
    ];
  }
  if (upload.state !== 'unfinished') return [];
  return [small(t('upload.choose_again'), () => chooseFile((file) => {
    if (!resumeWith(upload, file)) toast(t('upload.other_file', { name, size: format.size(upload.size) }), 'bad');
  }))];
}

function stateText(upload) {
  const sizes = { done: format.size(upload.done), size: format.size(upload.size) };
  if (upload.trouble) return t('upload.state.trouble', { ...sizes, cause: describe(upload.trouble, 'trouble') });
  switch (upload.state) {
    case 'failed': return describe(upload.error);
    default: return t(`upload.state.${upload.state}`, sizes);
  }
}
