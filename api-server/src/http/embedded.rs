//! The console's files, in the binary.
//!
//! The list is written by hand, so that the binary holds what somebody put there on purpose; a test
//! compares it with the directory `api-server/src/web/console`.

/// A file of the console.
#[derive(Clone, Copy, Debug)]
pub(super) struct Embedded {
    /// Its path below `/console/`.
    pub(super) name: &'static str,
    pub(super) bytes: &'static [u8],
}

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$( Embedded {
            name: $name,
            bytes: include_bytes!(concat!("../web/console/", $name)),
        } ),+]
    };
}

/// The page at `/`.
pub(super) const START: &str = "index.html";
/// The page at `/share`; without one, the page at `/` is there too.
pub(super) const SHARE: &str = "share.html";

/// Every file of the console.
pub(super) const FILES: &[Embedded] = embedded![
    "admin-accounts.js",
    "api.js",
    "app-dialogs.js",
    "base.css",
    "boot.js",
    "breadcrumbs.js",
    "clipboard.js",
    "controls.css",
    "copy-dialog.js",
    "dialog.js",
    "dom.js",
    "drag.js",
    "entry-actions.js",
    "errors.js",
    "file-actions.js",
    "file-grid.js",
    "file-kind.js",
    "file-links.js",
    "file-table.js",
    "files-list.js",
    "files-toolbar.js",
    "files.css",
    "folder-tree.js",
    "folders.css",
    "folders.js",
    "form.js",
    "format.js",
    "frame-tools.js",
    "i18n.js",
    "icons.svg",
    "index.html",
    "list-keys.js",
    "list-state.js",
    "logo.svg",
    "main.js",
    "md5-pool.js",
    "md5-worker.js",
    "md5.js",
    "menu.js",
    "name-dialog.js",
    "names.js",
    "overlay.css",
    "page-account.js",
    "page-admin.js",
    "page-apps.js",
    "page-files.js",
    "page-pictures.js",
    "page-shared.js",
    "page-sign-in.js",
    "page-trash.js",
    "pager.js",
    "pages.css",
    "preview-content.js",
    "preview.js",
    "profile.js",
    "quota-dialog.js",
    "quota.js",
    "rates.js",
    "reasons.js",
    "renewal.js",
    "retry.js",
    "router.js",
    "search.js",
    "selection.js",
    "session.js",
    "share.css",
    "share.html",
    "share.js",
    "shell.css",
    "shell.js",
    "sign-out.js",
    "slots.js",
    "text-en.js",
    "text-zh.js",
    "theme.js",
    "thumbnail.js",
    "toast.js",
    "upload-folders.js",
    "upload-panel.js",
    "upload-queue.js",
    "upload-request.js",
    "upload-row.js",
    "upload-run.js",
    "upload-sources.js",
    "upload-unfinished.js",
    "view-switch.js",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn below(directory: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                below(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_directory_is_listed() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/console");
        let mut found = BTreeSet::new();
        below(&directory, "", &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(listed, found);
        assert_eq!(listed.len(), FILES.len());
        assert!(listed.contains(START));
    }
}
