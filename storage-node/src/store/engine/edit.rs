//! Each change as records: what it needs to see, what it appends.

use bytes::{Bytes, BytesMut};
use common::codec::Reader;
use common::digest::{Crc32, Crc32Hasher};
use common::limits;

use super::{Engine, NewRecord, Purpose, takes_place};
use crate::disk::Disk;
use crate::error::{ReadError, StoreError};
use crate::format::{
    Extent, IndexKey, Manifest, PartId, RecordError, RecordKind, Segment, Version, VolumeNumber,
};
use crate::index::Index;
use crate::store::change::{Answer, Condition, Content, Edit, MetadataChange, MovedRecord};
use crate::store::plan::{Plan, View as _, len_on_disk};

/// Segments of an appender from which small ones at its end are merged into one.
const MERGE_SEGMENTS_MIN: usize = 32;

impl<D: Disk, I: Index> Engine<D, I> {
    pub(super) fn manifest_blob(
        &mut self,
        key: &[u8],
        time: u32,
        version: Version,
        manifest: &Manifest,
    ) -> Result<Answer, StoreError> {
        let mut closed = Vec::with_capacity(manifest.segments().len());
        for segment in manifest.segments() {
            if !self.open_parts.contains_key(&segment.part) {
                // Its volume failed after the part was stored.
                return Err(StoreError::Conflict);
            }
            closed.push(segment.part);
        }
        self.stage_manifest(key, time, version, manifest)?;
        self.group.closed_parts.extend(closed);
        Ok(Answer::Done)
    }

    pub(super) fn metadata(
        &mut self,
        key: &[u8],
        time: u32,
        version: Version,
        change: MetadataChange,
        condition: Condition,
    ) -> Result<Answer, StoreError> {
        if self.locate(IndexKey::Blob(key))?.is_none() {
            return Err(StoreError::NotFound);
        }
        let known = self.locate(IndexKey::Metadata(key))?;
        if let Some(known) = known
            && !super::takes_place(known.version, version, condition)
        {
            return Ok(Answer::Known);
        }
        // What a peer decided does not depend on what is here, which may be damaged.
        let before = match known.filter(|_| condition == Condition::Asked) {
            Some(_) => self.shared.read(IndexKey::Metadata(key))?,
            None => None,
        };
        let before = before.map(|(_, record)| record.payload).unwrap_or_default();
        let after = Bytes::from(change(&before).ok_or(StoreError::MetadataTooLong)?);
        // A newer version of the same bytes is kept too: else the nodes would differ for ever.
        if after != before || condition != Condition::Asked {
            let crc = Crc32::of(&after);
            let mut record = self.record(RecordKind::Metadata, time, key, after, crc);
            record.version = version;
            let plan = Plan::of(self, &record.header(), key, None)?;
            record.sequence = self.next_sequence;
            self.stage(&record, plan, Purpose::Content)?;
        }
        Ok(Answer::Done)
    }

    pub(super) fn delete(
        &mut self,
        key: &[u8],
        time: u32,
        version: Version,
        condition: Condition,
    ) -> Result<Answer, StoreError> {
        let mut known = None;
        if condition != Condition::Asked {
            known = self.locate(IndexKey::Tombstone(key))?;
            let blob = self.locate(IndexKey::Blob(key))?;
            let is_known =
                known.is_some_and(|known| !takes_place(known.version, version, condition));
            let is_over = blob.is_some_and(|blob| !super::is_ended(key, blob.version, version));
            if is_over || (is_known && blob.is_none()) {
                return Ok(Answer::Known);
            }
        }
        let mut record = self.record(RecordKind::Tombstone, time, key, Bytes::new(), Crc32(0));
        record.version = version;
        let mut plan = Plan::of(self, &record.header(), key, None)?;
        let damaged = known.filter(|_| condition == Condition::Repair);
        if let Some(damaged) = damaged.filter(|it| it.kind == RecordKind::Tombstone) {
            let len = len_on_disk(IndexKey::Tombstone(key), &damaged);
            plan.dead.push((damaged.extent.volume, len));
        }
        if plan.deletes.is_empty() && condition == Condition::Asked {
            return Err(StoreError::NotFound);
        }
        // What the damaged one ended lay in volumes up to its own.
        let dead = plan.dead.iter().map(|(volume, _)| *volume);
        let youngest = dead.chain(damaged.map(|it| it.extent.volume)).max();
        record.payload = tombstone_payload(youngest.unwrap_or(VolumeNumber(0)));
        record.crc = Crc32::of(&record.payload);
        record.sequence = self.next_sequence;
        self.stage(&record, plan, Purpose::Relief)?;
        Ok(Answer::Done)
    }

    /// Takes tombstones out of the index. Their records stay as long as the volumes need them.
    pub(super) fn forget_tombstones(&mut self, keys: &[Vec<u8>]) -> Answer {
        let mut plan = Plan::default();
        let tombstones = keys.iter().map(|key| IndexKey::Tombstone(key).encode());
        plan.deletes.extend(tombstones);
        self.group.apply(plan, None);
        Answer::Done
    }

    pub(super) fn abandon(&mut self, parts: &[PartId]) -> Result<Answer, StoreError> {
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

    pub(super) fn edit(
        &mut self,
        key: &[u8],
        time: u32,
        base: Option<Version>,
        version: Version,
        edit: Edit,
    ) -> Result<Answer, StoreError> {
        let index_key = IndexKey::Blob(key);
        let value = self.locate(index_key)?.ok_or(StoreError::NotFound)?;
        if base.is_some_and(|base| base != value.version) {
            return Err(StoreError::Conflict);
        }
        if value.kind != RecordKind::Manifest {
            return Err(StoreError::NotAppender);
        }
        // As another node decided it: a new name may have been deleted already, and the news of that came
        // first.
        if let Edit::Rename { key: new, .. } | Edit::Arrange { key: new, .. } = &edit
            && base.is_some()
            && self.is_over(new, version)?
        {
            return Err(StoreError::Deleted);
        }
        let manifest = self.manifest(index_key, &value)?;
        match edit {
            Edit::Append(content) => self.append(key, time, version, &manifest, content),
            Edit::Modify { offset, content } => {
                if manifest.len() < offset {
                    return Err(StoreError::OutOfRange {
                        offset,
                        len: manifest.len(),
                    });
                }
                let (segments, closed) = self.store_content(time, content)?;
                let changed = manifest.overwrite(offset, &segments)?;
                self.change_manifest(key, time, version, &manifest, &changed, closed)
            }
            Edit::Truncate { len } => {
                let changed = manifest.truncate(len)?;
                self.change_manifest(key, time, version, &manifest, &changed, Vec::new())
            }
            Edit::Rename {
                key: new_key,
                expected,
                crc,
            } => {
                if expected.is_some_and(|expected| value.extent != expected) {
                    return Err(StoreError::Conflict);
                }
                self.supersede(key, time, version, manifest, &new_key, crc)
            }
            Edit::Arrange {
                key: new_key,
                ranges,
                crc,
            } => {
                let len = manifest.len();
                if let Some(range) = ranges.iter().find(|range| len < range.end) {
                    let offset = range.end;
                    return Err(StoreError::OutOfRange { offset, len });
                }
                let arranged = manifest.arrange(&ranges)?;
                self.supersede(key, time, version, arranged, &new_key, crc)
            }
        }
    }

    /// Makes a blob of another name of parts of the appender `key`, which ends with it.
    fn supersede(
        &mut self,
        key: &[u8],
        time: u32,
        version: Version,
        mut manifest: Manifest,
        new_key: &[u8],
        crc: Crc32,
    ) -> Result<Answer, StoreError> {
        self.must_be_free(new_key)?;
        manifest.crc = Some(crc);
        manifest.replaces = Some(key.to_vec());
        self.stage_manifest(new_key, time, version, &manifest)?;
        Ok(Answer::Done)
    }

    pub(super) fn append(
        &mut self,
        key: &[u8],
        time: u32,
        version: Version,
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
        self.change_manifest(key, time, version, before, &changed, closed)?;
        Ok(Answer::Appended {
            offset: before.len(),
        })
    }

    /// Takes small segments off the end of a manifest of many, and gives `payload` with their bytes
    /// in front. So a file of a million small appends has a short manifest, and each byte is
    /// rewritten only a few times.
    pub(super) fn merge_tail(
        &self,
        manifest: &mut Manifest,
        payload: Bytes,
    ) -> Result<Bytes, StoreError> {
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
    pub(super) fn store_content(
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

    pub(super) fn change_manifest(
        &mut self,
        key: &[u8],
        time: u32,
        version: Version,
        before: &Manifest,
        after: &Manifest,
        closed: Vec<PartId>,
    ) -> Result<Answer, StoreError> {
        if after.segments() != before.segments() {
            self.stage_manifest(key, time, version, after)?;
            self.group.closed_parts.extend(closed);
        }
        Ok(Answer::Done)
    }

    pub(super) fn relocate(&mut self, moved: MovedRecord) -> Result<Answer, StoreError> {
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
        if header.kind == RecordKind::Filler {
            return Ok(Answer::Done);
        }
        if let Some(index_key) = IndexKey::of_record(&header, &key) {
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
            version: header.version,
            key: &key,
            payload,
            crc: header.payload_crc,
        };
        let mut plan = Plan::of(self, &record.header(), &key, manifest.as_ref())?;
        if header.kind == RecordKind::Tombstone {
            plan.dead.push((from.volume, header.record_len()));
        }
        self.keep_forgotten(&mut plan, from)?;
        self.stage(&record, plan, Purpose::Relief)?;
        Ok(Answer::Done)
    }

    /// Takes tombstones out of the plan of a moved record that the index does not lead to this
    /// record for: newer ones, and those that were forgotten.
    fn keep_forgotten(&mut self, plan: &mut Plan, from: Extent) -> Result<(), StoreError> {
        let mut kept = Vec::with_capacity(plan.own.len());
        for key in std::mem::take(&mut plan.own) {
            let is_kept = match IndexKey::decode(&key) {
                Ok(decoded @ IndexKey::Tombstone(_)) => {
                    self.locate(decoded)?.map(|value| value.extent) == Some(from)
                }
                _ => true,
            };
            if is_kept {
                kept.push(key);
            }
        }
        plan.own = kept;
        Ok(())
    }
}

/// What a tombstone says for compaction: the youngest volume with a record that it ends.
pub(in crate::store) fn tombstone_payload(youngest: VolumeNumber) -> Bytes {
    Bytes::copy_from_slice(&youngest.0.to_be_bytes())
}

/// Decodes [`tombstone_payload`].
pub(in crate::store) fn decode_tombstone(payload: &[u8]) -> Result<VolumeNumber, ReadError> {
    let mut reader = Reader::new(payload);
    let volume = reader.u32().map_err(|_| ReadError::Damaged {
        volume: VolumeNumber(0),
        offset: 0,
        cause: RecordError::Short,
    })?;
    Ok(VolumeNumber(volume))
}

fn len_of(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.len)).sum()
}
