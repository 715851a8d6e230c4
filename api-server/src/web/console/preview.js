// The lightbox: one file large, arrows to its neighbours, Escape to close.

import { h, iconButton, fill, uniqueId } from './dom.js';
import { kind } from './file-kind.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { openMenu } from './menu.js';
import { previewContent } from './preview-content.js';
import { announce } from './toast.js';

/**
 * Shows `files[index]`. `actions(file)` gives the entries of its menu, `download(file)` downloads,
 * `copy(file)` offers links, `details(file)` is a list of `[term, value]`.
 */
export function openPreview({ files, index, actions, download, copy, details }) {
  let at = index;
  let loading = new AbortController();
  const titleId = uniqueId('preview');
  const title = h('h2', { id: titleId });
  const place = h('span', { class: 'preview-place' });
  const stage = h('div', { class: 'preview-stage' });
  const facts = h('dl', { class: 'preview-facts' });
  const more = iconButton('more', t('files.actions'), () => openMenu(more, t('files.actions'), actions(files[at])), {
    'aria-haspopup': 'menu', 'aria-expanded': 'false',
  });
  const previous = iconButton('left', t('preview.previous'), () => step(-1), { class: 'icon-button preview-step previous' });
  const next = iconButton('right', t('preview.next'), () => step(1), { class: 'icon-button preview-step next' });
  const dialog = h('dialog', { class: 'preview', 'aria-labelledby': titleId },
    h('header', {}, h('div', { class: 'preview-title' }, title, place),
      iconButton('download', t('download'), () => download(files[at])),
      iconButton('link', t('copy.action'), () => copy(files[at])),
      more, iconButton('close', t('close'), () => dialog.close(), { dataset: { role: 'close' } })),
    h('div', { class: 'preview-middle' }, previous, stage, next),
    h('footer', {}, facts));

  function step(by) {
    const target = at + by;
    if (target < 0 || target >= files.length) return;
    at = target;
    draw();
    announce(t('preview.at', { name: files[at].name, index: at + 1, count: files.length }));
  }

  function draw() {
    const file = files[at];
    loading.abort();
    loading = new AbortController();
    title.textContent = file.name;
    place.textContent = t('preview.place', { index: at + 1, count: files.length });
    fill(stage, previewContent(file, loading.signal, () => download(file)));
    stage.dataset.kind = kind(file);
    fill(facts, details(file).map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
    previous.disabled = at === 0;
    next.disabled = at === files.length - 1;
  }

  dialog.addEventListener('keydown', (event) => {
    // Players, texts and menus use the arrows themselves.
    if (event.target.closest('video, audio, pre, [role=menu]') || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === 'ArrowLeft') step(-1);
    else if (event.key === 'ArrowRight') step(1);
    else return;
    event.preventDefault();
  });
  listenForSwipes(stage, step);
  dialog.addEventListener('close', () => {
    loading.abort();
    dialog.remove();
  });
  document.getElementById('overlays').append(dialog);
  draw();
  dialog.showModal();
  dialog.querySelector('[data-role=close]').focus();
  return { close: () => dialog.close() };
}

/** A sideways swipe of one finger turns the page. */
function listenForSwipes(stage, step) {
  const FAR_ENOUGH = 60;
  let from = null;
  stage.addEventListener('touchstart', (event) => {
    from = event.touches.length === 1 ? event.touches[0] : null;
  }, { passive: true });
  stage.addEventListener('touchend', (event) => {
    const to = event.changedTouches[0];
    if (!from || event.target.closest('video, audio, pre')) return;
    const across = to.clientX - from.clientX;
    if (Math.abs(across) > FAR_ENOUGH && Math.abs(across) > 2 * Math.abs(to.clientY - from.clientY)) step(across < 0 ? 1 : -1);
    from = null;
  }, { passive: true });
}
