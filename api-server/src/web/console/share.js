// The page behind a picture share's link: the picture, who shared it, when, and how often it was seen.

import { documented } from './api.js';
import { copyText } from './clipboard.js';
import { copyLinks } from './copy-dialog.js';
import { button, fill, h, icon } from './dom.js';
import { describe } from './errors.js';
import { extension, kind } from './file-kind.js';
import { ownPath } from './file-links.js';
import * as format from './format.js';
import { language, setLanguage, t } from './i18n.js';
import { emptyState } from './list-state.js';
import { previewContent } from './preview-content.js';
import { brandMark, languageButton, themeButton } from './share-frame.js';
import { paintBrowserFrame } from './theme.js';
import { mountToasts, toast } from './toast.js';
