// A file's small picture: the server's thumbnail, or an icon of its kind.

import { h, icon } from './dom.js';
import { extension, hasThumbnail, kind } from './file-kind.js';
import { ownPath, thumbnail } from './file-links.js';

const DRAWING_MAX = 1024 * 1024;

/** `size` as in `file-links.thumbnail`. Purely visual: the file's name stands beside it. */
export function thumbnailOf(file, size) {
  const source = hasThumbnail(file)
    ? thumbnail(file, size)
    : extension(file) === 'svg' && file.size <= DRAWING_MAX ? ownPath(file) : null;
  if (source === null) return placeholder(file);
  const image = h('img', { class: 'thumb', alt: '', loading: 'lazy', decoding: 'async', draggable: 'false' });
  image.addEventListener('error', () => image.replaceWith(placeholder(file)));
  image.src = source;
  return image;
}

function placeholder(file) {
  const type = extension(file);
  return h('span', { class: `thumb placeholder kind-${kind(file)}` },
    icon(`kind-${kind(file)}`), type && h('span', { class: 'thumb-type', 'aria-hidden': 'true' }, type.slice(0, 6)));
}
