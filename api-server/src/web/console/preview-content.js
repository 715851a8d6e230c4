// What a preview shows of a file, by its kind.

import { button, fill, h, icon } from './dom.js';
import { isAbort } from './errors.js';
import { kind, hasThumbnail, mayMove } from './file-kind.js';
import { ownPath, thumbnail } from './file-links.js';
import * as format from './format.js';
import { t } from './i18n.js';

const TEXT_MAX = 256 * 1024;
const ORIGINAL_MAX = 1536 * 1024;

/** Builds the content for `file`; loading stops when `signal` fires. `download` is offered where nothing can be shown. */
export function previewContent(file, signal, download) {
  switch (kind(file)) {
    case 'picture': return picture(file, download);
    case 'video': return media('video', file, download, { playsInline: true });
    case 'audio': return media('audio', file, download);
    case 'text': return text(file, signal, download);
    case 'pdf': return pdf(file, download);
    default: return nothing(file, t('preview.none'), download);
  }
}

function nothing(file, reason, download) {
  return h('div', { class: 'preview-none' }, icon(`kind-${kind(file)}`), h('p', {}, reason),
    button(t('download'), download, { iconName: 'download', kind: 'primary' }));
}

function picture(file, download) {
  const scaled = hasThumbnail(file) && !mayMove(file) && file.size > ORIGINAL_MAX;
  const image = h('img', { class: 'preview-picture', alt: file.name });
  let fallback = scaled;
  image.addEventListener('error', () => {
    if (fallback) {
      fallback = false;
      image.src = ownPath(file);
    } else {
      image.replaceWith(nothing(file, t('preview.broken'), download));
    }
  });
  image.src = scaled ? thumbnail(file, 'large') : ownPath(file);
  return image;
}

function media(tag, file, download, properties = {}) {
  const element = h(tag, {
    class: `preview-${tag}`, controls: true, preload: 'metadata', 'aria-label': file.name, ...properties,
  });
  element.addEventListener('error', () => element.replaceWith(nothing(file, t('preview.unplayable'), download)));
  element.src = ownPath(file);
  return element;
}

/** The beginning of a text. It is fetched and shown as characters: a hostile page stays harmless. */
function text(file, signal, download) {
  const place = h('div', { class: 'preview-text', 'aria-busy': 'true' });
  const load = async () => {
    const response = await fetch(ownPath(file), {
      headers: { Range: `bytes=0-${TEXT_MAX - 1}` }, credentials: 'omit', signal,
    });
    if (!response.ok && response.status !== 416) throw new Error(`status ${response.status}`);
    const bytes = response.status === 416 ? new Uint8Array() : await head(response, TEXT_MAX);
    fill(place,
      h('pre', { tabindex: '0', 'aria-label': file.name }, decode(bytes, bytes.length < file.size)),
      bytes.length < file.size && h('p', { class: 'preview-note' }, t('preview.cut', { size: format.size(bytes.length) })));
  };
  load().catch((error) => {
    if (!isAbort(error)) fill(place, nothing(file, t('preview.broken'), download));
  }).finally(() => place.setAttribute('aria-busy', 'false'));
  return place;
}

/** At most `max` bytes of a body, also when the server ignored the range. */
async function head(response, max) {
  const reader = response.body.getReader();
  const bytes = new Uint8Array(max);
  let length = 0;
  while (length < max) {
    const { done, value } = await reader.read();
    if (done) break;
    const part = value.subarray(0, max - length);
    bytes.set(part, length);
    length += part.length;
  }
  void reader.cancel();
  return bytes.subarray(0, length);
}

/** UTF-8 where it is, the Chinese standard encoding otherwise. `cut`: the last character may be torn. */
function decode(bytes, cut) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: cut });
  } catch {
    return new TextDecoder('gb18030').decode(bytes, { stream: cut });
  }
}

function pdf(file, download) {
  if (navigator.pdfViewerEnabled === false) return nothing(file, t('preview.no_pdf'), download);
  return h('iframe', { class: 'preview-pdf', src: ownPath(file), title: file.name });
}
