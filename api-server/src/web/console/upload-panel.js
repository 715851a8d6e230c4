// The panel that shows uploads: a summary that can be folded, and a row for each file.

import { button, fill, h, icon, iconButton } from './dom.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { announce } from './toast.js';
import {
  allUploads, canRetry, cancelAll, clearFinished, isActive, isDone, needsDecision, retry, uploadEvents,
} from './upload-queue.js';
import { fractionOf, uploadRow } from './upload-row.js';

const ROWS_MAX = 100;
const ORDER = { hashing: 0, asking: 0, sending: 0, storing: 0, failed: 1, paused: 1, unfinished: 1, waiting: 2 };

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
  let toolsDrawn = '';

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
      toolsDrawn = '';
      return;
    }
    const active = uploads.filter(isActive);
    const failed = uploads.filter((upload) => upload.state === 'failed').length;
    summary.textContent = summaryText(uploads, active.length, failed);
    panel.querySelector('[data-role=close]').hidden = active.length > 0;
    total.hidden = active.length === 0;
    total.value = fractionOf(uploads);
    drawRows(uploads);
    drawTools(uploads, active);
    if (failed > failedBefore) announce(t('upload.summary_failed', { count: failed }));
    failedBefore = failed;
  }

  /** Drawn anew only when it changes, or progress would take buttons away under the pointer. */
  function drawTools(uploads, active) {
    const taken = uploads.filter(needsDecision);
    const others = uploads.filter((upload) => upload.state === 'failed' && canRetry(upload) && !needsDecision(upload));
    const more = Math.max(0, uploads.length - ROWS_MAX);
    const wanted = [more, taken.length > 1, others.length > 1, active.length > 1, folded].join();
    if (wanted === toolsDrawn) return;
    toolsDrawn = wanted;
    const all = (text, run) => button(text, () => run(allUploads()), { kind: 'quiet small' });
    const decide = (duplicate) => (list) => list.filter(needsDecision).forEach((upload) => retry(upload, duplicate));
    fill(tools,
      more > 0 && h('p', {}, t('files.and_more', { count: more })),
      taken.length > 1 && [all(t('upload.keep_all'), decide('keep')), all(t('upload.replace_all'), decide('replace'))],
      others.length > 1 && all(t('upload.retry_all'), (list) => (
        list.filter((upload) => canRetry(upload) && !needsDecision(upload)).forEach((upload) => retry(upload)))),
      active.length > 1 && all(t('upload.cancel_all'), cancelAll));
    tools.hidden = tools.childElementCount === 0 || folded;
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
  const halted = uploads.filter(({ state }) => state === 'paused' || state === 'unfinished').length;
  if (halted > 0) return t('upload.summary_unfinished', { count: halted });
  return t('upload.summary_done', { count: uploads.filter(isDone).length });
}

