//! Records and statistics for monitoring. Source: docs/wire.md, tracker commands.

use std::net::SocketAddr;

use bytes::BytesMut;
use common::limits;
use common::wire::tracker::{
    GroupFilter, GroupRecord, GroupSpace, GroupStatistics, HostsText, ReadWriteMode, StatusFilter,
    StorageFilter, StorageIdLine, StorageIds, StorageRecord, StorageStatistic, StorageStatistics,
    TrackerFilter, TrackerStatistic, TrackerStatistics,
};
use common::wire::{HostText, NodeText, Status};

use crate::cluster::{Cluster, Group, Node};
use crate::shared::Shared;

pub(super) fn node_text(node: &Node) -> NodeText {
    let number = node.entry().number.to_string();
    NodeText::from_bytes(number.as_bytes()).unwrap_or_default()
}

/// `address:port`, an IPv6 address in brackets.
pub(super) fn host(address: SocketAddr) -> HostText {
    HostText::from_bytes(address.to_string().as_bytes()).unwrap_or_default()
}

/// The nodes of a group for clients: its members, and of the removed ones the latest that find place.
/// The C client has an array of fixed size.
pub(super) fn listed(group: &Group) -> impl Iterator<Item = &Node> {
    let room = limits::NODES_PER_GROUP_MAX.saturating_sub(group.members().count());
    let mut removed: Vec<_> = group.nodes().filter(|node| !node.is_member()).collect();
    removed.sort_by_key(|node| std::cmp::Reverse(node.entry().marked));
    let shown: Vec<_> = removed
        .into_iter()
        .take(room)
        .map(|it| it.entry().number)
        .collect();
    let is_shown = move |node: &&Node| node.is_member() || shown.contains(&node.entry().number);
    group.nodes().filter(is_shown)
}

pub(super) fn group_record(group: &Group) -> GroupRecord {
    let space = group.space();
    let first = group.members().next();
    GroupRecord {
        name: group.name(),
        total_mb: space.total_mb,
        free_mb: space.free_mb,
        reserved_mb: space.reserved_mb,
        trunk_free_mb: 0,
        node_count: listed(group).count() as u64,
        storage_port: group.shared_port(),
        http_port: first.map_or(0, |node| node.entry().place.http_port),
        readable_count: group.readable_count() as u64,
        writable_count: group.writable_count() as u64,
        write_node_idx: group.write_server_index() as u64,
        volume_path_count: group.path_count() as u64,
        subdir_count: u64::from(limits::SUBDIR_COUNT),
        trunk_file: None,
    }
}

pub(super) fn storage_record(node: &Node) -> StorageRecord {
    let entry = node.entry();
    let (report, space) = (node.report(), node.space());
    StorageRecord {
        status: node.state(),
        mode: node.mode(),
        id: node_text(node),
        address: node.endpoint().text,
        sync_source: NodeText::default(),
        version: node.software(),
        join_time: u64::from(entry.joined),
        start_time: u64::from(node.started()),
        total_mb: space.total_mb,
        free_mb: space.free_mb,
        reserved_mb: space.reserved_mb,
        upload_priority: i64::from(node.upload_priority()),
        volume_path_count: node.path_count() as u64,
        subdir_count: u64::from(limits::SUBDIR_COUNT),
        write_path: u64::from(node.next_path().0),
        port: entry.place.storage_port,
        http_port: entry.place.http_port,
        connections: report.connections,
        counters: report.counters,
        last_source_change: u64::from(report.changed_as_source),
        last_replica_change: u64::from(report.changed_as_replica),
        last_synced: u64::from(report.complete_up_to),
        last_heartbeat: u64::from(node.reported_at()),
        is_trunk_server: false,
    }
}

/// The trackers that pass the filter; `None` when another one leads.
pub(super) fn trackers(
    shared: &Shared,
    local: SocketAddr,
    filter: TrackerFilter,
) -> Option<TrackerStatistics> {
    let myself = shared.peers.myself(local);
    if shared.peers.leader(local) != myself {
        return None;
    }
    let now = shared.now();
    let mut trackers = vec![TrackerStatistic {
        host: host(myself),
        is_leader: true,
        is_active: true,
        connections: shared.metrics.connections(shared.connections_max),
        version: shared.software,
        start_time: u64::from(shared.started),
        last_heartbeat: u64::from(now.unix),
    }];
    for (seen, is_active) in shared.peers.others() {
        trackers.push(TrackerStatistic {
            host: host(seen.address),
            is_leader: false,
            is_active,
            connections: seen.connections,
            version: seen.software,
            start_time: u64::from(seen.started),
            last_heartbeat: u64::from(seen.at),
        });
    }
    trackers.retain(|tracker| {
        filter.active.is_none_or(|it| it == tracker.is_active)
            && filter.leader.is_none_or(|it| it == tracker.is_leader)
    });
    Some(TrackerStatistics { trackers })
}

pub(super) fn storage_statistics(cluster: &Cluster, filter: StorageFilter) -> StorageStatistics {
    let nodes = cluster.groups().flat_map(listed).filter(|node| {
        let status = match filter.status {
            None => true,
            Some(StatusFilter::Is(status)) => node.state() == status,
            Some(StatusFilter::IsNot(status)) => node.state() != status,
        };
        // No node is a trunk server.
        status && filter.trunk_server != Some(true)
    });
    let nodes = nodes.map(|node| StorageStatistic {
        id: node_text(node),
        host: host(node.endpoint().address),
        is_trunk_server: false,
        status: node.state(),
        connections: node.report().connections,
        version: node.software(),
        start_time: u64::from(node.started()),
        last_heartbeat: u64::from(node.reported_at()),
    });
    StorageStatistics {
        uses_storage_ids: true,
        uses_trunk: false,
        nodes: nodes.collect(),
    }
}

pub(super) fn group_statistics(cluster: &Cluster, filter: GroupFilter) -> GroupStatistics {
    let groups = cluster.groups().map(|group| {
        let space = group.space();
        GroupSpace {
            name: group.name(),
            total_mb: space.total_mb,
            free_mb: space.free_mb,
            reserved_mb: space.reserved_mb,
            available_mb: space.free_mb.saturating_sub(space.reserved_mb),
            trunk_free_mb: 0,
            disk_available: space.has_room(),
            trunk_available: false,
        }
    });
    let groups = groups.filter(|group| {
        filter
            .disk_available
            .is_none_or(|it| it == group.disk_available)
            && filter
                .trunk_available
                .is_none_or(|it| it == group.trunk_available)
            && filter.available.is_none_or(|it| it == group.disk_available)
    });
    GroupStatistics {
        uses_trunk: false,
        groups: groups.collect(),
    }
}

/// A page of the list of ids; removed nodes are not on it.
pub(super) fn storage_ids(
    cluster: &Cluster,
    start: u32,
    allow_empty: bool,
    out: &mut BytesMut,
) -> Result<(), Status> {
    let known = || cluster.nodes().filter(|node| node.is_member());
    let total = u32::try_from(known().count()).unwrap_or(u32::MAX);
    if total <= start && !(allow_empty && total == 0) {
        return Err(Status::INVALID);
    }
    let skipped = usize::try_from(start).unwrap_or(usize::MAX);
    let lines: Vec<_> = known().skip(skipped).map(storage_id_line).collect();
    StorageIds::encode_page(total, &lines, out);
    Ok(())
}

fn storage_id_line(node: &Node) -> StorageIdLine {
    let hosts = node.endpoint().address.to_string();
    StorageIdLine {
        id: node_text(node),
        group: node.entry().group,
        hosts: HostsText::from_bytes(hosts.as_bytes()).unwrap_or_default(),
        // Only said where it differs from what everybody assumes.
        mode: Some(node.allowed_mode()).filter(|mode| *mode != ReadWriteMode::Both),
    }
}
