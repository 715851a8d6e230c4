//! The volumes as a log of changes, and ranges of the index, for the peers of a group.
//!
//! What a peer missed it reads from the records themselves, in their order. Compaction does not hurt
//! it: what is still needed of a removed volume stands again behind the place where the peer is, and
//! tombstones stay until every peer has them (docs/decisions/0016-replication.md).

use std::ops::ControlFlow;

use super::plan::len_on_disk;
use super::shared::Shared;
use crate::disk::Disk;
use crate::error::{ReadError, StoreError};
use crate::format::{
    Extent, IndexKey, IndexValue, Manifest, PartId, Position, RecordHeader, RecordKind,
    SUPERBLOCK_LEN, Version,
};
use crate::index::{self, Index, IndexError};
use crate::volume::{Damage, ScanDepth, ScanItem, Scanner, Volume};

/// Records that one look at the log steps over at most, whatever they are.
const STEPS_MAX: usize = 16 * 1024;

/// Whether a record that the index shows lies, in part at least, in one of the stretches.
pub(super) fn is_in(stretches: &[Damage], key: IndexKey<'_>, value: &IndexValue) -> bool {
    let start = value.extent.offset;
    let end = start + len_on_disk(key, value);
    stretches.iter().any(|stretch| {
        stretch.volume == value.extent.volume
            && start < stretch.range.end
            && stretch.range.start < end
    })
}

/// What a look at a part found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartState {
    /// It is what was written.
    Sound,
    /// Its header is sound and says what the payload was.
    Rotten {
        /// The header.
        header: RecordHeader,
        /// Where it lies.
        extent: Extent,
    },
    /// Nothing of it can be read.
    Gone,
}

/// What a record says about a name. The numbers are stable: nodes tell them to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Says {
    /// There is a blob.
    Blob = 1,
    /// The blob has metadata.
    Metadata = 2,
    /// The blob ended.
    Ended = 3,
    /// The blob has another name from here on, which a blob of the same version tells.
    Renamed = 4,
}

impl Says {
    /// What a number means.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Blob, Self::Metadata, Self::Ended, Self::Renamed]
            .into_iter()
            .find(|says| *says as u8 == byte)
    }

    /// What an entry of the index says, by its prefix and the kind of its record.
    fn of_index(prefix: u8, kind: RecordKind) -> Self {
        match (prefix, kind) {
            (IndexKey::TOMBSTONE, RecordKind::Manifest) => Self::Renamed,
            (IndexKey::TOMBSTONE, _) => Self::Ended,
            (IndexKey::METADATA, _) => Self::Metadata,
            _ => Self::Blob,
        }
    }
}

/// What one record of the log says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// What it says.
    pub says: Says,
    /// Key of the name.
    pub key: Vec<u8>,
    /// Version of what it says.
    pub version: Version,
}

/// A stretch of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// What its records say, oldest first.
    pub entries: Vec<LogEntry>,
    /// Where to go on.
    pub next: Position,
    /// Bytes of records behind that.
    pub behind: u64,
}

/// A stretch of one prefix of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPage {
    /// Kind, key without prefix, and version of each.
    pub entries: Vec<LogEntry>,
    /// First key behind the stretch; `None` at the end of the prefix.
    pub next: Option<Vec<u8>>,
}

impl<D: Disk, I: Index> Shared<D, I> {
    /// Bytes of records behind `from`.
    pub fn log_behind(&self, from: Position) -> u64 {
        let log_end = *self.log_end().borrow();
        let volumes = self.volumes();
        let behind = volumes.iter().map(|volume| {
            let start = match volume.number() {
                number if number < from.volume => return 0,
                number if number == from.volume => from.offset,
                _ => 0,
            };
            let start = start.max(SUPERBLOCK_LEN as u64);
            Self::end_in(log_end, volume).saturating_sub(start)
        });
        behind.sum()
    }

    /// About `max` entries from `from` on. `None` if the log never came to that place, so that it is
    /// of another log. Blocks.
    pub fn log(&self, from: Position, max: usize) -> Result<Option<LogPage>, StoreError> {
        let log_end = *self.log_end().borrow();
        if log_end < from {
            return Ok(None);
        }
        let mut page = LogPage {
            entries: Vec::new(),
            next: from,
            behind: 0,
        };
        let mut steps = 0;
        for volume in self.volumes() {
            let number = volume.number();
            if number < page.next.volume || log_end.volume < number {
                continue;
            }
            if page.next.volume < number {
                page.next = Position {
                    volume: number,
                    offset: 0,
                };
            }
            let start = page.next.offset.max(SUPERBLOCK_LEN as u64);
            let end = Self::end_in(log_end, &volume);
            let mut scanner = Scanner::new(volume.file(), number, start, ScanDepth::Headers);
            let mut is_over = false;
            while scanner.offset() < end && page.entries.len() < max && steps < STEPS_MAX {
                steps += 1;
                match scanner
                    .next_item()
                    .map_err(|error| ReadError::Io(error.source))?
                {
                    ScanItem::Record(record) => {
                        page.entries.extend(entries_of(
                            record.header.kind,
                            record.header.version,
                            record.key,
                            &record.payload,
                        ));
                    }
                    // Whoever reads the log compares all from time to time, and finds what is lost here.
                    ScanItem::Damage(_) => {}
                    ScanItem::End { .. } => {
                        is_over = true;
                        break;
                    }
                }
            }
            // Nobody waits for what is unreadable up to the end.
            let at = if is_over { end } else { scanner.offset() };
            page.next.offset = at.min(end.max(start));
            if page.next.offset < end {
                break;
            }
        }
        page.behind = self.log_behind(page.next);
        Ok(Some(page))
    }

    /// Where a volume ends for peers.
    fn end_in(log_end: Position, volume: &Volume<D::File>) -> u64 {
        match volume.number().cmp(&log_end.volume) {
            std::cmp::Ordering::Less => volume.committed_end(),
            std::cmp::Ordering::Equal => volume.committed_end().min(log_end.offset),
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// About `max` entries of a prefix of the index, from the key `from` on and before `to`. Blocks.
    pub fn index_page(
        &self,
        prefix: u8,
        from: &[u8],
        to: Option<&[u8]>,
        max: usize,
    ) -> Result<IndexPage, StoreError> {
        let mut page = IndexPage {
            entries: Vec::new(),
            next: None,
        };
        let mut malformed = None;
        let first = [&[prefix], from].concat();
        self.index.scan(prefix, &first, &mut |key, value| {
            let key = key.get(1..).unwrap_or_default();
            if to.is_some_and(|to| to <= key) {
                return ControlFlow::Break(());
            }
            if max <= page.entries.len() {
                page.next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            match IndexValue::decode(value) {
                Ok(value) => {
                    page.entries.push(LogEntry {
                        says: Says::of_index(prefix, value.kind),
                        key: key.to_vec(),
                        version: value.version,
                    });
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    malformed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        match malformed {
            Some(error) => Err(crate::index::IndexError::from(error).into()),
            None => Ok(page),
        }
    }

    /// What a look at a part finds. Blocks.
    pub fn look_at_part(&self, part: PartId) -> Result<PartState, StoreError> {
        let key = IndexKey::Part(part);
        match self.read(key) {
            Ok(Some(_)) => return Ok(PartState::Sound),
            Ok(None) => return Ok(PartState::Gone),
            Err(StoreError::Read(_)) => {}
            Err(error) => return Err(error),
        }
        let Some(extent) = self.locate_part(part)? else {
            return Ok(PartState::Gone);
        };
        let Some(volume) = self.volume(extent.volume) else {
            return Ok(PartState::Gone);
        };
        let number = volume.number();
        let mut scanner = Scanner::new(volume.file(), number, extent.offset, ScanDepth::Headers);
        Ok(match scanner.next_item() {
            Ok(ScanItem::Record(record))
                if record.offset == extent.offset && record.header.sequence == part.0 =>
            {
                PartState::Rotten {
                    header: record.header,
                    extent,
                }
            }
            Ok(_) | Err(_) => PartState::Gone,
        })
    }

    /// Notes everything as damaged that the index shows in stretches of a volume that cannot be read.
    /// Looks at the whole index. Blocks.
    pub fn note_unreadable(&self, stretches: &[Damage]) -> Result<(), StoreError> {
        for prefix in [
            IndexKey::BLOB,
            IndexKey::METADATA,
            IndexKey::PART,
            IndexKey::TOMBSTONE,
        ] {
            index::each(&self.index, prefix, |key, value| {
                if is_in(stretches, key, &IndexValue::decode(value)?) {
                    self.note_damaged(key);
                }
                Ok::<_, IndexError>(())
            })?;
        }
        Ok(())
    }

    /// The names of blobs that a part belongs to. Reads all manifests. Blocks.
    pub fn owners_of(&self, part: PartId) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut manifests = Vec::new();
        self.index.scan(IndexKey::BLOB, &[], &mut |key, value| {
            if IndexValue::decode(value).is_ok_and(|value| value.kind == RecordKind::Manifest) {
                manifests.push(key.get(1..).unwrap_or_default().to_vec());
            }
            ControlFlow::Continue(())
        })?;
        let mut owners = Vec::new();
        for key in manifests {
            let record = match self.read(IndexKey::Blob(&key)) {
                Ok(Some((_, record))) => record,
                // Damaged itself, which is another repair.
                Ok(None) | Err(StoreError::Read(_)) => continue,
                Err(error) => return Err(error),
            };
            let manifest = Manifest::decode(&record.payload)?;
            if manifest
                .segments()
                .iter()
                .any(|segment| segment.part == part)
            {
                owners.push(key);
            }
        }
        Ok(owners)
    }

    /// About `max` names with a tombstone that lies before `place` in the log and is older than
    /// `before`, in microseconds since 1970. Blocks.
    pub fn old_tombstones(
        &self,
        place: Position,
        before: u64,
        max: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut old = Vec::new();
        self.index
            .scan(IndexKey::TOMBSTONE, &[], &mut |key, value| {
                if let Ok(value) = IndexValue::decode(value) {
                    let at = Position {
                        volume: value.extent.volume,
                        offset: value.extent.offset,
                    };
                    if at < place && value.version.stamp.micros() < before {
                        old.push(key.get(1..).unwrap_or_default().to_vec());
                    }
                }
                if old.len() < max {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        Ok(old)
    }

    /// Whether there is any blob. A look at the first key; may block.
    pub fn has_blobs(&self) -> Result<bool, StoreError> {
        let mut has_any = false;
        self.index.scan(IndexKey::BLOB, &[], &mut |_, _| {
            has_any = true;
            ControlFlow::Break(())
        })?;
        Ok(has_any)
    }

    /// The version of what the index shows for a key. May block.
    pub fn version_of(&self, key: IndexKey<'_>) -> Result<Option<Version>, StoreError> {
        Ok(self.locate(key)?.map(|value| value.version))
    }
}

/// What a record says about names: a manifest that took another name's place says two things.
fn entries_of(
    kind: RecordKind,
    version: Version,
    key: Vec<u8>,
    payload: &[u8],
) -> impl Iterator<Item = LogEntry> {
    let replaced = match kind {
        RecordKind::Manifest => Manifest::decode(payload)
            .ok()
            .and_then(|manifest| manifest.replaces),
        RecordKind::Blob
        | RecordKind::Tombstone
        | RecordKind::Part
        | RecordKind::Metadata
        | RecordKind::Filler => None,
    };
    let says = match kind {
        RecordKind::Part | RecordKind::Filler => None,
        RecordKind::Blob | RecordKind::Manifest => Some(Says::Blob),
        RecordKind::Metadata => Some(Says::Metadata),
        RecordKind::Tombstone => Some(Says::Ended),
    };
    let own = says.map(|says| LogEntry { says, key, version });
    let renamed = replaced.map(|key| LogEntry {
        says: Says::Renamed,
        key,
        version,
    });
    own.into_iter().chain(renamed)
}
