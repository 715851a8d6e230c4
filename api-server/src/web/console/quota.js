// How much of the account's space is taken: the bar, its words, and the news that it has changed.

import { h, throttle } from './dom.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { loadProfile, profile } from './profile.js';

const LATER_MS = 1500;
/** Share of the quota from which on the bar warns. */
const NEARLY_FULL = 0.9;

/** Has the figures asked anew, a little later: changes come in swarms. */
export const quotaChanged = throttle(() => { if (profile()) void loadProfile(); }, LATER_MS);

/** Whether nothing more fits, open uploads counted in. */
export function isFull({ quota, used, reserved }) {
  return quota !== null && used + reserved >= quota;
}

/**
 * The bar with its words: files, trash and open uploads against the quota. `full` adds a legend with
 * each part. Without a quota there is no bar, just the sum.
 */
export function quotaBar(me, { full = false } = {}) {
  const { quota, used, reserved, trash } = me;
  const words = quota === null
    ? t('quota.used', { used: format.size(used) })
    : t('quota.used_of', { used: format.size(used), quota: format.size(quota) });
  const parts = [['files', used - trash], ['trash', trash], ['reserved', reserved]];
  const taken = used + reserved;
  const level = quota === null || taken < quota * NEARLY_FULL ? '' : taken < quota ? ' nearly' : ' full';
  return h('div', { class: `quota${level}` },
    quota !== null && h('div', {
      class: 'quota-bar', role: 'meter', 'aria-label': t('quota.label'), 'aria-valuemin': '0', 'aria-valuemax': String(quota),
      'aria-valuenow': String(Math.min(taken, quota)), 'aria-valuetext': words,
    }, parts.map(([name, bytes]) => part(name, quota === 0 ? 0 : bytes / quota))),
    h('p', { class: 'quota-words' }, level === ' full' ? t('quota.full_short', { quota: format.size(quota) }) : words),
    full && h('ul', { class: 'quota-legend' }, parts.filter(([name, bytes]) => name === 'files' || bytes > 0).map(([name, bytes]) => (
      h('li', { class: `quota-${name}` }, t(`quota.${name}`, { size: format.size(bytes) }))))));
}

function part(name, share) {
  const element = h('span', { class: `quota-${name}` });
  element.style.width = `${Math.min(100, share * 100)}%`;
  return element;
}

/** What a page says while the account is full, or `null`. */
export function fullNotice() {
  const me = profile();
  if (!me || !isFull(me)) return null;
  return h('p', { class: 'notice', role: 'status' }, t('quota.full', { quota: format.size(me.quota) }), ' ',
    me.trash > 0 && h('a', { href: '#/trash' }, t('quota.look_in_trash', { size: format.size(me.trash) })));
}
