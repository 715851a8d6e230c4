// Why a node is not simply in service, in the reader's language. Trackers say it in English words of
// their own (tracker/src/cluster/reasons.rs); what is not known here is shown as they say it.

import * as format from './format.js';
import { t } from './i18n.js';

/** Patterns with the name of the text, and what its values are in the order of the groups. */
const PATTERNS = [
  [/^silent for ([\d,]+) s$/, 'silent', ['time']],
  [/^stopped ([\d,]+) s ago$/, 'stopped', ['time']],
  [/^not heard since this tracker started$/, 'unheard', []],
  [/^joined, no report yet$/, 'joined', []],
  [/^removed by an operator$/, 'removed', []],
  [/^removed, its number is free$/, 'released', []],
  [/^catching up$/, 'catching_up', []],
  [/^catching up: ([\d.]+ \w+) of ([\d.]+ \w+)$/, 'catching_up_of', ['done', 'total']],
  [/^rebuilding$/, 'rebuilding', []],
  [/^rebuilding: ([\d.]+ \w+) of ([\d.]+ \w+)$/, 'rebuilding_of', ['done', 'total']],
  [/^draining$/, 'draining', []],
  [/^draining with its group$/, 'group_draining', []],
  [/^read-only$/, 'read_only', []],
  [/^read-only with its group$/, 'group_read_only', []],
  [/^refuses reads$/, 'no_reads', []],
  [/^refuses writes$/, 'no_writes', []],
  [/^([\d,]+) records with too few copies$/, 'few_copies', ['count']],
  [/^number taken by (\S+)$/, 'taken', ['address']],
  [/^number of the removed node at (\S+), not released$/, 'not_released', ['address']],
  [/^belongs to group (\S+)$/, 'other_group', ['group']],
  [/^its group is full$/, 'group_full', []],
  [/^too many groups$/, 'groups_full', []],
];

/** What is said of volume paths, of all of them or of some by name. */
const OF_PATHS = /^(?:(M[0-9A-F]{2}(?:, M[0-9A-F]{2})*): )?(incomplete|read-only disk|full)$/;
const PATH_TEXTS = { incomplete: 'incomplete', 'read-only disk': 'read_only_disk', full: 'full' };

/** A reason in words of the reader's language. */
export function reasonText(reason) {
  const ofPaths = OF_PATHS.exec(reason);
  if (ofPaths) {
    const text = t(`reason.${PATH_TEXTS[ofPaths[2]]}`);
    return ofPaths[1] ? t('reason.of_paths', { paths: ofPaths[1], text }) : text;
  }
  for (const [pattern, name, values] of PATTERNS) {
    const match = pattern.exec(reason);
    if (match) {
      return t(`reason.${name}`, Object.fromEntries(values.map((value, at) => [value, shown(value, match[at + 1])])));
    }
  }
  return reason;
}

function shown(value, text) {
  // Sizes have units that are the same in both languages.
  if (['address', 'group', 'done', 'total'].includes(value)) return text;
  const count = Number(text.replaceAll(',', ''));
  return value === 'time' ? format.duration(count) : format.number(count);
}
