// Page numbers below a list.

import { h, icon } from './dom.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { address } from './router.js';

/** The pages to name: both ends, the present one and its neighbours; `null` stands for a gap. */
export function pageNumbers(page, pages) {
  const wanted = new Set([1, page - 1, page, page + 1, pages]);
  const shown = [...wanted].filter((number) => number >= 1 && number <= pages).sort((a, b) => a - b);
  return shown.flatMap((number, index) => {
    const before = shown[index - 1] ?? 0;
    if (number - before === 2) return [number - 1, number];
    return number - before > 2 ? [null, number] : [number];
  });
}

/** Links to the pages of a list, or nothing when one page holds everything. `page` counts from 1. */
export function pager({ path, params, page, total, pageSize }) {
  const pages = Math.ceil(total / pageSize);
  if (pages <= 1) return null;
  const to = (number) => address(path, { ...params, page: number === 1 ? '' : number });
  const step = (number, iconName, label) => (number >= 1 && number <= pages
    ? h('a', { class: 'page-link', href: to(number), 'aria-label': label, title: label }, icon(iconName))
    : h('span', { class: 'page-link off', 'aria-hidden': 'true' }, icon(iconName)));
  const first = (page - 1) * pageSize + 1;
  return h('nav', { class: 'pager', 'aria-label': t('pager.label') },
    h('span', { class: 'pager-range' }, t('pager.range', {
      first: format.number(first), last: format.number(Math.min(total, page * pageSize)), total: format.number(total),
    })),
    h('ul', {},
      h('li', {}, step(page - 1, 'left', t('pager.previous'))),
      pageNumbers(page, pages).map((number) => h('li', {}, number === null
        ? h('span', { class: 'page-link gap' }, '…')
        : h('a', {
          class: 'page-link', href: to(number), 'aria-label': t('pager.page', { page: number }),
          'aria-current': number === page ? 'page' : null,
        }, String(number)))),
      h('li', {}, step(page + 1, 'right', t('pager.next')))));
}
