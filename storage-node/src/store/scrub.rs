//! Scrub: reads every record again, so that rot is found while a copy may still exist elsewhere.

mod progress;

use std::sync::Arc;

use common::id::RemoteName;
use tracing::error;

pub(super) use self::progress::{ScrubPass, ScrubProgress};
use super::shared::Shared;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{Extent, IndexKey, RecordKind, SUPERBLOCK_LEN};
use crate::index::Index;
use crate::volume::{Damage, ScanDepth, ScanError, ScanItem, ScannedRecord, Scanner, Volume};

/// A needed record whose checksum does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecord {
    /// What it is.
    pub kind: RecordKind,
    /// Name of its blob; for a part its number.
    pub name: String,
    /// Where it lies.
    pub extent: Extent,
}

/// What a scrub found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Records looked at.
    pub records: u64,
    /// Bytes looked at.
    pub bytes: u64,
    /// Needed records that are damaged.
    pub damaged: Vec<DamagedRecord>,
    /// Stretches that hold no readable record although records follow.
    pub damage: Vec<Damage>,
}

/// Damaged records that one report lists; more are counted in the metrics.
const DAMAGED_MAX: usize = 10_000;

/// Scrub of one volume, in steps, so that the caller sets the pace.
pub(super) struct Scrub<D: Disk, I> {
    shared: Arc<Shared<D, I>>,
    volume: Arc<Volume<D::File>>,
    at: u64,
    end: u64,
    report: ScrubReport,
}

impl<D: Disk, I> std::fmt::Debug for Scrub<D, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrub")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<D: Disk, I: Index> Scrub<D, I> {
    /// Scrub of what is committed of `volume` now.
    pub(super) fn new(shared: &Arc<Shared<D, I>>, volume: Arc<Volume<D::File>>) -> Self {
        Self::new_at(shared, volume, 0)
    }

    /// The same from `offset` on, where an earlier scrub of the volume was.
    pub(super) fn new_at(
        shared: &Arc<Shared<D, I>>,
        volume: Arc<Volume<D::File>>,
        offset: u64,
    ) -> Self {
        let end = volume.committed_end();
        let shared = Arc::clone(shared);
        Self {
            shared,
            volume,
            // A volume that was put in place of another one may be shorter.
            at: offset.min(end).max(SUPERBLOCK_LEN as u64),
            end,
            report: ScrubReport::default(),
        }
    }

    /// Where it goes on.
    pub(super) fn offset(&self) -> u64 {
        self.at
    }

    /// Goes on for about `budget` bytes; gives the report once it is done. Blocks.
    pub(super) fn step(&mut self, budget: u64) -> Result<Option<ScrubReport>, StoreError> {
        let number = self.volume.number();
        let stop = self.end.min(self.at.saturating_add(budget));
        let volume = Arc::clone(&self.volume);
        let mut scanner = Scanner::new(volume.file(), number, self.at, ScanDepth::Verify);
        while scanner.offset() < stop {
            match scanner.next_item() {
                Ok(ScanItem::Record(record)) => self.look_at(&record)?,
                Ok(ScanItem::Damage(damage)) => {
                    error!(?damage, "a stretch of a volume is unreadable");
                    self.shared.metrics.damaged_records.inc();
                    self.report.damage.push(damage);
                }
                // Records were committed up to `end`, so a walk that stops before it missed some.
                Ok(ScanItem::End { end, .. }) => {
                    error!(volume = %number, from = end, to = self.end, "no records where some were");
                    return self.unreadable(end).map(Some);
                }
                Err(error) => {
                    let ScanError { offset, .. } = error;
                    error!(error = &error as &dyn std::error::Error, "scrub stopped");
                    return self.unreadable(offset).map(Some);
                }
            }
        }
        let looked_at = scanner.offset().min(self.end).saturating_sub(self.at);
        self.report.bytes += looked_at;
        self.shared.metrics.scrubbed_bytes.inc_by(looked_at);
        let is_done = looked_at == 0 || self.end <= scanner.offset();
        self.at = scanner.offset();
        if is_done {
            self.finish().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Has repaired what lay where nothing can be read.
    fn finish(&mut self) -> Result<ScrubReport, StoreError> {
        let report = std::mem::take(&mut self.report);
        if !report.damage.is_empty() {
            self.shared.note_unreadable(&report.damage)?;
        }
        Ok(report)
    }

    /// Ends the scrub: nothing can be read from `offset` on.
    fn unreadable(&mut self, offset: u64) -> Result<ScrubReport, StoreError> {
        self.shared.metrics.damaged_records.inc();
        self.report.damage.push(Damage {
            volume: self.volume.number(),
            range: offset..self.end,
        });
        self.at = self.end;
        self.finish()
    }

    fn look_at(&mut self, record: &ScannedRecord) -> Result<(), StoreError> {
        self.report.records += 1;
        if record.is_sound {
            return Ok(());
        }
        let volume = self.volume.number();
        let payload_len = record.header.payload_len;
        let extent = Extent {
            volume,
            offset: record.offset,
            payload_len,
        };
        let Some(key) = IndexKey::of_record(&record.header, &record.key) else {
            return Ok(());
        };
        if self.shared.locate(key)?.map(|value| value.extent) != Some(extent) {
            return Ok(());
        }
        let name = if record.header.kind == RecordKind::Part {
            format!("part {}", record.header.sequence)
        } else {
            RemoteName::from_key(self.shared.volume_path, &record.key)
                .map_or_else(|| "unknown".to_owned(), |name| name.to_text())
        };
        error!(name, ?extent, "a needed record is damaged");
        self.shared.note_damaged(key);
        self.shared.metrics.damaged_records.inc();
        if self.report.damaged.len() < DAMAGED_MAX {
            self.report.damaged.push(DamagedRecord {
                kind: record.header.kind,
                name,
                extent,
            });
        }
        Ok(())
    }
}

/// Scrubs one volume at full speed. Blocks.
pub fn scrub_volume<D: Disk, I: Index>(
    shared: &Arc<Shared<D, I>>,
    volume: Arc<Volume<D::File>>,
) -> Result<ScrubReport, StoreError> {
    let mut scrub = Scrub::new(shared, volume);
    loop {
        if let Some(report) = scrub.step(u64::MAX / 2)? {
            return Ok(report);
        }
    }
}
