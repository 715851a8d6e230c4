//! What the committer and the readers of one volume path share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use common::env::clock;
use common::id::VolumePath;
use tokio::sync::watch;

use super::change::Change;
use crate::disk::{Disk, Space};
use crate::error::{ReadError, StoreError};
use crate::format::{Extent, IndexKey, IndexValue, PartId, Position, VolumeNumber, VolumeStats};
use crate::index::{Cached, Index};
use crate::metrics::StoreMetrics;
use crate::volume::{FoundRecord, Volume, VolumeState};

/// Damaged records that are remembered; a wrecked disk has more.
const DAMAGED_MAX: usize = 100_000;
/// Times that a read looks again when compaction moved the record under it.
const RELOCATIONS_MAX: usize = 4;

/// State of one volume path.
pub struct Shared<D: Disk, I> {
    /// The slot.
    pub volume_path: VolumePath,
    /// Where its volumes lie.
    pub disk: D,
    /// From names to records.
    pub index: I,
    /// Counters.
    pub metrics: StoreMetrics,
    volumes: RwLock<BTreeMap<VolumeNumber, Arc<Volume<D::File>>>>,
    stats: Mutex<BTreeMap<VolumeNumber, VolumeStats>>,
    space_total: AtomicU64,
    space_free: AtomicU64,
    /// Bytes that can still be appended to the active volume.
    active_room: AtomicU64,
    /// Changes that found the committer's queue full and that nobody waits for.
    later: Mutex<Vec<Change>>,
    /// Another one for each start of the index: which log the volumes are.
    log: OnceLock<u64>,
    /// Where the log ends for peers. What lies behind it may be lost in a power cut, and something else
    /// may come to lie there.
    log_end: watch::Sender<Position>,
    /// Unix seconds when the last scrub of everything began; when the store was opened, before one ended.
    verified: AtomicU32,
    /// Index keys of needed records that turned out to be damaged, and the news of one.
    damaged: Mutex<BTreeSet<Vec<u8>>>,
    damaged_news: watch::Sender<()>,
    /// Whether what may block is done where it is asked for, so that a simulation repeats itself.
    inline: bool,
}

impl<D: Disk, I> std::fmt::Debug for Shared<D, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("volume_path", &self.volume_path)
            .finish_non_exhaustive()
    }
}

/// Sums over the volumes of a volume path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Volume files.
    pub volumes: u64,
    /// Volumes that take no appends because a write or sync failed.
    pub poisoned: u64,
    /// Volumes with damaged records.
    pub damaged: u64,
    /// Bytes of records that are needed.
    pub live_bytes: u64,
    /// Bytes of records that compaction can give back.
    pub garbage_bytes: u64,
    /// Records that are needed.
    pub live_records: u64,
}

impl<D: Disk, I: Index> Shared<D, I> {
    /// An empty state; recovery fills it.
    pub fn new(volume_path: VolumePath, disk: D, index: I, metrics: StoreMetrics) -> Self {
        Self {
            volume_path,
            disk,
            index,
            metrics,
            volumes: RwLock::default(),
            stats: Mutex::default(),
            space_total: AtomicU64::new(0),
            space_free: AtomicU64::new(0),
            active_room: AtomicU64::new(0),
            later: Mutex::default(),
            log: OnceLock::new(),
            log_end: watch::Sender::new(Position {
                volume: VolumeNumber(0),
                offset: 0,
            }),
            verified: AtomicU32::new(clock::unix_seconds()),
            damaged: Mutex::default(),
            damaged_news: watch::Sender::new(()),
            inline: false,
        }
    }

    /// Has everything done by the thread that asks.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn inline(mut self) -> Self {
        self.inline = true;
        self
    }

    /// Has `work` done where it may block.
    ///
    /// # Cancel safety
    ///
    /// Work that has begun is done whoever waits.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.inline {
            return work(self);
        }
        let shared = Arc::clone(self);
        // An error: the runtime is ending, or the work panicked, which its thread reported.
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or(Err(StoreError::Stopped))
    }

    /// Which log the volumes are: another number after the index was made anew.
    pub fn log_number(&self) -> u64 {
        self.log.get().copied().unwrap_or_default()
    }

    pub(super) fn set_log_number(&self, number: u64) {
        // Set once, by the opening.
        let _ = self.log.set(number);
    }

    /// Notes that everything was verified by a scrub that began at `unix_seconds`.
    pub(super) fn note_verified(&self, unix_seconds: u32) {
        self.verified.store(unix_seconds, Ordering::Relaxed);
    }

    /// Seconds since the byte was verified that waits longest for it, as far as this process knows.
    pub fn unverified_age(&self) -> u32 {
        clock::unix_seconds().saturating_sub(self.verified.load(Ordering::Relaxed))
    }

    /// Notes that the record of a key is damaged, for whoever gets it from a peer.
    pub fn note_damaged(&self, key: IndexKey<'_>) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        // What does not fit is found by the next scrub.
        if damaged.len() < DAMAGED_MAX {
            damaged.insert(key.encode());
            self.damaged_news.send_replace(());
        }
    }

    /// Index keys of records that were found damaged since this was asked last.
    pub fn take_damaged(&self) -> BTreeSet<Vec<u8>> {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *damaged)
    }

    /// Is told when a damaged record is found.
    pub fn damaged_news(&self) -> watch::Receiver<()> {
        self.damaged_news.subscribe()
    }

    /// Where the log ends for peers, and whenever that changes.
    pub fn log_end(&self) -> watch::Receiver<Position> {
        self.log_end.subscribe()
    }

    pub(super) fn set_log_end(&self, end: Position) {
        self.log_end.send_if_modified(|known| {
            let is_news = *known != end;
            *known = end;
            is_news
        });
    }

    /// Leaves a change for the committer's next round.
    pub(super) fn abandon_later(&self, change: Change) {
        self.later
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(change);
    }

    /// The changes that were left.
    pub(super) fn take_later(&self) -> Vec<Change> {
        std::mem::take(&mut *self.later.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The open volume with this number.
    pub fn volume(&self, number: VolumeNumber) -> Option<Arc<Volume<D::File>>> {
        let volumes = self.volumes.read().unwrap_or_else(PoisonError::into_inner);
        volumes.get(&number).map(Arc::clone)
    }

    /// All open volumes, oldest first.
    pub fn volumes(&self) -> Vec<Arc<Volume<D::File>>> {
        let volumes = self.volumes.read().unwrap_or_else(PoisonError::into_inner);
        volumes.values().map(Arc::clone).collect()
    }

    pub(super) fn add_volume(&self, volume: Arc<Volume<D::File>>) {
        let mut volumes = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        volumes.insert(volume.number(), volume);
    }

    pub(super) fn forget_volume(&self, number: VolumeNumber) {
        let mut volumes = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        volumes.remove(&number);
        self.stats().remove(&number);
    }

    /// Statistics of each volume. Only the committer changes them.
    pub(super) fn stats(&self) -> MutexGuard<'_, BTreeMap<VolumeNumber, VolumeStats>> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Statistics of one volume.
    pub fn volume_stats(&self, number: VolumeNumber) -> VolumeStats {
        self.stats().get(&number).copied().unwrap_or_default()
    }

    /// Sums over all volumes.
    pub fn status(&self) -> StoreStatus {
        let mut status = StoreStatus::default();
        for volume in self.volumes() {
            status.volumes += 1;
            match volume.state() {
                VolumeState::Active | VolumeState::Sealed => {}
                VolumeState::Poisoned => status.poisoned += 1,
                VolumeState::Damaged => status.damaged += 1,
            }
            let stats = self.volume_stats(volume.number());
            let used = volume
                .committed_end()
                .saturating_sub(crate::format::SUPERBLOCK_LEN as u64);
            status.live_bytes += stats.live_bytes;
            status.live_records += stats.live_records;
            status.garbage_bytes += used.saturating_sub(stats.live_bytes);
        }
        status
    }

    /// Asks the file system for its space and remembers the answer.
    pub fn refresh_space(&self) -> std::io::Result<Space> {
        let space = self.disk.space()?;
        self.space_total.store(space.total, Ordering::Relaxed);
        self.space_free.store(space.free, Ordering::Relaxed);
        Ok(space)
    }

    /// Space of the file system as last seen.
    pub fn space(&self) -> Space {
        Space {
            total: self.space_total.load(Ordering::Relaxed),
            free: self.space_free.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set_active_room(&self, room: u64) {
        self.active_room.store(room, Ordering::Relaxed);
    }

    /// Bytes that can still be appended to the active volume.
    pub fn active_room(&self) -> u64 {
        self.active_room.load(Ordering::Relaxed)
    }

    /// Where the record of `key` lies. May block.
    pub fn locate(&self, key: IndexKey<'_>) -> Result<Option<IndexValue>, StoreError> {
        Self::decode(self.index.get(&key.encode())?)
    }

    /// Where the record of `key` lies, if memory knows; `None` if the device must be asked.
    pub fn try_locate(&self, key: IndexKey<'_>) -> Result<Option<Option<IndexValue>>, StoreError> {
        match self.index.try_get(&key.encode())? {
            Cached::Known(value) => Self::decode(value).map(Some),
            Cached::Unknown => Ok(None),
        }
    }

    fn decode(value: Option<Vec<u8>>) -> Result<Option<IndexValue>, StoreError> {
        let value = value.map(|value| IndexValue::decode(&value)).transpose();
        Ok(value.map_err(crate::index::IndexError::from)?)
    }

    /// Reads the record of `key`. `None` when there is none. May block.
    pub fn read(&self, key: IndexKey<'_>) -> Result<Option<(IndexValue, FoundRecord)>, StoreError> {
        let mut missing = None;
        for _ in 0..RELOCATIONS_MAX {
            let Some(value) = self.locate(key)? else {
                return Ok(None);
            };
            let number = value.extent.volume;
            match self.volume(number) {
                Some(volume) => {
                    let record = volume.read(&value.extent, record_key(key))?;
                    return Ok(Some((value, record)));
                }
                // Compaction moved the record and removed the volume between the two looks.
                None => missing = Some(number),
            }
        }
        Err(ReadError::VolumeMissing(missing.unwrap_or(VolumeNumber(0))).into())
    }

    /// Reads the record of `key` without waiting for a device; the outer `None` says that
    /// [`Self::read`] must be asked.
    pub fn try_read(
        &self,
        key: IndexKey<'_>,
    ) -> Result<Option<Option<(IndexValue, FoundRecord)>>, StoreError> {
        let Some(value) = self.try_locate(key)? else {
            return Ok(None);
        };
        let Some(value) = value else {
            return Ok(Some(None));
        };
        let Some(volume) = self.volume(value.extent.volume) else {
            return Ok(None);
        };
        match volume.try_read(&value.extent, record_key(key)) {
            Some(record) => Ok(Some(Some((value, record?)))),
            None => Ok(None),
        }
    }

    /// Where a part lies. May block.
    pub fn locate_part(&self, part: PartId) -> Result<Option<Extent>, StoreError> {
        Ok(self.locate(IndexKey::Part(part))?.map(|value| value.extent))
    }
}

/// The key that stands in the record that an index key leads to.
pub(super) fn record_key(key: IndexKey<'_>) -> &[u8] {
    match key {
        IndexKey::Blob(name) | IndexKey::Metadata(name) | IndexKey::Tombstone(name) => name,
        IndexKey::OpenPart(_)
        | IndexKey::Part(_)
        | IndexKey::Volume(_)
        | IndexKey::Replay
        | IndexKey::Log => &[],
    }
}
