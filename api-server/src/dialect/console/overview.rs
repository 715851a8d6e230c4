//! What an administrator sees of the whole: sums over accounts, and the cluster's groups and nodes.

use std::time::{Duration, Instant};

use common::env::clock;
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
            groups: cluster.groups.iter().map(group).collect(),
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

fn group(group: &GroupState) -> model::Group {
    model::Group {
        name: group.name.to_string(),
        total_bytes: group.space_total,
        free_bytes: group.space_free,
        nodes: group.nodes.iter().map(node).collect(),
    }
}

fn node(node: &NodeState) -> model::Node {
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
