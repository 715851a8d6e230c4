// The rules for names of files and folders. Source: docs/api/console.md, Names.

import { t } from './i18n.js';

const CHARACTERS_MAX = 255;
const FORBIDDEN = '"\\/:*?|><';
// Their counterparts of full width, as other programs write such names too.
const INSTEAD = '＂＼／：＊？｜＞＜';

/** Why a name cannot be one, as the word of an error, or `null`. */
export function nameRefusal(name) {
  if ([...name].length > CHARACTERS_MAX) return 'name_too_long';
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (name.trim() === '' || name === '.' || name === '..' || /[\u0000-\u001f\u007f]/.test(name)) return 'name_invalid';
  if ([...name].some((character) => FORBIDDEN.includes(character))) return 'name_characters';
  return null;
}

/** The rule that a typed name breaks, as a sentence, or `null`. */
export function nameRule(name) {
  const word = nameRefusal(name);
  return word && t(`rule.${word}`);
}

/** The name under which a file or folder from elsewhere comes in: forbidden characters are replaced. */
export function entryName(name) {
  return [...name].map((character) => {
    const at = FORBIDDEN.indexOf(character);
    return at < 0 ? character : INSTEAD[at];
  }).join('');
}
