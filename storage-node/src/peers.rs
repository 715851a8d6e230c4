//! The other nodes of the group: connections to them, and the tasks that follow their logs.
//!
//! Trackers say who belongs to the group, see [`crate::report::Members`]; what they said last is kept
//! beside the identity, so a node knows its peers before any tracker answers.

#[cfg(test)]
mod fixture;
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
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

pub(crate) use self::link::MuxConnect;
use self::places::Directory;
pub use self::places::{PeerNumbers, Places, Shelf};
pub(crate) use self::service::ReplicaService;
use self::standing::PEERS_PATIENCE;
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
/// Time that a node waits for a tracker that tells who the peers are, when one answers that does not: it
/// is of a release before replication, in which no node has peers.
const UNTOLD_PATIENCE: Duration = Duration::from_secs(30);
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
    /// See [`Followed::has_all`].
    has_all: Arc<AtomicBool>,
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
        // Those of an earlier run are followed at once. Others may have joined since, so that they are
        // all is settled by a tracker, or when none answers for a while.
        let was_told = self.places.seen() != 0;
        let mut is_told = was_told;
        let mut settle_at = was_told.then(|| Instant::now() + PEERS_PATIENCE);
        self.announce(&running);
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
                        settle_at = None;
                        self.take(own, &now, &mut running);
                        // First: after a kill it would take those that it was told of before for all.
                        if !self.places.has_kept(running.keys()) {
                            self.keep(&running).await;
                        }
                        self.announce(&running);
                        self.settle();
                    } else if !is_told {
                        settle_at = now.is_untold
                            .then(|| settle_at.unwrap_or_else(|| Instant::now() + UNTOLD_PATIENCE));
                    }
                }
                () = until(settle_at), if settle_at.is_some() => {
                    settle_at = None;
                    if !was_told {
                        warn_untold();
                    }
                    self.settle();
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

    /// Takes the peers that were announced for all.
    fn settle(&self) {
        self.replica.settle_peers();
        self.standing.settle();
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
        for (identity, member) in &peers {
            match running.get(identity) {
                Some(known) if known.peer.number == member.number => {
                    known.address.send_if_modified(|address| {
                        let has_moved = *address != member.address;
                        *address = member.address;
                        has_moved
                    });
                }
                _ => {
                    info!(peer = %member.number, address = %member.address, "a node of the group");
                    let started = self.start(*identity, member.number, member.address);
                    running.insert(*identity, started);
                }
            }
        }
        note_who_has_all(running.iter().map(|(identity, running)| {
            let member = peers.get(identity);
            let serves = member.is_some_and(|it| it.is_alive && it.phase == NodePhase::Serving);
            (&*running.has_all, serves)
        }));
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
        let has_all = Arc::new(AtomicBool::new(true));
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
                has_all: Arc::clone(&has_all),
                link: Arc::clone(&link),
                receiver,
            });
        }
        Running {
            peer,
            address,
            has_all,
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

/// Waits until a moment; never ends without one.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Notes of each peer whether it has everything, which those have that serve. Where nobody serves now it
/// is those who did last; after a power cut of all, it may be anybody.
fn note_who_has_all<'a>(peers: impl Iterator<Item = (&'a AtomicBool, bool)> + Clone) {
    if peers.clone().any(|(_, serves)| serves) {
        for (has_all, serves) in peers {
            has_all.store(serves, Ordering::Relaxed);
        }
    }
}

/// Tells why a node serves without peers. That it has none is not kept: its next start asks again.
fn warn_untold() {
    warn!(
        seconds = UNTOLD_PATIENCE.as_secs(),
        "the trackers that answer are of a release before replication, so this node serves as the only \
         one of its group and makes no copies; remedy: upgrade the trackers"
    );
}

/// Loads what was kept in `directory`.
pub(crate) fn load_places(directory: &Path) -> io::Result<Places> {
    Places::load(Box::new(Directory::new(directory)))
}

#[cfg(test)]
mod tests {
    use common::env::ShutdownTrigger;
    use common::env::clock;
    use common::wire::report::MemberMarks;
    use tempfile::TempDir;
    use tokio::task::JoinHandle;
    use tokio::time::sleep;

    use super::*;
    use crate::format::Stamp;
    use crate::replica::{CopySettings, Stamps};

    /// A node without volume paths, and whoever tells it of its group.
    struct Fixture {
        directory: TempDir,
        replica: Arc<Replica>,
        standing: Arc<Standing>,
        told: watch::Sender<Members>,
        trigger: ShutdownTrigger,
        running: JoinHandle<()>,
    }

    impl Fixture {
        fn start() -> Self {
            Self::start_in(tempfile::tempdir().unwrap())
        }

        fn start_in(directory: TempDir) -> Self {
            let number = NodeNumber::try_from(1).unwrap();
            let stamps = Stamps::new(1, Box::new(clock::unix_micros), Stamp::default());
            let replica: Arc<Replica> =
                Replica::new(number, BTreeMap::new(), stamps, CopySettings::default());
            replica.await_peers();
            let standing = Arc::new(Standing::new(false));
            let own = NodeIdentity([1; 16]);
            let group = Group {
                replica: Arc::clone(&replica),
                standing: Arc::clone(&standing),
                own,
                connect: Box::new(MuxConnect {
                    credentials: fixture::credentials(own),
                }),
                follow: FollowSettings::default(),
                places: load_places(directory.path()).unwrap(),
            };
            let (told, members) = watch::channel(Members::default());
            let (trigger, shutdown) = Shutdown::new();
            let running = tokio::spawn(group.run(members, shutdown));
            Self {
                directory,
                replica,
                standing,
                told,
                trigger,
                running,
            }
        }

        fn tell(&self, members: Vec<Member>) {
            self.told.send_replace(Members {
                is_known: true,
                members,
                ..Members::default()
            });
        }

        fn is_complete(&self) -> bool {
            self.standing.is_complete(VolumePath(0))
        }

        fn places(&self) -> Places {
            load_places(self.directory.path()).unwrap()
        }

        /// Ends it as a kill does.
        fn kill(self) -> TempDir {
            self.running.abort();
            self.directory
        }

        async fn end(self) {
            self.trigger.trigger();
            self.running.await.unwrap();
        }
    }

    fn peer() -> Member {
        Member {
            identity: NodeIdentity([2; 16]),
            number: NodeNumber::try_from(2).unwrap(),
            address: "127.0.0.1:1".parse().unwrap(),
            http_port: 8888,
            phase: NodePhase::Serving,
            is_alive: true,
            marks: MemberMarks::default(),
            place_version: 1,
            marks_version: 1,
        }
    }

    /// Less than any time that something waits for here, and enough for what is under way.
    const MOMENT: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn a_node_of_which_only_old_trackers_know_serves_alone_until_one_tells_of_peers() {
        let fixture = Fixture::start();
        sleep(UNTOLD_PATIENCE * 2).await;
        assert!(
            !fixture.is_complete(),
            "no tracker answers, so nobody knows"
        );
        fixture.told.send_replace(Members {
            is_untold: true,
            ..Members::default()
        });
        sleep(UNTOLD_PATIENCE / 2).await;
        assert!(!fixture.is_complete(), "another tracker may know");
        sleep(UNTOLD_PATIENCE).await;
        assert!(fixture.is_complete());
        assert_eq!(fixture.places().seen(), 0, "the next start asks again");

        fixture.tell(vec![peer()]);
        sleep(MOMENT).await;
        assert_eq!(fixture.replica.peers().len(), 1, "the tracker was upgraded");
        fixture.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_was_alone_waits_for_who_knows_whether_it_still_is() {
        let fixture = Fixture::start();
        fixture.tell(Vec::new());
        sleep(MOMENT).await;
        assert!(fixture.is_complete());
        assert!(fixture.replica.knows_peers());

        let fixture = Fixture::start_in(fixture.kill());
        sleep(MOMENT).await;
        assert!(!fixture.is_complete(), "one may have joined since");
        assert!(!fixture.replica.knows_peers());
        sleep(PEERS_PATIENCE).await;
        assert!(fixture.is_complete(), "no tracker lives");
        assert!(fixture.replica.knows_peers());

        let fixture = Fixture::start_in(fixture.kill());
        fixture.tell(Vec::new());
        sleep(MOMENT).await;
        assert!(fixture.is_complete(), "a tracker said so");
        fixture.end().await;
    }

    #[test]
    fn while_nobody_serves_those_who_served_last_have_everything() {
        let flags = [true, true].map(AtomicBool::new);
        let noted = |serving: [bool; 2]| {
            note_who_has_all(flags.iter().zip(serving));
            flags.each_ref().map(|flag| flag.load(Ordering::Relaxed))
        };
        assert_eq!(noted([false, false]), [true, true], "it may be anybody");
        assert_eq!(noted([false, true]), [false, true]);
        assert_eq!(noted([false, false]), [false, true], "the last one");
        assert_eq!(noted([true, false]), [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_the_peers_are_is_kept_before_any_of_them_counts_on_it() {
        let fixture = Fixture::start();
        fixture.tell(Vec::new());
        sleep(MOMENT).await;
        fixture.tell(vec![peer()]);
        while fixture.replica.peers().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(fixture.places().len(), 1);
        fixture.kill();
    }
}
