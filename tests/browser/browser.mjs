// A Chromium page that is watched: console errors, violations of the content security policy and
// failed requests end the test, screenshots are kept, axe-core looks at what is shown.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

/** Every wait ends after this long; nothing sleeps. */
const DEADLINE_MS = 30_000;

export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** Starts the browser; `CHROMIUM` names another binary than Debian's. */
export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
}

/** Something that the test expected and did not see. */
export class Failure extends Error {}

export function expect(condition, message) {
  if (!condition) throw new Failure(message);
}

/** Browsers give pages the clipboard on secure origins only, and this machine counts as one. */
export function mayUseClipboard(base) {
  const { protocol, hostname } = new URL(base);
  return protocol === 'https:' || hostname === '127.0.0.1' || hostname === 'localhost';
}

/** A visitor with a browser of their own: cookies and storage are shared with nobody. */
export class Visitor {
  /** `options`: `viewport`, `locale`, `colorScheme`, … of the context; `name` begins the names of screenshots. */
  static async arrive(browser, base, outDir, name, options) {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
    if (mayUseClipboard(base)) {
      await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(base).origin });
    }
    context.setDefaultTimeout(DEADLINE_MS);
    const page = await context.newPage();
    return new Visitor(context, page, base, outDir, name);
  }

  constructor(context, page, base, outDir, name) {
    Object.assign(this, { context, page, base, outDir, name, problems: [], shots: 0, tolerated: null });
    mkdirSync(outDir, { recursive: true });
    page.on('pageerror', (error) => this.problems.push(`exception: ${error.stack}`));
    page.on('console', (message) => {
      if (message.type() !== 'error') return;
      const text = `${message.text()} (${message.location().url})`;
      if (!this.tolerated?.test(text)) this.problems.push(`console: ${text}`);
    });
    // The policy's reports arrive as console errors too; the event says which directive it was.
    void page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`);
      });
    });
  }

  /** Runs `work` while console errors that match `pattern` are part of the plan. */
  async tolerating(pattern, work) {
    this.tolerated = pattern;
    try {
      return await work();
    } finally {
      this.tolerated = null;
    }
  }

  async open(path) {
    await this.page.goto(this.base + path);
    await this.settled();
  }

  /** Goes to a page of the console by its address, as a click on a link does. */
  async go(hash) {
    await this.page.evaluate((to) => { location.hash = to; }, hash);
    await this.settled();
  }

  /** Waits until the page has its heading, nothing loads any more, and nothing moves. */
  async settled() {
    await this.page.waitForFunction(() => document.querySelector('h1, h2') !== null
      && document.querySelector('[aria-busy=true]') === null
      && document.getAnimations().every((one) => one.playState !== 'running'));
    await this.page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
  }

  /** Looks closely at what is shown: no problem so far, no serious finding of axe-core; keeps a picture. */
  async inspect(what) {
    await this.settled();
    this.shots += 1;
    const file = `${this.name}-${String(this.shots).padStart(2, '0')}-${what}.png`;
    await this.page.screenshot({ path: join(this.outDir, file) });
    this.check(what);
    await this.page.evaluate(axe.source);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    expect(serious.length === 0, `${this.name}, ${what}: accessibility\n${serious.map(describe).join('\n')}`);
    const wider = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wider <= 0, `${this.name}, ${what}: the page is ${wider} px wider than the window`);
  }

  check(what) {
    expect(this.problems.length === 0, `${this.name}, ${what}: ${this.problems.join('\n')}`);
  }

  /** Waits until pictures below `selector` are decoded; there must be `count` of them at least. */
  async decoded(selector, count = 1) {
    await this.page.waitForFunction(([query, least]) => {
      const pictures = [...document.querySelectorAll(query)];
      for (const one of pictures) one.scrollIntoView({ block: 'nearest' });
      return pictures.length >= least && pictures.every((one) => one.complete && one.naturalWidth > 0);
    }, [selector, count]);
    await this.page.evaluate(() => scrollTo(0, 0));
  }

  async leave() {
    this.check('at the end');
    await this.context.close();
  }
}

function describe({ id, help, nodes }) {
  return `  ${id}: ${help}\n${nodes.slice(0, 5).map(({ html, failureSummary }) => `    ${html}\n    ${failureSummary}`).join('\n')}`;
}
