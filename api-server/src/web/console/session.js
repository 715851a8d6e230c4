// Who is signed in. The token lives in local storage under a key of the console's own, so that every
// tab sees the same session; the documented front end's cookies are neither read nor written.

const KEY = 'hayloft.session';
const RENEWING = 'hayloft.renewing';
const RENEWAL_MAX_MS = 20_000;

/** Events: `change` (signed in, out, or renewed) and `expired` (the server no longer knows the token). */
export const sessionEvents = new EventTarget();

/** `{user, token, expires, life}` with `expires` in Unix seconds and `life` in seconds, or `null`. */
export function session() {
  try {
    const value = JSON.parse(localStorage.getItem(KEY));
    return typeof value?.token === 'string' && typeof value.user === 'string' ? value : null;
  } catch {
    return null;
  }
}

export function signedIn() {
  return session() !== null;
}

/** Keeps a new token that lives for `life` seconds from now. */
export function keepSession(user, token, life) {
  localStorage.setItem(KEY, JSON.stringify({ user, token, expires: nowS() + life, life }));
  sessionEvents.dispatchEvent(new Event('change'));
}

export function forgetSession() {
  localStorage.removeItem(KEY);
  sessionEvents.dispatchEvent(new Event('change'));
}

/** Called when the server refused `token`; a session that is newer than the refusal stays. */
export function expireSession(token) {
  if (session()?.token !== token) return;
  forgetSession();
  sessionEvents.dispatchEvent(new Event('expired'));
}

/** Whether less than half of the session's life is left. */
export function halfOver() {
  const current = session();
  return current !== null && current.expires - nowS() < current.life / 2;
}

/** Marks a renewal as under way in some tab, so that only one asks; `false` if one already does. */
export function beginRenewal() {
  if (renewalUnderWay()) return false;
  localStorage.setItem(RENEWING, String(Date.now()));
  return true;
}

export function endRenewal() {
  localStorage.removeItem(RENEWING);
}

function renewalUnderWay() {
  const since = Number(localStorage.getItem(RENEWING) ?? 0);
  return Date.now() - since < RENEWAL_MAX_MS;
}

/**
 * Resolves with `true` once the stored token is another than `token`.
 *
 * A request that was on its way while a tab renewed the token is refused although the session lives;
 * it waits here for the new token. Without a renewal under way the answer is immediate.
 */
export async function replaced(token) {
  const deadline = Date.now() + RENEWAL_MAX_MS;
  while (session()?.token === token && renewalUnderWay() && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const current = session();
  return current !== null && current.token !== token;
}

// Another tab signed in, out, or renewed.
addEventListener('storage', (event) => {
  if (event.key === KEY) sessionEvents.dispatchEvent(new Event('change'));
});

function nowS() {
  return Math.floor(Date.now() / 1000);
}
