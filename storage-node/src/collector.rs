//! Gauges of the stores, read when Prometheus asks.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts};

use crate::index::Index as _;
use crate::node::Node;

/// Name, help.
const GAUGES: [(&str, &str); 10] = [
    ("volumes", "Volume files."),
    (
        "volumes_poisoned",
        "Volume files that take no appends because a write or sync failed.",
    ),
    ("volumes_damaged", "Volume files with damaged records."),
    ("live_bytes", "Bytes of records that are needed."),
    (
        "garbage_bytes",
        "Bytes of records that compaction can give back.",
    ),
    ("live_records", "Records that are needed."),
    ("index_bytes", "Bytes of the index on disk."),
    (
        "space_total_bytes",
        "Size of the file system under the store path.",
    ),
    (
        "space_free_bytes",
        "Free space of the file system under the store path.",
    ),
    (
        "active_room_bytes",
        "Bytes that can be appended before another volume file is made.",
    ),
];

/// Name, help of what is known of each peer and volume path.
const PEER_GAUGES: [(&str, &str); 6] = [
    ("up", "Whether the peer answers: 1 or 0."),
    (
        "complete",
        "Whether everything that the peer had at some moment since it answers is here: 1 or 0.",
    ),
    (
        "behind_bytes",
        "Bytes of the peer's log that were not looked at.",
    ),
    (
        "lag_milliseconds",
        "Time since nothing of the peer's log was missing; 0 if nothing is.",
    ),
    (
        "fetched",
        "Blobs and metadata that did not come by themselves and were fetched, since the start.",
    ),
    (
        "looks",
        "Looks at the peer's log since the start, once a second at least.",
    ),
];

/// Reads the gauges.
pub(crate) struct StoreCollector {
    node: Arc<Node>,
    gauges: Vec<IntGaugeVec>,
    peers: Vec<IntGaugeVec>,
    short: IntGauge,
    connections: IntGauge,
}

impl StoreCollector {
    /// A collector of the stores of `node`.
    pub(crate) fn new(node: Arc<Node>) -> Result<Self, prometheus::Error> {
        let gauges = GAUGES.iter().map(|(name, help)| {
            IntGaugeVec::new(Opts::new(format!("hayloft_store_{name}"), *help), &["path"])
        });
        let gauges = gauges.collect::<Result<Vec<_>, _>>()?;
        let peers = PEER_GAUGES.iter().map(|(name, help)| {
            let name = format!("hayloft_replication_{name}");
            IntGaugeVec::new(Opts::new(name, *help), &["peer", "path"])
        });
        let peers = peers.collect::<Result<Vec<_>, _>>()?;
        let short = IntGauge::new(
            "hayloft_replication_short_changes",
            "Changes acknowledged with fewer copies than wanted that not all peers are known to have.",
        )?;
        let help = "Open connections of the FastDFS protocol.";
        let connections = IntGauge::new("hayloft_storage_connections", help)?;
        Ok(Self {
            node,
            gauges,
            peers,
            short,
            connections,
        })
    }
}

impl Collector for StoreCollector {
    fn desc(&self) -> Vec<&Desc> {
        let descriptions = self.gauges.iter().flat_map(Collector::desc);
        descriptions
            .chain(self.peers.iter().flat_map(Collector::desc))
            .chain(self.short.desc())
            .chain(self.connections.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (path, store) in self.node.stores() {
            let shared = store.shared();
            let (status, space) = (shared.status(), shared.space());
            let values = [
                status.volumes,
                status.poisoned,
                status.damaged,
                status.live_bytes,
                status.garbage_bytes,
                status.live_records,
                shared.index.disk_len(),
                space.total,
                space.free,
                shared.active_room(),
            ];
            let path = path.to_string();
            for (gauge, value) in self.gauges.iter().zip(values) {
                gauge
                    .with_label_values(&[&path])
                    .set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
        // Peers that left must not be shown for ever.
        self.peers.iter().for_each(IntGaugeVec::reset);
        for followed in self.node.standing.followed() {
            let labels = [followed.peer.to_string(), followed.path.to_string()];
            let values = [
                u64::from(followed.is_up),
                u64::from(followed.progress.is_complete),
                followed.progress.behind,
                followed.lag_ms(),
                followed.progress.fetched,
                followed.progress.looks,
            ];
            for (gauge, value) in self.peers.iter().zip(values) {
                gauge
                    .with_label_values(&labels)
                    .set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
        let short = self.node.replica.short();
        self.short.set(i64::try_from(short).unwrap_or(i64::MAX));
        self.connections
            .set(i64::from(self.node.counters.connections().current));
        let families = self.gauges.iter().flat_map(Collector::collect);
        families
            .chain(self.peers.iter().flat_map(Collector::collect))
            .chain(self.short.collect())
            .chain(self.connections.collect())
            .collect()
    }
}
