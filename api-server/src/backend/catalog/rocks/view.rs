//! One state of the database, read with or without waiting for the disk.

use std::cell::Cell;

use rocksdb::{DB, ErrorKind, ReadOptions, ReadTier, Snapshot};

use super::super::{FIRST_KEY, is_reserved};
use crate::core::catalog::{CatalogError, Direction, View, Visitor};

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
        let value = self
            .db
            .get_pinned_opt(key, &self.options())
            .map_err(|error| self.classify(&error))?;
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
        if to <= from {
            return Ok(());
        }
        let mut options = self.options();
        options.set_iterate_range(from..to);
        let mut entries = self.db.raw_iterator_opt(options);
        match direction {
            Direction::Ascending => entries.seek_to_first(),
            Direction::Descending => entries.seek_to_last(),
        }
        while let Some((key, value)) = entries.item() {
            if visit(key, value).is_break() {
                return Ok(());
            }
            match direction {
                Direction::Ascending => entries.next(),
                Direction::Descending => entries.prev(),
            }
        }
        entries.status().map_err(|error| self.classify(&error))
    }
}
