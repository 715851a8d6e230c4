// The panel that shows uploads: a summary that can be folded, and a row for each file.

import { append, button, fill, h, icon, iconButton } from './dom.js';
import { describe } from './errors.js';
import { kind } from './file-kind.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { announce } from './toast.js';
import {
  allUploads, canRetry, cancel, cancelAll, clearFinished, isActive, isDone, retry, uploadEvents,
} from './upload-queue.js';

const ROWS_MAX = 100;
const ORDER = { hashing: 0, asking: 0, sending: 0, storing: 0, failed: 1, waiting: 2 };

/** Builds the panel; it hides itself while there is nothing to show. `signal` ends its listening. */
export function uploadPanel(signal) {
  const rows = new Map();
  const list = h('ul', { class: 'upload-list', id: 'upload-list', tabindex: '0', 'aria-label': t('upload.title') });
  const summary = h('span', { class: 'upload-summary' });
  const total = h('progress', { class: 'upload-total', max: 1, 'aria-label': t('upload.total') });
  const fold = h('button', {
    type: 'button', class: 'upload-fold', 'aria-controls': 'upload-list', on: { click: () => setFolded(!folded) },
  }, icon('upload'), summary, icon('chevron'));
  const tools = h('div', { class: 'upload-tools' });
  const panel = h('section', { class: 'upload-panel', 'aria-label': t('upload.title'), hidden: true },
    h('header', {}, fold, iconButton('close', t('upload.close'), clearFinished, { dataset: { role: 'close' } })),
    total, list, tools);
  let folded = false;
  let drawPending = false;
  let failedBefore = 0;

  function setFolded(value) {
    folded = value;
    panel.classList.toggle('folded', folded);
    fold.setAttribute('aria-expanded', String(!folded));
    draw();
  }

  function draw() {
    drawPending = false;
    const uploads = allUploads();
    panel.hidden = uploads.length === 0;
    if (panel.hidden) {
      rows.clear();
      list.replaceChildren();
      return;
    }
    const active = uploads.filter(isActive);
    const failed = uploads.filter((upload) => upload.state === 'failed').length;
    summary.textContent = summaryText(uploads, active.length, failed);
    panel.querySelector('[data-role=close]').hidden = active.length > 0;
    total.hidden = active.length === 0;
    total.value = fractionOf(uploads);
    drawRows(uploads);
    fill(tools,
      uploads.length > ROWS_MAX && h('p', {}, t('files.and_more', { count: uploads.length - ROWS_MAX })),
      failed > 1 && button(t('upload.retry_all'), () => uploads.filter(canRetry).forEach(retry), { kind: 'quiet small' }),
      active.length > 1 && button(t('upload.cancel_all'), cancelAll, { kind: 'quiet small' }));
    tools.hidden = tools.childElementCount === 0 || folded;
    if (failed > failedBefore) announce(t('upload.summary_failed', { count: failed }));
    failedBefore = failed;
  }

  function drawRows(uploads) {
    const shown = mostRelevant(uploads);
    const kept = new Set(shown.map(({ id }) => id));
    for (const [id, row] of rows) {
      if (kept.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    shown.forEach((upload, index) => {
      if (!rows.has(upload.id)) {
        rows.set(upload.id, uploadRow(upload));
        list.insertBefore(rows.get(upload.id).element, list.children[index] ?? null);
      }
      rows.get(upload.id).update();
    });
  }

  // Progress arrives many times a frame; the page is drawn once.
  const schedule = () => {
    if (drawPending) return;
    drawPending = true;
    requestAnimationFrame(draw);
  };
  for (const type of ['added', 'changed', 'removed']) uploadEvents.addEventListener(type, schedule, { signal });
  uploadEvents.addEventListener('added', () => setFolded(false), { signal });
  uploadEvents.addEventListener('idle', () => {
    const stored = allUploads().filter(isDone).length;
    if (stored > 0) announce(t('upload.summary_done', { count: stored }));
    // All went well and nobody is looking closely: the list makes room for the files.
    const watched = panel.matches(':hover') || panel.contains(document.activeElement);
    if (!watched && allUploads().every(isDone)) setFolded(true);
  }, { signal });
  setFolded(false);
  return panel;
}

/** At most `ROWS_MAX` uploads in the order of adding: those under way, failed, next to come, last done. */
function mostRelevant(uploads) {
  if (uploads.length <= ROWS_MAX) return uploads;
  const rank = (upload) => ORDER[upload.state] ?? 3;
  return [...uploads]
    .sort((a, b) => rank(a) - rank(b) || (rank(a) === 3 ? b.id - a.id : a.id - b.id))
    .slice(0, ROWS_MAX)
    .sort((a, b) => a.id - b.id);
}

function summaryText(uploads, active, failed) {
  if (active > 0) {
    return t('upload.summary_active', {
      done: uploads.length - active, count: uploads.length, percent: format.percent(fractionOf(uploads)),
    });
  }
  if (failed > 0) return t('upload.summary_failed', { count: failed });
  return t('upload.summary_done', { count: uploads.filter(isDone).length });
}

/** How much of everything is done; hashing counts for a tenth of a file, sending for the rest. */
function fractionOf(uploads) {
  const counted = uploads.filter((upload) => upload.state !== 'cancelled');
  const weight = (upload) => upload.size + 1;
  const whole = counted.reduce((sum, upload) => sum + weight(upload), 0);
  const done = counted.reduce((sum, upload) => sum + weight(upload) * fraction(upload), 0);
  return whole === 0 ? 1 : done / whole;
}

function fraction(upload) {
  const part = upload.size === 0 ? 1 : upload.done / upload.size;
  switch (upload.state) {
    case 'waiting': return 0;
    case 'hashing': return part * 0.1;
    case 'asking': return 0.1;
    case 'sending': case 'storing': return 0.1 + part * 0.9;
    default: return 1;
  }
}

function uploadRow(upload) {
  const state = h('span', { class: 'upload-state' });
  const bar = h('progress', { max: 1, 'aria-label': t('upload.progress_of', { name: upload.name }) });
  const tools = h('span', { class: 'upload-row-tools' });
  const element = h('li', { class: 'upload-row' },
    icon(`kind-${kind({ name: upload.name })}`),
    h('div', { class: 'upload-text' }, h('span', { class: 'upload-name', title: upload.name }, upload.name), state, bar),
    tools);
  let drawn = null;
  let drawnDone = -1;

  function update() {
    if (drawn === upload.state && drawnDone === upload.done) return;
    drawnDone = upload.done;
    element.dataset.state = upload.state;
    state.textContent = stateText(upload);
    bar.hidden = !isActive(upload) || upload.state === 'waiting';
    bar.value = fraction(upload);
    if (drawn === upload.state) return;
    drawn = upload.state;
    const hadFocus = tools.contains(document.activeElement);
    fill(tools,
      isActive(upload) && iconButton('close', t('upload.cancel', { name: upload.name }), () => cancel(upload)),
      canRetry(upload) && iconButton('retry', t('upload.retry', { name: upload.name }), () => retry(upload)),
      isDone(upload) && append(h('span', { class: 'upload-done' }), [icon('check')]));
    if (hadFocus) tools.querySelector('button')?.focus();
  }
  return { element, update };
}

function stateText(upload) {
  switch (upload.state) {
    case 'failed': return describe(upload.error);
    case 'hashing': case 'sending':
      return t(`upload.state.${upload.state}`, {
        done: format.size(upload.done), size: format.size(upload.size),
      });
    default: return t(`upload.state.${upload.state}`, { size: format.size(upload.size) });
  }
}
