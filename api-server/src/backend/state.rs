//! The cluster as an administrator sees it.

use common::client::{GroupRecord, StorageRecord};
use common::id::GroupName;
use common::wire::cluster::ClusterStatus;
use common::wire::tracker::{NodeStatus, ReadWriteMode, StorageCounters};

const MIB: u64 = 1024 * 1024;

/// Groups and nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterState {
    /// Its groups, in the tracker's order.
    pub(crate) groups: Vec<GroupState>,
    /// What trackers of Hayloft tell beyond `FastDFS`'s listings; empty of a tracker that does not.
    pub(crate) status: ClusterStatus,
}

/// A group. Space is that of its node with the least free space, for each holds all blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupState {
    /// Its name.
    pub(crate) name: GroupName,
    /// Bytes on the disks of a node.
    pub(crate) space_total: u64,
    /// Bytes of them that are free, what is reserved included.
    pub(crate) space_free: u64,
    /// Bytes that uploads leave alone.
    pub(crate) space_reserved: u64,
    /// Nodes that serve downloads now.
    pub(crate) readable_count: u64,
    /// Nodes that take uploads now.
    pub(crate) writable_count: u64,
    /// Its nodes, also those that are away.
    pub(crate) nodes: Vec<NodeState>,
}

/// A storage node. Times are Unix seconds, 0 for never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeState {
    /// Its number, as text.
    pub(crate) id: String,
    /// Its address; empty if the tracker cannot tell it in its listing.
    pub(crate) address: String,
    /// Its storage port.
    pub(crate) port: u16,
    /// Whether it is in service.
    pub(crate) status: NodeStatus,
    /// What it may be used for.
    pub(crate) mode: ReadWriteMode,
    /// Version of its software.
    pub(crate) version: String,
    /// When it joined first.
    pub(crate) joined: u64,
    /// When it started; its counters count from then on.
    pub(crate) started: u64,
    /// When the tracker heard of it last.
    pub(crate) last_heartbeat: u64,
    /// When a client changed something last.
    pub(crate) last_change: u64,
    /// Bytes on its disks.
    pub(crate) space_total: u64,
    /// Bytes of them that are free, what is reserved included.
    pub(crate) space_free: u64,
    /// Bytes that uploads leave alone.
    pub(crate) space_reserved: u64,
    /// Its volume paths.
    pub(crate) volume_path_count: u64,
    /// Connections from clients now.
    pub(crate) connection_count: u32,
    /// What it did since its start. The difference of two states is a rate.
    pub(crate) counters: StorageCounters,
}

impl GroupState {
    /// A group and its nodes as the tracker lists them.
    pub(super) fn new(group: &GroupRecord, nodes: &[StorageRecord]) -> Self {
        Self {
            name: group.name,
            space_total: bytes(group.total_mb),
            space_free: bytes(group.free_mb),
            space_reserved: bytes(group.reserved_mb),
            readable_count: group.readable_count,
            writable_count: group.writable_count,
            nodes: nodes.iter().map(NodeState::new).collect(),
        }
    }
}

impl NodeState {
    fn new(node: &StorageRecord) -> Self {
        Self {
            id: node.id.to_string(),
            address: node.address.to_string(),
            port: node.port,
            status: node.status,
            mode: node.mode,
            version: node.version.to_string(),
            joined: node.join_time,
            started: node.start_time,
            last_heartbeat: node.last_heartbeat,
            last_change: node.last_source_change,
            space_total: bytes(node.total_mb),
            space_free: bytes(node.free_mb),
            space_reserved: bytes(node.reserved_mb),
            volume_path_count: node.volume_path_count,
            connection_count: node.connections.current,
            counters: node.counters,
        }
    }
}

/// A size that the tracker gave in MiB; a nonsensical one becomes the largest there is.
fn bytes(mebibytes: u64) -> u64 {
    mebibytes.saturating_mul(MIB)
}
