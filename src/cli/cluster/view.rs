//! A cluster's status in tables, for `hayloft cluster status` and `hayloft monitor`.

use common::wire::cluster::{ClusterStatus, GroupStatus, NodeStatus, PathStatus};

use crate::cli::output;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Nodes, one line each.
    Nodes,
    /// Their volume paths as well.
    Paths,
}

const HEADINGS: [&str; 11] = [
    "  NODE",
    "ADDRESS",
    "STATE",
    "FREE",
    "OF",
    "LAG",
    "MISSING",
    "UNVERIFIED",
    "CONN",
    "SEEN",
    "WHY",
];

/// Trackers that matter, then a line per group and a table of its nodes, then who was refused.
pub(crate) fn text(status: &ClusterStatus, now: u64, detail: Detail) -> String {
    let mut blocks = Vec::new();
    let trackers = trackers(status);
    if !trackers.is_empty() {
        blocks.push(trackers);
    }
    if status.groups.is_empty() {
        blocks.push("no groups yet: start a storage node, for example with `hayloft serve`".into());
    }
    let groups = status.groups.iter();
    blocks.extend(groups.map(|group| group_text(group, now, detail)));
    if !status.refused.is_empty() {
        blocks.push(refused(status, now));
    }
    blocks.join("\n\n")
}

fn trackers(status: &ClusterStatus) -> String {
    let trackers = status.trackers.iter().map(|tracker| {
        let state = if tracker.is_alive { "" } else { " (SILENT)" };
        format!("{}{state}", tracker.address)
    });
    let trackers: Vec<String> = trackers.collect();
    if trackers.is_empty() {
        String::new()
    } else {
        format!("trackers: {}", trackers.join(", "))
    }
}

fn group_text(group: &GroupStatus, now: u64, detail: Detail) -> String {
    let mut marks = String::new();
    if group.is_draining {
        marks.push_str(", DRAINING");
    }
    if group.is_read_only {
        marks.push_str(", READ-ONLY");
    }
    let head = format!(
        "{}  {} free of {} ({} reserved), {} nodes ({} readable, {} writable){marks}",
        group.name,
        output::bytes(group.free_bytes),
        output::bytes(group.total_bytes),
        output::bytes(group.reserved_bytes),
        group.nodes.iter().filter(|node| !node.is_removed()).count(),
        group.readable,
        group.writable,
    );
    let rows = group.nodes.iter().flat_map(|node| {
        let paths = match detail {
            Detail::Paths if !node.is_removed() => node.paths.as_slice(),
            Detail::Nodes | Detail::Paths => &[],
        };
        std::iter::once(node_row(node, now)).chain(paths.iter().map(path_row))
    });
    let rows: Vec<Vec<String>> = rows.collect();
    format!("{head}\n{}", output::table(&HEADINGS, &rows))
}

fn node_row(node: &NodeStatus, now: u64) -> Vec<String> {
    vec![
        format!("  {}", node.number),
        node.address.clone(),
        node.state.to_ascii_uppercase(),
        output::bytes(node.free()),
        output::bytes(node.total()),
        lag(node.lag_ms),
        node.under_replicated.to_string(),
        age(node.unverified_age_s),
        node.connections.to_string(),
        seen(node.last_report, now),
        node.reasons.join("; "),
    ]
}

fn path_row(path: &PathStatus) -> Vec<String> {
    let state = match (path.is_complete, path.is_read_only) {
        (false, _) => "incomplete",
        (true, true) => "read-only",
        (true, false) => "complete",
    };
    vec![
        format!("    {}", path.path),
        String::new(),
        state.to_owned(),
        output::bytes(path.free_bytes),
        output::bytes(path.total_bytes),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        progress(path),
    ]
}

/// How far a volume path is from complete; empty when there is nothing to tell.
fn progress(path: &PathStatus) -> String {
    let (done, total) = (path.rebuild.done, path.rebuild.total);
    if path.is_complete || total == 0 {
        return String::new();
    }
    let percent = done.saturating_mul(100) / total;
    format!("{done} of {total} records, {percent} %")
}

fn refused(status: &ClusterStatus, now: u64) -> String {
    let lines = status.refused.iter().map(|node| {
        format!(
            "  node {} of {} at {}: {} ({})",
            node.number,
            node.group,
            node.address,
            node.reason,
            seen(node.at, now)
        )
    });
    let lines: Vec<String> = lines.collect();
    format!("REFUSED\n{}", lines.join("\n"))
}

fn seen(at: u64, now: u64) -> String {
    if at == 0 {
        "never".to_owned()
    } else {
        format!("{} s ago", now.saturating_sub(at))
    }
}

fn lag(milliseconds: u64) -> String {
    if milliseconds < 10_000 {
        format!("{milliseconds} ms")
    } else {
        age(milliseconds / 1000)
    }
}

/// Seconds in the unit that fits.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What follows from a node's fields.
trait Shown {
    /// Whether an operator removed it.
    fn is_removed(&self) -> bool;
    /// Free bytes of its volume paths.
    fn free(&self) -> u64;
    /// Bytes of its volume paths.
    fn total(&self) -> u64;
}

impl Shown for NodeStatus {
    fn is_removed(&self) -> bool {
        self.state == "deleted"
    }

    fn free(&self) -> u64 {
        let free = self.paths.iter().map(|path| path.free_bytes);
        free.fold(0, u64::saturating_add)
    }

    fn total(&self) -> u64 {
        let total = self.paths.iter().map(|path| path.total_bytes);
        total.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use common::wire::cluster::{Progress, RefusedNode, TrackerStatus};

    use super::*;

    fn status() -> ClusterStatus {
        let path = PathStatus {
            path: "M01".to_owned(),
            total_bytes: 1 << 30,
            free_bytes: 1 << 29,
            rebuild: Progress {
                done: 6_021,
                total: 8_000,
            },
            ..PathStatus::default()
        };
        let node = NodeStatus {
            number: 3,
            address: "10.0.0.3:23000".to_owned(),
            state: "syncing".to_owned(),
            reasons: vec!["rebuilding: 1.1 GiB of 7.8 GiB".to_owned()],
            lag_ms: 75_000,
            unverified_age_s: 90_000,
            last_report: 93,
            paths: vec![path],
            ..NodeStatus::default()
        };
        ClusterStatus {
            trackers: vec![TrackerStatus {
                address: "10.0.0.9:22122".to_owned(),
                ..TrackerStatus::default()
            }],
            groups: vec![GroupStatus {
                name: "group1".to_owned(),
                is_draining: true,
                nodes: vec![node],
                ..GroupStatus::default()
            }],
            refused: vec![RefusedNode {
                number: 3,
                group: "group1".to_owned(),
                address: "10.0.0.4:23000".to_owned(),
                reason: "number taken by 10.0.0.3:23000".to_owned(),
                at: 90,
            }],
        }
    }

    #[test]
    fn states_and_their_reasons_are_shown() {
        let shown = text(&status(), 100, Detail::Paths);
        for part in [
            "trackers: 10.0.0.9:22122 (SILENT)",
            "group1  0 B free",
            "DRAINING",
            "SYNCING",
            "75 s",
            "25 h",
            "7 s ago",
            "rebuilding: 1.1 GiB of 7.8 GiB",
            "M01",
            "incomplete",
            "6021 of 8000 records, 75 %",
            "node 3 of group1 at 10.0.0.4:23000: number taken by 10.0.0.3:23000 (10 s ago)",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!text(&status(), 100, Detail::Nodes).contains("M01"));
        assert!(text(&ClusterStatus::default(), 0, Detail::Nodes).contains("hayloft serve"));
    }
}
