// The signed-in account as the server knows it, shared by the pages that show parts of it.

import { call } from './api.js';

/** Event `change`: the profile was loaded, saved or forgotten. */
export const profileEvents = new EventTarget();

let current = null;

/** The answer of `/console/api/me`, or `null` while it is not known. */
export function profile() {
  return current;
}

/** Takes over an answer that a page received. */
export function setProfile(value) {
  current = value;
  profileEvents.dispatchEvent(new Event('change'));
}

export function forgetProfile() {
  setProfile(null);
}

/** Asks the server; failures leave the old value, since each page reports its own. */
export async function loadProfile() {
  try {
    setProfile(await call('GET', 'me'));
  } catch {
    // An ended session is handled by the client.
  }
}
