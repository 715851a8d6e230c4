//! What Prometheus sees of a tracker.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::wire::tracker::{Connections, NodeStatus};
use common::wire::{Command, Status};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::cluster::Cluster;
use crate::peers::Peers;

mod nodes;

use nodes::NodeMetrics;

const BYTES_PER_MB: u64 = 1 << 20;

/// Upper bounds of the latency buckets in seconds: a query takes microseconds, one that waits for a
/// snapshot milliseconds.
const LATENCY_BUCKETS: [f64; 9] = [1e-6, 5e-6, 2e-5, 1e-4, 5e-4, 2e-3, 1e-2, 0.1, 1.0];

/// Commands that trackers answer, and their names in labels.
const COMMANDS: [(Command, &str); 29] = [
    (Command::FetchStorageIds, "fetch_storage_ids"),
    (Command::GetStorageId, "get_storage_id"),
    (Command::GetStorageStatus, "get_storage_status"),
    (Command::GetParameters, "get_parameters"),
    (Command::Quit, "quit"),
    (Command::ListOneGroup, "list_one_group"),
    (Command::ListAllGroups, "list_all_groups"),
    (Command::ListStorages, "list_storages"),
    (Command::DeleteStorage, "delete_storage"),
    (Command::SetTrunkServer, "set_trunk_server"),
    (Command::GetLeader, "get_leader"),
    (Command::TrackerStatistics, "tracker_statistics"),
    (Command::StorageStatistics, "storage_statistics"),
    (Command::GroupStatistics, "group_statistics"),
    (Command::QueryStoreAnyOne, "query_store_any_one"),
    (Command::QueryFetchOne, "query_fetch_one"),
    (Command::QueryUpdate, "query_update"),
    (Command::QueryStoreGroupOne, "query_store_group_one"),
    (Command::QueryFetchAll, "query_fetch_all"),
    (Command::QueryStoreAnyAll, "query_store_any_all"),
    (Command::QueryStoreGroupAll, "query_store_group_all"),
    (Command::DeleteGroup, "delete_group"),
    (Command::GetGroup, "get_group"),
    (Command::ActiveTest, "active_test"),
    (Command::NodeJoin, "node_join"),
    (Command::NodeReport, "node_report"),
    (Command::TrackerHello, "tracker_hello"),
    (Command::ClusterStatus, "cluster_status"),
    (Command::ClusterOrder, "cluster_order"),
];

const STATES: [NodeStatus; 6] = [
    NodeStatus::Syncing,
    NodeStatus::Deleted,
    NodeStatus::Offline,
    NodeStatus::Online,
    NodeStatus::Active,
    NodeStatus::Recovery,
];

/// What Prometheus sees of a tracker.
#[derive(Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    /// By command byte, looked up once, so that a query does no label search.
    commands: Vec<CommandMetrics>,
    connections: IntGauge,
    connections_highest: AtomicU32,
    refused: IntCounter,
    nodes: IntGaugeVec,
    groups: IntGauge,
    total_bytes: IntGauge,
    free_bytes: IntGauge,
    snapshot_failures: IntCounter,
    peers_alive: IntGauge,
    peers_known: IntGauge,
    refused_nodes: IntGauge,
    each: NodeMetrics,
}

#[derive(Clone, Debug)]
struct CommandMetrics {
    name: &'static str,
    success: IntCounter,
    latency: Histogram,
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("hayloft_tracker_requests_total", "Requests answered."),
            &["command", "status"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        let latency = HistogramVec::new(
            HistogramOpts::new(
                "hayloft_tracker_request_seconds",
                "Time from the whole request to its answer, without sending.",
            )
            .buckets(LATENCY_BUCKETS.to_vec()),
            &["command"],
        )?;
        registry.register(Box::new(latency.clone()))?;
        let nodes = IntGaugeVec::new(
            Opts::new("hayloft_tracker_nodes", "Storage nodes by state."),
            &["state"],
        )?;
        registry.register(Box::new(nodes.clone()))?;
        let commands = (0..=u8::MAX)
            .map(|byte| {
                let known = COMMANDS.iter().find(|(command, _)| *command as u8 == byte);
                let name = known.map_or("unknown", |(_, name)| name);
                CommandMetrics {
                    name,
                    success: requests.with_label_values(&[name, "0"]),
                    latency: latency.with_label_values(&[name]),
                }
            })
            .collect();
        let gauge = |name: &str, help: &str| gauge(registry, name, help);
        let counter = |name: &str, help: &str| counter(registry, name, help);
        Ok(Self {
            requests,
            commands,
            nodes,
            connections: gauge("hayloft_tracker_connections", "Open connections.")?,
            connections_highest: AtomicU32::new(0),
            refused: counter(
                "hayloft_tracker_connections_refused_total",
                "Connections closed at once because of the limit.",
            )?,
            groups: gauge("hayloft_tracker_groups", "Known groups.")?,
            total_bytes: gauge(
                "hayloft_tracker_total_bytes",
                "Size of the groups' smallest members.",
            )?,
            free_bytes: gauge(
                "hayloft_tracker_free_bytes",
                "Free space of the groups' smallest members.",
            )?,
            snapshot_failures: counter(
                "hayloft_tracker_snapshot_failures_total",
                "Registrations that could not be stored.",
            )?,
            peers_alive: gauge("hayloft_tracker_peers_alive", "Other trackers that answer.")?,
            peers_known: gauge(
                "hayloft_tracker_peers_known",
                "Other trackers that the configuration names.",
            )?,
            refused_nodes: gauge(
                "hayloft_tracker_refused_nodes",
                "Nodes that were refused lately and did not come in since.",
            )?,
            each: NodeMetrics::register(registry)?,
        })
    }

    pub(crate) fn answered(&self, command: u8, status: Status, latency: Duration) {
        let Some(metrics) = self.commands.get(usize::from(command)) else {
            return;
        };
        metrics.latency.observe(latency.as_secs_f64());
        if status.is_ok() {
            metrics.success.inc();
        } else {
            let status = status.0.to_string();
            let labels = [metrics.name, status.as_str()];
            self.requests.with_label_values(&labels).inc();
        }
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.inc();
        self.refused.get()
    }

    pub(crate) fn snapshot_failed(&self) {
        self.snapshot_failures.inc();
    }

    pub(crate) fn connected(&self) {
        self.connections.inc();
        let current = self.current_connections();
        self.connections_highest
            .fetch_max(current, Ordering::Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.connections.dec();
    }

    /// The connections of a tracker that allows `allocated` of them.
    pub(crate) fn connections(&self, allocated: u32) -> Connections {
        Connections {
            allocated,
            current: self.current_connections(),
            max: self.connections_highest.load(Ordering::Relaxed),
        }
    }

    fn current_connections(&self) -> u32 {
        u32::try_from(self.connections.get()).unwrap_or(0)
    }

    /// Brings the figures that follow from the cluster up to date.
    pub(crate) fn observe(&self, cluster: &Cluster, peers: &Peers) {
        self.each.observe(cluster);
        self.refused_nodes
            .set(to_gauge(cluster.refused().count() as u64));
        for state in STATES {
            let count = cluster.nodes().filter(|node| node.state() == state).count();
            let label = state.text().to_ascii_lowercase();
            self.nodes
                .with_label_values(&[&label])
                .set(to_gauge(count as u64));
        }
        self.groups.set(to_gauge(cluster.groups().count() as u64));
        let (mut total_mb, mut free_mb) = (0_u64, 0_u64);
        for space in cluster.groups().map(crate::cluster::Group::space) {
            total_mb = total_mb.saturating_add(space.total_mb);
            free_mb = free_mb.saturating_add(space.free_mb);
        }
        self.total_bytes
            .set(to_gauge(total_mb.saturating_mul(BYTES_PER_MB)));
        self.free_bytes
            .set(to_gauge(free_mb.saturating_mul(BYTES_PER_MB)));
        self.peers_alive.set(to_gauge(peers.alive_count() as u64));
        self.peers_known.set(to_gauge(peers.other_count() as u64));
    }
}

fn to_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}
