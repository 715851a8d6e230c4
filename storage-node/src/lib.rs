//! Keeps the blobs of one group: volumes, index, and the services over them.
//!
//! The volume is the truth; the index is derived. See ARCHITECTURE.md.

pub mod disk;
pub mod error;
pub mod format;
pub mod index;
pub mod metrics;
pub mod store;
pub mod volume;

pub mod http;
