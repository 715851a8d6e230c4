// Addresses of a file: for this page, for downloads, and for pasting elsewhere.

import { kind } from './file-kind.js';

const STORED = /\/[A-Za-z0-9]{1,16}\/M[0-9A-F]{2}\/[0-9A-F]{2}\/[0-9A-F]{2}\/[\w.-]+$/;

/**
 * The address of a file on the page's own origin.
 *
 * The public address may name another host; this server answers the same path itself, which keeps
 * previews within the page's content security policy.
 */
export function ownPath(file) {
  const path = new URL(file.url, location.href).pathname;
  return STORED.exec(path)?.[0] ?? path;
}

/** `size`: `small` (160 px), `medium` (480 px) or `large` (1280 px). */
export function thumbnail(file, size) {
  return `${ownPath(file)}?thumb=${size}`;
}

export function downloadPath(file) {
  return file.name ? `${ownPath(file)}?filename=${encodeURIComponent(file.name)}` : ownPath(file);
}

/** The page of a picture share. */
export function sharePage(link) {
  return `${location.origin}/share?urlmd5=${encodeURIComponent(link)}`;
}

/** The forms in which a link can be copied. */
export const FORMS = ['url', 'markdown', 'html', 'bbcode'];

/** One file's link in one of the forms, the name escaped as the form demands. */
export function link(file, form) {
  const picture = kind(file) === 'picture';
  const { url, name } = file;
  switch (form) {
    case 'markdown': {
      const text = name.replace(/[\\[\]*_`<>]/g, '\\$&').replace(/\s+/g, ' ');
      return `${picture ? '!' : ''}[${text}](${url.replace(/[()<>\s]/g, encodeURIComponent)})`;
    }
    case 'html':
      return picture
        ? `<img src="${escapeHtml(url)}" alt="${escapeHtml(name)}">`
        : `<a href="${escapeHtml(url)}">${escapeHtml(name)}</a>`;
    case 'bbcode':
      return picture ? `[img]${url}[/img]` : `[url=${url}]${name.replace(/[[\]]/g, ' ')}[/url]`;
    default:
      return url;
  }
}

function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
