//! The first half of a check: from the volumes to the index.
//!
//! Each record is looked up in the index. What the index does not lead to is garbage, or is missing
//! in the index; which of the two is known when a younger record or a tombstone came, or did not.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::report::{Affected, Content, PathReport, Stretch, VolumeProblem};
use super::{Place, Progress, Stopped, known_volumes};
use crate::disk::{Disk as _, OsDisk, VolumeFile as _};
use crate::error::ReadError;
use crate::format::{
    Extent, IndexKey, IndexValue, Manifest, PartId, Position, RECORD_ALIGN, RecordHeader,
    RecordKind, ReplayPosition, SUPERBLOCK_LEN, Superblock, SuperblockError, VolumeNumber,
    VolumeStats,
};
use crate::index::{Index as _, IndexError, RocksIndex};
use crate::volume::{ScanDepth, ScanItem, ScannedRecord, Scanner};

/// Records this close to the end may be the unfinished remains of the last group commit.
const UNFINISHED_LEN_MAX: u64 = 16 * 1024 * 1024;

type VolumeFile = <OsDisk as crate::disk::Disk>::File;

/// What is known while the volumes are walked.
pub(super) struct Walk<'a> {
    pub(super) place: &'a Place,
    pub(super) index: Option<&'a RocksIndex>,
    depth: ScanDepth,
    position: Option<ReplayPosition>,
    known: BTreeMap<VolumeNumber, VolumeStats>,
    /// Where volumes end whatever lies behind, as the superblocks after them say.
    ends: BTreeMap<VolumeNumber, u64>,
    pub(super) files: BTreeMap<VolumeNumber, VolumeFile>,
    /// Where sound records lie that the index leads to, in units of the alignment, ascending.
    found: BTreeMap<VolumeNumber, Vec<u32>>,
    /// Places of records that the index leads to and whose payload is damaged.
    unsound: HashSet<(VolumeNumber, u64)>,
    /// By index key: sequence numbers of the youngest records that the index does not lead to.
    unindexed: HashMap<Vec<u8>, u64>,
    pub(super) report: PathReport,
}

impl<'a> Walk<'a> {
    /// Walks all volumes and compares them with the index if there is one.
    pub(super) fn run(
        place: &'a Place,
        depth: ScanDepth,
        index: Option<&'a RocksIndex>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathReport, Stopped> {
        let mut walk = Self {
            place,
            index,
            depth,
            position: None,
            known: BTreeMap::new(),
            ends: BTreeMap::new(),
            files: BTreeMap::new(),
            found: BTreeMap::new(),
            unsound: HashSet::new(),
            unindexed: HashMap::new(),
            report: PathReport {
                volume_path: place.volume_path.to_string(),
                ..PathReport::default()
            },
        };
        if let Some(index) = index {
            walk.known = known_volumes(index)?;
            let position = index.get(&IndexKey::Replay.encode())?;
            let position = position.map(|value| ReplayPosition::decode(&value));
            walk.position = position.transpose().map_err(IndexError::from)?;
        }
        let files = place.volume_files().map_err(Stopped::Volumes)?;
        walk.report.volumes = files.len() as u64;
        let disk = OsDisk::read_only(&place.volumes());
        for (number, len) in &files {
            walk.open(&disk, *number, *len);
        }
        walk.find_missing();
        let expected = walk.files.iter().map(|(number, file)| {
            let known = walk.known.get(number).map(|stats| stats.end);
            known.unwrap_or(file.len())
        });
        progress(Progress::Expect(expected.sum()));
        let youngest = files.last().map(|(number, _)| *number);
        for number in walk.files.keys().copied().collect::<Vec<_>>() {
            walk.volume(number, Some(number) == youngest, progress)?;
        }
        if index.is_some() {
            walk.name_unindexed();
            walk.compare()?;
        }
        Ok(walk.report)
    }

    fn open(&mut self, disk: &OsDisk, number: VolumeNumber, len: u64) {
        let file = match disk.open(number) {
            Ok(file) => file,
            Err(error) => return self.problem(number, format!("cannot be opened: {error}")),
        };
        let mut block = vec![0; SUPERBLOCK_LEN];
        let superblock = file
            .read_at(&mut block, 0)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                Superblock::decode(&block).map_err(|error: SuperblockError| error.to_string())
            });
        match superblock {
            Ok(found) if found.store != self.place.store => {
                let store = u128::from_be_bytes(found.store);
                let what = format!("belongs to the store {store:032x}; remedy: move the file away");
                return self.problem(number, what);
            }
            Ok(found) if (found.volume_path, found.number) != (self.place.volume_path, number) => {
                let what = format!(
                    "is really {} number {}; remedy: move the file to its place",
                    found.volume_path, found.number
                );
                return self.problem(number, what);
            }
            Ok(found) if len < found.len => {
                let what = format!("is cut short: {len} of {} bytes are there", found.len);
                self.problem(number, what);
            }
            Ok(_) => {}
            Err(ref why) => {
                let what = format!("superblock: {why}; its records are used nevertheless");
                self.problem(number, what);
            }
        }
        if let Ok(Superblock { previous_end, .. }) = superblock
            && previous_end != 0
        {
            let before = VolumeNumber(number.0.saturating_sub(1));
            self.ends.insert(before, previous_end);
        }
        let is_unknown = self.position.is_some_and(|position| {
            number < position.applied.volume && !self.known.contains_key(&number)
        });
        if is_unknown {
            let what = "is unknown to the index; remedy: the next start rebuilds the index";
            self.problem(number, what.to_owned());
        }
        self.files.insert(number, file);
    }

    fn find_missing(&mut self) {
        let missing: Vec<(VolumeNumber, u64)> = self
            .known
            .iter()
            .filter(|(number, stats)| !self.is_listed(**number) && 0 < stats.live_records)
            .map(|(number, stats)| (*number, stats.live_records))
            .collect();
        for (number, records) in missing {
            let what = ReadError::VolumeMissing(number);
            self.problem(
                number,
                format!("{what}; {records} needed records were in it"),
            );
        }
    }

    /// Whether the file is there, be it usable or not.
    fn is_listed(&self, number: VolumeNumber) -> bool {
        let mut problems = self.report.volume_problems.iter();
        self.files.contains_key(&number) || problems.any(|problem| problem.volume == number.0)
    }

    fn problem(&mut self, number: VolumeNumber, what: String) {
        let volume = number.0;
        self.report
            .volume_problems
            .push(VolumeProblem { volume, what });
    }

    fn volume(
        &mut self,
        number: VolumeNumber,
        is_youngest: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Stopped> {
        // Taken out, so that `self` can change while it is walked.
        let Some(file) = self.files.remove(&number) else {
            return Ok(());
        };
        let walked = self.walk_file(number, &file, is_youngest, progress);
        self.files.insert(number, file);
        walked
    }

    fn walk_file(
        &mut self,
        number: VolumeNumber,
        file: &VolumeFile,
        is_youngest: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Stopped> {
        let start = SUPERBLOCK_LEN as u64;
        let mut scanner = Scanner::new(file, number, start, self.depth);
        let (mut torn, mut gaps) = (Vec::new(), Vec::new());
        let mut at = start;
        // What a failed write left behind it are no records.
        let limit = self.ends.get(&number).copied().unwrap_or(u64::MAX);
        let end = loop {
            if limit <= scanner.offset() {
                break limit;
            }
            match scanner.next_item() {
                Ok(ScanItem::Record(record)) => torn.extend(self.record(number, &record)?),
                Ok(ScanItem::Damage(damage)) => gaps.push(damage.range),
                Ok(ScanItem::End { end, .. }) => break end,
                Err(error) => {
                    self.problem(number, format!("cannot be read: {error}: {}", error.source));
                    gaps.push(scanner.offset()..file.len());
                    break file.len();
                }
            }
            progress(Progress::Walked(scanner.offset() - at));
            at = scanner.offset();
        };
        self.report.bytes += end.saturating_sub(start);
        if let Some(known) = self.known.get(&number).filter(|known| end < known.end) {
            gaps.push(end..known.end);
        }
        for gap in gaps {
            if self.is_unfinished(number, gap.start, end, is_youngest) {
                self.report.unfinished_records += 1;
            } else {
                self.report.damage.push(Stretch {
                    volume: number.0,
                    start: gap.start,
                    end: gap.end,
                });
            }
        }
        for affected in torn {
            if self.is_unfinished(number, affected.offset, end, is_youngest) {
                self.report.unfinished_records += 1;
            } else {
                self.report.affected.push(affected);
            }
        }
        Ok(())
    }

    /// Whether bad bytes at `offset` are what a crash leaves of the group it interrupted.
    fn is_unfinished(
        &self,
        number: VolumeNumber,
        offset: u64,
        end: u64,
        is_youngest: bool,
    ) -> bool {
        is_youngest && self.is_pending(number, offset) && end < offset + UNFINISHED_LEN_MAX
    }

    /// Whether the index does not claim to show what lies here. One that says nothing about it was
    /// never flushed, so all is still to be replayed.
    fn is_pending(&self, volume: VolumeNumber, offset: u64) -> bool {
        let at = Position { volume, offset };
        self.index.is_some() && self.position.is_none_or(|position| position.applied <= at)
    }

    /// Takes note of a record. Gives it back if it is damaged and nobody can say whether it is needed.
    fn record(
        &mut self,
        volume: VolumeNumber,
        record: &ScannedRecord,
    ) -> Result<Option<Affected>, Stopped> {
        self.report.records += 1;
        let header = &record.header;
        let at = Position {
            volume,
            offset: record.offset,
        };
        let is_pending = self.is_pending(volume, record.offset);
        if is_pending {
            self.report.pending_records += 1;
        }
        let (key, content) = match header.kind {
            RecordKind::Blob | RecordKind::Manifest => (IndexKey::Blob(&record.key), Content::Blob),
            RecordKind::Metadata => (IndexKey::Metadata(&record.key), Content::Metadata),
            RecordKind::Part => (IndexKey::Part(PartId(header.sequence)), Content::Blob),
            RecordKind::Tombstone => {
                if !is_pending {
                    self.tombstone(at, record)?;
                }
                return Ok(None);
            }
            RecordKind::Filler => return Ok(None),
        };
        if self.index.is_some() && !is_pending {
            self.look_up(at, record, key)?;
            return Ok(None);
        }
        if record.is_sound {
            return Ok(None);
        }
        let id = match key {
            IndexKey::Part(part) => format!("a blob that part {} belongs to", part.0),
            IndexKey::Blob(_)
            | IndexKey::Metadata(_)
            | IndexKey::OpenPart(_)
            | IndexKey::Tombstone(_)
            | IndexKey::Volume(_)
            | IndexKey::Replay
            | IndexKey::Log => self.place.id(&record.key),
        };
        let why = "the checksum does not match; the index does not say whether it is needed";
        Ok(Some(affected(id, content, why.to_owned(), at)))
    }

    /// Looks whether the index leads to a record.
    fn look_up(
        &mut self,
        at: Position,
        record: &ScannedRecord,
        key: IndexKey<'_>,
    ) -> Result<(), Stopped> {
        let header = &record.header;
        let extent = Extent {
            volume: at.volume,
            offset: at.offset,
            payload_len: header.payload_len,
        };
        let shown = self.locate(key)?;
        let key = key.encode();
        if shown.is_some_and(|shown| (shown.kind, shown.extent) == (header.kind, extent)) {
            self.unindexed.remove(&key);
            if record.is_sound {
                // The index keeps offsets in this form too.
                let place = u32::try_from(at.offset / RECORD_ALIGN).unwrap_or(u32::MAX);
                self.found.entry(at.volume).or_default().push(place);
            } else {
                self.unsound.insert((at.volume, at.offset));
            }
        } else if record.is_sound && header.kind != RecordKind::Part {
            // Whether a part is needed is known by its manifest.
            self.unindexed.insert(key, header.sequence);
        }
        if header.kind == RecordKind::Manifest
            && let Ok(manifest) = Manifest::decode(&record.payload)
            && let Some(replaced) = &manifest.replaces
        {
            self.end(header, replaced);
        }
        Ok(())
    }

    /// What a tombstone ends; the same rules as in replay.
    fn tombstone(&mut self, at: Position, record: &ScannedRecord) -> Result<(), Stopped> {
        let header = &record.header;
        self.end(header, &record.key);
        let shown = self.locate(IndexKey::Blob(&record.key))?;
        let is_older = shown.is_some_and(|shown| {
            let place = Position {
                volume: shown.extent.volume,
                offset: shown.extent.offset,
            };
            place < at
        });
        // A moved tombstone stands behind records that are younger than it.
        if is_older && !header.moved {
            let id = self.place.id(&record.key);
            self.report.deleted_in_index.push(id);
        }
        Ok(())
    }

    /// The blob `name` ends with the record of `header`. A moved one stands behind records that are
    /// younger than it.
    fn end(&mut self, header: &RecordHeader, name: &[u8]) {
        for key in [IndexKey::Blob(name), IndexKey::Metadata(name)] {
            let encoded = key.encode();
            let before = self.unindexed.get(&encoded);
            if before.is_some_and(|sequence| !header.moved || *sequence < header.sequence) {
                self.unindexed.remove(&encoded);
            }
        }
    }

    /// What the index says about `key`.
    pub(super) fn locate(&self, key: IndexKey<'_>) -> Result<Option<IndexValue>, Stopped> {
        let Some(index) = self.index else {
            return Ok(None);
        };
        let value = index.get(&key.encode())?;
        let value = value.map(|value| IndexValue::decode(&value)).transpose();
        Ok(value.map_err(IndexError::from)?)
    }

    /// Whether a sound record was met at `extent`.
    pub(super) fn is_found(&self, extent: &Extent) -> bool {
        let place = u32::try_from(extent.offset / RECORD_ALIGN).unwrap_or(u32::MAX);
        let places = self.found.get(&extent.volume);
        places.is_some_and(|places| places.binary_search(&place).is_ok())
    }

    /// Why no sound record was met at `extent`.
    pub(super) fn why_not_found(&self, extent: &Extent) -> String {
        let place = (extent.volume, extent.offset);
        let is_inside = |stretch: &Stretch| {
            stretch.volume == extent.volume.0
                && (stretch.start..stretch.end).contains(&extent.offset)
        };
        if !self.files.contains_key(&extent.volume) {
            format!("volume {} is missing or unusable", extent.volume)
        } else if self.unsound.contains(&place) {
            "the checksum does not match".to_owned()
        } else if self.report.damage.iter().any(is_inside) {
            "the record is unreadable".to_owned()
        } else {
            "no such record lies where the index says".to_owned()
        }
    }

    fn name_unindexed(&mut self) {
        for key in self.unindexed.keys() {
            match IndexKey::decode(key) {
                Ok(IndexKey::Blob(name)) => {
                    self.report.not_in_index.push(self.place.id(name));
                }
                Ok(IndexKey::Metadata(name)) => {
                    let id = self.place.id(name);
                    self.report.not_in_index.push(format!("metadata of {id}"));
                }
                Ok(_) | Err(_) => {}
            }
        }
        self.report.not_in_index.sort_unstable();
    }
}

/// An entry of the report.
pub(super) fn affected(id: String, content: Content, why: String, at: Position) -> Affected {
    Affected {
        id,
        content,
        why,
        volume: at.volume.0,
        offset: at.offset,
    }
}
