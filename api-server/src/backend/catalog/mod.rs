//! What keeps the catalog: implementations of [`Catalog`](crate::core::catalog::Catalog).
//!
//! [`RocksCatalog`] is the embedded default. `MemoryCatalog` (feature `testing`) forgets, fails and
//! repeats on request. One conformance suite runs on all. Choices and figures:
//! docs/decisions/0009-catalog.md.
//!
//! Keys are not empty and do not begin with a zero byte, which is for an implementation's own use.

mod overlay;
mod rocks;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
mod memory;

#[cfg(any(test, feature = "testing"))]
pub use memory::{Fault, MemoryCatalog, MemorySnapshot};
pub use rocks::{CatalogSettings, Durability, OpenError, RocksCatalog};

/// The smallest key that is not an implementation's own.
const FIRST_KEY: &[u8] = &[1];

/// Whether a key is an implementation's own.
fn is_reserved(key: &[u8]) -> bool {
    key < FIRST_KEY
}
