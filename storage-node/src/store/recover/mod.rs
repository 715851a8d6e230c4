//! Opening a store: replay what the index does not show, look again at what was not durable.
//!
//! The index says how far it got. Records behind that place are replayed in order (STO-2); records
//! that were indexed before they were durable are read again. Where the index shows what the volumes
//! do not hold, it is wrong and is made anew (IDX-1), and what that loses is reported. Without an
//! index everything is replayed.

mod lost;
mod parts;
mod tail;
mod torn;

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use common::id::RemoteName;
use tracing::{error, info, warn};

use self::tail::Tail;
use super::engine::{Engine, EngineSettings};
use super::group::Group;
use super::plan::Plan;
use super::shared::Shared;
use super::space::Durability;
use crate::disk::{Disk, VolumeFile};
use crate::error::{OpenError, StoreError};
use crate::format::{
    Extent, IndexKey, IndexValue, LogName, Manifest, PartId, Position, RecordHeader, RecordKind,
    ReplayPosition, SUPERBLOCK_LEN, Stamp, Superblock, SuperblockError, VolumeNumber, VolumeStats,
};
use crate::index::{Batch, Index, IndexError};
use crate::volume::{Damage, ScanDepth, ScanItem, ScannedRecord, Scanner, Volume, VolumeState};

/// Changes of the index that replay gathers before it applies them.
const BATCH_LEN: usize = 2000;
/// Records that [`Recovery::unverified`] lists, so that a wrecked disk does not fill the memory.
const UNVERIFIED_MAX: usize = 10_000;

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
    /// Blobs of which all or a part is lost, by name, with the place of the record.
    pub lost: Vec<(String, Extent)>,
    /// Stretches of volumes that hold no readable record although records follow.
    pub damage: Vec<Damage>,
    /// Records that were left out because something of them is missing: cut off by a crash before they
    /// were acknowledged, or damaged since. At most ten thousand are listed.
    pub unverified: Vec<(String, Extent)>,
    /// Volume files that are gone, with the number of needed records in them.
    pub missing: Vec<(VolumeNumber, u64)>,
    /// Parts of unfinished uploads that were dropped.
    pub dropped_parts: u64,
}

impl Recovery {
    /// Whether everything that was found could be read.
    fn is_whole(&self) -> bool {
        self.lost.is_empty()
            && self.damage.is_empty()
            && self.unverified.is_empty()
            && self.missing.is_empty()
    }
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
            stamp: Stamp::default(),
            group: Group::default(),
            open_parts: HashMap::new(),
            unsynced: VecDeque::new(),
            replaying: None,
            is_closed: false,
            failed: None,
            stopped: None,
            previous_end: 0,
        };
        let mut opening = Opening {
            engine,
            recovery: Recovery {
                mode: RecoveryMode::Clean,
                records: 0,
                bytes: 0,
                lost: Vec::new(),
                unverified: Vec::new(),
                damage: Vec::new(),
                missing: Vec::new(),
                dropped_parts: 0,
            },
            doubtful: Vec::new(),
            cut: Vec::new(),
            skipped: Vec::new(),
            has_skipped_manifest: false,
            limits: HashMap::new(),
            moved_parts: None,
            rotten_parts: HashMap::new(),
            tail: None,
        };
        opening.run()?;
        Ok((opening.engine, opening.recovery))
    }
}

struct Opening<D: Disk, I> {
    engine: Engine<D, I>,
    recovery: Recovery,
    /// Records that the index may show although their bytes are wrong.
    doubtful: Vec<(Vec<u8>, Extent)>,
    /// Stretches that the index believes to hold records, and that hold none.
    cut: Vec<Damage>,
    /// Records that later walks must not meet.
    skipped: Vec<(VolumeNumber, Range<u64>)>,
    /// Whether a manifest is among the records left out, so that its parts may seem unneeded.
    has_skipped_manifest: bool,
    /// Where volumes end whatever lies behind.
    limits: HashMap<VolumeNumber, u64>,
    /// Parts whose records stand again further on, once somebody had to know.
    moved_parts: Option<HashMap<PartId, Position>>,
    /// Parts that the index shows from now on although their bytes are wrong, and when they came, in Unix
    /// seconds.
    rotten_parts: HashMap<PartId, u32>,
    tail: Option<Tail>,
}

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
        self.close_failed_tails(&numbers);
        if let Some(position) = position {
            // The youngest volume may be gone, and its number must not be used again.
            let engine = &mut self.engine;
            engine.next_volume = engine.next_volume.max(position.applied.volume);
        }
        let present: HashSet<VolumeNumber> = numbers.iter().copied().collect();
        for (number, stats) in known {
            if !present.contains(&number) && 0 < stats.live_records {
                error!(volume = %number, records = stats.live_records, "a volume file is missing");
                self.recovery.missing.push((number, stats.live_records));
            }
        }

        let start = Position {
            volume: VolumeNumber(0),
            offset: 0,
        };
        let from_start = ReplayPosition {
            applied: start,
            synced: start,
            next_sequence: 1,
            stamp: Stamp::default(),
        };
        let position = position.filter(|_| !rebuild).unwrap_or(from_start);
        self.engine.next_sequence = self.engine.next_sequence.max(position.next_sequence);
        self.engine.stamp = self.engine.stamp.max(position.stamp);
        // Each batch says how far the index got: no further than it says now, until a record is
        // replayed.
        self.engine.replaying = Some(position);
        if rebuild {
            self.begin_rebuild()?;
        }
        self.walk(&numbers, position)?;
        let must_settle = position.synced < position.applied || !self.cut.is_empty();
        if !rebuild {
            let unfounded = self.unfounded(position)?;
            if !unfounded.is_empty() {
                self.begin_rebuild()?;
                self.engine.replaying = Some(from_start);
                self.walk(&numbers, from_start)?;
                self.report_lost(unfounded)?;
            }
        }
        self.drop_open_parts()?;
        if self.recovery.mode == RecoveryMode::Rebuilt {
            self.sweep_parts()?;
        }
        self.check_index()?;
        self.cover_skipped()?;
        for part in self.rotten_parts.keys() {
            self.engine.shared.note_damaged(IndexKey::Part(*part));
        }
        let must_settle = must_settle || self.recovery.mode != RecoveryMode::Clean;
        if must_settle {
            // What only the operating system had is counted as durable from here on.
            for volume in self.engine.shared.volumes() {
                volume.file().sync()?;
            }
        }
        self.choose_active(&numbers)?;
        self.engine.replaying = None;
        self.name_log()?;
        self.engine.shared.refresh_space()?;
        if must_settle {
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

    /// Gives the log its number, which lives and ends with the index: what a rebuild could not read is
    /// found by whoever compares all with it.
    fn name_log(&mut self) -> Result<(), OpenError> {
        let shared = &self.engine.shared;
        let known = shared.index.get(&IndexKey::Log.encode())?;
        let known = known.map(|value| LogName::decode(&value)).transpose();
        let known = known.map_err(IndexError::from)?;
        // What peers saw of it may be lost, and something else stand there.
        let is_clean = self.recovery.mode == RecoveryMode::Clean;
        let goes_on = known.filter(|known| is_clean || !known.is_ahead);
        // What could not be read may have been on its way into the index: peers have it.
        let goes_on = goes_on.filter(|_| self.recovery.is_whole());
        let name = LogName {
            number: goes_on.map_or(self.engine.settings.log, |known| known.number),
            is_ahead: self.engine.settings.durability != Durability::Always,
        };
        if known != Some(name) {
            let mut batch = Batch::default();
            batch.put(IndexKey::Log.encode(), name.encode().to_vec());
            shared.index.apply(&batch)?;
        }
        shared.set_log_number(name.number);
        self.engine.tell_log_end();
        Ok(())
    }

    /// An index that took no changes misses records, and the store must not open over it.
    fn check_index(&self) -> Result<(), OpenError> {
        match &self.engine.stopped {
            Some(error) => Err(StoreError::Commit(Arc::clone(error)).into()),
            None => Ok(()),
        }
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
            let end = stats.end.min(file.len()).max(SUPERBLOCK_LEN as u64);
            if file.len() < stats.end {
                error!(volume = %number, len = file.len(), end = stats.end, "a volume was cut short");
                let range = file.len()..stats.end;
                self.cut.push(Damage {
                    volume: number,
                    range,
                });
            }
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
            previous_end: 0,
        };
        let decoded = match file.read_at(&mut block, 0) {
            Ok(()) => match Superblock::decode(&block) {
                Err(source @ SuperblockError::Version(_)) => {
                    let volume = number;
                    return Err(OpenError::Version { volume, source });
                }
                decoded => decoded.map_err(|error| error.to_string()),
            },
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
            let known_end = volume.committed_end();
            let limit = self.limits.get(&number).copied().unwrap_or(u64::MAX);
            let mut scanner = Scanner::new(volume.file(), number, start, depth);
            loop {
                let item = if scanner.offset() < limit {
                    scanner.next_item()
                } else {
                    let (end, garbage_end) = (limit, limit);
                    Ok(ScanItem::End { end, garbage_end })
                };
                match item {
                    Ok(ScanItem::Record(record)) => self.record(&volume, record, position)?,
                    Ok(ScanItem::Damage(damage)) => {
                        warn!(volume = %number, range = ?damage.range, "damage");
                        volume.set_state(VolumeState::Damaged);
                        self.recovery.damage.push(damage);
                    }
                    Ok(ScanItem::End { end, garbage_end }) => {
                        self.recovery.bytes += end.saturating_sub(start);
                        let end = end.min(volume.file().len());
                        if end < known_end {
                            self.shorten(number, end..known_end);
                        }
                        volume.set_end(end);
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
        self.check_index()
    }

    /// Notes that there are no records in `range`, which the index believed to end the volume.
    fn shorten(&mut self, number: VolumeNumber, range: Range<u64>) {
        let mut stats = self.engine.shared.stats();
        if let Some(stats) = stats.get_mut(&number) {
            stats.end = range.start;
            let key = IndexKey::Volume(number).encode();
            self.engine.group.batch.put(key, stats.encode().to_vec());
        }
        // Where the file itself was cut short, the rest of the stretch is known already.
        let mut known = self.cut.iter_mut();
        match known.find(|cut| cut.volume == number && cut.range.start == range.end) {
            Some(cut) => cut.range.start = range.start,
            None => self.cut.push(Damage {
                volume: number,
                range,
            }),
        }
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
        engine.stamp = engine.stamp.max(header.version.stamp);
        let extent = Extent {
            volume: at.volume,
            offset,
            payload_len: header.payload_len,
        };
        if at < position.applied {
            if !is_sound {
                self.doubtful
                    .extend(IndexKey::of_record(&header, &key).map(|key| (key.encode(), extent)));
            }
            return Ok(());
        }
        let part = PartId(header.sequence);
        match (header.kind, is_sound) {
            (RecordKind::Part, true) => {
                self.rotten_parts.remove(&part);
            }
            (RecordKind::Part, false) if !header.moved => {
                // Its manifests decide whether it is a part of anything.
                self.rotten_parts.insert(part, header.time);
                warn!(part = part.0, ?extent, "a part is not what was written");
                self.note_unverified(format!("part {}", part.0), extent);
            }
            // What a tombstone says to a rebuild stands in its header, which is sound.
            (RecordKind::Tombstone, false) | (_, true) => {}
            (_, false) => {
                self.leave_out(&header, &key, extent, "its payload is not what was written");
                return Ok(());
            }
        }
        let mut manifest = None;
        if header.kind == RecordKind::Manifest {
            let Ok(decoded) = Manifest::decode(&payload) else {
                self.leave_out(&header, &key, extent, "its payload is malformed");
                return Ok(());
            };
            if self.is_torn(volume, end, &header, &decoded)? {
                // Nothing is hurt: it is what a crash leaves of a change that nobody was promised.
                let is_hurt = self.has_skipped_manifest;
                self.leave_out(&header, &key, extent, "its parts are missing");
                self.has_skipped_manifest = is_hurt;
                self.skipped.push((at.volume, offset..end));
                return Ok(());
            }
            manifest = Some(decoded);
        }
        let engine = &mut self.engine;
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
                version: header.version,
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
            stamp: engine.stamp,
        });
        if let Some(stats) = engine.shared.stats().get_mut(&at.volume) {
            stats.end = end;
        }
        if BATCH_LEN <= engine.group.batch.len() {
            engine.flush();
            self.check_index()?;
        }
        Ok(())
    }

    /// Notes a record that the index is not going to show.
    fn leave_out(&mut self, header: &RecordHeader, key: &[u8], extent: Extent, why: &str) {
        self.has_skipped_manifest |= header.kind == RecordKind::Manifest;
        let name = if header.kind == RecordKind::Part {
            format!("part {}", header.sequence)
        } else {
            self.name_of(key)
        };
        warn!(name, ?extent, kind = ?header.kind, why, "a record is left out");
        self.note_unverified(name, extent);
    }

    fn note_unverified(&mut self, name: String, extent: Extent) {
        if self.recovery.unverified.len() < UNVERIFIED_MAX {
            self.recovery.unverified.push((name, extent));
        }
    }

    fn name_of(&self, key: &[u8]) -> String {
        RemoteName::from_key(self.engine.shared.volume_path, key)
            .map_or_else(|| "unknown".to_owned(), |name| name.to_text())
    }
}
