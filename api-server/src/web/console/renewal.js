// Keeps the session alive: the token is exchanged for a new one when less than 12 hours are left.

import { call } from './api.js';
import { beginRenewal, endRenewal, keepSession, secondsLeft, session, signedIn } from './session.js';

const LEFT_S = 12 * 3600;
const LOOK_EVERY_MS = 5 * 60_000;

async function renewIfDue() {
  const used = session();
  if (!used || secondsLeft() >= LEFT_S || !beginRenewal()) return;
  try {
    const { token, expires } = await call('POST', 'renew');
    if (session()?.token === used.token) keepSession(used.user, token, expires);
  } catch {
    // A token that ended is handled by the client; anything else is tried again at the next look.
  } finally {
    endRenewal();
  }
}

/** Looks now, every few minutes, and whenever the page becomes visible again; resolves after the first look. */
export async function startRenewal() {
  await renewIfDue();
  setInterval(renewIfDue, LOOK_EVERY_MS);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && signedIn()) void renewIfDue();
  });
}
