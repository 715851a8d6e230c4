//! The index: from names and part ids to records. Derived from the volumes, never the truth.
//!
//! Document: docs/format/index.md. `RocksIndex` is the real one; `MemoryIndex` (feature `testing`)
//! forgets its youngest batches in a crash, as a memtable does.

mod rocks;

#[cfg(any(test, feature = "testing"))]
mod memory;

use std::ops::ControlFlow;

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryIndex;
pub use rocks::{IndexSettings, RocksIndex};

use crate::format::IndexKey;

/// The index failed or is damaged.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// `RocksDB` found wrong bytes. The index can be rebuilt from the volumes.
    #[error("the index is damaged; remedy: restart, which rebuilds it, or run `hayloft repair`")]
    Damaged(#[source] rocksdb::Error),
    /// `RocksDB` could not do what it was asked.
    #[error("the index failed")]
    Failed(#[source] rocksdb::Error),
    /// A key or value that this version does not understand.
    #[error("malformed index entry; remedy: run `hayloft repair`")]
    Malformed(#[from] common::codec::CodecError),
    /// The failure of a test double.
    #[error("injected index failure")]
    Injected,
}

/// Changes that become visible, and durable, all or none.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets `key` to `value`.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push((key, Some(value)));
    }

    /// Removes `key`, whether it is there or not.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.changes.push((key, None));
    }

    /// The changes, in order; of two for one key the later counts.
    pub fn changes(&self) -> &[(Vec<u8>, Option<Vec<u8>>)] {
        &self.changes
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Forgets all changes and keeps the allocation.
    pub fn clear(&mut self) {
        self.changes.clear();
    }
}

/// What a look without waiting gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cached {
    /// The answer.
    Known(Option<Vec<u8>>),
    /// The answer is on the device; ask [`Index::get`] where blocking is allowed.
    Unknown,
}

/// Looks at one key and its value, and says whether to go on.
pub type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// An ordered map with atomic batches.
///
/// After a crash the map is what some prefix of the applied batches made, and that prefix contains
/// at least everything before the last `flush` that returned.
pub trait Index: Send + Sync + 'static {
    /// The value of `key`. May block.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// The value of `key` if it is in memory.
    fn try_get(&self, key: &[u8]) -> Result<Cached, IndexError>;

    /// Applies all changes of `batch`.
    fn apply(&self, batch: &Batch) -> Result<(), IndexError>;

    /// Visits all entries whose key begins with the byte `prefix`, from `from` on, in order.
    fn scan(&self, prefix: u8, from: &[u8], visit: Visitor<'_>) -> Result<(), IndexError>;

    /// Makes everything applied so far durable.
    fn flush(&self) -> Result<(), IndexError>;

    /// Begins to make everything applied so far durable, and does not wait.
    fn flush_soon(&self) -> Result<(), IndexError>;

    /// Bytes on disk, about.
    fn disk_len(&self) -> u64;
}

/// Visits all entries of a prefix of the index, decoded.
pub(crate) fn each<I: Index, E>(
    index: &I,
    prefix: u8,
    mut visit: impl FnMut(IndexKey<'_>, &[u8]) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<IndexError>,
{
    let mut outcome = Ok(());
    index.scan(prefix, &[], &mut |key, value| {
        let visited = match IndexKey::decode(key) {
            Ok(key) => visit(key, value),
            Err(error) => Err(E::from(IndexError::from(error))),
        };
        match visited {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    outcome
}
