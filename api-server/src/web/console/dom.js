// Builders of document nodes. The only way in which the console makes elements: data always becomes
// text or an attribute value, never markup, because file names are written by strangers.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Builds an element.
 *
 * `properties`: `class`, `dataset` (object), `on` (object of listeners), names that exist as
 * properties of the element (`value`, `checked`, …) and any other name as an attribute. A value of
 * `null`, `undefined` or `false` leaves the name out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) setProperty(element, name, value);
  append(element, children);
  return element;
}

function setProperty(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === 'innerHTML' || name === 'style' || name === 'srcdoc') throw new Error(`${name} is not allowed`);
  if (name === 'class') element.className = value;
  else if (name === 'dataset') Object.assign(element.dataset, value);
  else if (name === 'on') {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (name in element && typeof value !== 'string') element[name] = value;
  else if (name === 'value') element.value = value;
  else element.setAttribute(name, value);
}

/** Appends nodes, strings and nested lists of them; `null` and `false` are skipped. */
export function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child);
  }
  return parent;
}

/** Replaces everything below `parent`. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  return append(parent, children);
}

/** An icon of the sprite `icons.svg`; decoration only, so the control around it carries the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `/console/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A button with text and, if wanted, an icon before it. */
export function button(text, onClick, { kind = 'plain', iconName = null, ...rest } = {}) {
  return h('button', { type: 'button', class: `button ${kind}`, on: onClick ? { click: onClick } : {}, ...rest },
    iconName && icon(iconName), h('span', {}, text));
}

/** A button that shows only an icon; `label` is its name for screen readers and its tooltip. */
export function iconButton(iconName, label, onClick, rest = {}) {
  return h('button', {
    type: 'button', class: 'icon-button', title: label, 'aria-label': label, on: { click: onClick }, ...rest,
  }, icon(iconName));
}

let lastId = 0;

/** A fresh id for tying a label to its control. */
export function uniqueId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/** Calls `run` at most once per `delayMs`; calls in between are answered by one at the end. */
export function throttle(run, delayMs) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      run();
    }, delayMs);
  };
}

/** Calls `run` once the calls have paused for `delayMs`. */
export function debounce(run, delayMs) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...args), delayMs);
  };
}
