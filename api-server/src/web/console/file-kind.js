// What kind of thing a file is, from its extension alone: decides icon, thumbnail and preview.

const KINDS = {
  picture: ['jpg', 'jpeg', 'jfif', 'png', 'gif', 'webp', 'bmp', 'svg', 'avif', 'ico'],
  video: ['mp4', 'm4v', 'webm', 'ogv', 'mov'],
  audio: ['mp3', 'm4a', 'aac', 'ogg', 'oga', 'opus', 'wav', 'flac', 'weba'],
  pdf: ['pdf'],
  text: ['txt', 'md', 'log', 'csv', 'tsv', 'json', 'xml', 'yml', 'yaml', 'toml', 'ini', 'conf', 'html', 'htm', 'css',
    'js', 'mjs', 'ts', 'jsx', 'tsx', 'rs', 'go', 'py', 'rb', 'sh', 'c', 'h', 'cc', 'cpp', 'hpp', 'cs', 'java', 'kt',
    'sql', 'lua', 'php', 'pl', 'swift', 'diff', 'patch', 'srt', 'vtt', 'tex'],
  archive: ['zip', 'gz', 'tgz', 'bz2', 'xz', 'zst', '7z', 'rar', 'tar'],
};

const KIND_OF = new Map(Object.entries(KINDS).flatMap(([kind, types]) => types.map((type) => [type, kind])));
const WITH_THUMBNAIL = new Set(['jpg', 'jpeg', 'jfif', 'png', 'gif', 'webp', 'bmp']);
const ANIMATED = new Set(['gif', 'webp']);

/** The extension of a file, in lower case; `type` of the server is preferred to the name. */
export function extension({ type, name }) {
  const known = (type ?? '').toLowerCase();
  if (known && known !== 'null') return known;
  const dot = (name ?? '').lastIndexOf('.');
  return dot > 0 ? name.slice(dot + 1).toLowerCase() : '';
}

/** `folder`, `picture`, `video`, `audio`, `pdf`, `text`, `archive` or `other`. */
export function kind(file) {
  if (file.isFolder) return 'folder';
  return KIND_OF.get(extension(file)) ?? 'other';
}

/** Whether the server makes thumbnails of such files. */
export function hasThumbnail(file) {
  return !file.isFolder && WITH_THUMBNAIL.has(extension(file));
}

/** Whether a picture may move, so that a preview must show the original. */
export function mayMove(file) {
  return ANIMATED.has(extension(file));
}
