// Parts that both pages, console and share page, have at their edge: brand, language, theme.

import { fill, h, icon, iconButton } from './dom.js';
import { language, t } from './i18n.js';
import { nextTheme, setTheme, theme } from './theme.js';

const THEME_ICON = { auto: 'theme-auto', light: 'sun', dark: 'moon' };

export function brandMark() {
  return h('img', { class: 'brand-mark', src: '/console/logo.svg', alt: '', width: 32, height: 32 });
}

/** The button that changes to the other language; named in that language. */
export function languageButton(onLanguage) {
  const other = language() === 'zh' ? { text: 'EN', name: 'English', lang: 'en' } : { text: '中', name: '中文', lang: 'zh-CN' };
  return h('button', {
    type: 'button', class: 'icon-button text', lang: other.lang, title: other.name,
    dataset: { role: 'language' }, on: { click: onLanguage },
  }, other.text);
}

export function themeButton() {
  const label = () => t('theme.now', { theme: t(`theme.${theme()}`) });
  const element = iconButton(THEME_ICON[theme()], label(), () => {
    setTheme(nextTheme());
    fill(element, icon(THEME_ICON[theme()]));
    element.title = label();
    element.setAttribute('aria-label', label());
  }, { dataset: { role: 'theme' } });
  return element;
}
