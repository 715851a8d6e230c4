//! What all connections and tasks of one tracker share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::env::clock;
use common::wire::tracker::Parameters;
use common::wire::{VersionText, WireError};
use tokio::sync::{Notify, watch};

use crate::cluster::{Cluster, Now, Policy, ReservedSpace, StorePath};
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::peers::Peers;

/// What all connections and tasks of one tracker share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Held for short sections only, never across an await.
    cluster: Mutex<Cluster>,
    pub(crate) metrics: Metrics,
    pub(crate) peers: Peers,
    pub(crate) persistence: Persistence,
    pub(crate) gate: Gate,
    /// Told when a node's state changed, for clients that wait for nodes.
    pub(crate) node_changed: Notify,
    pub(crate) software: VersionText,
    pub(crate) network_timeout: Duration,
    /// Connections that all listeners together allow.
    pub(crate) connections_max: u32,
    start: Instant,
    /// Unix seconds of the start.
    pub(crate) started: u32,
}

/// Brings registrations to disk: who changed some asks, the persister answers.
#[derive(Debug)]
pub(crate) struct Persistence {
    /// Whether there is a disk to bring them to.
    is_kept: bool,
    pub(crate) changed: Notify,
    pub(crate) attempts: watch::Sender<Attempt>,
}

/// The last attempt to store registrations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempt {
    pub(crate) generation: u64,
    pub(crate) is_stored: bool,
}

impl Shared {
    pub(crate) fn new(
        cluster: Cluster,
        metrics: Metrics,
        peers: Peers,
        persistence: Persistence,
        gate: Gate,
        network_timeout: Duration,
        connections_max: u32,
    ) -> Self {
        Self {
            cluster: Mutex::new(cluster),
            metrics,
            peers,
            persistence,
            gate,
            node_changed: Notify::new(),
            software: common::wire::report::software_version(env!("CARGO_PKG_VERSION")),
            network_timeout,
            connections_max,
            start: clock::monotonic(),
            started: clock::unix_seconds(),
        }
    }

    /// The cluster, for a short section.
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        // Each step leaves the cluster whole before anything can panic, so a poisoned one still is.
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            uptime: clock::monotonic().saturating_duration_since(self.start),
            unix: clock::unix_seconds(),
        }
    }
}

impl Persistence {
    pub(crate) fn new(is_kept: bool) -> Self {
        Self {
            is_kept,
            changed: Notify::new(),
            attempts: watch::Sender::new(Attempt {
                generation: 0,
                is_stored: true,
            }),
        }
    }

    /// Waits until registrations of that generation, or later ones, were stored or could not be.
    /// Returns whether they were.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: storing goes on.
    pub(crate) async fn stored(&self, generation: u64) -> bool {
        if !self.is_kept {
            return true;
        }
        let mut attempts = self.attempts.subscribe();
        self.changed.notify_one();
        let attempt = attempts.wait_for(|attempt| generation <= attempt.generation);
        // The sender lives as long as this does.
        attempt.await.is_ok_and(|attempt| attempt.is_stored)
    }
}

/// What clients load by command 75: the keys that clients read and those that tell an operator what
/// kind of cluster this is.
pub(crate) fn parameters(policy: &Policy) -> Result<Parameters, WireError> {
    let store_path = match policy.store_path {
        StorePath::RoundRobin => "0",
        StorePath::LoadBalance => "2",
    };
    let reserved = match policy.reserved {
        ReservedSpace::Bytes(bytes) => format!("{}MB", bytes.div_ceil(1 << 20)),
        ReservedSpace::HundredthsOfPercent(part) => format!("{}.{:02}%", part / 100, part % 100),
    };
    let mut parameters = Parameters::new();
    for (key, value) in [
        // File ids carry node numbers, never addresses.
        ("use_storage_id", "1"),
        ("id_type_in_filename", "id"),
        ("trust_storage_server_id", "1"),
        ("storage_ip_changed_auto_adjust", "1"),
        ("storage_sync_file_max_delay", "86400"),
        ("store_path", store_path),
        ("reserved_storage_space", reserved.as_str()),
        ("use_trunk_file", "0"),
        ("store_slave_file_use_link", "0"),
    ] {
        parameters.push(key, value)?;
    }
    Ok(parameters)
}
