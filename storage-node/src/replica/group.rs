//! Decides about changes of this node's clients, and waits until there are enough copies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use common::digest::Crc32;
use common::env::clock;
use common::id::{NodeNumber, RemoteName, VolumePath};
use common::rpc::auth::Rarely;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::answer::Followed;
use super::fetching::Throttle;
use super::link::{LinkError, Peer};
use super::message::{Answer as PeerAnswer, Carried, PeerChange, Request};
use super::portions::Portions;
use super::stamps::Stamps;
use super::state::{Terms, Transfers};
use super::upload::Upload;
use crate::disk::{Disk, OsDisk};
use crate::error::StoreError;
use crate::format::{Position, Stamp, Version};
use crate::index::{Index, RocksIndex};
use crate::store::{Answer, Change, Condition, MetadataChange, PathStore, Shared};

/// Time after its start in which a node decides about appenders only if all its peers agree.
const YOUTH: Duration = Duration::from_secs(5);
/// Locks for changes of names that can be changed more than once. Two names may share one.
const LOCKS: usize = 128;

/// What is done when fewer nodes than wanted can keep a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scarcity {
    /// It is kept by those that can, and the others get it when they are back.
    #[default]
    Degrade,
    /// It is refused.
    Refuse,
}

/// How many copies a change needs before it is acknowledged, and how fast copies are caught up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopySettings {
    /// Copies, this node's included. A group of fewer nodes needs one from each.
    pub ack_copies: usize,
    /// What is done if there are too few.
    pub scarcity: Scarcity,
    /// Bytes per second that are fetched from peers when no client waits for them; `None` for all that
    /// the node can.
    pub fetch_rate: Option<u64>,
    /// How much goes into one message.
    pub portions: Portions,
}

impl Default for CopySettings {
    fn default() -> Self {
        Self {
            ack_copies: 2,
            scarcity: Scarcity::Degrade,
            fetch_rate: None,
            portions: Portions::default(),
        }
    }
}

/// This node's part of its group.
pub struct Replica<D: Disk = OsDisk, I: Index = RocksIndex> {
    pub(super) number: NodeNumber,
    pub(super) stores: BTreeMap<VolumePath, PathStore<D, I>>,
    pub(super) stamps: Arc<Stamps>,
    settings: CopySettings,
    peers: RwLock<Vec<Peer>>,
    /// Whether anybody told who the peers are.
    knows_peers: AtomicBool,
    /// Told of when the way to a peer opens or ends.
    pub(super) ways: Notify,
    pub(super) transfers: Transfers<D, I>,
    pub(super) terms: Mutex<Terms>,
    /// One comparison of each volume path at a time: what the first brings, the others need not fetch.
    pub(super) comparing: BTreeMap<VolumePath, tokio::sync::Mutex<()>>,
    pub(super) throttle: Throttle,
    followed: Mutex<Followed>,
    /// Peers whose logs this node followed, now or before its start.
    met: Mutex<BTreeSet<NodeNumber>>,
    /// Log lines about copies that peers refused.
    refusals: Arc<Rarely>,
    locks: Vec<tokio::sync::Mutex<()>>,
    /// What goes on after its client was answered.
    tasks: TaskTracker,
    started: Instant,
    /// Changes that were acknowledged with fewer copies than wanted, since all peers had all.
    short: Mutex<BTreeMap<VolumePath, Short>>,
}

impl<D: Disk, I: Index> fmt::Debug for Replica<D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The store of one volume path, on all nodes of the group.
pub struct GroupStore<D: Disk = OsDisk, I: Index = RocksIndex> {
    pub(super) replica: Arc<Replica<D, I>>,
    pub(super) path: VolumePath,
    pub(super) local: PathStore<D, I>,
}

impl<D: Disk, I: Index> Clone for GroupStore<D, I> {
    fn clone(&self) -> Self {
        Self {
            replica: Arc::clone(&self.replica),
            path: self.path,
            local: self.local.clone(),
        }
    }
}

impl<D: Disk, I: Index> fmt::Debug for GroupStore<D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What a peer made of a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Copied {
    /// It is durable there.
    Yes,
    /// It has another version of what is changed.
    Behind(Option<Version>),
    /// It knows that the name ended.
    Deleted,
    /// Somebody else decides about the name.
    Overruled,
    /// It said no.
    No,
    /// It did not answer.
    Lost,
}

/// Changes with too few copies.
#[derive(Clone, Copy, Debug)]
struct Short {
    changes: u64,
    /// Where the log ended behind the last one.
    until: Position,
}

type Calls = FuturesUnordered<BoxFuture<'static, (Peer, Copied)>>;

impl<D: Disk, I: Index> Replica<D, I> {
    /// The node's part over its stores; `stamps` must be behind all of them.
    pub fn new(
        number: NodeNumber,
        stores: BTreeMap<VolumePath, PathStore<D, I>>,
        stamps: Stamps,
        settings: CopySettings,
    ) -> Arc<Self> {
        Arc::new(Self {
            number,
            comparing: stores.keys().map(|path| (*path, <_>::default())).collect(),
            throttle: Throttle::new(settings.fetch_rate),
            stores,
            terms: Mutex::new(Terms::new(stamps.draw())),
            stamps: Arc::new(stamps),
            settings,
            peers: RwLock::default(),
            knows_peers: AtomicBool::new(true),
            ways: Notify::new(),
            transfers: Transfers::default(),
            followed: Mutex::default(),
            met: Mutex::default(),
            refusals: Arc::default(),
            locks: (0..LOCKS).map(|_| tokio::sync::Mutex::default()).collect(),
            tasks: TaskTracker::new(),
            started: Instant::now(),
            short: Mutex::default(),
        })
    }

    /// Tells which other nodes the group has, reachable or not.
    pub fn set_peers(&self, peers: Vec<Peer>) {
        *self.peers.write().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    /// Tells that the group may have nodes that are not among the peers yet.
    pub fn await_peers(&self) {
        self.knows_peers.store(false, Ordering::Release);
    }

    /// Tells that the peers are all there are.
    pub(crate) fn settle_peers(&self) {
        self.knows_peers.store(true, Ordering::Release);
    }

    /// Whether it knows all its peers. Before, it cannot say that there is no such blob.
    pub(crate) fn knows_peers(&self) -> bool {
        self.knows_peers.load(Ordering::Acquire)
    }

    /// All other nodes of the group.
    pub fn peers(&self) -> Vec<Peer> {
        self.peers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The other nodes that answer.
    pub(super) fn live_peers(&self) -> Vec<Peer> {
        let mut peers = self.peers();
        peers.retain(|peer| peer.link.is_up());
        peers
    }

    /// The peer with this number.
    pub(super) fn peer(&self, number: NodeNumber) -> Option<Peer> {
        let peers = self.peers();
        peers.into_iter().find(|peer| peer.number == number)
    }

    /// The store of a volume path.
    pub fn store(self: &Arc<Self>, path: VolumePath) -> Option<GroupStore<D, I>> {
        self.stores.get(&path).map(|local| GroupStore {
            replica: Arc::clone(self),
            path,
            local: local.clone(),
        })
    }

    /// Changes that were acknowledged with fewer copies than wanted and that not all peers are known
    /// to have by now.
    pub fn short(&self) -> u64 {
        let mut short = self.short.lock().unwrap_or_else(PoisonError::into_inner);
        short.retain(|path, short| {
            self.followed_by_all(*path)
                .is_none_or(|followed| followed < short.until)
        });
        short.values().map(|short| short.changes).max().unwrap_or(0)
    }

    /// The newest stamp that this node knows of.
    pub fn stamp(&self) -> Stamp {
        self.stamps.last()
    }

    /// The time of day as this node has it, in microseconds since 1970.
    pub fn now(&self) -> u64 {
        self.stamps.now()
    }

    /// How much goes into one message.
    pub(super) fn portions(&self) -> Portions {
        self.settings.portions
    }

    /// Notes a stamp of another node.
    pub fn see(&self, stamp: Stamp) {
        self.stamps.see(stamp);
    }

    /// The stores of all volume paths.
    pub fn group_stores(self: &Arc<Self>) -> impl Iterator<Item = (VolumePath, GroupStore<D, I>)> {
        self.stores
            .keys()
            .filter_map(|path| Some((*path, self.store(*path)?)))
    }

    /// Waits for what goes on behind clients that were answered. Call it when no more of them come.
    pub async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Notes how far a peer has followed this node's log.
    pub(super) fn follows(&self, peer: NodeNumber, path: VolumePath, place: Position) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.insert((peer, path), place);
    }

    fn met_peers(&self) -> MutexGuard<'_, BTreeSet<NodeNumber>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that this node follows a peer, which therefore knows that it belongs to the group.
    pub(super) fn meet(&self, peer: NodeNumber) {
        self.met_peers().insert(peer);
    }

    /// Whether a peer ever knew that this node belongs to the group. One that does not may have gone on
    /// in what was a smaller group.
    pub(super) fn has_met(&self, peer: NodeNumber) -> bool {
        self.met_peers().contains(&peer)
    }

    /// The place in the log of a volume path that all peers have passed; `None` if one of them was
    /// not heard of since this node's start.
    pub(super) fn followed_by_all(&self, path: VolumePath) -> Option<Position> {
        let end = *self.stores.get(&path)?.shared().log_end().borrow();
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut passed = end;
        for peer in self.peers() {
            passed = passed.min(*followed.get(&(peer.number, path))?);
        }
        Some(passed)
    }

    /// Notes that a change was acknowledged with fewer copies than wanted.
    fn note_short(&self) {
        let mut short = self.short.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, store) in &self.stores {
            // Which path it was does not matter: what all have followed behind now, all have.
            let until = *store.shared().log_end().borrow();
            let short = short.entry(*path).or_insert(Short { changes: 0, until });
            short.changes += 1;
            short.until = until;
        }
    }

    /// Whether this process began so lately that its peers may not have been reached yet.
    pub(super) fn is_young(&self) -> bool {
        self.started.elapsed() < YOUTH
    }

    pub(super) fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes of one name that can be changed more than once come one after the other.
    pub(super) async fn lock(&self, key: &[u8]) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let idx = usize::try_from(hash % LOCKS as u64).unwrap_or_default();
        match self.locks.get(idx) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }

    /// Copies that a change needs, this node's included.
    pub(super) fn copies_wanted(&self) -> usize {
        self.settings.ack_copies.clamp(1, 1 + self.peers().len())
    }

    /// Nodes that a change of an appender needs, this one included: two halves of a group that do not
    /// see each other must not both make one. In a group of two there is no such number: the node
    /// that accepted the blob goes on alone if it may, and the other one does not.
    pub(super) fn majority(&self) -> usize {
        match (self.peers().len(), self.settings.scarcity) {
            (1, Scarcity::Degrade) => 1,
            (others, _) => others.div_ceil(2) + 1,
        }
    }

    /// Whether there are enough nodes for a change.
    pub(super) fn check_copies(&self, live: usize) -> Result<(), StoreError> {
        let wanted = self.copies_wanted();
        if self.settings.scarcity == Scarcity::Refuse && 1 + live < wanted {
            return Err(StoreError::TooFewCopies {
                wanted,
                copies: 1 + live,
            });
        }
        Ok(())
    }

    /// Sends a change to `peers`.
    pub(super) fn send(&self, peers: Vec<Peer>, request: &Request) -> Calls {
        let calls = Calls::new();
        for peer in peers {
            let answer = peer.ask(&self.stamps, request);
            let refusals = Arc::clone(&self.refusals);
            calls.push(Box::pin(async move {
                let copied = match answer.await {
                    Ok(PeerAnswer::Done | PeerAnswer::Known) => Copied::Yes,
                    Ok(PeerAnswer::Behind { version }) => Copied::Behind(version),
                    Ok(PeerAnswer::Deleted) => Copied::Deleted,
                    Ok(PeerAnswer::Overruled) => Copied::Overruled,
                    Ok(PeerAnswer::Refused(status)) => {
                        // A peer whose disk is full says so to each of thousands.
                        if let Some(more) = refusals.note(clock::monotonic()) {
                            warn!(peer = %peer.number, status, more, "a peer refused a copy");
                        }
                        Copied::No
                    }
                    Ok(_) => {
                        warn!(peer = %peer.number, error = %LinkError::Unexpected, "no copy");
                        Copied::No
                    }
                    Err(error) => {
                        debug!(peer = %peer.number, %error, "no copy");
                        Copied::Lost
                    }
                };
                (peer, copied)
            }));
        }
        calls
    }

    /// Waits until this node and enough others have a change. What is not waited for goes on.
    ///
    /// Gives what the store answered, and the peers that had another version of what was changed.
    pub(super) async fn gather(
        &self,
        local: impl Future<Output = Result<Answer, StoreError>>,
        mut calls: Calls,
    ) -> Result<Gathered, StoreError> {
        let wanted = self.copies_wanted();
        let mut gathered = Gathered::default();
        let mut local = pin!(local);
        // Both at once, so that the latency is that of the slower one and not the sum.
        loop {
            let next = pin!(calls.next());
            match select(local.as_mut(), next).await {
                Either::Left((answer, _)) => {
                    gathered.answer = Some(answer?);
                    break;
                }
                Either::Right((Some((peer, copied)), _)) => gathered.add(peer, copied),
                Either::Right((None, _)) => {
                    gathered.answer = Some(local.await?);
                    break;
                }
            }
        }
        while 1 + gathered.copies < wanted {
            match calls.next().await {
                Some((peer, copied)) => gathered.add(peer, copied),
                None => break,
            }
        }
        // The others get it too, and nobody waits for them.
        self.leave(calls);
        Ok(gathered)
    }

    /// Lets calls go on that nobody waits for. Each ends with its link.
    fn leave(&self, mut calls: Calls) {
        if !calls.is_empty() {
            self.tasks
                .spawn(async move { while calls.next().await.is_some() {} });
        }
    }

    /// Whether what was gathered is enough to tell the client that all is well.
    pub(super) fn judge(&self, gathered: &Gathered) -> Result<(), StoreError> {
        let (wanted, copies) = (self.copies_wanted(), 1 + gathered.copies);
        if gathered.is_overruled {
            self.terms().forget_own();
            return Err(StoreError::Conflict);
        }
        if gathered.is_deleted {
            return Err(StoreError::Deleted);
        }
        if copies < wanted {
            if self.settings.scarcity == Scarcity::Refuse {
                return Err(StoreError::TooFewCopies { wanted, copies });
            }
            self.note_short();
        }
        Ok(())
    }
}

/// What became of a change so far.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) answer: Option<Answer>,
    /// Peers that have it.
    pub(super) copies: usize,
    pub(super) behind: Vec<(Peer, Option<Version>)>,
    pub(super) is_deleted: bool,
    pub(super) is_overruled: bool,
}

impl Gathered {
    fn add(&mut self, peer: Peer, copied: Copied) {
        match copied {
            Copied::Yes => self.copies += 1,
            Copied::Behind(version) => self.behind.push((peer, version)),
            Copied::Deleted => self.is_deleted = true,
            Copied::Overruled => self.is_overruled = true,
            Copied::No | Copied::Lost => {}
        }
    }
}

impl<D: Disk, I: Index> GroupStore<D, I> {
    /// What readers of this node's copy use.
    pub fn shared(&self) -> &Arc<Shared<D, I>> {
        self.local.shared()
    }

    /// This node's copy.
    pub fn local(&self) -> &PathStore<D, I> {
        &self.local
    }

    /// Stores a blob of one record.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if the name is taken; [`StoreError::TooFewCopies`]. After an error that
    /// is not about the request the blob may be there or not.
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn put(
        &self,
        key: Vec<u8>,
        time: u32,
        payload: Bytes,
        crc: Crc32,
    ) -> Result<(), StoreError> {
        let _order = self.order(&key).await?;
        let peers = self.replica.live_peers();
        self.replica.check_copies(peers.len())?;
        let version = Version::first(self.replica.stamps.draw());
        let request = self.request(
            &key,
            time,
            version,
            PeerChange::Put {
                in_parts: false,
                content: Carried::Inline(payload.clone()),
                crc,
            },
        );
        let calls = self.replica.send(peers, &request);
        let name = key.clone();
        let local = self.local.submit(Change::Blob {
            key,
            time,
            version,
            payload,
            crc,
            condition: Condition::Asked,
        });
        let gathered = self.replica.gather(local, calls).await;
        self.keep_or_undo(&name, time, gathered).await
    }

    /// Takes a new blob back that has too few copies, or none here: its client is told that there is
    /// none.
    pub(super) async fn keep_or_undo(
        &self,
        key: &[u8],
        time: u32,
        gathered: Result<Gathered, StoreError>,
    ) -> Result<(), StoreError> {
        let judged = gathered.and_then(|gathered| self.replica.judge(&gathered));
        if judged
            .as_ref()
            .is_err_and(|error| !matches!(error, StoreError::Exists))
        {
            let version = Version::first(self.replica.stamps.draw());
            let request = self.request(key, time, version, PeerChange::Delete);
            // Whoever does not hear of it now follows the log.
            self.replica
                .leave(self.replica.send(self.replica.live_peers(), &request));
            let undone = self.local.submit(Change::Delete {
                key: key.to_vec(),
                time,
                version,
                condition: Condition::Newer,
            });
            if let Err(error) = undone.await {
                warn!(%error, "a refused upload is not taken back here");
            }
        }
        judged
    }

    /// Begins a blob, or new bytes of one, that is longer than one record.
    pub fn parts(&self, time: u32) -> Upload<D, I> {
        Upload::new(self.clone(), time)
    }

    /// Changes metadata.
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn change_metadata(
        &self,
        key: Vec<u8>,
        time: u32,
        change: MetadataChange,
    ) -> Result<(), StoreError> {
        let _order = self.replica.lock(&key).await;
        let peers = self.replica.live_peers();
        self.replica.check_copies(peers.len())?;
        self.fetch_if_missing(&key).await?;
        if self.open_blob(&key).await?.is_none() {
            return Err(StoreError::NotFound);
        }
        let before = self.metadata(&key).await?.unwrap_or_default();
        let after = change(&before).ok_or(StoreError::MetadataTooLong)?;
        if after == before {
            return Ok(());
        }
        let version = Version::first(self.replica.stamps.draw());
        let request = self.request(&key, time, version, PeerChange::Metadata(after.clone()));
        let calls = self.replica.send(peers, &request);
        let local = self.local.submit(Change::Metadata {
            key: key.clone(),
            time,
            version,
            change: Box::new(move |_| Some(after)),
            condition: Condition::Newer,
        });
        let gathered = self.replica.gather(local, calls).await?;
        self.settle(&[key], version, 1, gathered).await.map(drop)
    }

    /// Deletes a blob with its metadata.
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn delete(&self, key: Vec<u8>, time: u32) -> Result<(), StoreError> {
        let _order = self.replica.lock(&key).await;
        let peers = self.replica.live_peers();
        self.replica.check_copies(peers.len())?;
        // By the index: what is damaged can be deleted too. Where it is not, a peer may have it.
        if self.version(&key).await?.is_none() && self.open(&key).await?.is_none() {
            return Err(StoreError::NotFound);
        }
        let version = Version::first(self.replica.stamps.draw());
        let request = self.request(&key, time, version, PeerChange::Delete);
        let calls = self.replica.send(peers, &request);
        let local = self.local.submit(Change::Delete {
            key,
            time,
            version,
            condition: Condition::Newer,
        });
        let gathered = self.replica.gather(local, calls).await?;
        self.replica.judge(&gathered)
    }

    /// Names of slaves can be used again, so two that are stored at once must not both win.
    pub(super) async fn order(
        &self,
        key: &[u8],
    ) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, StoreError> {
        if !RemoteName::is_slave_key(key) {
            return Ok(None);
        }
        let lock = self.replica.lock(key).await;
        match self.version(key).await? {
            Some(_) => Err(StoreError::Exists),
            None => Ok(lock),
        }
    }

    pub(super) fn request(
        &self,
        key: &[u8],
        time: u32,
        version: Version,
        change: PeerChange,
    ) -> Request {
        Request::Apply {
            path: self.path,
            key: key.to_vec(),
            time,
            version,
            change,
        }
    }
}
