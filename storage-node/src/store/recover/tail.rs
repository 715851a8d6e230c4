//! The ends of volumes: where appending goes on, and what must be hidden from later walks.

use bytes::BytesMut;
use common::digest::Crc32;
use tracing::warn;

use super::super::engine::Active;
use super::Opening;
use crate::disk::{Disk, VolumeFile};
use crate::error::OpenError;
use crate::format::{RECORD_HEADER_LEN, RecordHeader, RecordKind, Version, VolumeNumber};
use crate::index::Index;
use crate::volume::{ScanDepth, ScanItem, Scanner, Volume, VolumeState};

/// Bytes that one filler record covers.
const FILLER_LEN_MAX: u64 = 16 * 1024 * 1024;
/// A volume with less room (or, if it is small, less than a quarter) is not appended to again.
const ROOM_MIN: u64 = 64 * 1024;

/// Where the walk over the youngest volume ended.
pub(super) struct Tail {
    pub(super) end: u64,
    pub(super) garbage_end: u64,
}

impl<D: Disk, I: Index> Opening<D, I> {
    /// Learns from each superblock where the volume before it ended, and covers what a failed write
    /// left behind that place: records that were refused to their clients must not appear.
    pub(super) fn close_failed_tails(&mut self, numbers: &[VolumeNumber]) {
        for number in numbers.iter().copied() {
            let next = self.engine.shared.volume(number.next());
            let end = next.map_or(0, |next| next.superblock().previous_end);
            let Some(volume) = self.engine.shared.volume(number).filter(|_| end != 0) else {
                continue;
            };
            self.limits.insert(number, end);
            let mut scanner = Scanner::new(volume.file(), number, end, ScanDepth::Headers);
            let is_clean = match scanner.next_item() {
                Ok(ScanItem::End { end, garbage_end }) => garbage_end <= end,
                Ok(ScanItem::Record(record)) => record.header.kind == RecordKind::Filler,
                Ok(ScanItem::Damage(_)) => false,
                // A bad disk: the limit keeps this process right, and the next one looks again.
                Err(_) => true,
            };
            if !is_clean && let Err(error) = self.fill(&volume, end, volume.file().len()) {
                warn!(volume = %number, %error, "the tail of a failed volume is not covered");
            }
        }
    }

    /// Goes on appending where the youngest volume ends.
    pub(super) fn choose_active(&mut self, numbers: &[VolumeNumber]) -> Result<(), OpenError> {
        let (Some(number), Some(tail)) = (numbers.last(), self.tail.take()) else {
            return Ok(());
        };
        let Some(volume) = self.engine.shared.volume(*number) else {
            return Ok(());
        };
        let room = volume
            .file()
            .len()
            .saturating_sub(tail.garbage_end.max(tail.end));
        let is_full = room < ROOM_MIN.min(volume.file().len() / 4);
        if volume.state() == VolumeState::Damaged || is_full {
            return Ok(());
        }
        // A torn tail: later walks shall find no damage there.
        let end = self.fill(&volume, tail.end, tail.garbage_end)?;
        volume.set_end(end);
        volume.set_state(VolumeState::Active);
        self.engine
            .shared
            .set_active_room(volume.file().len() - end);
        self.engine.active = Some(Active {
            volume,
            tail: end,
            synced: end,
            is_relief: false,
        });
        Ok(())
    }

    /// Puts a filler over each record that was left out for what it lacks, so that no later walk
    /// takes it for whole.
    pub(super) fn cover_skipped(&mut self) -> Result<(), OpenError> {
        for (number, range) in std::mem::take(&mut self.skipped) {
            if let Some(volume) = self.engine.shared.volume(number) {
                self.fill(&volume, range.start, range.end)?;
            }
        }
        Ok(())
    }

    /// Covers `from..to` with fillers, and gives where the last one ends: never before `to`, unless
    /// the file ends first.
    fn fill(&self, volume: &Volume<D::File>, from: u64, to: u64) -> std::io::Result<u64> {
        let header_len = RECORD_HEADER_LEN as u64;
        let mut at = from;
        while at < to && at + header_len <= volume.file().len() {
            let covered = (to - at).min(FILLER_LEN_MAX);
            let header = RecordHeader {
                kind: RecordKind::Filler,
                moved: false,
                sequence: self.engine.next_sequence,
                time: 0,
                version: Version::default(),
                key_len: 0,
                payload_len: u32::try_from(covered.saturating_sub(header_len)).unwrap_or(0),
                payload_crc: Crc32(0),
            };
            let mut bytes = BytesMut::new();
            header.encode(volume.number(), &[], &mut bytes);
            volume
                .file()
                .write_at(&[std::io::IoSlice::new(&bytes)], at)?;
            at += header.record_len();
        }
        if from < at {
            volume.file().sync()?;
            warn!(volume = %volume.number(), from, to = at, "covered what is no record");
        }
        Ok(at)
    }
}
