// My picture shares: links that show one picture to whoever has them.

import { ApiError, call, documentedAsUser } from './api.js';
import { copyText } from './clipboard.js';
import { copyLinks } from './copy-dialog.js';
import { confirmDialog } from './dialog.js';
import { button, fill, h, icon, iconButton } from './dom.js';
import { describe } from './errors.js';
import { sharePage } from './file-links.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { Loading, emptyState } from './list-state.js';
import { pager } from './pager.js';
import { go } from './router.js';
import { thumbnailOf } from './thumbnail.js';
import { toast } from './toast.js';

const PAGE_SIZE = 30;

/** The page of `/pictures`; parameter `page`. */
export function picturesPage({ path, params: firstParams, signal }) {
  let params = firstParams;
  const place = h('div', { class: 'list-place' });
  const loading = new Loading(place, signal);
  const count = h('span', { class: 'count' });
  const element = h('div', { class: 'page' },
    h('header', { class: 'page-head' },
      h('div', {}, h('h1', { tabindex: '-1' }, t('pictures.title'), ' ', count), h('p', { class: 'lead' }, t('pictures.lead')))),
    place);

  function show() {
    const page = Math.max(1, Math.trunc(Number(params.page)) || 1);
    const query = { start: (page - 1) * PAGE_SIZE, count: PAGE_SIZE, direction: 'desc' };
    return loading.show((inner) => call('GET', 'pictures', { query, signal: inner }), ({ total, pictures }) => {
      if (pictures.length === 0 && page > 1) return go(path, { page: Math.ceil(total / PAGE_SIZE) || 1 }, { replace: true });
      count.textContent = format.number(total);
      if (total === 0) {
        return fill(place, emptyState('picture-share', t('pictures.empty'), t('pictures.empty.text'),
          h('a', { class: 'button', href: '#/files' }, h('span', {}, t('nav.files')))));
      }
      return fill(place, h('ul', { class: 'share-list' }, pictures.map(row)),
        pager({ path, params: {}, page, total, pageSize: PAGE_SIZE }));
    });
  }

  function row(picture) {
    const address = sharePage(picture.link);
    return h('li', { class: 'share-row', dataset: { name: picture.name } },
      h('a', { class: 'share-picture', href: address, target: '_blank', rel: 'noopener', 'aria-label': t('pictures.open', { name: picture.name }) },
        thumbnailOf(picture, 'small')),
      h('div', { class: 'share-text' },
        h('span', { class: 'row-name', title: picture.name }, picture.name),
        h('span', { class: 'share-link' }, address),
        h('span', { class: 'share-note' }, icon('eye'), t('views', { count: picture.views, views: format.number(picture.views) }),
          ' · ', format.dateTime(picture.created))),
      h('div', { class: 'share-tools' },
        button(t('pictures.copy'), () => copy(address), { iconName: 'link' }),
        iconButton('code', t('copy.more', { name: picture.name }), () => copyLinks([picture], { extra: address })),
        iconButton('trash', t('pictures.cancel', { name: picture.name }), () => cancel(picture))));
  }

  async function copy(address) {
    if (await copyText(address)) toast(t('copy.done', { count: 1 }), 'good');
    else toast(t('copy.by_hand'), 'bad');
  }

  async function cancel(picture) {
    const sure = await confirmDialog(t('pictures.cancel.title'), t('pictures.cancel.text', { name: picture.name }), {
      confirm: t('pictures.cancel.confirm'),
    });
    if (!sure) return;
    try {
      await documentedAsUser('sharepic?cmd=cancel', { urlmd5: picture.link }, { 1: 'not_shared' });
      toast(t('pictures.cancelled'), 'good');
    } catch (error) {
      toast(describe(error), error instanceof ApiError && error.word === 'not_shared' ? 'info' : 'bad');
    }
    await show();
  }

  void show();
  return {
    element,
    title: t('pictures.title'),
    update(next) {
      params = next;
      void show();
    },
  };
}
