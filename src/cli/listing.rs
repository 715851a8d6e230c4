//! Groups and nodes as `hayloft ls` shows them, of any server that speaks `FastDFS`.

use common::client::{Client, ClientError, GroupRecord, StorageRecord};
use common::wire::tracker::Counter;
use serde::Serialize;

use super::output;

const MIB: u64 = 1024 * 1024;

/// A group with its nodes.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    total_bytes: u64,
    free_bytes: u64,
    reserved_bytes: u64,
    node_count: u64,
    readable: u64,
    writable: u64,
    volume_paths: u64,
    pub(crate) nodes: Vec<Node>,
}

/// A storage node.
#[derive(Debug, Serialize)]
pub(crate) struct Node {
    id: String,
    address: String,
    port: u16,
    status: &'static str,
    mode: &'static str,
    version: String,
    started: u64,
    last_heartbeat: u64,
    total_bytes: u64,
    free_bytes: u64,
    connections: u32,
    connections_peak: u32,
    pub(crate) uploads: Count,
    pub(crate) downloads: Count,
    pub(crate) deletes: Count,
    pub(crate) upload_bytes: u64,
    pub(crate) download_bytes: u64,
}

/// How often something was tried and how often it succeeded, since the node started.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Count {
    total: u64,
    pub(crate) success: u64,
}

impl From<Counter> for Count {
    fn from(counter: Counter) -> Self {
        Self {
            total: counter.total,
            success: counter.success,
        }
    }
}

/// Asks for all groups and their nodes.
pub(crate) async fn fetch(client: &Client) -> Result<Vec<Group>, ClientError> {
    let mut groups = Vec::new();
    for record in client.trackers().groups().await? {
        let nodes = client.trackers().storages(record.name).await?;
        groups.push(Group::new(&record, &nodes));
    }
    Ok(groups)
}

impl Group {
    fn new(record: &GroupRecord, nodes: &[StorageRecord]) -> Self {
        let bytes = |mb: u64| mb.saturating_mul(MIB);
        Self {
            name: record.name.to_string(),
            total_bytes: bytes(record.total_mb),
            free_bytes: bytes(record.free_mb),
            reserved_bytes: bytes(record.reserved_mb),
            node_count: record.node_count,
            readable: record.readable_count,
            writable: record.writable_count,
            volume_paths: record.volume_path_count,
            nodes: nodes.iter().map(Node::new).collect(),
        }
    }
}

impl Node {
    fn new(record: &StorageRecord) -> Self {
        let counters = &record.counters;
        Self {
            id: record.id.to_string(),
            address: record.address.to_string(),
            port: record.port,
            status: record.status.text(),
            mode: record.mode.text(),
            version: record.version.to_string(),
            started: record.start_time,
            last_heartbeat: record.last_heartbeat,
            total_bytes: record.total_mb.saturating_mul(MIB),
            free_bytes: record.free_mb.saturating_mul(MIB),
            connections: record.connections.current,
            connections_peak: record.connections.max,
            uploads: counters.upload.into(),
            downloads: counters.download.into(),
            deletes: counters.delete.into(),
            upload_bytes: counters.upload_bytes.success,
            download_bytes: counters.download_bytes.success,
        }
    }

    fn place(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }
}

/// A line per group and, below it, a table of its nodes.
pub(crate) fn text(groups: &[Group], now: u64) -> String {
    if groups.is_empty() {
        return "no groups yet: start a storage node, for example with `hayloft serve`".into();
    }
    let blocks: Vec<String> = groups.iter().map(|group| group.text(now)).collect();
    blocks.join("\n\n")
}

impl Group {
    fn text(&self, now: u64) -> String {
        let head = format!(
            "{}  {} free of {} ({} reserved), {} nodes ({} readable, {} writable), {} volume paths",
            self.name,
            output::bytes(self.free_bytes),
            output::bytes(self.total_bytes),
            output::bytes(self.reserved_bytes),
            self.node_count,
            self.readable,
            self.writable,
            self.volume_paths,
        );
        let rows: Vec<Vec<String>> = self.nodes.iter().map(|node| node.row(now)).collect();
        format!("{head}\n{}", output::table(&Node::HEADINGS, &rows))
    }
}

impl Node {
    const HEADINGS: [&str; 10] = [
        "  NODE",
        "ADDRESS",
        "STATUS",
        "FREE",
        "OF",
        "UPLOADS",
        "DOWNLOADS",
        "DELETES",
        "CONN",
        "SEEN",
    ];

    fn row(&self, now: u64) -> Vec<String> {
        let seen = if self.last_heartbeat == 0 {
            "never".to_owned()
        } else {
            format!("{} s ago", now.saturating_sub(self.last_heartbeat))
        };
        vec![
            format!("  {}", self.id),
            self.place(),
            self.status.to_owned(),
            output::bytes(self.free_bytes),
            output::bytes(self.total_bytes),
            self.uploads.success.to_string(),
            self.downloads.success.to_string(),
            self.deletes.success.to_string(),
            self.connections.to_string(),
            seen,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake_cluster::FakeCluster;
    use common::client::PoolSettings;

    #[tokio::test]
    async fn groups_and_nodes_are_shown_with_space_and_state() {
        let cluster = FakeCluster::start().await;
        let trackers = vec![cluster.tracker.clone()];
        let client = Client::new(trackers, PoolSettings::default()).unwrap();
        let groups = fetch(&client).await.unwrap();
        let shown = text(&groups, 10);
        let storage = cluster.storage.to_string();
        for part in [
            "group1",
            "512.0 MiB free of 1.0 GiB",
            "ACTIVE",
            "7 s ago",
            &storage,
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(text(&[], 0).contains("hayloft serve"));
    }
}
