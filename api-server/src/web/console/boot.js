// Sets theme and language before the first paint, so that the page never flashes in the wrong one.
// A classic script on purpose: modules run only after the document has been parsed.
(() => {
  const read = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // Storage may be switched off; the defaults follow the browser.
    }
  };
  const root = document.documentElement;
  const theme = read('hayloft.theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const chosen = read('hayloft.language') ?? navigator.language;
  root.lang = chosen.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en';
})();
