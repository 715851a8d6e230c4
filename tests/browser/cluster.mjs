// The administrator's page over a cluster in trouble: a node that died, one that is drained, and one that
// is being rebuilt, which is over too soon to be seen, so that is put into the server's answer. Both
// languages, light and dark, desktop and phone.
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
  'en-US': { dead: /^No sign of life for /, draining: 'Draining: takes no new files', offline: 'Offline', rebuilt: 'Being rebuilt from its peers: 1.1 GiB of 7.8 GiB' },
  'zh-CN': { dead: /^已有 .+没有响应$/, draining: '正在清空：不接收新文件', offline: '离线', rebuilt: '正在从其他节点恢复：1.1 GiB / 7.8 GiB' },
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
  await rebuilding(visitor, words);
  await visitor.leave();
}

/** The first node as one that lost one of three disks. */
async function rebuilding(visitor, words) {
  await visitor.page.route('**/admin/overview', async (route) => {
    const response = await route.fetch();
    const overview = await response.json();
    const [node] = overview.groups[0].nodes;
    const path = { ...node.paths[0], rebuild_done: 0, rebuild_total: 0, complete: true };
    Object.assign(node, {
      state: 'recovery',
      reasons: ['rebuilding: 1.1 GiB of 7.8 GiB', 'M01: incomplete', '12 records with too few copies'],
      paths: [path, { ...path, name: 'M01', complete: false, rebuild_done: 1204, rebuild_total: 8000 }, { ...path, name: 'M02' }],
    });
    await route.fulfill({ response, json: overview });
  });
  await visitor.page.waitForFunction((wanted) => (
    [...document.querySelectorAll('.reasons li')].some((reason) => reason.textContent === wanted)), words.rebuilt);
  await visitor.page.evaluate(() => document.querySelector('.nodes').scrollIntoView());
  await visitor.inspect('rebuilding');
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
