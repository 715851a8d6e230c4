//! The other nodes of the group: connections to them, and the tasks that follow their logs.
//!
//! Trackers say who belongs to the group, see [`crate::report::Members`]; what they said last is kept
//! beside the identity, so a node knows its peers before any tracker answers.

mod link;
mod places;
mod service;
mod standing;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use common::env::Shutdown;
use common::id::{NodeNumber, VolumePath};
use common::wire::report::{Member, NodeIdentity, NodePhase};
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, interval};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

pub(crate) use self::link::MuxConnect;
use self::places::Directory;
pub use self::places::{PeerNumbers, Places, Shelf};
pub(crate) use self::service::ReplicaService;
pub use self::standing::{Followed, Standing};
use crate::disk::{Disk, OsDisk};
use crate::index::{Index, RocksIndex};
use crate::replica::message::LogPlace;
use crate::replica::{FollowSettings, Follower, Link, PathProgress, Peer, Replica, TOMBSTONE_AGE};
use crate::report::Members;

/// Microseconds.
const DAY: u64 = 24 * 3600 * 1_000_000;
/// Time between two looks whether places are to be kept.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks for such tombstones.
const FORGET_INTERVAL: Duration = Duration::from_mins(1);

/// The seam to how a peer is connected to.
pub trait Connect<D: Disk, I: Index>: Debug + Send + Sync + 'static {
    /// A way to the peer with this identity, which is at `address` and may move, and the work that keeps
    /// it open. Dropping the work ends the connection.
    fn connect(
        &self,
        identity: NodeIdentity,
        number: NodeNumber,
        address: watch::Receiver<SocketAddr>,
        replica: Weak<Replica<D, I>>,
    ) -> (Arc<dyn Link>, BoxFuture<'static, ()>);
}

/// What a node does as one of its group.
#[derive(Debug)]
pub struct Group<D: Disk = OsDisk, I: Index = RocksIndex> {
    /// This node's part of the group.
    pub replica: Arc<Replica<D, I>>,
    /// What is told of how far it follows.
    pub standing: Arc<Standing>,
    /// Who this node is.
    pub own: NodeIdentity,
    /// How it reaches the others.
    pub connect: Box<dyn Connect<D, I>>,
    /// How it follows them.
    pub follow: FollowSettings,
    /// What it knew of them when it ended.
    pub places: Places,
}

/// A peer that is connected and followed.
#[derive(Debug)]
struct Running {
    peer: Peer,
    address: watch::Sender<SocketAddr>,
    is_serving: Arc<AtomicBool>,
    followed: Vec<Followed>,
    /// End with it.
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl<D: Disk, I: Index> Group<D, I> {
    /// Connects to and follows whoever belongs to the group, until the signal.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends all connections; how far the peers were followed lately is not kept.
    pub async fn run(mut self, mut members: watch::Receiver<Members>, shutdown: Shutdown) {
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
        for path in self.places.forget_foreign(&self.own_places()) {
            if self.places.len() != 0 {
                info!(%path, "other volumes than those that were filled; all is compared with the peers");
            }
        }
        let own = self.own;
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
                    if now.is_known {
                        is_told = true;
                        self.take(own, &now, &mut running);
                        self.announce(&running);
                    }
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
        let now = self.replica.now();
        self.places.len() != 0 && TOMBSTONE_AGE < now.saturating_sub(lived)
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
        running.retain(|identity, one| {
            let number = one.peer.number;
            // One that no tracker names was forgotten by them, and may hold what nobody else has.
            let is_replaced = || peers.values().any(|member| member.number == number);
            let is_gone = members.removed.contains(identity)
                || (!peers.contains_key(identity) && is_replaced());
            if is_gone {
                info!(peer = %number, "a node left the group");
            }
            !is_gone
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
        self.standing.set_alone(running.is_empty());
    }

    fn start(&self, identity: NodeIdentity, number: NodeNumber, address: SocketAddr) -> Running {
        let (address, moves) = watch::channel(address);
        let replica = Arc::downgrade(&self.replica);
        let (link, connecting) = self.connect.connect(identity, number, moves, replica);
        let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(connecting))];
        let peer = Peer {
            number,
            link: Arc::clone(&link),
        };
        // Before any tracker told: it may.
        let is_serving = Arc::new(AtomicBool::new(true));
        let mut followed = Vec::new();
        for (path, store) in self.replica.group_stores() {
            let place = self.places.get(identity, path);
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
        self.standing.set_followed(followed.collect());
    }

    /// Where this node's own logs end.
    fn own_places(&self) -> BTreeMap<VolumePath, LogPlace> {
        let stores = self.replica.group_stores();
        let ends = stores.map(|(path, store)| {
            let place = LogPlace {
                log: store.shared().log_number(),
                position: *store.shared().log_end().borrow(),
            };
            (path, place)
        });
        ends.collect()
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
        let now = u32::try_from(self.replica.now() / 1_000_000).unwrap_or(u32::MAX);
        // Last: so what was fetched up to the places stands in front of these ends.
        let own = self.own_places();
        if let Err(error) = self.places.keep(peers, own, now).await {
            // Lost places cost a comparison of everything and nothing else.
            warn!(%error, "the places in the logs of peers are not kept");
        }
    }

    async fn forget_tombstones(&self) {
        let before = self.replica.now().saturating_sub(TOMBSTONE_AGE);
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

/// Loads what was kept in `directory`.
pub(crate) fn load_places(directory: &Path) -> io::Result<Places> {
    Places::load(Box::new(Directory::new(directory)))
}
