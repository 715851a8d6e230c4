//! The seam to whoever keeps the catalog: ordered keys, and transactions over them.
//!
//! All knowledge about accounts and files is written once, in terms of four operations on ordered
//! bytes; an implementation keeps the bytes and makes transactions atomic, durable and serial. The
//! keys are described in docs/format/catalog.md.

use std::fmt::Debug;
use std::future::Future;
use std::ops::ControlFlow;

use common::code::ErrorCode;
use common::codec::CodecError;

/// What a scan calls for each entry; a break ends the scan.
pub type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// In which order a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// What the keys of the counts within lists begin with. They are few beside the entries that they
/// count, and each change of a list looks for some of them, so an implementation may keep them apart.
pub const COUNTS: u8 = b'R';

/// One state of the catalog, which does not change while it is looked at.
pub trait View {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError>;

    /// Visits the entries with `from <= key < to` in the order of `direction`, until the visitor
    /// breaks. Nothing is visited if `to <= from`.
    ///
    /// The visitor must not look at the view it is called from.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: Visitor<'_>,
    ) -> Result<(), CatalogError>;
}

/// A view that can be changed, and that sees its own changes.
///
/// Keys that are empty or begin with a zero byte are for an implementation's own use: they cannot be
/// changed, and no view shows them.
pub trait Transaction: View {
    /// Sets the value of a key.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), CatalogError>;

    /// Removes a key, which need not be there.
    fn delete(&mut self, key: &[u8]) -> Result<(), CatalogError>;
}

/// Keeps the catalog. Cheap to clone; clones share it.
pub trait Catalog: Clone + Debug + Send + Sync + 'static {
    /// Runs `work` on the state that the last acknowledged transaction left, or a later one.
    ///
    /// `work` may run more than once: an implementation may first try what it can do without
    /// waiting for the disk. It must return the errors of the view as they are.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    fn read<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: Fn(&dyn View) -> Result<T, E> + Send + Sync + 'static;

    /// Runs `work` as one transaction. If it returns `Ok`, all its changes are kept, durably, before
    /// this returns; if it returns an error, or anything goes wrong on the way, none is.
    ///
    /// Transactions take effect one after another, as if none ran at the same time. `work` may run
    /// more than once, each time on a fresh state, so it must change nothing but the transaction.
    ///
    /// # Errors
    ///
    /// What `work` returned. [`CatalogError::Unknown`] if the changes may have been kept or not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the transaction: it happens or not.
    fn write<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send + 'static;

    /// Whether other processes may use the same catalog at the same time. Then what this process does
    /// not remember may be under way elsewhere.
    fn is_shared(&self) -> bool {
        false
    }
}

/// Why the catalog did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogError {
    /// The answer is on the disk, and this view may not wait for it. Never leaves an implementation.
    #[error("the catalog would have to wait for the disk")]
    WouldWait,
    /// An entry cannot be decoded.
    #[error("the catalog holds an entry that cannot be read: key {key}")]
    Entry {
        /// The key in hexadecimal digits.
        key: String,
        /// What is wrong.
        #[source]
        source: CodecError,
    },
    /// Two entries that must agree do not.
    #[error("the catalog contradicts itself: {0}")]
    Contradiction(&'static str),
    /// The database failed.
    #[error("the catalog's database failed: {0}")]
    Database(String),
    /// The database failed while it made changes durable: they may have been kept or not.
    #[error("the catalog's database failed while it kept a change: {0}")]
    Unknown(String),
    /// The database cannot be reached. Nothing was changed.
    #[error("the catalog's database cannot be reached: {0}")]
    Unreachable(String),
    /// Too many transactions wait.
    #[error("too many changes wait for the catalog")]
    Busy,
    /// The catalog is closed.
    #[error("the catalog is closed")]
    Closed,
}

impl CatalogError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::WouldWait
            | Self::Entry { .. }
            | Self::Contradiction(_)
            | Self::Database(_)
            | Self::Unknown(_) => ErrorCode::Storage,
            Self::Unreachable(_) => ErrorCode::Unavailable,
            Self::Busy => ErrorCode::Busy,
            Self::Closed => ErrorCode::ShuttingDown,
        }
    }
}
