// A file's small picture: the server's thumbnail, or an icon of its kind.

import { h, icon } from './dom.js';
import { extension, hasThumbnail, kind } from './file-kind.js';
import { ownPath, thumbnail } from './file-links.js';

const DRAWING_MAX = 1024 * 1024;
const AGAIN_MS = 1500;

/** `size` as in `file-links.thumbnail`. Purely visual: the file's name stands beside it. */
export function thumbnailOf(file, size) {
  if (file.isFolder) return placeholder(file);
  const source = hasThumbnail(file)
    ? thumbnail(file, size)
    : extension(file) === 'svg' && file.size <= DRAWING_MAX ? ownPath(file) : null;
  if (source === null) return placeholder(file);
  const image = h('img', { class: 'thumb', alt: '', loading: 'lazy', decoding: 'async', draggable: 'false' });
  let tries = 0;
  image.addEventListener('error', () => {
    tries += 1;
    // A server that is busy making thumbnails says so with an error; once is worth another try.
    if (tries === 1) setTimeout(() => { image.src = source; }, AGAIN_MS);
    else image.replaceWith(placeholder(file));
  });
  image.src = source;
  return image;
}

function placeholder(file) {
  const type = file.isFolder ? '' : extension(file);
  return h('span', { class: `thumb placeholder kind-${kind(file)}` },
    icon(`kind-${kind(file)}`), type && h('span', { class: 'thumb-type', 'aria-hidden': 'true' }, type.slice(0, 6)));
}
