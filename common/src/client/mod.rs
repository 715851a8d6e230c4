//! A client of any server that speaks `FastDFS`: used by the command line, by the API server and by
//! tests.
//!
//! Three layers, each usable alone:
//!
//! * [`Client`] asks a tracker where to go and goes there, choosing another node where that is
//!   harmless,
//! * [`TrackerClient`] and [`StorageClient`] have a method per command,
//! * [`Pool`] keeps a bounded number of connections per address.
//!
//! Contents stream in both directions with bounded memory. Nothing here runs in the background.

mod address;
mod cluster;
mod error;
mod exchange;
mod outgoing;
mod pool;
mod prepared;
#[cfg(test)]
mod script;
mod slices;
mod staged;
mod storage;
mod tracker;

#[cfg(test)]
mod tests;

pub use address::{Address, AddressError, TRACKER_PORT};
pub use cluster::{Client, Upload};
pub use error::{AnswerError, ClientError, Phase};
pub use exchange::Content;
pub use pool::{Lease, Pool, PoolSettings};
pub use prepared::{Prepared, UploadWriter};
pub use staged::ExtensionWriter;
pub use storage::{Download, StorageClient};
pub use tracker::TrackerClient;

// The vocabulary of the calls.
pub use crate::wire::storage::{FileInfo, Metadata, MetadataMode, Piece, UploadKind};
pub use crate::wire::tracker::{GroupRecord, StorageRecord, StoreTarget, StoreTargets};
