// The frame around every page: navigation, account, language and theme, and the upload panel.

import { fill, h, icon } from './dom.js';
import { brandMark, languageButton, themeButton } from './frame-tools.js';
import { t } from './i18n.js';
import { openMenu } from './menu.js';
import { profile } from './profile.js';
import { quotaBar } from './quota.js';
import { go } from './router.js';
import { session } from './session.js';
import { signOut } from './sign-out.js';
import { uploadPanel } from './upload-panel.js';

/** The destinations that the visitor may see, in order. */
function destinations() {
  const user = session() !== null;
  return [
    user && { path: '/files', iconName: 'files', text: t('nav.files') },
    user && { path: '/trash', iconName: 'trash', text: t('nav.trash') },
    user && { path: '/pictures', iconName: 'picture-share', text: t('nav.pictures') },
    { path: '/shared', iconName: 'shared', text: t('nav.shared') },
    { path: '/ranking', iconName: 'ranking', text: t('nav.ranking') },
    user && { path: '/apps', iconName: 'key', text: t('nav.apps'), wideOnly: true },
    user && profile()?.administrator && { path: '/admin', iconName: 'admin', text: t('nav.admin'), wideOnly: true },
  ].filter(Boolean);
}

/** Builds the frame in `#app`. `show` puts a page into it, `refresh` draws navigation and account anew. */
export function shell({ onLanguage }) {
  const end = new AbortController();
  const nav = h('nav', { class: 'nav', 'aria-label': t('nav.label') });
  const space = h('div', { class: 'side-quota wide-only' });
  const tools = h('div', { class: 'frame-tools' });
  const main = h('main', { id: 'main', tabindex: '-1' });
  const app = document.getElementById('app');
  let path = '';
  let drawn = '';

  app.replaceChildren(
    h('a', { class: 'skip', href: '#main', on: { click: (event) => { event.preventDefault(); main.focus(); } } }, t('skip')),
    h('div', { class: 'frame' },
      h('header', { class: 'side' },
        h('a', { class: 'brand', href: '#/', 'aria-label': 'Hayloft' }, brandMark(), h('span', {}, 'Hayloft')), nav, space, tools),
      main),
    session() ? uploadPanel(end.signal) : '',
  );

  function refresh() {
    fill(space, profile() && quotaBar(profile()));
    // The figures change with every upload; what has the focus beside them has to stay.
    const wanted = JSON.stringify([path, session()?.user, profile()?.nick, profile()?.administrator]);
    if (wanted === drawn) return;
    drawn = wanted;
    fill(nav, h('ul', {}, destinations().map((item) => h('li', { class: item.wideOnly ? 'wide-only' : null },
      h('a', { href: `#${item.path}`, 'aria-current': item.path === path ? 'page' : null }, icon(item.iconName), h('span', {}, item.text))))));
    fill(tools, languageButton(onLanguage), themeButton(), session() ? accountButton() : signInLink(path));
  }

  return {
    refresh,
    end: () => end.abort(),
    show(nextPath, element, guest) {
      path = nextPath;
      app.classList.toggle('guest', guest);
      refresh();
      fill(main, element);
    },
  };
}

function signInLink(path) {
  if (path === '/login' || path === '/register') return null;
  return h('a', { class: 'button primary small', href: '#/login' }, h('span', {}, t('sign_in')));
}

function accountButton() {
  const { user } = session();
  const name = profile()?.nick || user;
  const element = h('button', {
    type: 'button', class: 'account-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', title: t('account.menu', { name }),
    dataset: { role: 'account' },
    on: {
      click: () => openMenu(element, t('account.menu', { name }), [
        { text: t('nav.account'), iconName: 'user', run: () => go('/account') },
        { text: t('nav.apps'), iconName: 'key', run: () => go('/apps') },
        profile()?.administrator && { text: t('nav.admin'), iconName: 'admin', run: () => go('/admin') },
        { text: t('sign_out'), iconName: 'sign-out', run: signOut },
      ]),
    },
  }, h('span', { class: 'avatar', 'aria-hidden': 'true' }, [...name][0].toUpperCase()), h('span', { class: 'account-name' }, name));
  return element;
}
