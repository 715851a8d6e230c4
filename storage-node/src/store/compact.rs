//! Compaction: carries what is needed of an old volume to the active one and removes the file.
//!
//! Runs beside reads and writes: each record is carried by the committer, which looks whether it is
//! still needed at that moment. A volume goes only after its last record, and the index that says
//! so, are durable elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use common::digest::Crc32;
use tracing::{info, warn};

use super::change::{Change, MovedRecord};
use super::committer::PathStore;
use super::engine::{decode_tombstone, tombstone_payload};
use super::shared::Shared;
use crate::disk::{Disk, VolumeFile};
use crate::error::StoreError;
use crate::format::{
    Extent, IndexKey, Manifest, RecordHeader, RecordKind, SUPERBLOCK_LEN, VolumeNumber,
};
use crate::index::Index;
use crate::volume::{ScanDepth, ScanItem, ScannedRecord, Scanner, Volume, VolumeState};

/// Changes that go to the committer together.
const CHANGES_MAX: usize = 256;
/// Bytes of payload from which changes go to the committer: what compaction keeps in memory.
const CHANGES_LEN_MAX: usize = 4 * 1024 * 1024;

/// What compaction of one volume did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Records carried over.
    pub moved: u64,
    /// Bytes of their payloads.
    pub moved_bytes: u64,
    /// Records left behind.
    pub dropped: u64,
    /// Bytes of the file that is gone; 0 if it had to stay.
    pub freed: u64,
}

/// Compaction of one volume, in steps, so that the caller sets the pace.
pub(super) struct Compaction<D: Disk, I: Index> {
    store: PathStore<D, I>,
    volume: Arc<Volume<D::File>>,
    at: u64,
    report: CompactionReport,
}

impl<D: Disk, I: Index> std::fmt::Debug for Compaction<D, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compaction")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<D: Disk, I: Index> Compaction<D, I> {
    /// Compaction of a sealed volume. `None` if there is no such volume or it must stay.
    pub(super) fn new(store: &PathStore<D, I>, number: VolumeNumber) -> Option<Self> {
        let volume = store.shared().volume(number)?;
        matches!(volume.state(), VolumeState::Sealed | VolumeState::Poisoned).then(|| Self {
            store: store.clone(),
            volume,
            at: SUPERBLOCK_LEN as u64,
            report: CompactionReport::default(),
        })
    }

    /// Bytes carried over so far.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.report.moved_bytes
    }

    /// Goes on for about `budget` bytes of the volume. Gives the report once it is done. Blocks.
    pub(super) fn step(&mut self, budget: u64) -> Result<Option<CompactionReport>, StoreError> {
        let shared = Arc::clone(self.store.shared());
        let volume = Arc::clone(&self.volume);
        let number = volume.number();
        // What lies behind was never committed: a failed write left it there.
        let end = volume.committed_end();
        let stop = end.min(self.at.saturating_add(budget));
        let mut scanner = Scanner::new(volume.file(), number, self.at, ScanDepth::Payloads);
        let (mut changes, mut changes_len) = (Vec::new(), 0);
        while scanner.offset() < stop {
            match scanner.next_item() {
                Ok(ScanItem::Record(record)) => {
                    let payload_len = record.payload.len();
                    match change_for(&shared, number, record)? {
                        Verdict::Dead => self.report.dropped += 1,
                        Verdict::Damaged => {
                            return Ok(Some(self.keep("a needed record is damaged")));
                        }
                        Verdict::Carry(change) => {
                            self.report.moved += 1;
                            self.report.moved_bytes += payload_len as u64;
                            changes_len += payload_len;
                            changes.push(change);
                        }
                    }
                }
                // Records were committed up to `end`, so a walk that stops before it missed some.
                Ok(ScanItem::Damage(_) | ScanItem::End { .. }) => {
                    return Ok(Some(self.keep("a stretch is unreadable")));
                }
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "compaction stopped"
                    );
                    return Ok(Some(self.keep("the disk failed")));
                }
            }
            if CHANGES_MAX <= changes.len() || CHANGES_LEN_MAX <= changes_len {
                self.store.submit_all(std::mem::take(&mut changes))?;
                changes_len = 0;
            }
        }
        self.store.submit_all(changes)?;
        self.at = scanner.offset();
        if self.at < end {
            return Ok(None);
        }
        let freed = volume.file().len();
        match self.store.submit_all(vec![Change::RemoveVolume(number)]) {
            Ok(()) => {}
            // An upload that is under way has parts here. Later, then.
            Err(StoreError::Conflict) => return Ok(Some(self.report)),
            Err(error) => return Err(error),
        }
        self.report.freed = freed;
        shared.metrics.compacted_bytes.inc_by(freed);
        info!(volume = %number, report = ?self.report, "volume compacted");
        Ok(Some(self.report))
    }

    fn keep(&self, why: &str) -> CompactionReport {
        let number = self.volume.number();
        warn!(volume = %number, why, "volume kept; remedy: run `hayloft check`");
        self.volume.set_state(VolumeState::Damaged);
        self.store.shared().metrics.damaged_records.inc();
        self.report
    }
}

enum Verdict {
    Dead,
    Damaged,
    Carry(Change),
}

fn change_for<D: Disk, I: Index>(
    shared: &Shared<D, I>,
    number: VolumeNumber,
    record: ScannedRecord,
) -> Result<Verdict, StoreError> {
    let ScannedRecord {
        offset,
        header,
        key,
        is_sound,
        payload,
    } = record;
    let from = Extent {
        volume: number,
        offset,
        payload_len: header.payload_len,
    };
    let carry = |header, key, payload| {
        let payload = Bytes::from(payload);
        let moved = MovedRecord {
            header,
            key,
            payload,
            from,
        };
        Verdict::Carry(Change::Move(moved))
    };
    if header.kind == RecordKind::Tombstone {
        let ended = if is_sound {
            decode_tombstone(&payload)?
        } else {
            // At most: nobody knows any more.
            number
        };
        let payload = tombstone_payload(ended);
        let header = RecordHeader {
            payload_crc: Crc32::of(&payload),
            ..header
        };
        let is_needed = is_tombstone_needed(shared, number, ended)
            || leads_to(shared, IndexKey::Tombstone(&key), from)?;
        return Ok(if is_needed {
            carry(header, key, payload.into())
        } else {
            Verdict::Carry(Change::Forget {
                volume: number,
                len: header.record_len(),
            })
        });
    }
    let Some(index_key) = IndexKey::of_record(&header, &key) else {
        return Ok(Verdict::Dead);
    };
    if shared.locate(index_key)?.map(|value| value.extent) != Some(from) {
        let speaks = header.kind == RecordKind::Manifest && is_sound;
        return if speaks {
            dead_manifest(shared, &header, &payload, from)
        } else {
            Ok(Verdict::Dead)
        };
    }
    if !is_sound {
        return Ok(Verdict::Damaged);
    }
    Ok(carry(header, key, payload))
}

/// What remains of a manifest that nothing leads to. If it gave an appender a new name, its record is
/// all that says that the old name ended, so a tombstone of the old name takes its place (STO-3).
fn dead_manifest<D: Disk, I: Index>(
    shared: &Shared<D, I>,
    header: &RecordHeader,
    payload: &[u8],
    from: Extent,
) -> Result<Verdict, StoreError> {
    let replaced = Manifest::decode(payload)
        .ok()
        .and_then(|manifest| manifest.replaces);
    let Some(key) = replaced else {
        return Ok(Verdict::Dead);
    };
    // What the rename ended lay before it, so in volumes up to this one.
    let is_needed = is_tombstone_needed(shared, from.volume, from.volume)
        || leads_to(shared, IndexKey::Tombstone(&key), from)?;
    if !is_needed {
        return Ok(Verdict::Dead);
    }
    let payload = tombstone_payload(from.volume);
    let header = RecordHeader {
        kind: RecordKind::Tombstone,
        moved: true,
        key_len: u16::try_from(key.len()).unwrap_or(u16::MAX),
        payload_len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        payload_crc: Crc32::of(&payload),
        ..*header
    };
    Ok(Verdict::Carry(Change::Move(MovedRecord {
        header,
        key,
        payload,
        from,
    })))
}

/// Whether the index leads to this place for `key`.
fn leads_to<D: Disk, I: Index>(
    shared: &Shared<D, I>,
    key: IndexKey<'_>,
    place: Extent,
) -> Result<bool, StoreError> {
    Ok(shared.locate(key)?.map(|value| value.extent) == Some(place))
}

/// Whether a rebuild could meet a record that the tombstone must end (STO-3).
///
/// What it ended lay in volumes up to `ended`: the blob, its older versions, and copies that stayed
/// behind where a volume was not removed after its records moved. Any volume up to there may hold one
/// of them, so the tombstone goes on until the last of these is gone.
fn is_tombstone_needed<D: Disk, I: Index>(
    shared: &Shared<D, I>,
    compacted: VolumeNumber,
    ended: VolumeNumber,
) -> bool {
    let volumes = shared.volumes();
    let mut others = volumes.iter().map(|volume| volume.number());
    others.any(|number| number != compacted && number <= ended)
}

/// All changes that compaction of a volume brings, or `None` if it must stay.
#[cfg(any(test, feature = "testing"))]
pub fn plan_volume<D: Disk, I: Index>(
    shared: &Shared<D, I>,
    volume: &Volume<D::File>,
) -> Result<Option<Vec<Change>>, StoreError> {
    let number = volume.number();
    let start = SUPERBLOCK_LEN as u64;
    let mut scanner = Scanner::new(volume.file(), number, start, ScanDepth::Payloads);
    let mut changes = Vec::new();
    while scanner.offset() < volume.committed_end() {
        let Ok(ScanItem::Record(record)) = scanner.next_item() else {
            return Ok(None);
        };
        match change_for(shared, number, record)? {
            Verdict::Dead => {}
            Verdict::Damaged => return Ok(None),
            Verdict::Carry(change) => changes.push(change),
        }
    }
    Ok(Some(changes))
}

/// Compacts one volume at full speed. Blocks.
pub fn compact_volume<D: Disk, I: Index>(
    store: &PathStore<D, I>,
    number: VolumeNumber,
) -> Result<CompactionReport, StoreError> {
    let Some(mut compaction) = Compaction::new(store, number) else {
        return Ok(CompactionReport::default());
    };
    loop {
        if let Some(report) = compaction.step(u64::MAX)? {
            return Ok(report);
        }
    }
}
