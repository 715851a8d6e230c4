//! The other nodes of the group: connections to them, and the tasks that follow their logs.
//!
//! Trackers say who belongs to the group, see [`crate::report::Members`]; what they said last is kept
//! beside the identity, so a node knows its peers before any tracker answers.

mod link;
mod places;
mod service;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::env::{Shutdown, clock};
use common::id::{NodeNumber, VolumePath};
use common::rpc::auth::Credentials;
use common::wire::report::{Member, NodeIdentity, NodePhase};
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use self::link::MuxLink;
pub(crate) use self::places::Places;
pub(crate) use self::service::ReplicaService;
use crate::replica::{FollowSettings, Follower, PathProgress, Peer, Replica, TOMBSTONE_AGE};
use crate::report::Members;

/// Microseconds.
const DAY: u64 = 24 * 3600 * 1_000_000;
/// Time between two looks whether places are to be kept.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Time that a node which had peers waits for them before it serves without.
const PEERS_PATIENCE: Duration = Duration::from_secs(5);
/// Time that a node waits for a tracker that tells who the peers are, when one answers that does not: it
/// is of a release before replication, in which no node has peers.
const UNTOLD_PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks for such tombstones.
const FORGET_INTERVAL: Duration = Duration::from_mins(1);

/// How far this node has followed its peers; what reports and metrics are made of.
#[derive(Debug)]
pub(crate) struct Standing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether it ever had peers, or a tracker said that it has none.
    is_alone: bool,
    followed: Vec<Followed>,
}

/// One peer and volume path.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    /// The peer.
    pub(crate) peer: NodeNumber,
    /// The path.
    pub(crate) path: VolumePath,
    /// Whether the peer answers.
    pub(crate) is_up: bool,
    /// How far.
    pub(crate) progress: PathProgress,
    since: Instant,
    /// Whether the peer has all itself, as trackers say. From one that is being rebuilt there is nothing
    /// to wait for.
    is_serving: Arc<AtomicBool>,
    link: Arc<MuxLink>,
    receiver: watch::Receiver<PathProgress>,
}

impl Followed {
    /// Milliseconds since nothing of the peer's log was missing here; 0 if nothing is.
    pub(crate) fn lag_ms(&self) -> u64 {
        if !self.is_up || self.progress.behind == 0 {
            return 0;
        }
        let since = self.progress.caught_up.unwrap_or(self.since);
        u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Standing {
    /// Of a node that knows to have no peers, or does not.
    pub(crate) fn new(is_alone: bool) -> Self {
        Self {
            state: Mutex::new(State {
                is_alone,
                followed: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far each peer is followed, for each path.
    pub(crate) fn followed(&self) -> Vec<Followed> {
        let mut followed = self.state().followed.clone();
        for one in &mut followed {
            one.is_up = crate::replica::Link::is_up(&*one.link);
            one.progress = *one.receiver.borrow();
        }
        followed
    }

    /// Whether the node has all that its group stored in a path, as far as it can tell. A peer that
    /// does not answer is waited for only a while.
    pub(crate) fn is_complete(&self, path: VolumePath) -> bool {
        // It has peers and does not follow them: it just started, or must not join them.
        if !self.state().is_alone && self.state().followed.is_empty() {
            return false;
        }
        let followed = self.followed();
        let counts = |one: &&Followed| one.path == path && one.is_serving.load(Ordering::Relaxed);
        let mut followed = followed.iter().filter(counts);
        followed.all(|one| {
            // One that was followed to its end and goes then takes nothing along that this node lacks.
            one.progress.is_complete || (!one.is_up && PEERS_PATIENCE <= one.since.elapsed())
        })
    }
}

/// What the tasks of the group work with.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) replica: Arc<Replica>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) credentials: Credentials,
    pub(crate) follow: FollowSettings,
    pub(crate) places: Places,
}

/// A peer that is connected and followed.
#[derive(Debug)]
struct Running {
    peer: Peer,
    link: Arc<MuxLink>,
    address: watch::Sender<SocketAddr>,
    is_serving: Arc<AtomicBool>,
    followed: Vec<Followed>,
    /// End with it.
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Group {
    /// Connects to and follows whoever belongs to the group, until the signal.
    pub(crate) async fn run(mut self, mut members: watch::Receiver<Members>, shutdown: Shutdown) {
        if self.is_too_old() {
            error!(
                days = TOMBSTONE_AGE / DAY,
                "this node was away, or is a copy that is older, for longer than its peers remember what \
                 was deleted, so it does not join them; remedy: move its data away and start it empty: \
                 it gets everything from its peers"
            );
            self.places.set_members(BTreeMap::new());
            shutdown.requested().await;
            return;
        }
        let own = self.credentials.identity();
        let mut running: BTreeMap<NodeIdentity, Running> = BTreeMap::new();
        for (identity, number, address) in self.places.peers() {
            let started = self.start(identity, number, address);
            running.insert(identity, started);
        }
        // Whether anybody told who the peers are, be it before an earlier end.
        let mut is_told = self.places.seen() != 0;
        if is_told {
            self.announce(&running);
        }
        let menders = self.replica.group_stores().map(|(_, store)| {
            AbortOnDropHandle::new(tokio::spawn(async move { store.mend().await }))
        });
        let _menders: Vec<_> = menders.collect();
        // When this node takes itself for the only one of its group.
        let mut alone_at = None;
        let mut keep = interval(KEEP_INTERVAL);
        let mut forget = interval(FORGET_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                changed = members.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let now = members.borrow_and_update().clone();
                    alone_at = (now.is_untold && !is_told)
                        .then(|| alone_at.unwrap_or_else(|| Instant::now() + UNTOLD_PATIENCE));
                    if now.is_known {
                        is_told = true;
                        self.take(own, &now, &mut running);
                        self.announce(&running);
                    }
                }
                () = until(alone_at), if alone_at.is_some() => {
                    alone_at = None;
                    self.serve_untold();
                }
                _ = keep.tick(), if is_told => self.keep(&running).await,
                _ = forget.tick() => self.forget_tombstones().await,
            }
        }
        if is_told {
            self.keep(&running).await;
        }
    }

    /// Whether what was deleted since this node lived last may be forgotten by its peers.
    fn is_too_old(&self) -> bool {
        let seen = u64::from(self.places.seen()) * 1_000_000;
        let lived = seen.max(self.replica.stamp().micros());
        let now = clock::unix_micros();
        self.places.len() != 0 && TOMBSTONE_AGE < now.saturating_sub(lived)
    }

    /// Serves without peers because nobody can tell of any. That is not kept: the next start asks again.
    fn serve_untold(&self) {
        warn!(
            seconds = UNTOLD_PATIENCE.as_secs(),
            "the trackers that answer are of a release before replication, so this node serves as the only \
             one of its group and makes no copies; remedy: upgrade the trackers"
        );
        self.standing.state().is_alone = true;
        self.replica.set_peers(Vec::new());
        self.replica.peers_changed();
    }

    /// Starts what is new, ends what is gone, and follows who moved.
    fn take(
        &self,
        own: NodeIdentity,
        members: &Members,
        running: &mut BTreeMap<NodeIdentity, Running>,
    ) {
        let is_peer = |member: &&Member| member.identity != own;
        let peers: BTreeMap<NodeIdentity, &Member> = members
            .members
            .iter()
            .filter(is_peer)
            .map(|member| (member.identity, member))
            .collect();
        running.retain(|identity, gone| {
            let stays = peers.contains_key(identity);
            if !stays {
                info!(peer = %gone.peer.number, "a node left the group");
            }
            stays
        });
        for (identity, member) in peers {
            match running.get(&identity) {
                Some(known) if known.peer.number == member.number => {
                    known.address.send_if_modified(|address| {
                        let has_moved = *address != member.address;
                        *address = member.address;
                        has_moved
                    });
                }
                _ => {
                    info!(peer = %member.number, address = %member.address, "a node of the group");
                    let started = self.start(identity, member.number, member.address);
                    running.insert(identity, started);
                }
            }
        }
        for member in &members.members {
            if let Some(running) = running.get(&member.identity) {
                let is_serving = member.is_alive && member.phase == NodePhase::Serving;
                running.is_serving.store(is_serving, Ordering::Relaxed);
            }
        }
        self.standing.state().is_alone = running.is_empty();
    }

    fn start(&self, identity: NodeIdentity, number: NodeNumber, address: SocketAddr) -> Running {
        let (address, moves) = watch::channel(address);
        let link = Arc::new(MuxLink::new(number));
        let connecting = Arc::clone(&link).keep_connected(
            identity,
            self.credentials.clone(),
            moves,
            Arc::downgrade(&self.replica),
        );
        let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(connecting))];
        let peer = Peer {
            number,
            link: Arc::clone(&link) as Arc<dyn crate::replica::Link>,
        };
        // Before any tracker told: it may.
        let is_serving = Arc::new(AtomicBool::new(true));
        let mut followed = Vec::new();
        for (path, store) in self.replica.group_stores() {
            let own = store.shared().log_number();
            let place = self.places.get(identity, path, own);
            let (follower, receiver) = Follower::new(store, peer.clone(), self.follow, place);
            let following = async move { follower.follow().await };
            tasks.push(AbortOnDropHandle::new(tokio::spawn(following)));
            followed.push(Followed {
                peer: number,
                path,
                is_up: false,
                progress: PathProgress::default(),
                since: Instant::now(),
                is_serving: Arc::clone(&is_serving),
                link: Arc::clone(&link),
                receiver,
            });
        }
        Running {
            peer,
            link,
            address,
            is_serving,
            followed,
            _tasks: tasks,
        }
    }

    /// Tells everybody who the peers are now.
    fn announce(&self, running: &BTreeMap<NodeIdentity, Running>) {
        let peers = running.values().map(|running| running.peer.clone());
        self.replica.set_peers(peers.collect());
        let identities = running
            .iter()
            .map(|(identity, running)| (*identity, running.peer.number));
        self.replica.peers_changed();
        self.places.set_members(identities.collect());
        let followed = running
            .values()
            .flat_map(|running| running.followed.clone());
        self.standing.state().followed = followed.collect();
    }

    /// Keeps who the peers are and how far they were followed.
    async fn keep(&mut self, running: &BTreeMap<NodeIdentity, Running>) {
        let mut peers = BTreeMap::new();
        for (identity, running) in running {
            let places = running.followed.iter().filter_map(|followed| {
                let place = followed.receiver.borrow().place?;
                Some((followed.path, place))
            });
            let address = *running.address.borrow();
            peers.insert(
                *identity,
                places::Kept {
                    number: running.peer.number,
                    address,
                    places: places.collect(),
                },
            );
        }
        let stores = self.replica.group_stores();
        let own = stores.map(|(path, store)| (path, store.shared().log_number()));
        if let Err(error) = self.places.keep(peers, own.collect()).await {
            // Lost places cost a comparison of everything and nothing else.
            warn!(%error, "the places in the logs of peers are not kept");
        }
    }

    async fn forget_tombstones(&self) {
        let before = clock::unix_micros().saturating_sub(TOMBSTONE_AGE);
        for (path, _) in self.replica.group_stores() {
            loop {
                match self.replica.forget_tombstones(path, before).await {
                    Ok(0) => break,
                    Ok(count) => {
                        info!(%path, count, "tombstones that all nodes have are forgotten");
                    }
                    Err(error) => {
                        warn!(%path, %error, "tombstones are not forgotten");
                        break;
                    }
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.link.close();
    }
}

/// Waits until a moment; never ends without one.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Loads what was kept in `directory`.
pub(crate) fn load_places(directory: &Path) -> io::Result<Places> {
    Places::load(directory)
}

#[cfg(test)]
mod tests {
    use common::secret::{Secret, Secrets};
    use common::wire::report::MemberMarks;
    use tokio::time::sleep;

    use super::*;
    use crate::format::Stamp;
    use crate::replica::{CopySettings, Stamps};

    #[tokio::test(start_paused = true)]
    async fn a_node_of_which_only_old_trackers_know_serves_alone_until_one_tells_of_peers() {
        let directory = tempfile::tempdir().unwrap();
        let number = NodeNumber::try_from(1).unwrap();
        let stamps = Stamps::new(1, Box::new(clock::unix_micros), Stamp::default());
        let replica: Arc<Replica> =
            Replica::new(number, BTreeMap::new(), stamps, CopySettings::default());
        replica.await_peers();
        let standing = Arc::new(Standing::new(false));
        let secret = Secret::try_from("the secret of these tests").unwrap();
        let own = NodeIdentity([1; 16]);
        let group = Group {
            replica,
            standing: Arc::clone(&standing),
            credentials: Credentials::new(own, &Secrets::new(secret)),
            follow: FollowSettings::default(),
            places: load_places(directory.path()).unwrap(),
        };
        let (told, members) = watch::channel(Members::default());
        let (trigger, shutdown) = Shutdown::new();
        let running = tokio::spawn(group.run(members, shutdown));
        let is_complete = || standing.is_complete(VolumePath(0));

        sleep(UNTOLD_PATIENCE * 2).await;
        assert!(!is_complete(), "no tracker answers, so nobody knows");
        told.send_replace(Members {
            is_untold: true,
            ..Members::default()
        });
        sleep(UNTOLD_PATIENCE / 2).await;
        assert!(!is_complete(), "another tracker may know");
        sleep(UNTOLD_PATIENCE).await;
        assert!(is_complete());
        let kept = load_places(directory.path()).unwrap();
        assert!(!kept.says_alone(), "the next start asks again");

        let peer = Member {
            identity: NodeIdentity([2; 16]),
            number: NodeNumber::try_from(2).unwrap(),
            address: "127.0.0.1:1".parse().unwrap(),
            http_port: 8888,
            phase: NodePhase::Serving,
            is_alive: true,
            marks: MemberMarks::default(),
            place_version: 1,
            marks_version: 1,
        };
        told.send_replace(Members {
            is_known: true,
            members: vec![peer],
            ..Members::default()
        });
        sleep(Duration::from_secs(1)).await;
        assert!(
            !is_complete(),
            "the tracker was upgraded, and there is a peer"
        );
        trigger.trigger();
        running.await.unwrap();
    }
}
