//! What operators ask: how the cluster fares, and orders.

use bytes::BytesMut;
use common::rpc::auth::Purpose;
use common::wire::Status;
use common::wire::cluster::{
    GroupStatus, NodeStatus, OrderAnswer, OrderRequest, PathStatus, Progress, RefusedNode,
    StatusCursor, StatusPage, TrackerStatus,
};
use common::wire::report::PathSpace;
use tracing::{error, info, warn};

use super::{Service, put_answer};
use crate::cluster::{Cluster, Group, JoinRefusal, Node, Now, Refused};

/// Bytes of nodes after which a page ends: with what one node takes at most, a packet holds it.
const PAGE_LEN: usize = 96 * 1024;
const BYTES_PER_MB: u64 = 1 << 20;

impl Service {
    pub(super) fn cluster_status(&self, body: &[u8], out: &mut BytesMut) -> Result<(), Status> {
        let cursor = StatusCursor::decode(body).map_err(|error| {
            warn!(peer = %self.peer, %error, "malformed status request");
            Status::INVALID
        })?;
        let now = self.shared.now();
        let mut page = page(&self.shared.cluster(), cursor, now);
        if cursor.group.is_none() {
            page.status.trackers = self.trackers();
        }
        put_answer(out, |body| page.encode(body));
        Ok(())
    }

    /// Carries an order out and answers when it is stored and all trackers that live know it: what the
    /// operator does next, at whichever of them, may build on it.
    pub(super) async fn cluster_order(
        &self,
        body: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        self.member_for(Purpose::Control)?;
        let request = OrderRequest::decode(body).map_err(|error| {
            warn!(peer = %self.peer, %error, "an order was not understood");
            Status::INVALID
        })?;
        let OrderRequest { order, target } = request;
        let (done, generation, is_change, position) = {
            let mut cluster = self.shared.cluster();
            let before = cluster.generation();
            let done = cluster.order(target, order);
            let generation = cluster.generation();
            (done, generation, before < generation, cluster.changes_end())
        };
        let answer = match done {
            Ok(()) => {
                if is_change {
                    info!(%target, ?order, peer = %self.peer, "ordered by an operator");
                }
                if !self.shared.persistence.stored(generation).await {
                    error!(%target, ?order, "ordered, but that is not stored");
                    return Err(Status::IO);
                }
                if is_change && !self.shared.peers.tell(position).await {
                    warn!(%target, ?order, "not all other trackers know of the order yet");
                }
                OrderAnswer::Done
            }
            Err(refusal) => {
                let reason = refusal.to_string();
                if refusal.is_wait() {
                    OrderAnswer::Wait { reason }
                } else {
                    OrderAnswer::Refused { reason }
                }
            }
        };
        put_answer(out, |body| answer.encode(body));
        Ok(())
    }

    fn trackers(&self) -> Vec<TrackerStatus> {
        let shared = &self.shared;
        let myself = TrackerStatus {
            address: shared.peers.myself(self.local).to_string(),
            is_alive: true,
            version: shared.software.as_str().to_owned(),
            started: u64::from(shared.started),
        };
        let others = shared.peers.others();
        let others = others.iter().map(|(seen, is_alive)| TrackerStatus {
            address: seen.address.to_string(),
            is_alive: *is_alive,
            version: seen.software.as_str().to_owned(),
            started: u64::from(seen.started),
        });
        let never = shared.peers.never_seen().map(|address| TrackerStatus {
            address,
            ..TrackerStatus::default()
        });
        std::iter::once(myself).chain(others).chain(never).collect()
    }
}

/// Groups and nodes behind the cursor, as many as fit.
fn page(cluster: &Cluster, cursor: StatusCursor, now: Now) -> StatusPage {
    let mut page = StatusPage::default();
    let mut len = 0;
    for group in cluster.groups() {
        let name = group.name();
        if cursor.group.is_some_and(|last| name < last) {
            continue;
        }
        let goes_on = cursor.group == Some(name);
        let mut told = group_status(group);
        for node in group.nodes() {
            let number = node.entry().number.get();
            if goes_on && number <= cursor.number {
                continue;
            }
            let status = node_status(cluster, group, node, now);
            // Near enough: a volume path takes about a hundred bytes, the rest of a node a thousand.
            len += 1024 + 128 * status.paths.len();
            told.nodes.push(status);
            if PAGE_LEN <= len {
                page.next = Some((name.to_string(), number));
                break;
            }
        }
        if !goes_on || !told.nodes.is_empty() {
            page.status.groups.push(told);
        }
        if page.next.is_some() {
            break;
        }
    }
    if cursor.group.is_none() {
        page.status.refused = cluster.refused().map(refused).collect();
    }
    page
}

fn group_status(group: &Group) -> GroupStatus {
    let space = group.space();
    let bytes = |mb: u64| mb.saturating_mul(BYTES_PER_MB);
    GroupStatus {
        name: group.name().to_string(),
        is_draining: group.marks().draining,
        is_read_only: group.marks().read_only,
        total_bytes: bytes(space.total_mb),
        free_bytes: bytes(space.free_mb),
        reserved_bytes: bytes(space.reserved_mb),
        readable: group.readable_count() as u64,
        writable: group.writable_count() as u64,
        nodes: Vec::new(),
    }
}

fn node_status(cluster: &Cluster, group: &Group, node: &Node, now: Now) -> NodeStatus {
    let (entry, report) = (node.entry(), node.report());
    let counters = &report.counters;
    NodeStatus {
        number: entry.number.get(),
        address: node.endpoint().address.to_string(),
        http_port: entry.place.http_port,
        state: node.state().text().to_ascii_lowercase(),
        reasons: node.reasons(cluster.policy().reserved, now),
        is_alive: node.is_alive(),
        is_draining: node.is_draining(),
        is_read_only: node.is_marked_read_only(),
        version: node.software().as_str().to_owned(),
        started: u64::from(node.started()),
        last_report: u64::from(node.reported_at()),
        lag_ms: report.lag_ms,
        under_replicated: report.under_replicated,
        unverified_age_s: u64::from(report.unverified_age_s),
        records: report.blobs,
        rebuild: Progress {
            done: report.rebuild.done,
            total: report.rebuild.total,
        },
        connections: u64::from(report.connections.current),
        uploads: counters.upload.success,
        downloads: counters.download.success,
        deletes: counters.delete.success,
        upload_bytes: counters.upload_bytes.success,
        download_bytes: counters.download_bytes.success,
        paths: report
            .paths
            .iter()
            .map(|path| path_status(group, path))
            .collect(),
    }
}

fn path_status(group: &Group, path: &PathSpace) -> PathStatus {
    let rebuild = group.rebuild_of(path);
    PathStatus {
        path: path.path.to_string(),
        total_bytes: path.total_mb.saturating_mul(BYTES_PER_MB),
        free_bytes: path.free_mb.saturating_mul(BYTES_PER_MB),
        is_read_only: path.read_only,
        is_complete: path.is_complete,
        records: path.records,
        rebuild: Progress {
            done: rebuild.done,
            total: rebuild.total,
        },
    }
}

fn refused(refused: &Refused) -> RefusedNode {
    let reason = match refused.refusal {
        JoinRefusal::NumberTaken { holder, .. } => format!("number taken by {holder}"),
        JoinRefusal::NumberOfRemoved { holder, .. } => {
            format!("number of the removed node at {holder}, not released")
        }
        JoinRefusal::Removed { .. } => "removed by an operator".to_owned(),
        JoinRefusal::WrongGroup { registered } => format!("belongs to group {registered}"),
        JoinRefusal::GroupFull => "its group is full".to_owned(),
        JoinRefusal::TooManyGroups => "too many groups".to_owned(),
    };
    RefusedNode {
        number: refused.number.get(),
        group: refused.group.to_string(),
        address: refused.address.to_string(),
        reason,
        at: u64::from(refused.at),
    }
}
