//! Why a tracker does not start or stops.

use std::io;
use std::net::SocketAddr;

use crate::snapshot::SnapshotError;

/// Why a tracker does not start or stops.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// The settings name no address to listen on.
    #[error("no listening address; remedy: set [tracker] listen")]
    NoListener,
    /// The settings name more peers than clients can hold.
    #[error("{count} peers where at most {max} trackers are possible")]
    TooManyPeers {
        /// How many are named.
        count: usize,
        /// How many are possible.
        max: usize,
    },
    /// An address is in use, or not one of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The registrations cannot be loaded.
    #[error("cannot load the tracker's registrations")]
    Snapshot(#[from] SnapshotError),
    /// The registry has metrics of these names already.
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
    /// A task ended that lives as long as the tracker.
    #[error("a task of the tracker failed")]
    Task(#[from] tokio::task::JoinError),
}
