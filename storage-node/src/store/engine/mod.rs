//! The one writer of a volume path: turns requests into records, groups them, commits the groups.
//!
//! Single-threaded and synchronous, so that a test can drive it over a disk that crashes. The order
//! of a commit is: append, sync, publish, index, acknowledge (STO-1).

mod commit;
mod edit;
mod volumes;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use common::digest::Crc32;
use common::id::RemoteName;
use tracing::warn;

use super::change::{Answer, Change, Condition, Request};
use super::group::Group;
use super::plan::{Plan, View};
use super::shared::Shared;
use super::space::{Durability, Reserve};
use crate::disk::Disk;
use crate::error::{CommitError, StoreError};
use crate::format::{
    Extent, IndexKey, IndexValue, Manifest, PartId, Position, RecordHeader, RecordKind,
    ReplayPosition, Stamp, Version, VolumeNumber,
};
use crate::index::Index;
use crate::volume::Volume;

pub(super) use edit::{decode_tombstone, tombstone_payload};

/// Bytes of a group that is committed without waiting for more.
const GROUP_LEN_MAX: u64 = 8 * 1024 * 1024;
/// Pieces of a group, below what one system call takes.
const GROUP_PIECES_MAX: usize = 900;
/// Volumes are not made smaller than this when space gets short, unless the setting is smaller.
pub const VOLUME_LEN_MIN: u64 = 16 * 1024 * 1024;

/// Settings of one volume path's store.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// Bytes of a new volume file.
    pub volume_len: u64,
    /// When a change is acknowledged.
    pub durability: Durability,
    /// Space that ordinary writes leave alone.
    pub reserve: Reserve,
    /// Identity of the store, which stands in each volume.
    pub store: [u8; 16],
    /// A random number, which the log gets if it has none.
    pub log: u64,
}

/// Who may use the reserved space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// New content of clients.
    Content,
    /// What gives space back in the end: deletes and compaction.
    Relief,
}

/// A record that is to be appended.
struct NewRecord<'a> {
    kind: RecordKind,
    moved: bool,
    sequence: u64,
    time: u32,
    version: Version,
    key: &'a [u8],
    payload: Bytes,
    crc: Crc32,
}

impl NewRecord<'_> {
    fn header(&self) -> RecordHeader {
        RecordHeader {
            kind: self.kind,
            moved: self.moved,
            sequence: self.sequence,
            time: self.time,
            version: self.version,
            // Keys and payloads are made by this crate within the limits of the format.
            key_len: u16::try_from(self.key.len()).unwrap_or(u16::MAX),
            payload_len: u32::try_from(self.payload.len()).unwrap_or(u32::MAX),
            payload_crc: self.crc,
        }
    }
}

/// The volume that takes appends.
pub(super) struct Active<F> {
    pub volume: Arc<Volume<F>>,
    /// Where the next group goes.
    pub tail: u64,
    /// Below it everything is durable.
    pub synced: u64,
    /// Whether it was made from the reserve.
    pub is_relief: bool,
}

/// The writer.
pub struct Engine<D: Disk, I> {
    pub(super) shared: Arc<Shared<D, I>>,
    pub(super) settings: EngineSettings,
    pub(super) active: Option<Active<D::File>>,
    pub(super) next_volume: VolumeNumber,
    pub(super) next_sequence: u64,
    /// The highest stamp of a version that was ever appended here.
    pub(super) stamp: Stamp,
    pub(super) group: Group,
    /// Parts that wait for their manifest. They pin their volumes.
    pub(super) open_parts: HashMap<PartId, Extent>,
    /// Sealed volumes that were not synced to their end, oldest first.
    pub(super) unsynced: VecDeque<Position>,
    /// While recovery replays: how far it got.
    pub(super) replaying: Option<ReplayPosition>,
    /// Whether the committer ends after this round.
    pub(super) is_closed: bool,
    /// The last group that failed while the current change was prepared.
    pub(super) failed: Option<Arc<CommitError>>,
    /// Why no change is taken any more: the volumes hold records that the index refused, and only
    /// the next start can put them in their order (STO-2).
    pub(super) stopped: Option<Arc<CommitError>>,
    /// Where the volume before the next one ended; 0 if this process did not see it.
    pub(super) previous_end: u64,
}

impl<D: Disk, I> std::fmt::Debug for Engine<D, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("next_volume", &self.next_volume)
            .finish_non_exhaustive()
    }
}

impl<D: Disk, I: Index> View for Engine<D, I> {
    fn locate(&mut self, key: IndexKey<'_>) -> Result<Option<IndexValue>, StoreError> {
        if self.group.touches(&key.encode()) {
            self.flush();
        }
        self.shared.locate(key)
    }

    fn manifest(&mut self, key: IndexKey<'_>, _: &IndexValue) -> Result<Manifest, StoreError> {
        let (_, record) = self.shared.read(key)?.ok_or(StoreError::NotFound)?;
        Ok(Manifest::decode(&record.payload)?)
    }

    fn sequence(&mut self, key: IndexKey<'_>) -> Result<u64, StoreError> {
        let (_, record) = self.shared.read(key)?.ok_or(StoreError::NotFound)?;
        Ok(record.header.sequence)
    }
}

impl<D: Disk, I: Index> Engine<D, I> {
    /// The highest stamp of a version that was ever appended here.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// State that readers share with this writer.
    pub fn shared(&self) -> &Arc<Shared<D, I>> {
        &self.shared
    }

    /// Carries the requests out, in order, and answers each.
    pub fn commit(&mut self, requests: impl IntoIterator<Item = Request>) {
        for Request { change, reply } in requests {
            match self.prepare(change) {
                Ok(answer) => self.group.waiting.push((reply, answer)),
                Err(error) => {
                    // Nobody may listen any more, which changes nothing.
                    let _ = reply.send(Err(error));
                }
            }
            if GROUP_LEN_MAX <= self.group.len || GROUP_PIECES_MAX <= self.group.piece_count() {
                self.flush();
            }
        }
        for change in self.shared.take_later() {
            if let Err(error) = self.prepare(change) {
                warn!(%error, "parts of an abandoned upload stay until the next start");
            }
        }
        self.flush();
    }

    fn prepare(&mut self, change: Change) -> Result<Answer, StoreError> {
        self.failed = None;
        if let (Some(error), false) = (&self.stopped, matches!(change, Change::Close)) {
            return Err(StoreError::Commit(Arc::clone(error)));
        }
        match change {
            Change::Blob {
                key,
                time,
                version,
                payload,
                crc,
                condition,
            } => {
                if let Some(answer) = self.check_new(&key, version, condition)? {
                    return Ok(answer);
                }
                let mut record = self.record(RecordKind::Blob, time, &key, payload, crc);
                record.version = version;
                let plan = match condition {
                    // The name is free.
                    Condition::Asked => Plan {
                        own: vec![IndexKey::Blob(&key).encode()],
                        ..Plan::default()
                    },
                    Condition::Newer | Condition::Repair => {
                        Plan::of(self, &record.header(), &key, None)?
                    }
                };
                record.sequence = self.next_sequence;
                self.stage(&record, plan, Purpose::Content)?;
                Ok(Answer::Done)
            }
            Change::Part { time, payload, crc } => {
                let (part, extent) = self.part(time, payload, crc)?;
                self.group.opened_parts.push((part, extent));
                Ok(Answer::Part(part))
            }
            Change::Manifest {
                key,
                time,
                version,
                manifest,
                condition,
            } => match self.check_new(&key, version, condition)? {
                Some(answer) => Ok(answer),
                None => self.manifest_blob(&key, time, version, &manifest),
            },
            Change::Edit {
                key,
                time,
                base,
                version,
                edit,
            } => self.edit(&key, time, base, version, edit),
            Change::Metadata {
                key,
                time,
                version,
                change,
                condition,
            } => self.metadata(&key, time, version, change, condition),
            Change::Delete {
                key,
                time,
                version,
                condition,
            } => self.delete(&key, time, version, condition),
            Change::ForgetTombstones(keys) => Ok(self.forget_tombstones(&keys)),
            Change::Abandon(parts) => self.abandon(&parts),
            Change::Move(record) => self.relocate(record),
            Change::Forget { volume, len } => {
                self.group.dead.push((volume, len));
                Ok(Answer::Done)
            }
            Change::RemoveVolume(number) => self.remove_volume(number),
            Change::Seal => {
                self.flush();
                self.seal();
                Ok(Answer::Done)
            }
            Change::Synced(position) => {
                self.synced_until(position);
                let replay = self.replay_position().encode().to_vec();
                self.group.batch.put(IndexKey::Replay.encode(), replay);
                Ok(Answer::Done)
            }
            Change::SyncFailed(number) => {
                self.flush();
                self.sync_failed(number);
                Ok(Answer::Done)
            }
            Change::Close => {
                self.is_closed = true;
                self.make_durable()
            }
        }
    }

    fn must_be_free(&mut self, key: &[u8]) -> Result<(), StoreError> {
        match self.locate(IndexKey::Blob(key))? {
            Some(_) => Err(StoreError::Exists),
            None => Ok(()),
        }
    }

    /// Whether a blob with this version may take the name; an answer if there is nothing to do.
    fn check_new(
        &mut self,
        key: &[u8],
        version: Version,
        condition: Condition,
    ) -> Result<Option<Answer>, StoreError> {
        if condition == Condition::Asked {
            return self.must_be_free(key).map(|()| None);
        }
        if self.is_over(key, version)? {
            return Err(StoreError::Deleted);
        }
        let known = self.locate(IndexKey::Blob(key))?;
        Ok(known
            .filter(|known| !takes_place(known.version, version, condition))
            .map(|_| Answer::Known))
    }

    /// Whether this node knows that the name ended, for a blob with this version.
    fn is_over(&mut self, key: &[u8], version: Version) -> Result<bool, StoreError> {
        let tombstone = self.locate(IndexKey::Tombstone(key))?;
        Ok(tombstone.is_some_and(|tombstone| is_ended(key, version, tombstone.version)))
    }

    fn record<'a>(
        &self,
        kind: RecordKind,
        time: u32,
        key: &'a [u8],
        payload: Bytes,
        crc: Crc32,
    ) -> NewRecord<'a> {
        NewRecord {
            kind,
            moved: false,
            sequence: self.next_sequence,
            time,
            version: Version::default(),
            key,
            payload,
            crc,
        }
    }

    fn part(
        &mut self,
        time: u32,
        payload: Bytes,
        crc: Crc32,
    ) -> Result<(PartId, Extent), StoreError> {
        let record = self.record(RecordKind::Part, time, &[], payload, crc);
        let plan = Plan::of(self, &record.header(), &[], None)?;
        let part = PartId(record.sequence);
        let extent = self.stage(&record, plan, Purpose::Content)?;
        Ok((part, extent))
    }

    fn stage_manifest(
        &mut self,
        key: &[u8],
        time: u32,
        version: Version,
        manifest: &Manifest,
    ) -> Result<(), StoreError> {
        let payload = manifest.encode().freeze();
        let crc = Crc32::of(&payload);
        let mut record = self.record(RecordKind::Manifest, time, key, payload, crc);
        record.version = version;
        let plan = Plan::of(self, &record.header(), key, Some(manifest))?;
        record.sequence = self.next_sequence;
        self.stage(&record, plan, Purpose::Content)?;
        Ok(())
    }

    /// Adds a record to the group.
    fn stage(
        &mut self,
        record: &NewRecord<'_>,
        plan: Plan,
        purpose: Purpose,
    ) -> Result<Extent, StoreError> {
        let header = record.header();
        let (volume, offset) = self.room_for(header.record_len(), purpose)?;
        // The group that failed may have held the parts, or the state, that the manifest builds on.
        if let (RecordKind::Manifest, Some(error)) = (header.kind, &self.failed) {
            return Err(StoreError::Commit(Arc::clone(error)));
        }
        let extent = Extent {
            volume,
            offset,
            payload_len: header.payload_len,
        };
        self.group
            .push(&header, record.key, record.payload.clone(), extent, plan);
        self.next_sequence = self.next_sequence.max(header.sequence + 1);
        self.stamp = self.stamp.max(header.version.stamp);
        Ok(extent)
    }
}

/// Whether what comes with `version` takes the place of what is here with `known`.
fn takes_place(known: Version, version: Version, condition: Condition) -> bool {
    match condition {
        Condition::Asked => true,
        Condition::Newer => known < version,
        Condition::Repair => known <= version,
    }
}

/// Whether a blob with this version ended with a tombstone of the name.
///
/// Most names are used once, so their tombstone ends all versions, those of changes included that
/// somebody made who did not know of it. The name of a slave can be used again.
pub(crate) fn is_ended(key: &[u8], version: Version, tombstone: Version) -> bool {
    !RemoteName::is_slave_key(key) || version <= tombstone
}
