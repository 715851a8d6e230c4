// The page behind a picture share's link: the picture, who shared it, when, and how often it was seen.

import { documented } from './api.js';
import { copyLinks } from './copy-dialog.js';
import { button, fill, h, icon } from './dom.js';
import { describe } from './errors.js';
import { ownPath } from './file-links.js';
import * as format from './format.js';
import { brandMark, languageButton, themeButton } from './frame-tools.js';
import { language, setLanguage, t } from './i18n.js';
import { emptyState } from './list-state.js';
import { previewContent } from './preview-content.js';
import { paintBrowserFrame } from './theme.js';
import { mountToasts } from './toast.js';

const link = new URLSearchParams(location.search).get('urlmd5') ?? '';
const stage = h('main', { class: 'share-main', 'aria-live': 'polite' });

/** What the server said; kept, because every question counts as a visit. */
let answer = null;
let failure = null;

async function ask() {
  failure = null;
  stage.setAttribute('aria-busy', 'true');
  try {
    answer = link === '' ? { code: 1 } : await documented('sharepic?cmd=browse', { urlmd5: link });
  } catch (error) {
    failure = error;
  }
  stage.setAttribute('aria-busy', 'false');
  draw();
}

function draw() {
  const title = failure ? t('load.failed') : answer.code === 0 ? t('share.title', { user: answer.user }) : t('share.gone');
  document.title = `${title} · Hayloft`;
  fill(document.getElementById('app'),
    h('header', { class: 'share-head' },
      h('a', { class: 'brand', href: '/', 'aria-label': 'Hayloft' }, brandMark(), h('span', {}, 'Hayloft')),
      h('div', { class: 'frame-tools' }, languageButton(() => {
        setLanguage(language() === 'zh' ? 'en' : 'zh');
        draw();
        document.querySelector('[data-role=language]')?.focus();
      }), themeButton())),
    stage);
  fill(stage, failure ? failed() : answer.code === 0 ? picture() : gone(answer.code));
}

function picture() {
  const name = decodeURIComponent(new URL(answer.url, location.href).pathname.split('/').pop());
  const file = { name, url: answer.url, size: 0 };
  const path = ownPath(file);
  const save = () => anchor.click();
  const anchor = h('a', { class: 'button primary', href: path, download: name }, icon('download'), h('span', {}, t('download')));
  const content = previewContent(file, new AbortController().signal, save);
  if (content.tagName === 'IMG') content.alt = t('share.picture_of', { user: answer.user });
  return h('article', { class: 'share-card' },
    h('h1', { class: 'visually-hidden' }, t('share.title', { user: answer.user })),
    h('div', { class: 'share-stage' }, content),
    h('footer', { class: 'share-foot' },
      h('span', { class: 'avatar', 'aria-hidden': 'true' }, ([...answer.user][0] ?? '?').toUpperCase()),
      h('div', { class: 'share-facts' },
        h('strong', {}, answer.user),
        h('p', {}, h('time', {}, answer.time), ' · ', h('span', {}, t('views', { count: answer.pv, views: format.number(answer.pv) })))),
      h('div', { class: 'share-actions' },
        button(t('copy.action'), () => copyLinks([file], { extra: location.href }), { iconName: 'link' }), anchor)));
}

/** Code 2: the owner deleted the file. Anything else: there is no such share (any more). */
function gone(code) {
  return h('div', { class: 'share-gone' }, emptyState(code === 2 ? 'trash' : 'unlink',
    t('share.gone'), t(code === 2 ? 'share.gone.deleted' : 'share.gone.unknown'),
    h('a', { class: 'button', href: '/' }, h('span', {}, t('share.home')))));
}

function failed() {
  return h('div', { class: 'share-gone' }, emptyState('alert', t('load.failed'), describe(failure),
    button(t('retry'), ask, { iconName: 'retry' })));
}

mountToasts(document.getElementById('overlays'));
paintBrowserFrame();
void ask();
