// My account: profile, password, and the places where I am signed in.

import { call } from './api.js';
import { confirmDialog } from './dialog.js';
import { button, fill, h, icon } from './dom.js';
import { describe } from './errors.js';
import { field, form, rules, submitButton, valid } from './form.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { Loading } from './list-state.js';
import { md5OfText } from './md5.js';
import { setProfile } from './profile.js';
import { quotaBar } from './quota.js';
import { signOut } from './sign-out.js';
import { toast } from './toast.js';

/** The page of `/account`. */
export function accountPage({ signal }) {
  const place = h('div', { class: 'panels' });
  const sessionsPlace = h('div', { class: 'sessions' });
  const element = h('div', { class: 'page' },
    h('header', { class: 'page-head' }, h('h1', { tabindex: '-1' }, t('account.title')),
      h('div', { class: 'page-actions' },
        h('a', { class: 'button', href: '#/apps' }, icon('key'), h('span', {}, t('nav.apps'))),
        button(t('sign_out'), signOut, { iconName: 'sign-out' }))),
    place);
  const sessions = new Loading(sessionsPlace, signal);

  void new Loading(place, signal).show((inner) => call('GET', 'me', { signal: inner }), (me) => {
    setProfile(me);
    fill(place,
      panel(t('account.figures'), figures(me), quotaBar(me, { full: true })),
      panel(t('account.profile'), profileForm(me)),
      panel(t('account.password'), passwordForm(me, () => showSessions(sessions))),
      panel(t('account.sessions'), h('p', { class: 'hint' }, t('account.sessions.text')), sessionsPlace));
    void showSessions(sessions);
  });

  function showSessions(loading) {
    return loading.show((inner) => call('GET', 'sessions', { signal: inner }), ({ sessions: list }) => {
      fill(sessionsPlace, h('ul', { class: 'session-list' }, list.map((one) => sessionRow(one, () => showSessions(loading)))));
    });
  }
  return { element, title: t('account.title') };
}

/** A titled part of a page. */
export function panel(title, ...content) {
  return h('section', { class: 'panel' }, h('h2', {}, title), content);
}

/** A row of numbers with their names. */
export function figureList(entries) {
  return h('dl', { class: 'figures' }, entries.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
}

function figures(me) {
  return figureList([
    [t('account.files'), format.number(me.files)], [t('account.bytes'), format.size(me.bytes)],
    [t('account.shares'), format.number(me.shares)], [t('account.pictures'), format.number(me.pictures)],
    [t('account.since'), format.date(me.created)],
  ]);
}

function profileForm(me) {
  const nick = field(t('field.nick'), { name: 'nick', autocomplete: 'nickname', value: me.nick });
  const email = field(t('field.email'), { name: 'email', type: 'email', autocomplete: 'email', value: me.email });
  const phone = field(t('field.phone'), { name: 'phone', type: 'tel', autocomplete: 'tel', value: me.phone });
  const submit = async () => {
    const fine = valid([
      [nick, rules.nick(nick.value())], [email, rules.email(email.value())], [phone, rules.phone(phone.value())],
    ]);
    if (!fine) return;
    try {
      setProfile(await call('PUT', 'me', { body: { nick: nick.value(), email: email.value(), phone: phone.value() } }));
      toast(t('account.saved'), 'good');
    } catch (error) {
      toast(describe(error), 'bad');
    }
  };
  return form({ class: 'form' }, submit,
    h('p', { class: 'fixed-value' }, h('span', {}, t('field.user')), h('strong', {}, me.user)),
    nick.element, email.element, phone.element, submitButton(t('save')));
}

function passwordForm(me, onChanged) {
  const old = field(t('field.password_old'), { name: 'old', password: true, autocomplete: 'current-password' });
  const next = field(t('field.password_new'), {
    name: 'new', password: true, autocomplete: 'new-password', hint: t('field.password.hint'),
  });
  const again = field(t('field.password_again'), { name: 'again', password: true, autocomplete: 'new-password' });
  const submit = async () => {
    const fine = valid([
      [old, old.value() === '' ? t('rule.password_missing') : null], [next, rules.password(next.value())],
      [again, again.value() === next.value() ? null : t('rule.again')],
    ]);
    if (!fine) return;
    try {
      await call('POST', 'password', { body: { old: md5OfText(old.value()), new: md5OfText(next.value()) } });
      for (const { input } of [old, next, again]) input.value = '';
      toast(t('account.password_changed'), 'good');
      await onChanged();
    } catch (error) {
      if (error.word === 'wrong_password') valid([[old, describe(error)]]);
      else toast(describe(error), 'bad');
    }
  };
  // Password managers file the new password under the name that they find in the form.
  const name = h('input', {
    type: 'text', name: 'user', autocomplete: 'username', value: me.user, readOnly: true, class: 'off-screen', tabindex: '-1', 'aria-hidden': 'true',
  });
  return form({ class: 'form' }, submit, name, old.element, next.element, again.element, submitButton(t('account.change_password')));
}

function sessionRow(one, reload) {
  const end = async () => {
    const sure = await confirmDialog(t('account.end_session'), t('account.end_session.text', { address: one.address }), {
      confirm: t('account.end_session'),
    });
    if (!sure) return;
    try {
      await call('DELETE', `sessions/${encodeURIComponent(one.id)}`);
      toast(t('account.session_ended'), 'good');
    } catch (error) {
      toast(describe(error), 'bad');
    }
    await reload();
  };
  return h('li', { class: 'session-row' },
    h('div', {},
      h('strong', {}, one.address), one.current && h('span', { class: 'tag' }, t('account.this_session')),
      h('p', { class: 'hint' }, t('account.session_times', {
        created: format.dateTime(one.created), expires: format.dateTime(one.expires),
      }))),
    !one.current && button(t('account.end_session'), end, {
      kind: 'plain small', 'aria-label': t('account.end_session_of', { address: one.address }),
    }));
}
