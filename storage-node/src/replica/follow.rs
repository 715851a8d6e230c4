//! Follows the log of a peer, and compares everything with it where the log does not tell.

use std::sync::Arc;
use std::time::Duration;

use common::code::ErrorCode;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::answer::digest_of;
use super::fetch::Name;
use super::fetching::Pace;
use super::group::GroupStore;
use super::link::Peer;
use super::message::{Answer as PeerAnswer, Entry, LogPlace, Request};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{IndexKey, Stamp};
use crate::index::Index;
use crate::store::{Condition, Says, Shared};

/// Age of a tombstone that all nodes have before it is forgotten, in microseconds: 30 days. A node that
/// was away for longer, or an older copy of a disk, may hold what was deleted, and is not let in.
pub const TOMBSTONE_AGE: u64 = 30 * 24 * 3600 * 1_000_000;

/// How a log is followed.
#[derive(Clone, Copy, Debug)]
pub struct FollowSettings {
    /// Longest wait at the peer for something new.
    pub patience: Duration,
    /// Time that a change gets to come by itself, because its client waits for that, before it is
    /// fetched.
    pub grace: Duration,
    /// Pause after a failure.
    pub retry: Duration,
    /// Time between two comparisons of everything.
    pub compare_every: Duration,
    /// Microseconds after which a tombstone is forgotten that all nodes have.
    pub tombstone_age: u64,
}

impl Default for FollowSettings {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(1),
            grace: Duration::from_millis(50),
            retry: Duration::from_millis(500),
            compare_every: Duration::from_hours(6),
            tombstone_age: TOMBSTONE_AGE,
        }
    }
}

/// How far this node has followed a peer, for one volume path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathProgress {
    /// Where it is; `None`: nowhere yet.
    pub place: Option<LogPlace>,
    /// Bytes of the peer's log that are not looked at.
    pub behind: u64,
    /// When `behind` was 0 last.
    pub caught_up: Option<Instant>,
    /// Names compared in the comparison that is under way.
    pub compared: u64,
    /// Bytes of what the peer had when everything was to be compared with it last.
    pub live_bytes: u64,
    /// Whether everything that the peer had at some moment since the start is here, and nothing failed to
    /// be kept since.
    pub is_complete: bool,
    /// Comparisons of everything that were finished.
    pub comparisons: u64,
    /// Blobs and metadata fetched.
    pub fetched: u64,
    /// Looks at the peer's log, once a second at least.
    pub looks: u64,
}

/// Follows one peer for one volume path.
pub struct Follower<D: Disk, I: Index> {
    store: GroupStore<D, I>,
    peer: Peer,
    settings: FollowSettings,
    progress: watch::Sender<PathProgress>,
}

impl<D: Disk, I: Index> std::fmt::Debug for Follower<D, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("peer", &self.peer.number)
            .field("path", &self.store.path)
            .finish_non_exhaustive()
    }
}

/// Where the entries come from that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The log: a deletion is news even of what never was here.
    ByLog,
    /// A comparison: what ended before this stamp, and is not here, needs no tombstone, for whoever has
    /// one is about to forget it.
    ByComparison {
        /// The stamp.
        forgotten: Stamp,
    },
}

/// What of some entries is missing here.
#[derive(Debug, Default)]
struct Missing {
    names: Vec<Name>,
    tombstones: Vec<Entry>,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.tombstones.is_empty()
    }
}

impl<D: Disk, I: Index> Follower<D, I> {
    /// Begins at `place`, or with a comparison of everything. The receiver tells how far it is.
    pub fn new(
        store: GroupStore<D, I>,
        peer: Peer,
        settings: FollowSettings,
        place: Option<LogPlace>,
    ) -> (Self, watch::Receiver<PathProgress>) {
        if place.is_some() {
            store.replica.meet(peer.number);
        }
        let (progress, receiver) = watch::channel(PathProgress {
            place,
            ..PathProgress::default()
        });
        let follower = Self {
            store,
            peer,
            settings,
            progress,
        };
        (follower, receiver)
    }

    /// Follows as long as it is polled; never ends by itself.
    ///
    /// # Cancel safety
    ///
    /// What was fetched is kept; the place is behind it at most.
    pub async fn follow(&self) {
        let mut compared_at = Instant::now();
        loop {
            let way = self.store.replica.ways.notified();
            if !self.peer.link.is_up() {
                let _ = timeout(self.settings.retry, way).await;
                continue;
            }
            if self.settings.compare_every <= compared_at.elapsed() {
                compared_at = Instant::now();
                if let Err(error) = self.compare().await {
                    warn!(peer = %self.peer.number, %error, "a comparison broke off");
                }
            }
            if let Err(error) = self.step().await {
                // What its own disk does not take is missing here, so clients must not be sent here for it.
                if matches!(error.code(), ErrorCode::NoSpace | ErrorCode::Storage) {
                    self.progress
                        .send_modify(|progress| progress.is_complete = false);
                }
                // One that is out of reach is told by whoever watches the link.
                if !matches!(error, StoreError::OutOfReach) {
                    warn!(
                        peer = %self.peer.number,
                        error = &error as &dyn std::error::Error,
                        "a peer cannot be followed for a while"
                    );
                }
                sleep(self.settings.retry).await;
            }
        }
    }

    /// Looks at the next stretch of the log.
    async fn step(&self) -> Result<(), StoreError> {
        let place = self.progress.borrow().place;
        let request = Request::Log {
            path: self.store.path,
            from: place,
            patience: u32::try_from(self.settings.patience.as_millis()).unwrap_or(u32::MAX),
        };
        let answer = self.peer.ask(&self.store.replica.stamps, &request).await;
        let Ok(PeerAnswer::Log {
            entries,
            next,
            behind,
            is_new,
            live_bytes,
        }) = answer
        else {
            return Err(StoreError::OutOfReach);
        };
        if is_new {
            self.progress
                .send_modify(|progress| progress.live_bytes = live_bytes);
            info!(peer = %self.peer.number, path = %self.store.path, "all is compared with a peer");
            self.compare().await?;
        } else {
            // What clients wait for right now is at the end of the log only.
            let grace = if behind == 0 {
                self.settings.grace
            } else {
                Duration::ZERO
            };
            self.look_at(entries, grace).await?;
        }
        if place.is_none() {
            self.store.replica.meet(self.peer.number);
        }
        self.progress.send_modify(|progress| {
            progress.place = Some(next);
            progress.behind = behind;
            progress.looks += 1;
            if behind == 0 {
                progress.is_complete = true;
                progress.caught_up = Some(Instant::now());
            }
        });
        Ok(())
    }

    /// Gets what entries of the log tell of and what did not come by itself.
    async fn look_at(&self, entries: Vec<Entry>, grace: Duration) -> Result<(), StoreError> {
        for entry in &entries {
            self.store.replica.stamps.see(entry.version.stamp);
        }
        let (entries, missing) = self.missing(entries, Told::ByLog).await?;
        if missing.is_empty() {
            return Ok(());
        }
        if grace.is_zero() {
            return self.get(missing).await;
        }
        sleep(grace).await;
        let (_, missing) = self.missing(entries, Told::ByLog).await?;
        self.get(missing).await
    }

    async fn get(&self, missing: Missing) -> Result<(), StoreError> {
        let fetched = missing.names.len() as u64;
        let names = missing.names;
        let pace = Pace::Throttled(&self.store.replica.throttle);
        let damaged = self
            .store
            .fetch(&self.peer, names, Condition::Newer, pace)
            .await?;
        for entry in missing.tombstones {
            // Where the new name could not be fetched, what stands under the old one may be the last
            // sound copy. The next comparison tells of it again.
            if damaged == 0 || entry.says == Says::Ended {
                self.store
                    .bury(entry.key, entry.version, Condition::Newer)
                    .await?;
            }
        }
        self.progress
            .send_modify(|progress| progress.fetched += fetched);
        Ok(())
    }

    async fn missing(
        &self,
        entries: Vec<Entry>,
        told: Told,
    ) -> Result<(Vec<Entry>, Missing), StoreError> {
        let look = move |shared: &Shared<D, I>| {
            let mut missing = Missing::default();
            for entry in &entries {
                look_for(shared, entry, told, &mut missing)?;
            }
            Ok((entries, missing))
        };
        self.store.shared().blocking(look).await
    }

    /// Compares everything with the peer, and gets what is missing here.
    async fn compare(&self) -> Result<(), StoreError> {
        let turns = self.store.replica.comparing.get(&self.store.path);
        let _turn = match turns {
            Some(turns) => Some(turns.lock().await),
            None => None,
        };
        self.progress.send_modify(|progress| progress.compared = 0);
        // Blobs go first: what has a new name is fetched by it before the old name ends.
        for prefix in [IndexKey::BLOB, IndexKey::METADATA, IndexKey::TOMBSTONE] {
            let mut from = Some(Vec::new());
            while let Some(start) = from {
                from = self.compare_from(prefix, start).await?;
            }
        }
        self.progress
            .send_modify(|progress| progress.comparisons += 1);
        Ok(())
    }

    /// Compares one stretch, and gives where the next one begins.
    async fn compare_from(&self, prefix: u8, from: Vec<u8>) -> Result<Option<Vec<u8>>, StoreError> {
        let start = from.clone();
        let most = self.store.replica.portions().entries;
        let page = self
            .store
            .shared()
            .blocking(move |shared| shared.index_page(prefix, &start, None, most))
            .await?;
        let request = Request::Compare {
            path: self.store.path,
            prefix,
            from,
            to: page.next.clone(),
            count: page.entries.len() as u64,
            digest: digest_of(&page.entries),
        };
        let answer = self.peer.ask(&self.store.replica.stamps, &request).await;
        let next = match answer {
            Ok(PeerAnswer::Same) => page.next,
            Ok(PeerAnswer::Entries { entries, next }) => {
                let now = self.store.replica.stamps.last().micros();
                let forgotten = now.saturating_sub(self.settings.tombstone_age);
                let told = Told::ByComparison {
                    forgotten: Stamp::at(forgotten, 0),
                };
                let (_, missing) = self.missing(entries, told).await?;
                self.get(missing).await?;
                next.or(page.next)
            }
            Ok(_) | Err(_) => return Err(StoreError::OutOfReach),
        };
        let compared = page.entries.len() as u64;
        self.progress
            .send_modify(|progress| progress.compared += compared);
        Ok(next)
    }
}

/// Notes what an entry tells of and what is not here.
fn look_for<D: Disk, I: Index>(
    shared: &Shared<D, I>,
    entry: &Entry,
    told: Told,
    missing: &mut Missing,
) -> Result<(), StoreError> {
    let key = &entry.key;
    let is_newer =
        |known: Option<crate::format::Version>| known.is_none_or(|known| known < entry.version);
    let tombstone = shared.version_of(IndexKey::Tombstone(key))?;
    match entry.says {
        Says::Blob => {
            let is_over = tombstone
                .is_some_and(|tombstone| crate::store::is_ended(key, entry.version, tombstone));
            if !is_over && is_newer(shared.version_of(IndexKey::Blob(key))?) {
                missing.names.push((IndexKey::BLOB, key.clone()));
            }
        }
        Says::Metadata => {
            let is_over = tombstone.is_some_and(|tombstone| entry.version <= tombstone);
            if !is_over && is_newer(shared.version_of(IndexKey::Metadata(key))?) {
                missing.names.push((IndexKey::METADATA, key.clone()));
                if shared.version_of(IndexKey::Blob(key))?.is_none() {
                    // Another peer's log may be late with the blob, and metadata needs it.
                    missing.names.push((IndexKey::BLOB, key.clone()));
                }
            }
        }
        Says::Ended | Says::Renamed => {
            let blob = shared.version_of(IndexKey::Blob(key))?;
            let is_news = is_newer(tombstone)
                && match (blob, told) {
                    (Some(blob), _) => crate::store::is_ended(key, blob, entry.version),
                    (None, Told::ByLog) => true,
                    (None, Told::ByComparison { forgotten }) => forgotten < entry.version.stamp,
                };
            if is_news {
                missing.tombstones.push(entry.clone());
            }
        }
    }
    Ok(())
}

impl<D: Disk, I: Index> super::group::Replica<D, I> {
    /// Has tombstones forgotten that all peers have and that are older than `before`, in microseconds
    /// since 1970. Returns how many.
    pub async fn forget_tombstones(
        self: &Arc<Self>,
        path: common::id::VolumePath,
        before: u64,
    ) -> Result<usize, StoreError> {
        let (Some(store), Some(passed)) = (self.store(path), self.followed_by_all(path)) else {
            return Ok(0);
        };
        let most = self.portions().entries;
        let find = move |shared: &Shared<D, I>| shared.old_tombstones(passed, before, most);
        let old = store.shared().blocking(find).await?;
        let count = old.len();
        if 0 < count {
            let change = crate::store::Change::ForgetTombstones(old);
            store.local.submit(change).await?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::fixture::{Node, PATH, SMALL, key, store_blob};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_followed_as_soon_as_there_is_a_way_to_it() {
        let (one, two) = (Node::new(1, SMALL), Node::new(2, SMALL));
        store_blob(&one).await;
        one.is_up.store(false, Ordering::Relaxed);
        let settings = FollowSettings {
            retry: Duration::from_hours(1),
            ..FollowSettings::default()
        };
        let (follower, mut progress) = Follower::new(two.store(), two.peer(&one), settings, None);
        tokio::spawn(async move { follower.follow().await });
        let begin = Instant::now();
        // Time passes only when the follower waits: it has seen that there is no way.
        sleep(Duration::from_secs(1)).await;
        one.is_up.store(true, Ordering::Relaxed);
        two.replica.peers_changed();
        progress
            .wait_for(|progress| progress.is_complete)
            .await
            .unwrap();
        assert!(begin.elapsed() < settings.retry);
        let store = two.replica.store(PATH).unwrap();
        assert!(store.shared().open_blob(&key()).await.unwrap().is_some());
    }
}
