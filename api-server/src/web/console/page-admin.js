// The administrator's page: totals, the cluster's groups and nodes, and the accounts.

import { call } from './api.js';
import { accountsPanel } from './admin-accounts.js';
import { fill, h } from './dom.js';
import { describe, isAbort } from './errors.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { errorState } from './list-state.js';
import { figureList, panel } from './page-account.js';
import { Rates } from './rates.js';
import { reasonText } from './reasons.js';

const EVERY_MS = 3000;
const COUNTERS = ['uploads', 'downloads', 'deletes', 'upload_bytes', 'download_bytes'];

/** The page of `/admin`; parameter `page` is the page of the accounts. */
export function adminPage({ path, params, signal }) {
  const totals = h('div', { class: 'totals' });
  const cluster = h('div', { class: 'groups' });
  const stale = h('p', { class: 'form-error', role: 'status', hidden: true });
  const accounts = accountsPanel({ path, params, signal });
  const element = h('div', { class: 'page' },
    h('header', { class: 'page-head' }, h('h1', { tabindex: '-1' }, t('admin.title'))),
    stale,
    h('div', { class: 'panels one' },
      panel(t('admin.totals'), totals), panel(t('admin.cluster'), cluster), panel(t('admin.accounts'), accounts.element)));
  const rates = new Rates();
  let drawn = false;

  async function look() {
    try {
      const overview = await call('GET', 'admin/overview', { signal });
      drawn = true;
      stale.hidden = true;
      drawTotals(totals, overview);
      fill(cluster, overview.groups.length === 0
        ? h('p', { class: 'hint' }, t('admin.no_groups'))
        : [...troubles(overview), ...overview.groups.map((group) => groupCard(group, rates))]);
    } catch (error) {
      if (isAbort(error)) return;
      if (drawn) {
        stale.textContent = t('admin.stale', { cause: describe(error) });
        stale.hidden = false;
      } else {
        fill(cluster, errorState(error, look));
      }
      if (error.status === 401 || error.status === 403) return;
    }
    if (!signal.aborted) timer = setTimeout(look, EVERY_MS);
  }

  let timer;
  signal.addEventListener('abort', () => clearTimeout(timer));
  // A page in the background asks nothing.
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (!document.hidden) void look();
  }, { signal });
  void look();
  return { element, title: t('admin.title'), update: accounts.update };
}

function drawTotals(place, overview) {
  fill(place, figureList([
    [t('admin.total.accounts'), format.number(overview.accounts)],
    [t('admin.total.files'), format.number(overview.files)],
    [t('admin.total.bytes'), format.size(overview.bytes)],
    [t('admin.total.shares'), format.number(overview.shares)],
    [t('admin.total.pictures'), format.number(overview.pictures)],
    [t('admin.total.uptime'), format.duration(overview.uptime_seconds)],
  ]));
}

/** What is wrong beside the nodes: trackers that do not answer, nodes that were refused. */
function troubles({ trackers, refused }) {
  const silent = trackers.filter((tracker) => !tracker.alive)
    .map((tracker) => t('admin.tracker_silent', { address: tracker.address }));
  const strangers = refused.map((node) => t('admin.refused', { id: node.number, address: node.address, reason: reasonText(node.reason) }));
  return [...silent, ...strangers].map((text) => h('p', { class: 'form-error', role: 'status' }, text));
}

function groupCard(group, rates) {
  const marks = [group.draining && t('admin.draining'), group.read_only && t('state.read_only')].filter(Boolean);
  return h('article', { class: 'group' },
    h('header', {}, h('h3', {}, group.name), marks.map((mark) => h('span', { class: 'state bad' }, mark)), spaceBar(group, t('admin.space_of', { name: group.name }))),
    h('ul', { class: 'nodes' }, group.nodes.map((node) => nodeRow(node, rates))));
}

/** A bar of used space; it changes its colour when little is left, and the text says the numbers. */
function spaceBar({ total_bytes: total, free_bytes: free }, label) {
  const used = Math.max(0, total - free);
  const meter = h('meter', { min: 0, max: 1, low: 0.8, high: 0.92, optimum: 0, 'aria-label': label });
  meter.value = total === 0 ? 0 : used / total;
  return h('div', { class: 'space' }, meter,
    h('span', {}, t('admin.space', { used: format.size(used), total: format.size(total), free: format.size(free) })));
}

function nodeRow(node, rates) {
  const counters = Object.fromEntries(COUNTERS.map((name) => [name, node[name]]));
  const rate = rates.update(node.id, counters, node.last_report, performance.now());
  const cell = (name, count, bytes) => h('div', {}, h('dt', {}, t(`admin.rate.${name}`)),
    h('dd', {},
      h('strong', {}, rate ? t('admin.per_second', { count: format.number(rate[count], 1) }) : '–'),
      h('span', {}, rate && bytes ? t('admin.per_second', { count: format.size(Math.round(rate[bytes])) }) : format.number(node[count]))));
  const mood = moodOf(node);
  const gone = GONE.has(node.state);
  return h('li', { class: mood === 'calm' ? 'node calm' : 'node' },
    h('div', { class: 'node-head' },
      h('span', { class: `state ${mood}` }, isDraining(node) ? t('admin.draining') : stateText(node.state)),
      h('strong', {}, node.address || node.id),
      h('span', { class: 'hint' }, t('admin.node_note', {
        id: node.id, version: node.version, ago: node.last_report ? format.ago(node.last_report) : '–',
      }))),
    node.reasons.length === 0 ? null : h('ul', { class: 'reasons' }, node.reasons.map((reason) => h('li', {}, reasonText(reason)))),
    spaceBar(node, t('admin.space_of', { name: node.address })),
    pathList(node.paths),
    // Of a node that is gone, lag and rates are what they were, and would look like what they are.
    gone ? null : h('p', { class: 'hint' }, t('admin.node_sync', {
      lag: format.number(node.lag_ms), missing: format.number(node.under_replicated), unverified: format.duration(node.unverified_seconds),
    })),
    gone ? null : h('dl', { class: 'rates' }, cell('uploads', 'uploads', 'upload_bytes'), cell('downloads', 'downloads', 'download_bytes'),
      cell('deletes', 'deletes', null)));
}

const GONE = new Set(['offline', 'deleted']);

/** Whether an operator emptied it: the protocol calls such a node read-only. */
function isDraining(node) {
  return node.state === 'read_only' && node.reasons.some((reason) => reason.startsWith('draining'));
}

/** How much a node wants attention: `good`, `calm` for what was ordered or goes by itself, or `bad`. */
function moodOf(node) {
  if (GONE.has(node.state)) return 'bad';
  if (node.state !== 'active') return 'calm';
  return node.reasons.length === 0 ? 'good' : 'bad';
}

/** The volume paths; one is enough for the bar above unless something is wrong with it. */
function pathList(paths) {
  if (paths.length < 2 && paths.every((path) => path.complete && !path.read_only)) return null;
  return h('ul', { class: 'paths' }, paths.map((path) => h('li', {},
    h('strong', {}, path.name),
    h('span', {}, t('admin.path', { free: format.size(path.free_bytes), total: format.size(path.total_bytes) })),
    path.complete ? null : h('span', { class: 'state calm' }, t('admin.incomplete')),
    path.rebuild_total === 0 ? null : h('span', { class: 'hint' }, t('admin.rebuilt', {
      done: format.number(path.rebuild_done), total: format.number(path.rebuild_total),
    })),
    path.read_only ? h('span', { class: 'state bad' }, t('state.read_only')) : null)));
}

const STATES = new Set(['active', 'online', 'init', 'wait_sync', 'syncing', 'offline', 'deleted', 'recovery', 'read_only']);

/** A state in words; one that is not known yet is shown as the server says it. */
function stateText(state) {
  return STATES.has(state) ? t(`state.${state}`) : state;
}
