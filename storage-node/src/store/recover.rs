//! Opening a store: replay what the index does not show, look again at what was not durable.
//!
//! The index says how far it got. Records behind that place are replayed in order (STO-2); records
//! that were indexed before they were durable are verified, and what a power cut took is dropped
//! from the index and reported. Without an index everything is replayed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::BytesMut;
use common::digest::Crc32;
use common::id::RemoteName;
use tracing::{error, info, warn};

use super::engine::{Active, Engine, EngineSettings};
use super::group::Group;
use super::plan::{Plan, parts_of};
use super::shared::Shared;
use crate::disk::{Disk, VolumeFile};
use crate::error::{OpenError, StoreError};
use crate::format::{
    Extent, IndexKey, IndexValue, Manifest, PartId, Position, RECORD_HEADER_LEN, RecordHeader,
    RecordKind, ReplayPosition, SUPERBLOCK_LEN, Superblock, VolumeNumber, VolumeStats,
};
use crate::index::{Index, IndexError};
use crate::volume::{Damage, ScanDepth, ScanItem, ScannedRecord, Scanner, Volume, VolumeState};

/// Changes of the index that replay gathers before it applies them.
const BATCH_LEN: usize = 2000;
/// Bytes that one filler record covers.
const FILLER_LEN_MAX: u64 = 16 * 1024 * 1024;
/// A volume with less room is not appended to again.
const ROOM_MIN: u64 = 64 * 1024;

/// How a store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryMode {
    /// The index showed everything.
    Clean,
    /// Some records were replayed.
    Replayed,
    /// The index was made anew from all volumes.
    Rebuilt,
}

/// What opening a store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How it was opened.
    pub mode: RecoveryMode,
    /// Records replayed.
    pub records: u64,
    /// Bytes of volumes that were walked.
    pub bytes: u64,
    /// Blobs that are lost, by name, with the place of the record.
    pub lost: Vec<(String, Extent)>,
    /// Stretches of volumes that hold no readable record although records follow.
    pub damage: Vec<Damage>,
    /// Volume files that are gone, with the number of needed records in them.
    pub missing: Vec<(VolumeNumber, u64)>,
    /// Parts of unfinished uploads that were dropped.
    pub dropped_parts: u64,
}

impl<D: Disk, I: Index> Engine<D, I> {
    /// Opens the store over the volumes of `shared.disk` and what `shared.index` knows of them.
    pub fn open(
        shared: Arc<Shared<D, I>>,
        settings: EngineSettings,
    ) -> Result<(Self, Recovery), OpenError> {
        let engine = Self {
            shared,
            settings,
            active: None,
            next_volume: VolumeNumber(1),
            next_sequence: 1,
            group: Group::default(),
            open_parts: HashMap::new(),
            unsynced: VecDeque::new(),
            replaying: None,
            is_closed: false,
        };
        let mut opening = Opening {
            engine,
            recovery: Recovery {
                mode: RecoveryMode::Clean,
                records: 0,
                bytes: 0,
                lost: Vec::new(),
                damage: Vec::new(),
                missing: Vec::new(),
                dropped_parts: 0,
            },
            doubtful: Vec::new(),
            tail: None,
        };
        opening.run()?;
        Ok((opening.engine, opening.recovery))
    }
}

/// Where the walk over the youngest volume ended.
struct Tail {
    end: u64,
    garbage_end: u64,
}

struct Opening<D: Disk, I> {
    engine: Engine<D, I>,
    recovery: Recovery,
    /// Records that the index may show although their bytes are wrong.
    doubtful: Vec<(IndexKeyBuf, Extent)>,
    tail: Option<Tail>,
}

/// An index key with its bytes.
type IndexKeyBuf = Vec<u8>;

impl<D: Disk, I: Index> Opening<D, I> {
    fn run(&mut self) -> Result<(), OpenError> {
        let known = self.known_volumes()?;
        let position = self.engine.shared.index.get(&IndexKey::Replay.encode())?;
        let position = position
            .map(|value| ReplayPosition::decode(&value))
            .transpose();
        let position = position.map_err(IndexError::from)?;

        let numbers = self.engine.shared.disk.list()?;
        let is_unknown = |number: &VolumeNumber| {
            !known.contains_key(number)
                && position.is_some_and(|position| *number < position.applied.volume)
        };
        let rebuild = match position {
            None => !numbers.is_empty(),
            Some(_) => numbers.iter().any(is_unknown),
        };
        self.open_volumes(&numbers, &known)?;
        let present: HashSet<VolumeNumber> = numbers.iter().copied().collect();
        for (number, stats) in known {
            if !present.contains(&number) && 0 < stats.live_records {
                error!(volume = %number, records = stats.live_records, "a volume file is missing");
                self.recovery.missing.push((number, stats.live_records));
            }
        }

        if rebuild {
            self.recovery.mode = RecoveryMode::Rebuilt;
            self.clear_index()?;
        }
        let start = Position {
            volume: VolumeNumber(0),
            offset: 0,
        };
        let position = match position {
            Some(position) if !rebuild => position,
            _ => ReplayPosition {
                applied: start,
                synced: start,
                next_sequence: 1,
            },
        };
        self.engine.next_sequence = self.engine.next_sequence.max(position.next_sequence);
        self.walk(&numbers, position)?;
        self.drop_lost(position)?;
        self.drop_open_parts()?;
        if rebuild {
            self.sweep_parts()?;
        }
        self.engine.replaying = None;
        self.choose_active(&numbers)?;
        self.engine.shared.refresh_space()?;
        if self.recovery.mode != RecoveryMode::Clean {
            self.engine.make_durable()?;
            info!(
                path = %self.engine.shared.volume_path,
                records = self.recovery.records,
                bytes = self.recovery.bytes,
                mode = ?self.recovery.mode,
                "recovered"
            );
        }
        Ok(())
    }

    fn known_volumes(&self) -> Result<HashMap<VolumeNumber, VolumeStats>, OpenError> {
        let mut known = HashMap::new();
        let mut malformed = None;
        self.engine
            .shared
            .index
            .scan(IndexKey::VOLUME, &[], &mut |key, value| {
                match (IndexKey::decode(key), VolumeStats::decode(value)) {
                    (Ok(IndexKey::Volume(number)), Ok(stats)) => {
                        known.insert(number, stats);
                    }
                    (Err(error), _) | (_, Err(error)) => malformed = Some(error),
                    (Ok(_), Ok(_)) => {}
                }
                ControlFlow::Continue(())
            })?;
        match malformed {
            Some(error) => Err(IndexError::from(error).into()),
            None => Ok(known),
        }
    }

    fn open_volumes(
        &mut self,
        numbers: &[VolumeNumber],
        known: &HashMap<VolumeNumber, VolumeStats>,
    ) -> Result<(), OpenError> {
        for number in numbers.iter().copied() {
            let file = self.engine.shared.disk.open(number)?;
            let superblock = self.superblock(number, &file)?;
            let stats = known.get(&number).copied().unwrap_or_default();
            // The walk publishes what it finds behind this.
            // A file may have been cut shorter than its superblock.
            let end = stats.end.min(file.len()).max(SUPERBLOCK_LEN as u64);
            let volume = Volume::new(file, superblock, end, VolumeState::Sealed);
            self.engine.shared.add_volume(Arc::new(volume));
            self.engine.shared.stats().insert(number, stats);
            self.engine.next_volume = self.engine.next_volume.max(number.next());
            self.engine.next_sequence = self.engine.next_sequence.max(superblock.first_sequence);
        }
        Ok(())
    }

    fn superblock(&self, number: VolumeNumber, file: &D::File) -> Result<Superblock, OpenError> {
        let mut block = vec![0; SUPERBLOCK_LEN];
        let expected = Superblock {
            volume_path: self.engine.shared.volume_path,
            number,
            len: file.len(),
            first_sequence: 0,
            created: 0,
            store: self.engine.settings.store,
        };
        let decoded = match file.read_at(&mut block, 0) {
            Ok(()) => Superblock::decode(&block).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match decoded {
            Ok(found)
                if (found.volume_path, found.number, found.store)
                    != (expected.volume_path, number, expected.store) =>
            {
                let name = |superblock: &Superblock| {
                    let store = u128::from_be_bytes(superblock.store);
                    format!(
                        "{} number {} of store {store:032x}",
                        superblock.volume_path, superblock.number
                    )
                };
                let (found, expected) = (name(&found), name(&expected));
                Err(OpenError::ForeignVolume {
                    volume: number,
                    found,
                    expected,
                })
            }
            Ok(found) => Ok(found),
            Err(error) => {
                // The records name the volume in their checksums, so they can still be trusted.
                warn!(volume = %number, error, "superblock unreadable; its records are used");
                Ok(expected)
            }
        }
    }

    fn clear_index(&mut self) -> Result<(), OpenError> {
        warn!(path = %self.engine.shared.volume_path, "the index is rebuilt from the volumes");
        let prefixes = [
            IndexKey::BLOB,
            IndexKey::METADATA,
            IndexKey::OPEN_PART,
            IndexKey::PART,
            IndexKey::VOLUME,
        ];
        for prefix in prefixes {
            let mut batch = crate::index::Batch::default();
            self.engine.shared.index.scan(prefix, &[], &mut |key, _| {
                batch.delete(key.to_vec());
                ControlFlow::Continue(())
            })?;
            self.engine.shared.index.apply(&batch)?;
        }
        for stats in self.engine.shared.stats().values_mut() {
            *stats = VolumeStats::default();
        }
        Ok(())
    }

    fn walk(
        &mut self,
        numbers: &[VolumeNumber],
        position: ReplayPosition,
    ) -> Result<(), OpenError> {
        let youngest = numbers.last().copied();
        for number in numbers.iter().copied() {
            if number < position.synced.volume {
                continue;
            }
            let Some(volume) = self.engine.shared.volume(number) else {
                continue;
            };
            let start = if number == position.synced.volume {
                position.synced.offset
            } else {
                0
            };
            let start = start.max(SUPERBLOCK_LEN as u64);
            // Sealed volumes of a rebuild are many; their payloads are verified when they are read.
            let is_rebuild = self.recovery.mode == RecoveryMode::Rebuilt;
            let depth = if is_rebuild && Some(number) != youngest {
                ScanDepth::Headers
            } else {
                ScanDepth::Verify
            };
            let mut scanner = Scanner::new(volume.file(), number, start, depth);
            loop {
                match scanner.next_item() {
                    Ok(ScanItem::Record(record)) => self.record(&volume, record, position)?,
                    Ok(ScanItem::Damage(damage)) => {
                        warn!(volume = %number, range = ?damage.range, "damage");
                        volume.set_state(VolumeState::Damaged);
                        self.recovery.damage.push(damage);
                    }
                    Ok(ScanItem::End { end, garbage_end }) => {
                        self.recovery.bytes += end - start;
                        volume.commit(end.max(volume.committed_end()));
                        self.tail = Some(Tail { end, garbage_end });
                        break;
                    }
                    Err(error) => {
                        error!(
                            error = &error as &dyn std::error::Error,
                            "a volume is unreadable"
                        );
                        volume.set_state(VolumeState::Damaged);
                        let range = scanner.offset()..volume.file().len();
                        self.recovery.damage.push(Damage {
                            volume: number,
                            range,
                        });
                        self.tail = None;
                        break;
                    }
                }
            }
        }
        self.engine.flush();
        Ok(())
    }

    fn record(
        &mut self,
        volume: &Volume<D::File>,
        record: ScannedRecord,
        position: ReplayPosition,
    ) -> Result<(), OpenError> {
        let ScannedRecord {
            offset,
            header,
            key,
            is_sound,
            payload,
        } = record;
        let at = Position {
            volume: volume.number(),
            offset,
        };
        let end = offset + header.record_len();
        volume.commit(end.max(volume.committed_end()));
        let engine = &mut self.engine;
        engine.next_sequence = engine.next_sequence.max(header.sequence + 1);
        let extent = Extent {
            volume: at.volume,
            offset,
            payload_len: header.payload_len,
        };
        if at < position.applied {
            if !is_sound {
                self.doubtful
                    .extend(index_key(&header, &key).map(|key| (key, extent)));
            }
            return Ok(());
        }
        if !is_sound {
            // Appended but never acknowledged, or torn by the crash.
            warn!(volume = %at.volume, offset, "an unfinished record is skipped");
            return Ok(());
        }
        let manifest = match header.kind {
            RecordKind::Manifest => match Manifest::decode(&payload) {
                Ok(manifest) => Some(manifest),
                Err(error) => {
                    error!(volume = %at.volume, offset, %error, "a manifest is skipped");
                    return Ok(());
                }
            },
            _ => None,
        };
        if self.recovery.mode == RecoveryMode::Clean {
            self.recovery.mode = RecoveryMode::Replayed;
        }
        self.recovery.records += 1;
        let plan = Plan::of(engine, &header, &key, manifest.as_ref())?;
        engine.group.apply(
            plan,
            Some(IndexValue {
                kind: header.kind,
                extent,
            }),
        );
        if header.kind != RecordKind::Filler {
            engine.group.live.push((at.volume, header.record_len()));
        }
        engine.replaying = Some(ReplayPosition {
            applied: Position {
                volume: at.volume,
                offset: end,
            },
            synced: position.synced,
            next_sequence: engine.next_sequence,
        });
        if let Some(stats) = engine.shared.stats().get_mut(&at.volume) {
            stats.end = end;
        }
        if BATCH_LEN <= engine.group.batch.len() {
            engine.flush();
        }
        Ok(())
    }

    /// Takes blobs out of the index whose bytes a power cut took.
    fn drop_lost(&mut self, position: ReplayPosition) -> Result<(), OpenError> {
        let before: Vec<Damage> = self
            .recovery
            .damage
            .iter()
            .filter(|damage| {
                let at = Position {
                    volume: damage.volume,
                    offset: damage.range.start,
                };
                at < position.applied
            })
            .cloned()
            .collect();
        if !before.is_empty() {
            self.find_in(&before)?;
        }
        for (key, extent) in std::mem::take(&mut self.doubtful) {
            let Ok(index_key) = IndexKey::decode(&key) else {
                continue;
            };
            let found = self.engine.shared.locate(index_key)?;
            let (IndexKey::Blob(name), true) =
                (index_key, found.is_some_and(|value| value.extent == extent))
            else {
                continue;
            };
            let text = RemoteName::from_key(self.engine.shared.volume_path, name);
            let text = text.map_or_else(|| "unknown".to_owned(), |name| name.to_text());
            error!(
                name = text,
                ?extent,
                "a blob is lost: it was not durable when power failed"
            );
            let mut plan = Plan::default();
            plan.remove(&mut self.engine, index_key, None)?;
            plan.remove(&mut self.engine, IndexKey::Metadata(name), None)?;
            self.engine.group.apply(plan, None);
            self.recovery.lost.push((text, extent));
        }
        self.engine.flush();
        Ok(())
    }

    /// Adds the blobs of the index that lie in damaged stretches to the doubtful ones.
    fn find_in(&mut self, damage: &[Damage]) -> Result<(), OpenError> {
        let inside = |extent: &Extent| {
            let covers = |range: &Range<u64>| range.contains(&extent.offset);
            damage
                .iter()
                .any(|damage| damage.volume == extent.volume && covers(&damage.range))
        };
        let doubtful = &mut self.doubtful;
        self.engine
            .shared
            .index
            .scan(IndexKey::BLOB, &[], &mut |key, value| {
                if let Ok(value) = IndexValue::decode(value) {
                    if inside(&value.extent) {
                        doubtful.push((key.to_vec(), value.extent));
                    }
                }
                ControlFlow::Continue(())
            })?;
        Ok(())
    }

    /// Uploads that were under way when the process ended are over.
    fn drop_open_parts(&mut self) -> Result<(), OpenError> {
        let mut open = Vec::new();
        self.engine
            .shared
            .index
            .scan(IndexKey::OPEN_PART, &[], &mut |key, _| {
                if let Ok(IndexKey::OpenPart(part)) = IndexKey::decode(key) {
                    open.push(part);
                }
                ControlFlow::Continue(())
            })?;
        self.drop_parts(&open)
    }

    /// After a rebuild: parts that no manifest refers to, because it was deleted and its volume is
    /// gone.
    fn sweep_parts(&mut self) -> Result<(), OpenError> {
        let mut manifests = Vec::new();
        self.engine
            .shared
            .index
            .scan(IndexKey::BLOB, &[], &mut |key, value| {
                if IndexValue::decode(value).is_ok_and(|value| value.kind == RecordKind::Manifest) {
                    manifests.push(key.to_vec());
                }
                ControlFlow::Continue(())
            })?;
        let mut needed: HashSet<PartId> = HashSet::new();
        for key in manifests {
            let Ok(key) = IndexKey::decode(&key) else {
                continue;
            };
            match self.engine.shared.read(key) {
                Ok(Some((_, record))) => {
                    let manifest = Manifest::decode(&record.payload).map_err(StoreError::from)?;
                    needed.extend(parts_of(&manifest));
                }
                Ok(None) => {}
                Err(error) => {
                    // Whatever it refers to may be needed once it is repaired.
                    error!(%error, "a manifest is unreadable; no parts are swept");
                    return Ok(());
                }
            }
        }
        let mut unneeded = Vec::new();
        self.engine
            .shared
            .index
            .scan(IndexKey::PART, &[], &mut |key, _| {
                if let Ok(IndexKey::Part(part)) = IndexKey::decode(key) {
                    if !needed.contains(&part) {
                        unneeded.push(part);
                    }
                }
                ControlFlow::Continue(())
            })?;
        self.drop_parts(&unneeded)
    }

    fn drop_parts(&mut self, parts: &[PartId]) -> Result<(), OpenError> {
        for part in parts {
            let mut plan = Plan::default();
            plan.drop_part(&mut self.engine, *part)?;
            self.engine.group.apply(plan, None);
            self.recovery.dropped_parts += 1;
        }
        self.engine.flush();
        Ok(())
    }

    /// Goes on appending where the youngest volume ends.
    fn choose_active(&mut self, numbers: &[VolumeNumber]) -> Result<(), OpenError> {
        // What was only in memory of the operating system may be needed for what is acknowledged.
        if self.recovery.mode != RecoveryMode::Clean {
            for volume in self.engine.shared.volumes() {
                volume.file().sync()?;
            }
        }
        let (Some(number), Some(tail)) = (numbers.last(), self.tail.take()) else {
            return Ok(());
        };
        let Some(volume) = self.engine.shared.volume(*number) else {
            return Ok(());
        };
        if volume.state() == VolumeState::Damaged
            || volume.file().len() < tail.garbage_end.max(tail.end) + ROOM_MIN
        {
            return Ok(());
        }
        let end = self.cover_garbage(&volume, tail)?;
        volume.commit(end);
        volume.set_state(VolumeState::Active);
        self.engine
            .shared
            .set_active_room(volume.file().len() - end);
        self.engine.active = Some(Active {
            volume,
            tail: end,
            synced: end,
        });
        Ok(())
    }

    /// Puts fillers over a torn tail, so that later walks find no damage there.
    fn cover_garbage(&mut self, volume: &Volume<D::File>, tail: Tail) -> Result<u64, OpenError> {
        let mut at = tail.end;
        while at < tail.garbage_end {
            let covered = (tail.garbage_end - at).min(FILLER_LEN_MAX);
            let len = covered.saturating_sub(RECORD_HEADER_LEN as u64);
            let header = RecordHeader {
                kind: RecordKind::Filler,
                moved: false,
                sequence: self.engine.next_sequence,
                time: 0,
                key_len: 0,
                payload_len: u32::try_from(len).unwrap_or(0),
                payload_crc: Crc32(0),
            };
            let mut bytes = BytesMut::new();
            header.encode(volume.number(), &[], &mut bytes);
            volume
                .file()
                .write_at(&[std::io::IoSlice::new(&bytes)], at)?;
            at += header.record_len();
            warn!(volume = %volume.number(), from = tail.end, to = at, "torn tail covered");
        }
        if tail.end < at {
            volume.file().sync()?;
        }
        Ok(at)
    }
}

/// The index key under which a record can be found.
fn index_key(header: &RecordHeader, key: &[u8]) -> Option<IndexKeyBuf> {
    match header.kind {
        RecordKind::Blob | RecordKind::Manifest => Some(IndexKey::Blob(key).encode()),
        RecordKind::Metadata | RecordKind::Part => None,
        RecordKind::Tombstone | RecordKind::Filler => None,
    }
}
