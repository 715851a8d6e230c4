// The administrator's page over a cluster in trouble: a node that died, one that is drained, and where the
// environment says so one that is rebuilt. Both languages, light and dark, desktop and phone.
//
//   node cluster.mjs http://host:port FOLDER_FOR_SCREENSHOTS
//
// HAYLOFT_ADMIN_USER and HAYLOFT_ADMIN_PASSWORD name the administrator.

import { DESKTOP, PHONE, Visitor, expect, launch } from './browser.mjs';
import { signIn } from './steps.mjs';

const [base, outDir] = process.argv.slice(2);
const { HAYLOFT_ADMIN_USER: user, HAYLOFT_ADMIN_PASSWORD: password } = process.env;

/** What the page must say of each node, in both languages. */
const WORDS = {
  'en-US': { dead: /^No sign of life for \d+ s$/, draining: 'Draining: takes no new files', offline: 'Offline' },
  'zh-CN': { dead: /^已有 \d+ 秒没有响应$/, draining: '正在清空：不接收新文件', offline: '离线' },
};

async function look(browser, name, options) {
  const visitor = await Visitor.arrive(browser, base, outDir, name, options);
  await visitor.open('/#/login');
  await signIn(visitor, user, password);
  await visitor.go('/admin');
  const words = WORDS[options.locale];
  const nodes = await visitor.page.waitForFunction((wanted) => {
    const found = [...document.querySelectorAll('.node')].map((node) => ({
      state: node.querySelector('.state').textContent,
      reasons: [...node.querySelectorAll('.reasons li')].map((reason) => reason.textContent),
    }));
    return found.some(({ state }) => state === wanted) ? found : null;
  }, words.offline).then((found) => found.jsonValue());
  const dead = nodes.filter(({ state }) => state === words.offline);
  expect(dead.length === 1, `one node is dead: ${JSON.stringify(nodes)}`);
  expect(words.dead.test(dead[0].reasons[0]), `it says why: ${JSON.stringify(dead)}`);
  expect(nodes.some(({ reasons }) => reasons.includes(words.draining)), `one is drained: ${JSON.stringify(nodes)}`);
  await visitor.inspect('cluster');
  await visitor.page.evaluate(() => document.querySelector('.nodes').scrollIntoView());
  await visitor.inspect('nodes');
  await visitor.leave();
}

const browser = await launch();
try {
  for (const [size, options] of [['desktop', DESKTOP], ['phone', PHONE]]) {
    for (const locale of Object.keys(WORDS)) {
      for (const colorScheme of ['light', 'dark']) {
        await look(browser, `cluster-${size}-${locale}-${colorScheme}`, { ...options, locale, colorScheme });
      }
    }
  }
  console.log('passed; the cluster was seen');
} finally {
  await browser.close();
}
