//! What an administrator sees of the whole: sums over accounts, and the cluster's groups and nodes.

use std::time::{Duration, Instant};

use common::env::clock;
use common::wire::cluster::{
    ClusterStatus, NodeStatus as NodeStatusTold, PathStatus, RefusedNode, TrackerStatus,
};
use common::wire::tracker::{NodeStatus, ReadWriteMode};
use tokio::sync::Mutex;

use super::Console;
use super::answer::Answer;
use super::model;
use super::refusal::Refusal;
use crate::backend::{Blobs, GroupState, NodeState};
use crate::core::accounts::{self, Holdings};
use crate::core::catalog::Catalog;
use crate::core::shares;
use crate::service::ServiceError;

/// How long sums are good for: the page asks every few seconds.
const SUMS_LIFE: Duration = Duration::from_secs(10);
/// Sums that took long to make are good for so many times as long: to look must stay cheap for
/// everybody else, however many accounts there are.
const SUMS_LIFE_PER_COST: u32 = 20;
/// Accounts that are read at a time.
const ACCOUNTS_PER_READ: u64 = 256;

/// Sums over all accounts, and whether they are still good. Whoever finds them too old makes them
/// again, and others wait for that.
#[derive(Debug, Default)]
pub(super) struct Sums {
    made: Mutex<Option<Made>>,
}

#[derive(Clone, Copy, Debug)]
struct Made {
    good_until: Instant,
    accounts: u64,
    holdings: Holdings,
}

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// `GET admin/overview`.
    pub(super) async fn overview(&self) -> Result<Answer, Refusal> {
        let sums = self.sums().await?;
        let cluster = self.service.blobs().cluster().await;
        let cluster = cluster.map_err(ServiceError::from)?;
        let shares = self.service.look(shares::total).await?;
        Answer::of(&model::Overview {
            accounts: sums.accounts,
            files: sums.holdings.files,
            bytes: sums.holdings.bytes,
            shares,
            pictures: sums.holdings.pictures,
            uptime_seconds: self.started.elapsed().as_secs(),
            groups: cluster
                .groups
                .iter()
                .map(|it| group(it, &cluster.status))
                .collect(),
            trackers: cluster.status.trackers.iter().map(tracker).collect(),
            refused: cluster.status.refused.iter().map(refused).collect(),
        })
    }

    async fn sums(&self) -> Result<Made, Refusal> {
        let mut made = self.sums.made.lock().await;
        let began = clock::monotonic();
        if let Some(made) = made.filter(|made| began < made.good_until) {
            return Ok(made);
        }
        let (accounts, holdings) = self.add_up().await?;
        let ended = clock::monotonic();
        let cost = ended.saturating_duration_since(began);
        let fresh = Made {
            good_until: ended + SUMS_LIFE.max(cost.saturating_mul(SUMS_LIFE_PER_COST)),
            accounts,
            holdings,
        };
        *made = Some(fresh);
        Ok(fresh)
    }

    /// Walks over all accounts. Each step sees a state of its own, so the sums are about right while
    /// others write.
    async fn add_up(&self) -> Result<(u64, Holdings), Refusal> {
        let mut sum = Holdings::default();
        let mut start = 0;
        loop {
            let (total, holdings) = self
                .service
                .look(move |view| {
                    let page = accounts::page(view, start, ACCOUNTS_PER_READ)?;
                    let holdings = page.rows.iter();
                    let holdings = holdings.map(|(account, _)| accounts::holdings(view, *account));
                    Ok((page.total, holdings.collect::<Result<Vec<_>, _>>()?))
                })
                .await?;
            for one in &holdings {
                sum.files = sum.files.saturating_add(one.files);
                sum.bytes = sum.bytes.saturating_add(one.bytes);
                sum.shares = sum.shares.saturating_add(one.shares);
                sum.pictures = sum.pictures.saturating_add(one.pictures);
            }
            start += holdings.len() as u64;
            if holdings.is_empty() || total <= start {
                return Ok((total, sum));
            }
        }
    }
}

fn tracker(tracker: &TrackerStatus) -> model::Tracker {
    model::Tracker {
        address: tracker.address.clone(),
        alive: tracker.is_alive,
    }
}

fn refused(node: &RefusedNode) -> model::RefusedNode {
    model::RefusedNode {
        number: node.number,
        address: node.address.clone(),
        reason: node.reason.clone(),
    }
}

/// A group, with what its tracker tells of it beyond the listings.
fn group(group: &GroupState, status: &ClusterStatus) -> model::Group {
    let name = group.name.to_string();
    let told = status.groups.iter().find(|it| it.name == name);
    let nodes = group.nodes.iter().map(|it| {
        let told = told.and_then(|told| {
            let mut nodes = told.nodes.iter();
            nodes.find(|told| told.number.to_string() == it.id)
        });
        node(it, told)
    });
    model::Group {
        draining: told.is_some_and(|told| told.is_draining),
        read_only: told.is_some_and(|told| told.is_read_only),
        total_bytes: group.space_total,
        free_bytes: group.space_free,
        nodes: nodes.collect(),
        name,
    }
}

fn node(node: &NodeState, told: Option<&NodeStatusTold>) -> model::Node {
    let counters = &node.counters;
    model::Node {
        id: node.id.clone(),
        address: address(node),
        state: state(node),
        version: node.version.clone(),
        total_bytes: node.space_total,
        free_bytes: node.space_free,
        uploads: counters.upload.success,
        downloads: counters.download.success,
        deletes: counters.delete.success,
        upload_bytes: counters.upload_bytes.success,
        download_bytes: counters.download_bytes.success,
        last_report: node.last_heartbeat,
        reasons: told.map(|told| told.reasons.clone()).unwrap_or_default(),
        lag_ms: told.map_or(0, |told| told.lag_ms),
        under_replicated: told.map_or(0, |told| told.under_replicated),
        unverified_seconds: told.map_or(0, |told| told.unverified_age_s),
        paths: told
            .iter()
            .flat_map(|told| &told.paths)
            .map(volume_path)
            .collect(),
    }
}

fn volume_path(path: &PathStatus) -> model::VolumePath {
    model::VolumePath {
        name: path.path.clone(),
        total_bytes: path.total_bytes,
        free_bytes: path.free_bytes,
        complete: path.is_complete,
        read_only: path.is_read_only,
        rebuild_done: path.rebuild.done,
        rebuild_total: path.rebuild.total,
    }
}

/// Where to reach the node; empty if the tracker does not tell.
fn address(node: &NodeState) -> String {
    match node.address.as_str() {
        "" => String::new(),
        host if host.contains(':') => format!("[{host}]:{}", node.port),
        host => format!("{host}:{}", node.port),
    }
}

/// The state in one word of the protocol, in lower case; `read_only` for a node in service that takes
/// no uploads.
fn state(node: &NodeState) -> String {
    if node.status == NodeStatus::Active && node.mode == ReadWriteMode::Read {
        return "read_only".to_owned();
    }
    node.status.text().to_ascii_lowercase()
}
