// Keeps the session alive: the token is exchanged for a new one when half of its life is over.

import { call } from './api.js';
import { beginRenewal, endRenewal, halfOver, keepSession, session, signedIn } from './session.js';

const LOOK_EVERY_MS = 5 * 60_000;

async function renewIfDue() {
  const used = session();
  if (!used || !halfOver() || !beginRenewal()) return;
  try {
    const { token } = await call('POST', 'renew');
    if (session()?.token === used.token) keepSession(used.user, token, used.life);
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
