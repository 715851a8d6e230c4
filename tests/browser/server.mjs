// The server under test, which whoever started this test kills and starts on request: a line on standard
// output asks, a line on standard input says that it is done.

import { createInterface } from 'node:readline';

/** `{kill, start, close}`, or `null` where HAYLOFT_SERVER_CONTROL does not say that somebody listens. */
export function serverControl() {
  if (process.env.HAYLOFT_SERVER_CONTROL !== 'stdio') return null;
  const lines = createInterface({ input: process.stdin });
  const answers = lines[Symbol.asyncIterator]();
  const ask = (what) => async () => {
    process.stdout.write(`@${what}\n`);
    const { value } = await answers.next();
    if (value !== 'done') throw new Error(`the server was to ${what}, and the answer was ${value}`);
  };
  // A script that still listens does not end.
  return { kill: ask('kill'), start: ask('start'), close: () => lines.close() };
}
