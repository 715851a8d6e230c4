//! What a node tells a tracker, over and over, and what it learns from the answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::id::{GroupName, NodeNumber};
use common::wire::report::{NodeIdentity, NodeJoin, NodeReport, PathSpace, ReportAnswer};
use storage_node::format::IndexKey;
use storage_node::peers::Standing;
use storage_node::report::Directory;
use tokio::time::{sleep, timeout};
use tracker::cluster::SessionId;

use crate::network::{Host, Network};
use crate::node::{SimReplica, SimStore};
use crate::random::locked;
use crate::world::PATH;

const MIB: u64 = 1024 * 1024;
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long each answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Pause between the first report, whose answer tells who the peers are, and the second.
const GAP: Duration = Duration::from_millis(100);

/// The sessions that a node has: start of the tracker's process, and session.
pub(crate) type Sessions = Arc<Mutex<BTreeMap<u8, (u64, SessionId)>>>;

/// A node as it tells of itself.
pub(crate) struct Reporting {
    pub(crate) number: NodeNumber,
    pub(crate) identity: NodeIdentity,
    pub(crate) group: GroupName,
    pub(crate) address: SocketAddr,
    pub(crate) replica: Arc<SimReplica>,
    pub(crate) standing: Arc<Standing>,
    /// Unix seconds of its first start.
    pub(crate) joined: u32,
    pub(crate) directory: Directory,
    /// Blobs that it must have before it may say that it is complete.
    pub(crate) owed: Mutex<Vec<Vec<u8>>>,
    pub(crate) sessions: Sessions,
    pub(crate) network: Arc<Network>,
}

impl Reporting {
    fn join(&self) -> NodeJoin {
        NodeJoin {
            identity: self.identity,
            number: self.number,
            group: self.group,
            address: None,
            storage_port: self.address.port(),
            http_port: 8888,
            joined: self.joined,
            started: 1_700_000_000,
            software: storage_version(),
            upload_priority: 10,
            volume_paths: vec![PATH],
        }
    }

    fn report(&self, view: u64) -> NodeReport {
        let store = self.replica.store(PATH).expect("the path");
        let space = store.shared().space();
        let is_complete = self.standing.is_complete(PATH);
        if is_complete && self.has_live_peers() {
            self.check_complete(&store);
        }
        NodeReport {
            phase: self.standing.phase(std::iter::once(PATH)),
            readable: true,
            writable: true,
            paths: vec![PathSpace {
                path: PATH,
                total_mb: space.total / MIB,
                free_mb: (space.free + store.shared().active_room()) / MIB,
                reserved_mb: 0,
                read_only: false,
                is_complete,
                records: store.shared().status().live_records,
            }],
            complete_up_to: u32::try_from(self.replica.now() / 1_000_000).unwrap_or(u32::MAX),
            under_replicated: self.replica.short(),
            view,
            ..NodeReport::default()
        }
    }

    /// Whether it reaches anybody: one that does not serves in the end with what it has.
    fn has_live_peers(&self) -> bool {
        let followed = self.standing.followed();
        !followed.is_empty() && followed.iter().all(|one| one.is_up)
    }

    /// Whether everything is here again that was here before the disk was lost.
    fn check_complete(&self, store: &SimStore) {
        let mut owed = locked(&self.owed);
        let has = |store: &SimStore, key: IndexKey<'_>| {
            store.shared().locate(key).expect("readable").is_some()
        };
        // A tombstone that a peer may forget any time, for the clocks say so, is not needed here.
        let followed = self.standing.followed();
        let peers = followed
            .iter()
            .filter_map(|one| self.network.node(one.peer));
        let mut stores: Vec<SimStore> = peers.map(|peer| peer.store()).collect();
        stores.push(store.clone());
        owed.retain(|key| {
            let is_over = stores.iter().any(|it| has(it, IndexKey::Tombstone(key)));
            !is_over && !has(store, IndexKey::Blob(key))
        });
        assert!(
            owed.is_empty(),
            "node {} says that it is complete and lacks {} blobs: {owed:02x?}",
            self.number,
            owed.len()
        );
    }

    /// Converses with one tracker again and again. Never ends by itself.
    pub(crate) async fn keep_reporting(self: Arc<Self>, idx: usize, tracker: u8) {
        let mut pause = RETRY_MIN;
        loop {
            let had_joined = self.converse(idx, tracker).await;
            self.directory.lost(idx);
            let session = locked(&self.sessions).remove(&tracker);
            if let Some(session) = session {
                let network = Arc::clone(&self.network);
                tokio::spawn(end_session(network, self.number, tracker, session));
            }
            if had_joined {
                pause = RETRY_MIN;
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Joins and reports over one connection until it fails. Whether it joined.
    async fn converse(&self, idx: usize, tracker: u8) -> bool {
        let own = Host::Node(self.number);
        let (join, from) = (self.join(), self.address.ip());
        let asked =
            Arc::clone(&self.network).ask_tracker(own, tracker, None, move |it| async move {
                (it.start, it.join(&join, from).await)
            });
        let Ok(Ok((start, Ok(session)))) = timeout(PATIENCE, asked).await else {
            return false;
        };
        locked(&self.sessions).insert(tracker, (start, session));
        let mut view = 0;
        let mut is_first = true;
        loop {
            if !self.network.is_paused(own) {
                let report = self.report(view);
                let asked = Arc::clone(&self.network).ask_tracker(
                    own,
                    tracker,
                    Some(start),
                    move |it| async move { it.report(session, report) },
                );
                let answer: Option<ReportAnswer> = match timeout(PATIENCE, asked).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) | Err(_) => None,
                };
                let Some(answer) = answer else {
                    return true;
                };
                view = self.directory.take(idx, answer);
            }
            let rest = if std::mem::take(&mut is_first) {
                GAP
            } else {
                HEARTBEAT
            };
            sleep(rest).await;
        }
    }
}

fn storage_version() -> common::wire::VersionText {
    common::wire::report::software_version("0.1.0")
}

/// A connection of a node ended: its tracker hears of it if anything gets there.
pub(crate) async fn end_session(
    network: Arc<Network>,
    number: NodeNumber,
    tracker: u8,
    (start, session): (u64, SessionId),
) {
    let asked = network.ask_tracker(
        Host::Node(number),
        tracker,
        Some(start),
        move |it| async move {
            it.leave(session);
        },
    );
    // Nobody waits for it.
    let _ = timeout(PATIENCE, asked).await;
}
