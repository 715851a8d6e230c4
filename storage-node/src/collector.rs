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

/// Reads the gauges.
pub(crate) struct StoreCollector {
    node: Arc<Node>,
    gauges: Vec<IntGaugeVec>,
    connections: IntGauge,
}

impl StoreCollector {
    /// A collector of the stores of `node`.
    pub(crate) fn new(node: Arc<Node>) -> Result<Self, prometheus::Error> {
        let gauges = GAUGES.iter().map(|(name, help)| {
            IntGaugeVec::new(Opts::new(format!("hayloft_store_{name}"), *help), &["path"])
        });
        let gauges = gauges.collect::<Result<Vec<_>, _>>()?;
        let help = "Open connections of the FastDFS protocol.";
        let connections = IntGauge::new("hayloft_storage_connections", help)?;
        Ok(Self {
            node,
            gauges,
            connections,
        })
    }
}

impl Collector for StoreCollector {
    fn desc(&self) -> Vec<&Desc> {
        let descriptions = self.gauges.iter().flat_map(Collector::desc);
        descriptions.chain(self.connections.desc()).collect()
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
        self.connections
            .set(i64::from(self.node.counters.connections().current));
        let families = self.gauges.iter().flat_map(Collector::collect);
        families.chain(self.connections.collect()).collect()
    }
}
