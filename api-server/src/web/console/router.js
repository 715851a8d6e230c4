// Addresses of the console: `#/path?name=value`, so that back, forward and bookmarks work.

/** `{path, params}` of the present address. */
export function route() {
  const [path, query = ''] = location.hash.replace(/^#/, '').split('?', 2);
  return { path: path || '/', params: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a page; parameters that are empty are left out. */
export function address(path, params = {}) {
  const kept = Object.entries(params).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  const query = new URLSearchParams(kept).toString();
  return `#${path}${query ? `?${query}` : ''}`;
}

/** Goes to a page. With `replace` the present entry of the history is overwritten. */
export function go(path, params = {}, { replace = false } = {}) {
  const target = address(path, params);
  if (target === location.hash) {
    dispatchEvent(new HashChangeEvent('hashchange'));
  } else if (replace) {
    history.replaceState(null, '', target);
    dispatchEvent(new HashChangeEvent('hashchange'));
  } else {
    location.hash = target;
  }
}
