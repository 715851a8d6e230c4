// Numbers, sizes and times as people read them.

import { locale, t } from './i18n.js';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Formatters by their options: making one costs far more than using it. */
const formatters = new Map();

function formatter(Kind, options) {
  const key = `${Kind.name} ${locale()} ${JSON.stringify(options)}`;
  if (!formatters.has(key)) formatters.set(key, new Kind(locale(), options));
  return formatters.get(key);
}

/** Bytes with a binary unit, two significant digits at least. */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 10 ? 0 : 1;
  return `${number(value, digits)} ${UNITS[unit]}`;
}

export function number(value, digits = 0) {
  return formatter(Intl.NumberFormat, { maximumFractionDigits: digits }).format(value);
}

/** A share of one as a percentage. */
export function percent(fraction) {
  return formatter(Intl.NumberFormat, { style: 'percent', maximumFractionDigits: 0 }).format(fraction);
}

/** Date and time of Unix seconds, in the reader's own time zone. */
export function dateTime(seconds) {
  return formatter(Intl.DateTimeFormat, { dateStyle: 'medium', timeStyle: 'short' }).format(seconds * 1000);
}

/** The day of Unix seconds. */
export function date(seconds) {
  return formatter(Intl.DateTimeFormat, { dateStyle: 'medium' }).format(seconds * 1000);
}

/** Short form for cards: the time today, the day otherwise. */
export function shortDate(seconds) {
  const then = new Date(seconds * 1000);
  const now = new Date();
  const options = then.toDateString() === now.toDateString()
    ? { timeStyle: 'short' }
    : { month: 'short', day: 'numeric', ...(then.getFullYear() === now.getFullYear() ? {} : { year: 'numeric' }) };
  return formatter(Intl.DateTimeFormat, options).format(then);
}

/** How long ago, in the coarsest unit that fits. */
export function ago(seconds, nowS = Date.now() / 1000) {
  const passed = Math.max(0, nowS - seconds);
  const [unit, length] = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]].find(([, l]) => passed >= l)
    ?? ['second', 1];
  return formatter(Intl.RelativeTimeFormat, { numeric: 'auto' }).format(-Math.floor(passed / length), unit);
}

/** A length of time in its two coarsest units. */
export function duration(seconds) {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (days > 0) return t('time.days_hours', { days, hours });
  if (hours > 0) return t('time.hours_minutes', { hours, minutes });
  return minutes > 0 ? t('time.minutes', { minutes }) : t('time.seconds', { seconds: Math.floor(seconds) });
}
