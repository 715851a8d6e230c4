//! One state of the database, read with or without waiting for the disk.

use std::cell::Cell;
use std::ops::ControlFlow;

use rocksdb::{ColumnFamily, DB, ErrorKind, ReadOptions, ReadTier, Snapshot};

use super::super::{FIRST_KEY, is_reserved};
use super::options;
use crate::core::catalog::{COUNTS, CatalogError, Direction, View, Visitor};

/// What a read may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Memory only.
    Never,
    /// The disk too.
    ForDisk,
}

/// One state of the database.
pub(super) struct RocksView<'a> {
    db: &'a DB,
    /// `None` for the newest state, which does not change because the only writer is looking.
    snapshot: Option<Snapshot<'a>>,
    wait: Wait,
    /// Whether something was on the disk that this view may not wait for. Then what was made of it
    /// is no answer, even if it looks like one.
    has_missed: Cell<bool>,
}

impl<'a> RocksView<'a> {
    /// What memory holds of the present state.
    pub(super) fn cached(db: &'a DB) -> Self {
        Self::new(db, Some(db.snapshot()), Wait::Never)
    }

    /// The present state. Blocks.
    pub(super) fn full(db: &'a DB) -> Self {
        Self::new(db, Some(db.snapshot()), Wait::ForDisk)
    }

    /// The newest state, for the one that writes. Blocks.
    pub(super) fn newest(db: &'a DB) -> Self {
        Self::new(db, None, Wait::ForDisk)
    }

    fn new(db: &'a DB, snapshot: Option<Snapshot<'a>>, wait: Wait) -> Self {
        Self {
            db,
            snapshot,
            wait,
            has_missed: Cell::new(false),
        }
    }

    /// Whether an answer was withheld because it is on the disk.
    pub(super) fn has_missed(&self) -> bool {
        self.has_missed.get()
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = &self.snapshot {
            options.set_snapshot(snapshot);
        }
        if self.wait == Wait::Never {
            options.set_read_tier(ReadTier::BlockCache);
        }
        options
    }

    fn classify(&self, error: &rocksdb::Error) -> CatalogError {
        if self.wait == Wait::Never && error.kind() == ErrorKind::Incomplete {
            self.has_missed.set(true);
            return CatalogError::WouldWait;
        }
        CatalogError::Database(error.to_string())
    }
}

impl View for RocksView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        if is_reserved(key) {
            return Ok(None);
        }
        let value = match tree_of(self.db, key) {
            Some(tree) => self.db.get_pinned_cf_opt(tree, key, &self.options()),
            None => self.db.get_pinned_opt(key, &self.options()),
        };
        let value = value.map_err(|error| self.classify(&error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: Visitor<'_>,
    ) -> Result<(), CatalogError> {
        let from = from.max(FIRST_KEY);
        let (first, second) = (&[COUNTS][..], &[COUNTS + 1][..]);
        // Keys of the one tree, of the other, and of the one again.
        let mut parts = [
            (from, to.min(first)),
            (from.max(first), to.min(second)),
            (from.max(second), to),
        ];
        if direction == Direction::Descending {
            parts.reverse();
        }
        for (from, to) in parts {
            if from < to && self.scan_tree(from, to, direction, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl RocksView<'_> {
    /// Scans a range whose keys are all in one tree.
    fn scan_tree(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: Visitor<'_>,
    ) -> Result<ControlFlow<()>, CatalogError> {
        let mut options = self.options();
        options.set_iterate_range(from..to);
        let mut entries = match tree_of(self.db, from) {
            Some(tree) => self.db.raw_iterator_cf_opt(tree, options),
            None => self.db.raw_iterator_opt(options),
        };
        match direction {
            Direction::Ascending => entries.seek_to_first(),
            Direction::Descending => entries.seek_to_last(),
        }
        while let Some((key, value)) = entries.item() {
            if visit(key, value).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            match direction {
                Direction::Ascending => entries.next(),
                Direction::Descending => entries.prev(),
            }
        }
        match entries.status() {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) => Err(self.classify(&error)),
        }
    }
}

/// The tree of a key, if it is not the ordinary one.
pub(super) fn tree_of<'a>(db: &'a DB, key: &[u8]) -> Option<&'a ColumnFamily> {
    if key.first() == Some(&COUNTS) {
        // It was there when the database was opened.
        db.cf_handle(options::COUNTS)
    } else {
        None
    }
}
