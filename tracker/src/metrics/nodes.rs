//! What Prometheus sees of each node and group: the figures of the last reports.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::{IntGaugeVec, Opts, Registry};

use super::{BYTES_PER_MB, to_gauge};
use crate::cluster::{Cluster, Group, Node};

/// Figures of nodes, in the order of [`node_figures`].
const NODE_GAUGES: [(&str, &str); 12] = [
    ("up", "Whether the tracker hears the node."),
    ("in_service", "Whether clients are sent to the node."),
    (
        "draining",
        "Whether an operator drains the node or its group.",
    ),
    (
        "read_only",
        "Whether an operator made the node or its group read-only.",
    ),
    (
        "incomplete_paths",
        "Volume paths in which the node lacks something that its group stored.",
    ),
    (
        "lag_milliseconds",
        "Age of the oldest change of a peer that the node did not apply.",
    ),
    (
        "under_replicated_records",
        "Records of the node with fewer copies than its group keeps.",
    ),
    (
        "unverified_seconds",
        "Time since the byte was verified that waits longest for it.",
    ),
    ("rebuild_done_bytes", "Bytes that a rebuild has brought."),
    (
        "rebuild_total_bytes",
        "Bytes that a rebuild shall bring; 0 when there is none.",
    ),
    ("free_bytes", "Free space of the node."),
    ("total_bytes", "Space of the node."),
];

/// Figures of groups, in the order of [`group_figures`].
const GROUP_GAUGES: [(&str, &str); 5] = [
    ("members", "Nodes of the group that were not removed."),
    (
        "readable_nodes",
        "Nodes that clients are sent to for reading.",
    ),
    (
        "writable_nodes",
        "Nodes that clients are sent to for new blobs.",
    ),
    ("free_bytes", "Free space of the group's smallest member."),
    ("total_bytes", "Space of the group's smallest member."),
];

/// Gauges with a label for each node or group.
#[derive(Debug)]
pub(super) struct NodeMetrics {
    nodes: Vec<IntGaugeVec>,
    groups: Vec<IntGaugeVec>,
    /// The labels that are set, so that those of a node that was removed can go.
    shown: Mutex<Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    nodes: BTreeSet<[String; 2]>,
    groups: BTreeSet<[String; 1]>,
}

impl NodeMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |kind: &str, gauges: &[(&str, &str)], labels: &[&str]| {
            let gauge = |(name, help): &(&str, &str)| {
                let name = format!("hayloft_tracker_{kind}_{name}");
                let gauge = IntGaugeVec::new(Opts::new(name, *help), labels)?;
                registry.register(Box::new(gauge.clone()))?;
                Ok(gauge)
            };
            gauges
                .iter()
                .map(gauge)
                .collect::<Result<Vec<_>, prometheus::Error>>()
        };
        Ok(Self {
            nodes: gauges("node", &NODE_GAUGES, &["group", "node"])?,
            groups: gauges("group", &GROUP_GAUGES, &["group"])?,
            shown: Mutex::default(),
        })
    }

    /// Brings all figures up to date.
    pub(super) fn observe(&self, cluster: &Cluster) {
        let mut now = Shown::default();
        for group in cluster.groups() {
            let labels = [group.name().to_string()];
            set(&self.groups, &labels, &group_figures(group));
            for node in group.members() {
                let labels = [labels[0].clone(), node.entry().number.to_string()];
                set(&self.nodes, &labels, &node_figures(node));
                now.nodes.insert(labels);
            }
            now.groups.insert(labels);
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.nodes.difference(&now.nodes) {
            forget(&self.nodes, gone);
        }
        for gone in shown.groups.difference(&now.groups) {
            forget(&self.groups, gone);
        }
        *shown = now;
    }
}

fn node_figures(node: &Node) -> [u64; 12] {
    let (report, space) = (node.report(), node.space());
    let incomplete = report.paths.iter().filter(|path| !path.is_complete);
    [
        u64::from(node.is_alive()),
        u64::from(node.is_readable()),
        u64::from(node.is_draining()),
        u64::from(node.is_marked_read_only()),
        incomplete.count() as u64,
        report.lag_ms,
        report.under_replicated,
        u64::from(report.unverified_age_s),
        report.rebuild.done,
        report.rebuild.total,
        space.free_mb.saturating_mul(BYTES_PER_MB),
        space.total_mb.saturating_mul(BYTES_PER_MB),
    ]
}

fn group_figures(group: &Group) -> [u64; 5] {
    let space = group.space();
    [
        group.members().count() as u64,
        group.readable_count() as u64,
        group.writable_count() as u64,
        space.free_mb.saturating_mul(BYTES_PER_MB),
        space.total_mb.saturating_mul(BYTES_PER_MB),
    ]
}

fn set(gauges: &[IntGaugeVec], labels: &[String], figures: &[u64]) {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    for (gauge, figure) in gauges.iter().zip(figures) {
        gauge.with_label_values(&labels).set(to_gauge(*figure));
    }
}

fn forget(gauges: &[IntGaugeVec], labels: &[String]) {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    for gauge in gauges {
        // It was set, so it is there.
        let _ = gauge.remove_label_values(&labels);
    }
}
