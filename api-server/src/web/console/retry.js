// Trying again: what fails while a network is away or a server restarts may succeed a little later.

import { ApiError } from './api.js';

const FIRST_MS = 1000;
const LONGEST_MS = 15_000;
const FAULTS_MAX = 5;
const GIVE_UP_MS = 20 * 60_000;

/** Whether the same request may succeed later without anybody doing anything. */
function mayPass(error) {
  return error instanceof ApiError && (error.word === 'network' || error.status === 429 || error.status >= 500);
}

/**
 * The value of `act(tries)`, which is called again with growing delays while its failures may pass.
 *
 * `onWait(error)` hears of each failure that is waited out. A server that answers, but with faults, gets
 * a few tries; one that does not answer or asks for patience gets `GIVE_UP_MS`.
 */
export async function persist(act, { signal, onWait = () => {} }) {
  const began = Date.now();
  for (let tries = 0; ; tries += 1) {
    signal.throwIfAborted();
    try {
      return await act(tries);
    } catch (error) {
      signal.throwIfAborted();
      const givenUp = error.word === 'internal' ? tries + 1 >= FAULTS_MAX : Date.now() - began > GIVE_UP_MS;
      if (!mayPass(error) || givenUp) throw error;
      onWait(error);
      // A little chance in the delay keeps many waiting requests from coming back all at once.
      await pause(Math.min(LONGEST_MS, FIRST_MS * 2 ** tries) * (0.75 + Math.random() / 2), signal);
    }
  }
}

/** Waits so long, or until the browser finds its network again; fails when `signal` fires. */
export function pause(delayMs, signal) {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const end = (settle, value) => {
      clearTimeout(timer);
      over.abort();
      settle(value);
    };
    const timer = setTimeout(() => end(resolve), delayMs);
    addEventListener('online', () => end(resolve), { signal: over.signal });
    signal.addEventListener('abort', () => end(reject, signal.reason), { signal: over.signal });
  });
}
