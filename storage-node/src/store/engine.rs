//! The one writer of a volume path: turns requests into records, groups them, commits the groups.
//!
//! Single-threaded and synchronous, so that a test can drive it over a disk that crashes. The order
//! of a commit is: append, sync, publish, index, acknowledge (STO-1).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use common::codec::Reader;
use common::digest::{Crc32, Crc32Hasher};
use common::limits;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::group::Group;
use super::plan::{Plan, View};
use super::shared::Shared;
use super::space::{Durability, Reserve};
use crate::disk::{Disk, Space, VolumeFile};
use crate::error::{CommitError, ReadError, StoreError};
use crate::format::{
    Extent, IndexKey, IndexValue, Manifest, PartId, Position, RecordError, RecordHeader,
    RecordKind, ReplayPosition, SUPERBLOCK_LEN, Segment, Superblock, VolumeNumber, VolumeStats,
};
use crate::index::Index;
use crate::volume::{Volume, VolumeState};

/// Bytes of a group that is committed without waiting for more.
const GROUP_LEN_MAX: u64 = 8 * 1024 * 1024;
/// Pieces of a group, below what one system call takes.
const GROUP_PIECES_MAX: usize = 900;
/// Volumes are not made smaller than this when space gets short, unless the setting is smaller.
pub const VOLUME_LEN_MIN: u64 = 16 * 1024 * 1024;
/// Segments of an appender from which small ones at its end are merged into one.
const MERGE_SEGMENTS_MIN: usize = 32;

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
}

/// Turns the stored metadata of a blob (empty if there is none) into what shall be stored.
pub type MetadataChange = Box<dyn FnOnce(&[u8]) -> Vec<u8> + Send>;

/// New bytes of an appender.
#[derive(Debug)]
pub enum Content {
    /// At most [`limits::RECORD_PAYLOAD_LEN_MAX`] bytes.
    Inline(Bytes),
    /// Parts that were stored before.
    Parts {
        /// The parts.
        segments: Vec<Segment>,
        /// Checksum of all of them.
        crc: Crc32,
    },
}

/// A change of an appender.
#[derive(Debug)]
pub enum Edit {
    /// Bytes at the end.
    Append(Content),
    /// Bytes in place of others, or beyond the end.
    Modify {
        /// Where, at most the length.
        offset: u64,
        /// What.
        content: Content,
    },
    /// Another length.
    Truncate {
        /// The length.
        len: u64,
    },
    /// Another name; the blob is no appender any more.
    Rename {
        /// The new name's key.
        key: Vec<u8>,
        /// Where the manifest lay when the checksum was computed.
        expected: Extent,
        /// Checksum of the content.
        crc: Crc32,
    },
}

/// What a request changes. Keys are [`common::id::RemoteName::to_key`].
pub enum Change {
    /// A new blob of one record.
    Blob {
        /// Its name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// Its bytes.
        payload: Bytes,
        /// Their checksum.
        crc: Crc32,
    },
    /// A part that a manifest will refer to.
    Part {
        /// Unix seconds.
        time: u32,
        /// Its bytes.
        payload: Bytes,
        /// Their checksum.
        crc: Crc32,
    },
    /// A new blob of parts.
    Manifest {
        /// Its name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// Its parts, all of them open.
        manifest: Manifest,
    },
    /// A change of an appender.
    Edit {
        /// Its name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// The change.
        edit: Edit,
    },
    /// A change of metadata.
    Metadata {
        /// Name of the blob.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// The change.
        change: MetadataChange,
    },
    /// The end of a blob.
    Delete {
        /// Its name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
    },
    /// Parts that no manifest will refer to.
    Abandon(Vec<PartId>),
    /// A record that compaction carries from an old volume to the active one.
    Move(MovedRecord),
    /// A tombstone that nothing needs any more.
    Forget {
        /// Volume it lies in.
        volume: VolumeNumber,
        /// Bytes on disk.
        len: u64,
    },
    /// A volume without needed records.
    RemoveVolume(VolumeNumber),
    /// The active volume takes no more records, so that compaction can look at it.
    Seal,
    /// Records before this place were synced from outside.
    Synced(Position),
    /// A sync from outside failed: nothing of the volume that was not durable before can be relied on.
    SyncFailed(VolumeNumber),
    /// Everything is made durable, and the store takes no more changes.
    Close,
}

/// A record on its way to another volume.
#[derive(Debug)]
pub struct MovedRecord {
    /// Header as it was.
    pub header: RecordHeader,
    /// Key as it was.
    pub key: Vec<u8>,
    /// Payload, verified.
    pub payload: Bytes,
    /// Where it lay.
    pub from: Extent,
}

/// What a change gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is done; the part has this name.
    Part(PartId),
}

/// Gets the outcome of a request.
pub type Reply = oneshot::Sender<Result<Answer, StoreError>>;

/// A change and who waits for it.
pub struct Request {
    /// The change.
    pub change: Change,
    /// Who waits.
    pub reply: Reply,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").finish_non_exhaustive()
    }
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
                payload,
                crc,
            } => {
                self.must_be_free(&key)?;
                let own = vec![IndexKey::Blob(&key).encode()];
                let plan = Plan {
                    own,
                    ..Plan::default()
                };
                let record = self.record(RecordKind::Blob, time, &key, payload, crc);
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
                manifest,
            } => self.manifest_blob(&key, time, &manifest),
            Change::Edit { key, time, edit } => self.edit(&key, time, edit),
            Change::Metadata { key, time, change } => self.metadata(&key, time, change),
            Change::Delete { key, time } => self.delete(&key, time),
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

    fn manifest_blob(
        &mut self,
        key: &[u8],
        time: u32,
        manifest: &Manifest,
    ) -> Result<Answer, StoreError> {
        self.must_be_free(key)?;
        let mut closed = Vec::with_capacity(manifest.segments().len());
        for segment in manifest.segments() {
            if !self.open_parts.contains_key(&segment.part) {
                // Its volume failed after the part was stored.
                return Err(StoreError::Conflict);
            }
            closed.push(segment.part);
        }
        self.stage_manifest(key, time, manifest)?;
        self.group.closed_parts.extend(closed);
        Ok(Answer::Done)
    }

    fn metadata(
        &mut self,
        key: &[u8],
        time: u32,
        change: MetadataChange,
    ) -> Result<Answer, StoreError> {
        if self.locate(IndexKey::Blob(key))?.is_none() {
            return Err(StoreError::NotFound);
        }
        let before = match self.locate(IndexKey::Metadata(key))? {
            Some(_) => self.shared.read(IndexKey::Metadata(key))?,
            None => None,
        };
        let before = before.map(|(_, record)| record.payload).unwrap_or_default();
        let after = Bytes::from(change(&before));
        if after != before {
            let crc = Crc32::of(&after);
            let record = self.record(RecordKind::Metadata, time, key, after, crc);
            let plan = Plan::of(self, &record.header(), key, None)?;
            self.stage(&record, plan, Purpose::Content)?;
        }
        Ok(Answer::Done)
    }

    fn delete(&mut self, key: &[u8], time: u32) -> Result<Answer, StoreError> {
        let mut record = self.record(RecordKind::Tombstone, time, key, Bytes::new(), Crc32(0));
        let plan = Plan::of(self, &record.header(), key, None)?;
        if plan.deletes.is_empty() {
            return Err(StoreError::NotFound);
        }
        record.payload = tombstone_payload(&plan);
        record.crc = Crc32::of(&record.payload);
        self.stage(&record, plan, Purpose::Relief)?;
        Ok(Answer::Done)
    }

    fn abandon(&mut self, parts: &[PartId]) -> Result<Answer, StoreError> {
        // A manifest of the same round may have taken them: then they are not open any more.
        if !self.group.closed_parts.is_empty() {
            self.flush();
        }
        let mut plan = Plan::default();
        for part in parts {
            if self.open_parts.contains_key(part) {
                plan.drop_part(self, *part)?;
                self.group.closed_parts.push(*part);
            }
        }
        self.group.apply(plan, None);
        Ok(Answer::Done)
    }

    fn edit(&mut self, key: &[u8], time: u32, edit: Edit) -> Result<Answer, StoreError> {
        let index_key = IndexKey::Blob(key);
        let value = self.locate(index_key)?.ok_or(StoreError::NotFound)?;
        if value.kind != RecordKind::Manifest {
            return Err(StoreError::NotAppender);
        }
        let manifest = self.manifest(index_key, &value)?;
        match edit {
            Edit::Append(content) => self.append(key, time, &manifest, content),
            Edit::Modify { offset, content } => {
                if manifest.len() < offset {
                    return Err(StoreError::OutOfRange {
                        offset,
                        len: manifest.len(),
                    });
                }
                let (segments, closed) = self.store_content(time, content)?;
                let changed = manifest.overwrite(offset, &segments)?;
                self.change_manifest(key, time, &manifest, &changed, closed)
            }
            Edit::Truncate { len } => {
                let changed = manifest.truncate(len)?;
                self.change_manifest(key, time, &manifest, &changed, Vec::new())
            }
            Edit::Rename {
                key: new_key,
                expected,
                crc,
            } => {
                if value.extent != expected {
                    return Err(StoreError::Conflict);
                }
                self.must_be_free(&new_key)?;
                let mut renamed = manifest;
                renamed.crc = Some(crc);
                renamed.replaces = Some(key.to_vec());
                self.stage_manifest(&new_key, time, &renamed)?;
                Ok(Answer::Done)
            }
        }
    }

    fn append(
        &mut self,
        key: &[u8],
        time: u32,
        before: &Manifest,
        content: Content,
    ) -> Result<Answer, StoreError> {
        let (content_crc, content_len) = match &content {
            Content::Inline(payload) => (Crc32::of(payload), payload.len() as u64),
            Content::Parts { segments, crc } => (*crc, len_of(segments)),
        };
        let mut changed = before.clone();
        changed.replaces = None;
        let content = match content {
            Content::Inline(payload) if !payload.is_empty() => {
                Content::Inline(self.merge_tail(&mut changed, payload)?)
            }
            content @ (Content::Inline(_) | Content::Parts { .. }) => content,
        };
        let (segments, closed) = self.store_content(time, content)?;
        for segment in segments {
            changed.push(segment)?;
        }
        changed.crc = before.crc.map(|crc| {
            let mut hasher = Crc32Hasher::new();
            hasher.append(crc, before.len());
            hasher.append(content_crc, content_len);
            hasher.finish()
        });
        self.change_manifest(key, time, before, &changed, closed)
    }

    /// Takes small segments off the end of a manifest of many, and gives `payload` with their bytes
    /// in front. So a file of a million small appends has a short manifest, and each byte is
    /// rewritten only a few times.
    fn merge_tail(&self, manifest: &mut Manifest, payload: Bytes) -> Result<Bytes, StoreError> {
        if manifest.segments().len() < MERGE_SEGMENTS_MIN {
            return Ok(payload);
        }
        let mut taken = Vec::new();
        let mut len = payload.len();
        while let Some(last) = manifest.segments().last().copied() {
            let last_len = last.len as usize;
            let too_long = len < last_len || limits::RECORD_PAYLOAD_LEN_MAX < len + last_len;
            if last.part == PartId::HOLE || too_long {
                break;
            }
            manifest.pop();
            taken.push(last);
            len += last_len;
        }
        let mut merged = BytesMut::with_capacity(len);
        for segment in taken.into_iter().rev() {
            let found = self.shared.read(IndexKey::Part(segment.part))?;
            let (_, record) = found.ok_or(StoreError::NotFound)?;
            let (start, end) = (
                segment.start as usize,
                (segment.start + segment.len) as usize,
            );
            merged.extend_from_slice(record.payload.get(start..end).unwrap_or_default());
        }
        merged.extend_from_slice(&payload);
        Ok(merged.freeze())
    }

    /// Stores what is not stored yet, and tells which parts were open until now.
    fn store_content(
        &mut self,
        time: u32,
        content: Content,
    ) -> Result<(Vec<Segment>, Vec<PartId>), StoreError> {
        match content {
            Content::Inline(payload) if payload.is_empty() => Ok(Default::default()),
            Content::Inline(payload) => {
                let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                let crc = Crc32::of(&payload);
                let (part, _) = self.part(time, payload, crc)?;
                Ok((
                    vec![Segment {
                        part,
                        start: 0,
                        len,
                    }],
                    Vec::new(),
                ))
            }
            Content::Parts { segments, .. } => {
                let closed: Vec<PartId> = segments.iter().map(|segment| segment.part).collect();
                if closed
                    .iter()
                    .any(|part| !self.open_parts.contains_key(part))
                {
                    return Err(StoreError::Conflict);
                }
                Ok((segments, closed))
            }
        }
    }

    fn change_manifest(
        &mut self,
        key: &[u8],
        time: u32,
        before: &Manifest,
        after: &Manifest,
        closed: Vec<PartId>,
    ) -> Result<Answer, StoreError> {
        if after.segments() != before.segments() {
            self.stage_manifest(key, time, after)?;
            self.group.closed_parts.extend(closed);
        }
        Ok(Answer::Done)
    }

    fn relocate(&mut self, moved: MovedRecord) -> Result<Answer, StoreError> {
        let MovedRecord {
            header,
            key,
            payload,
            from,
        } = moved;
        let is_manifest = header.kind == RecordKind::Manifest;
        let manifest = is_manifest
            .then(|| Manifest::decode(&payload))
            .transpose()?;
        let index_key = match header.kind {
            RecordKind::Blob | RecordKind::Manifest => Some(IndexKey::Blob(&key)),
            RecordKind::Metadata => Some(IndexKey::Metadata(&key)),
            RecordKind::Part => Some(IndexKey::Part(PartId(header.sequence))),
            RecordKind::Tombstone => None,
            RecordKind::Filler => return Ok(Answer::Done),
        };
        if let Some(index_key) = index_key {
            // Changed or deleted since compaction looked.
            if self.locate(index_key)?.map(|value| value.extent) != Some(from) {
                return Ok(Answer::Done);
            }
        }
        let record = NewRecord {
            kind: header.kind,
            moved: true,
            sequence: header.sequence,
            time: header.time,
            key: &key,
            payload,
            crc: header.payload_crc,
        };
        let mut plan = Plan::of(self, &record.header(), &key, manifest.as_ref())?;
        if header.kind == RecordKind::Tombstone {
            plan.dead.push((from.volume, header.record_len()));
        }
        self.stage(&record, plan, Purpose::Relief)?;
        Ok(Answer::Done)
    }

    fn remove_volume(&mut self, number: VolumeNumber) -> Result<Answer, StoreError> {
        let is_active = self
            .active
            .as_ref()
            .is_some_and(|a| a.volume.number() == number);
        // Its superblock says where the poisoned volume before it ends.
        let is_witness = (number.0.checked_sub(1))
            .and_then(|before| self.shared.volume(VolumeNumber(before)))
            .is_some_and(|before| before.state() == VolumeState::Poisoned);
        let is_pinned = self
            .open_parts
            .values()
            .any(|extent| extent.volume == number);
        if is_active || is_pinned || is_witness {
            return Err(StoreError::Conflict);
        }
        // What moved out of the volume, and the index that says so, must be durable first.
        self.make_durable()?;
        let failed = StoreError::CreateVolume;
        self.shared.forget_volume(number);
        self.shared.disk.remove(number).map_err(failed)?;
        self.unsynced.retain(|position| position.volume != number);
        self.group.batch.delete(IndexKey::Volume(number).encode());
        self.flush();
        self.refresh_space();
        Ok(Answer::Done)
    }

    /// Syncs all volumes and the index, so that nothing needs to be replayed.
    pub fn make_durable(&mut self) -> Result<Answer, StoreError> {
        self.flush();
        if let Some(error) = &self.stopped {
            return Err(StoreError::Commit(Arc::clone(error)));
        }
        while let Some(position) = self.unsynced.front().copied() {
            if let Some(volume) = self.shared.volume(position.volume) {
                let number = position.volume;
                if volume.state() == VolumeState::Poisoned {
                    // The kernel reports a failed sync once; the next one would say yes.
                    return Err(commit_failed(CommitError::Poisoned { volume: number }));
                }
                if let Err(source) = volume.file().sync() {
                    volume.set_state(VolumeState::Poisoned);
                    self.shared.metrics.poisoned_volumes.inc();
                    let volume = number;
                    return Err(commit_failed(CommitError::Sync { volume, source }));
                }
            }
            self.unsynced.pop_front();
        }
        if let Some(active) = &mut self.active
            && active.synced < active.tail
        {
            if let Err(source) = active.volume.file().sync() {
                let volume = active.volume.number();
                self.poison();
                return Err(commit_failed(CommitError::Sync { volume, source }));
            }
            active.synced = active.tail;
        }
        self.group.batch.put(
            IndexKey::Replay.encode(),
            self.replay_position().encode().to_vec(),
        );
        self.flush();
        self.shared.index.flush()?;
        Ok(Answer::Done)
    }

    fn synced_until(&mut self, position: Position) {
        match &mut self.active {
            Some(active) if active.volume.number() == position.volume => {
                active.synced = active.synced.max(position.offset);
            }
            _ => self.unsynced.retain(|unsynced| {
                unsynced.volume != position.volume
                    || self.shared.volume(position.volume).is_some_and(|volume| {
                        position.offset < volume.committed_end()
                            || volume.state() == VolumeState::Poisoned
                    })
            }),
        }
    }

    fn sync_failed(&mut self, number: VolumeNumber) {
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.volume.number() == number)
        {
            self.poison();
        } else if let Some(volume) = self.shared.volume(number)
            && volume.state() == VolumeState::Sealed
        {
            volume.set_state(VolumeState::Poisoned);
            self.shared.metrics.poisoned_volumes.inc();
        }
    }

    fn must_be_free(&mut self, key: &[u8]) -> Result<(), StoreError> {
        match self.locate(IndexKey::Blob(key))? {
            Some(_) => Err(StoreError::Exists),
            None => Ok(()),
        }
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
        manifest: &Manifest,
    ) -> Result<(), StoreError> {
        let payload = manifest.encode().freeze();
        let crc = Crc32::of(&payload);
        let mut record = self.record(RecordKind::Manifest, time, key, payload, crc);
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
        Ok(extent)
    }

    /// Where a record of `len` bytes goes. Changes the volume when the active one is full.
    fn room_for(&mut self, len: u64, purpose: Purpose) -> Result<(VolumeNumber, u64), StoreError> {
        if let Some(place) = self.active_room(len) {
            self.may_use_active(len, purpose)?;
            return Ok(place);
        }
        self.flush();
        self.seal();
        self.create_volume(len, purpose)?;
        self.active_room(len).ok_or(StoreError::Conflict)
    }

    /// Keeps uploads out of a volume that was made from the reserve until there is space again
    /// (STO-5): else they would eat the reserve one volume after the other.
    fn may_use_active(&mut self, wanted: u64, purpose: Purpose) -> Result<(), StoreError> {
        let Some(active) = &self.active else {
            return Ok(());
        };
        if purpose == Purpose::Relief || !active.is_relief {
            return Ok(());
        }
        let space = self
            .shared
            .refresh_space()
            .map_err(StoreError::CreateVolume)?;
        let (free, reserved) = (space.free, self.reserved(space));
        if free < reserved {
            return Err(StoreError::NoSpace {
                wanted,
                free,
                reserved,
            });
        }
        if let Some(active) = &mut self.active {
            active.is_relief = false;
        }
        Ok(())
    }

    fn active_room(&self, len: u64) -> Option<(VolumeNumber, u64)> {
        let active = self.active.as_ref()?;
        let offset = active.tail + self.group.len;
        let fits = offset + len <= active.volume.file().len();
        fits.then(|| (active.volume.number(), offset))
    }

    /// Ends the active volume.
    fn seal(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        let number = active.volume.number();
        self.previous_end = active.tail;
        if active.synced < active.tail {
            if self.settings.durability == Durability::Always {
                // Parts whose manifest will be synced in another volume.
                if let Err(source) = active.volume.file().sync() {
                    error!(volume = %number, error = %source, "sync failed; the volume is read-only");
                    let volume = number;
                    self.failed = Some(Arc::new(CommitError::Sync { volume, source }));
                    self.poison();
                    return;
                }
            } else {
                self.unsynced.push_back(Position {
                    volume: number,
                    offset: active.synced,
                });
            }
        }
        active.volume.set_state(VolumeState::Sealed);
        self.active = None;
        self.shared.set_active_room(0);
        info!(volume = %number, "volume sealed");
        // Bounds what a crash makes us replay to about one volume.
        if let Err(error) = self.shared.index.flush_soon() {
            warn!(%error, "index flush not started");
        }
    }

    /// Gives the active volume up after a failed write or sync (VOL-5).
    fn poison(&mut self) {
        let Some(active) = self.active.take() else {
            return;
        };
        let number = active.volume.number();
        active.volume.set_state(VolumeState::Poisoned);
        self.previous_end = active.tail;
        if active.synced < active.tail {
            // Never forgotten: nothing may rely on these bytes before the next start read them again.
            self.unsynced.push_back(Position {
                volume: number,
                offset: active.synced,
            });
        }
        // Their bytes may be lost, so no manifest may rely on them.
        self.open_parts
            .retain(|_, extent| extent.volume != number || extent.offset < active.synced);
        self.shared.set_active_room(0);
        self.shared.metrics.poisoned_volumes.inc();
    }

    fn create_volume(&mut self, needed: u64, purpose: Purpose) -> Result<(), StoreError> {
        let space = self
            .shared
            .refresh_space()
            .map_err(StoreError::CreateVolume)?;
        let reserved = match purpose {
            Purpose::Content => self.reserved(space),
            Purpose::Relief => 0,
        };
        let available = space.free.saturating_sub(reserved);
        let block = SUPERBLOCK_LEN as u64;
        let wanted = self.settings.volume_len.min(available) / block * block;
        let least = self
            .settings
            .volume_len
            .min(VOLUME_LEN_MIN)
            .max(needed + block);
        if wanted < least {
            let free = space.free;
            warn!(free, reserved, "no space for another volume");
            return Err(StoreError::NoSpace {
                wanted: least,
                free,
                reserved,
            });
        }
        let superblock = Superblock {
            volume_path: self.shared.volume_path,
            number: self.next_volume,
            len: wanted,
            first_sequence: self.next_sequence,
            created: common::env::clock::unix_seconds(),
            store: self.settings.store,
            previous_end: self.previous_end,
        };
        let file = self
            .shared
            .disk
            .create(superblock.number, wanted, &superblock.encode())
            .map_err(StoreError::CreateVolume)?;
        self.next_volume = self.next_volume.next();
        // The index knows the volume from its birth, so an unknown one is a sign of a lost index.
        let stats = VolumeStats {
            end: block,
            ..VolumeStats::default()
        };
        self.shared.stats().insert(superblock.number, stats);
        let key = IndexKey::Volume(superblock.number).encode();
        self.group.batch.put(key, stats.encode().to_vec());
        let volume = Arc::new(Volume::new(file, superblock, block, VolumeState::Active));
        info!(volume = %volume.number(), len = wanted, "volume created");
        self.shared.add_volume(Arc::clone(&volume));
        self.active = Some(Active {
            volume,
            tail: block,
            synced: block,
            is_relief: purpose == Purpose::Relief && space.free < self.reserved(space) + wanted,
        });
        self.refresh_space();
        Ok(())
    }

    /// Bytes that uploads leave alone: the setting, and a volume for compaction to write to.
    fn reserved(&self, space: Space) -> u64 {
        self.settings.reserve.bytes(space) + self.settings.volume_len
    }

    fn refresh_space(&self) {
        if let Err(error) = self.shared.refresh_space() {
            warn!(%error, "free space is unknown");
        }
    }

    /// Commits what was staged and answers who waits.
    pub(super) fn flush(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let outcome = match &self.stopped {
            Some(error) => Err(Arc::clone(error)),
            None => self.write_group().map_err(Arc::new),
        };
        let group = &mut self.group;
        let mut waiting = std::mem::take(&mut group.waiting);
        if outcome.is_ok() {
            self.open_parts.extend(group.opened_parts.drain(..));
            for part in group.closed_parts.drain(..) {
                self.open_parts.remove(&part);
            }
        }
        // Before the answers: who gets one may want to receive into the same buffer again.
        group.clear();
        match outcome {
            Ok(()) => {
                for (reply, answer) in waiting.drain(..) {
                    // Nobody may listen any more, which changes nothing.
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(error) => {
                error!(
                    error = &*error as &dyn std::error::Error,
                    "a group was not committed"
                );
                if matches!(*error, CommitError::Index(_)) {
                    self.stopped = Some(Arc::clone(&error));
                }
                self.failed = Some(Arc::clone(&error));
                for (reply, _) in waiting.drain(..) {
                    let _ = reply.send(Err(StoreError::Commit(Arc::clone(&error))));
                }
            }
        }
        self.group.waiting = waiting;
    }

    fn write_group(&mut self) -> Result<(), CommitError> {
        if self.group.has_records()
            && let Err(error) = self.append_group()
        {
            self.poison();
            return Err(error);
        }
        let changed = self.count(1);
        for (number, stats) in &changed {
            self.group
                .batch
                .put(IndexKey::Volume(*number).encode(), stats.encode().to_vec());
        }
        let position = self.replay_position().encode().to_vec();
        self.group.batch.put(IndexKey::Replay.encode(), position);
        // Before the index leads readers there.
        if let Some(active) = &self.active {
            active.volume.commit(active.tail);
            self.shared
                .set_active_room(active.volume.file().len() - active.tail);
        }
        if let Err(error) = self.shared.index.apply(&self.group.batch) {
            self.count(-1);
            return Err(error.into());
        }
        Ok(())
    }

    fn append_group(&mut self) -> Result<(), CommitError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let volume = active.volume.number();
        let metrics = &self.shared.metrics;
        // A group has at most a few hundred records.
        let records = u32::try_from(self.group.live.len()).unwrap_or(u32::MAX);
        metrics.group_records.observe(f64::from(records));
        let failed = |source: io::Error| CommitError::Write { volume, source };
        active
            .volume
            .file()
            .write_at(&self.group.slices(), active.tail)
            .map_err(failed)?;
        metrics.appended_bytes.inc_by(self.group.len);
        let end = active.tail + self.group.len;
        if self.group.must_sync && self.settings.durability == Durability::Always {
            let timer = metrics.sync_seconds.start_timer();
            let synced = active.volume.file().sync();
            timer.observe_duration();
            synced.map_err(|source| CommitError::Sync { volume, source })?;
            active.synced = end;
        }
        active.tail = end;
        Ok(())
    }

    /// Counts the group's records in (`sign` 1) or out (-1), and gives what changed.
    fn count(&self, sign: i64) -> BTreeMap<VolumeNumber, VolumeStats> {
        let mut stats = self.shared.stats();
        let mut changed = BTreeMap::new();
        let add = |value: u64, by: u64, up: bool| {
            if up {
                value.saturating_add(by)
            } else {
                value.saturating_sub(by)
            }
        };
        let live = self.group.live.iter().map(|entry| (entry, 0 < sign));
        let dead = self.group.dead.iter().map(|entry| (entry, sign < 0));
        for ((volume, len), up) in live.chain(dead) {
            // Records of removed volumes count nowhere.
            if self.shared.volume(*volume).is_none() {
                continue;
            }
            let entry = stats.entry(*volume).or_default();
            entry.live_bytes = add(entry.live_bytes, *len, up);
            entry.live_records = add(entry.live_records, 1, up);
            changed.insert(*volume, *entry);
        }
        if let Some(active) = &self.active {
            let number = active.volume.number();
            if let Some(entry) = changed.get_mut(&number) {
                entry.end = active.tail;
                stats.insert(number, *entry);
            }
        }
        changed
    }

    fn replay_position(&self) -> ReplayPosition {
        if let Some(position) = self.replaying {
            return position;
        }
        let active = self.active.as_ref().map(|active| {
            let volume = active.volume.number();
            let at = |offset| Position { volume, offset };
            (at(active.tail), at(active.synced))
        });
        let none = Position {
            volume: self.next_volume,
            offset: 0,
        };
        let (applied, synced) = active.unwrap_or((none, none));
        let synced = self.unsynced.front().copied().unwrap_or(synced).min(synced);
        ReplayPosition {
            applied,
            synced,
            next_sequence: self.next_sequence,
        }
    }
}

/// What a tombstone says for compaction: the youngest volume with a record that it ends.
fn tombstone_payload(plan: &Plan) -> Bytes {
    let youngest = plan.dead.iter().map(|(volume, _)| volume.0).max();
    Bytes::copy_from_slice(&youngest.unwrap_or_default().to_be_bytes())
}

/// Decodes [`tombstone_payload`].
pub(super) fn decode_tombstone(payload: &[u8]) -> Result<VolumeNumber, ReadError> {
    let mut reader = Reader::new(payload);
    let volume = reader.u32().map_err(|_| ReadError::Damaged {
        volume: VolumeNumber(0),
        offset: 0,
        cause: RecordError::Short,
    })?;
    Ok(VolumeNumber(volume))
}

fn commit_failed(error: CommitError) -> StoreError {
    error!(error = &error as &dyn std::error::Error, "not durable");
    StoreError::Commit(Arc::new(error))
}

fn len_of(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.len)).sum()
}
