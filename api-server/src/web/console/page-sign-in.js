// Signing in and registering.

import { ApiError, documented } from './api.js';
import { h, icon } from './dom.js';
import { describe } from './errors.js';
import { brandMark } from './frame-tools.js';
import { field, form, rules, submitButton, valid } from './form.js';
import { t } from './i18n.js';
import { md5OfText } from './md5.js';
import { address } from './router.js';
import { keepSession } from './session.js';

/** The page of `/login` and `/register`. */
export function signInPage({ path, params, server }) {
  const registering = path === '/register' && server.registration;
  const content = registering ? registerForm(params, server) : loginForm(params, server);
  const title = t(registering ? 'register.title' : 'login.title');
  return {
    title,
    element: h('div', { class: 'sign-in' },
      h('section', { class: 'sign-in-words', 'aria-hidden': 'true' },
        brandMark(), h('p', { class: 'sign-in-claim' }, t('login.claim')),
        h('ul', {}, ['upload', 'share', 'kind-picture'].map((name, index) => h('li', {}, icon(name), t(`login.point${index + 1}`))))),
      h('section', { class: 'sign-in-card' }, h('h1', { tabindex: '-1' }, title), content)),
  };
}

function problem() {
  const element = h('p', { class: 'form-error', role: 'alert', hidden: true });
  return {
    element,
    show(text) {
      element.textContent = text;
      element.hidden = false;
    },
    hide() {
      element.hidden = true;
    },
  };
}

function loginForm({ back = '', user: known = '' }, server) {
  const user = field(t('field.user'), { name: 'user', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', value: known });
  const password = field(t('field.password'), { name: 'password', password: true, autocomplete: 'current-password' });
  const failure = problem();
  const submit = async () => {
    failure.hide();
    if (!valid([[user, rules.user(user.value())], [password, password.value() === '' ? t('rule.password_missing') : null]])) return;
    try {
      await signIn(user.value(), password.value(), server);
    } catch (error) {
      failure.show(describe(error));
      password.input.select();
    }
  };
  return h('div', {},
    form({ class: 'form' }, submit, failure.element, user.element, password.element, submitButton(t('sign_in'))),
    server.registration && h('p', { class: 'form-other' }, t('login.no_account'), ' ', h('a', { href: address('/register', { back }) }, t('register.title'))));
}

function registerForm({ back = '' }, server) {
  const user = field(t('field.user'), {
    name: 'user', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', hint: t('field.user.hint'),
  });
  const nick = field(t('field.nick'), { name: 'nick', autocomplete: 'nickname', hint: t('field.nick.hint') });
  const password = field(t('field.password'), {
    name: 'password', password: true, autocomplete: 'new-password', hint: t('field.password.hint'),
  });
  const again = field(t('field.password_again'), { name: 'again', password: true, autocomplete: 'new-password' });
  const email = field(t('field.email'), { name: 'email', type: 'email', autocomplete: 'email' });
  const failure = problem();
  const submit = async () => {
    failure.hide();
    const fine = valid([
      [user, rules.user(user.value())], [nick, nick.value() === '' ? null : rules.nick(nick.value())],
      [password, rules.password(password.value())],
      [again, again.value() === password.value() ? null : t('rule.again')],
      [email, rules.email(email.value())],
    ]);
    if (!fine) return;
    try {
      await register({ user: user.value(), nick: nick.value() || user.value(), password: password.value(), email: email.value() });
    } catch (error) {
      if (error.word === 'user_exists') valid([[user, describe(error)]]);
      else failure.show(describe(error));
      return;
    }
    try {
      await signIn(user.value(), password.value(), server);
    } catch {
      location.hash = address('/login', { back, user: user.value() });
    }
  };
  return h('div', {},
    form({ class: 'form' }, submit, failure.element, user.element, nick.element, password.element, again.element, email.element,
      submitButton(t('register.submit'))),
    h('p', { class: 'form-other' }, t('register.have_account'), ' ', h('a', { href: address('/login', { back }) }, t('sign_in'))));
}

async function signIn(user, password, server) {
  const answer = await documented('login', { user, pwd: md5OfText(password) });
  if (answer.code !== 0) throw new ApiError(200, 'login_refused');
  keepSession(user, answer.token, server.session_life);
}

async function register({ user, nick, password, email }) {
  const answer = await documented('reg', { userName: user, nickName: nick, firstPwd: md5OfText(password), email, phone: '' });
  if (answer.code === 2) throw new ApiError(200, 'user_exists');
  if (answer.code !== 0) throw new ApiError(200, 'register_refused');
}
