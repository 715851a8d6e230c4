//! Whether the nodes have the same.

use std::fmt::Write as _;

use common::id::NodeNumber;

use super::world::World;
use crate::format::IndexKey;
use crate::store::LogEntry;

/// More than a history makes.
const ENTRIES_MAX: usize = 100_000;

impl World {
    fn entries(&self, number: NodeNumber, prefix: u8) -> Vec<LogEntry> {
        let store = self.store(number).expect("all run");
        let page = store.shared().index_page(prefix, &[], None, ENTRIES_MAX);
        page.expect("the index answers").entries
    }

    /// Whether all nodes have the same blobs and metadata, in the same versions.
    pub(super) fn are_same(&self) -> bool {
        let numbers = self.numbers();
        let (first, others) = numbers.split_first().expect("nodes");
        [IndexKey::BLOB, IndexKey::METADATA]
            .into_iter()
            .all(|prefix| {
                let entries = versions(&self.entries(*first, prefix));
                let mut others = others.iter();
                others.all(|other| versions(&self.entries(*other, prefix)) == entries)
            })
    }

    /// What each node has, for a message.
    pub(super) fn differences(&self) -> String {
        let mut text = String::new();
        for number in self.numbers() {
            for prefix in [IndexKey::BLOB, IndexKey::METADATA, IndexKey::TOMBSTONE] {
                for entry in self.entries(number, prefix) {
                    let stem: String = entry
                        .key
                        .iter()
                        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
                    let _ = writeln!(
                        text,
                        "{number} {} {stem} {} {:?}",
                        char::from(prefix),
                        entry.version,
                        entry.says
                    );
                }
            }
        }
        text
    }
}

/// What must be the same: how a blob is kept may differ.
fn versions(entries: &[LogEntry]) -> Vec<(Vec<u8>, crate::format::Version)> {
    let pairs = entries
        .iter()
        .map(|entry| (entry.key.clone(), entry.version));
    pairs.collect()
}
