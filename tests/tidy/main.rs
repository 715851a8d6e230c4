//! Rules of the code base as tests: layers, file headers, links, example files.
//!
//! House rules live here and not in a separate tool, so that `cargo test` is the whole truth.
#![expect(
    clippy::unwrap_used,
    reason = "a failure here fails the test, as it should"
)]

mod examples;
mod layers;
mod links;

use std::path::{Path, PathBuf};

/// A file of the repository: its path from the root, with `/`, and its text.
struct SourceFile {
    path: String,
    text: String,
}

impl SourceFile {
    /// Lines with their numbers from 1, comments and blank lines left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..)
            .zip(self.text.lines())
            .map(|(number, line)| (number, line.trim_start()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Directories that hold nothing of ours.
const SKIPPED: &[&str] = &["target", "data", "node_modules", "corpus", "artifacts"];

/// All files whose name ends with `.{extension}`; fails when there is none, because then the rule
/// that asks would hold by accident.
fn files(extension: &str) -> Vec<SourceFile> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = vec![root().to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                let relative = path.strip_prefix(root()).unwrap();
                found.push(SourceFile {
                    path: relative.to_str().unwrap().replace('\\', "/"),
                    text: std::fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} file found");
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

#[track_caller]
fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let broken: Vec<String> = files("rs")
        .into_iter()
        // A sibling `tests.rs` is for the tests of the file beside it.
        .filter(|file| !file.path.starts_with("fuzz/") && !file.path.ends_with("/tests.rs"))
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path)
        .collect();
    assert_none(&broken, "the first line of a file is a `//!` comment");
}

#[test]
fn files_stay_short_enough_to_be_read() {
    const LINES_MAX: usize = 700;
    let broken: Vec<String> = files("rs")
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| LINES_MAX < *lines)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert_none(
        &broken,
        "split a file of more than 700 lines where a noun appears",
    );
}

#[test]
fn nothing_is_left_to_be_done() {
    // Put together here, so that this file does not find itself.
    let unfinished = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
    ];
    let mut broken = Vec::new();
    for file in files("rs") {
        for (number, line) in (1..).zip(file.text.lines()) {
            if unfinished.iter().any(|word| line.contains(word)) {
                broken.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none(
        &broken,
        "finish it, or write down in an issue what is missing",
    );
}

#[test]
fn only_the_mapping_of_volumes_is_unsafe() {
    const ALLOWED: &str = "storage-node/src/disk/map.rs";
    let forms = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    let mut broken = Vec::new();
    for file in files("rs") {
        if file.path == ALLOWED || file.path.starts_with("tests/tidy/") {
            continue;
        }
        for (number, line) in file.code() {
            if forms.iter().any(|form| line.contains(form)) {
                broken.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    assert_none(&broken, "unsafe code stands in disk/map.rs only (VOL-1)");
}

#[test]
fn every_crate_but_the_storage_node_forbids_unsafe_code() {
    for crate_root in [
        "src/main.rs",
        "common/src/lib.rs",
        "tracker/src/lib.rs",
        "api-server/src/lib.rs",
    ] {
        let text = std::fs::read_to_string(root().join(crate_root)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{crate_root}");
    }
}
