//! Keeps the blobs of one group: volumes, index, and the services over them.
//!
//! The volume is the truth; the index is derived. See ARCHITECTURE.md.

pub mod format;

pub mod disk;
pub mod volume;

pub mod index;

pub mod store;

pub mod replica;

pub mod offline;
pub mod peers;
pub mod report;

pub mod http;
mod service;
mod source;

mod collector;
mod counters;
pub mod error;
mod identity;
mod layout;
pub mod metrics;
mod node;
mod run;
mod settings;

pub use identity::{Identity, IdentityError};
pub use layout::LayoutError;
pub use node::{OpenStore, StoreOptions, open_store, remove_index};
pub use run::{NodeError, StorageNode};
pub use settings::{Settings, StorePathSettings};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
