//! What keeps the catalog: implementations of [`Catalog`](crate::core::catalog::Catalog).
//!
//! [`RocksCatalog`] is the embedded default, [`PostgresCatalog`] is for several servers, and
//! [`AnyCatalog`] is whichever the settings choose. `MemoryCatalog` (feature `testing`) forgets, fails
//! and repeats on request. One conformance suite runs on all. Choices and figures:
//! docs/decisions/0009-catalog.md, docs/decisions/0017-postgres-catalog.md.
//!
//! Keys are not empty and do not begin with a zero byte, which is for an implementation's own use.

mod any;
mod copy;
mod job;
mod overlay;
mod postgres;
mod rocks;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
mod memory;

pub use any::AnyCatalog;
pub use copy::{CopyError, CopyPlace, CopyReport, Step, copy};
#[cfg(any(test, feature = "testing"))]
pub use memory::{Fault, MemoryCatalog, MemorySnapshot};
pub use postgres::{PostgresCatalog, PostgresError};
pub use rocks::{CatalogSettings, Durability, OpenError, RocksCatalog};

/// The version of the key schema that this code reads and writes. Source: docs/format/catalog.md.
const VERSION: u32 = 2;

/// The smallest key that is not an implementation's own.
const FIRST_KEY: &[u8] = &[1];

/// Whether a key is an implementation's own.
fn is_reserved(key: &[u8]) -> bool {
    key < FIRST_KEY
}
