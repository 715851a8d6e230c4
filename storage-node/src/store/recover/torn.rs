//! Manifests of a group that a power cut tore.

use std::collections::HashMap;

use super::super::plan::{View as _, parts_of};
use super::{Opening, RecoveryMode};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::{
    IndexKey, Manifest, PartId, Position, RecordHeader, RecordKind, SUPERBLOCK_LEN,
};
use crate::index::Index;
use crate::volume::{ScanDepth, ScanItem, Scanner, Volume};

/// Bytes of records behind which a crash cannot have interrupted a record: the parts of several uploads
/// that wait for one sync, and a group, are shorter.
const UNSYNCED_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Seconds that a sync takes at most, and more.
const SYNC_SECONDS_MAX: u32 = 10;

impl<D: Disk, I: Index> Opening<D, I> {
    /// Whether parts of a manifest, which ends at `end`, are not there because a power cut took them
    /// out of the middle of what nobody was promised. It must not take the place of what is whole.
    pub(super) fn is_torn(
        &mut self,
        volume: &Volume<D::File>,
        end: u64,
        header: &RecordHeader,
        manifest: &Manifest,
    ) -> Result<bool, OpenError> {
        if header.moved {
            return Ok(false);
        }
        let is_rebuild = self.recovery.mode == RecoveryMode::Rebuilt;
        for part in parts_of(manifest) {
            // The index shows everything before, unless it is being made anew: then parts that
            // compaction moved come behind their manifest, and may be gone if the manifest is not
            // needed any more.
            let may_be_missing = is_rebuild && !was_new_in::<D>(volume, part);
            let is_missing = self.is_new_and_rotten(part, header)
                || self.engine.locate(IndexKey::Part(part))?.is_none();
            if !may_be_missing && is_missing {
                let is_torn = !is_rebuild || self.is_at_the_end(volume, end);
                let at = Position {
                    volume: volume.number(),
                    offset: end,
                };
                return Ok(is_torn && !self.comes_again(part, at));
            }
        }
        Ok(false)
    }

    /// Whether the bytes of a part are wrong that came with the change, or so shortly before it that
    /// both may have waited for one sync. An older one was promised, so it rotted, and a peer may help.
    fn is_new_and_rotten(&self, part: PartId, change: &RecordHeader) -> bool {
        let came = self.rotten_parts.get(&part);
        came.is_some_and(|came| change.time <= came.saturating_add(SYNC_SECONDS_MAX))
    }

    /// Whether a sound copy of a part stands behind `at`: a damaged one was repaired after its manifest
    /// was written.
    fn comes_again(&mut self, part: PartId, at: Position) -> bool {
        if self.moved_parts.is_none() {
            self.moved_parts = Some(self.find_moved_parts(at));
        }
        let moved = self.moved_parts.as_ref();
        moved.is_some_and(|moved| moved.get(&part).is_some_and(|last| at <= *last))
    }

    /// Where the last sound copy lies of each part that was moved to a place behind `from`. What cannot
    /// be read is left to the walk itself, which reports it.
    fn find_moved_parts(&self, from: Position) -> HashMap<PartId, Position> {
        let mut moved = HashMap::new();
        for volume in self.engine.shared.volumes() {
            let number = volume.number();
            if number < from.volume {
                continue;
            }
            let start = if number == from.volume {
                from.offset
            } else {
                SUPERBLOCK_LEN as u64
            };
            let limit = self.limits.get(&number).copied().unwrap_or(u64::MAX);
            let mut scanner = Scanner::new(volume.file(), number, start, ScanDepth::Verify);
            while scanner.offset() < limit {
                match scanner.next_item() {
                    Ok(ScanItem::Record(record)) => {
                        let header = record.header;
                        if header.kind == RecordKind::Part && header.moved && record.is_sound {
                            let at = Position {
                                volume: number,
                                offset: record.offset,
                            };
                            moved.insert(PartId(header.sequence), at);
                        }
                    }
                    Ok(ScanItem::Damage(_)) => {}
                    Ok(ScanItem::End { .. }) | Err(_) => break,
                }
            }
        }
        moved
    }

    /// Whether `end` is so near to the end of the youngest volume that a crash can have interrupted
    /// what lies before it. Elsewhere a missing part is damage, which is reported and kept for repair.
    fn is_at_the_end(&self, volume: &Volume<D::File>, end: u64) -> bool {
        let youngest = self.engine.shared.volumes().pop();
        if youngest.map(|youngest| youngest.number()) != Some(volume.number()) {
            return false;
        }
        let limit = self.limits.get(&volume.number()).copied();
        let limit = limit.unwrap_or(u64::MAX).min(end + UNSYNCED_LEN_MAX);
        let mut scanner = Scanner::new(volume.file(), volume.number(), end, ScanDepth::Headers);
        while scanner.offset() < limit {
            match scanner.next_item() {
                Ok(ScanItem::Record(_) | ScanItem::Damage(_)) => {}
                Ok(ScanItem::End { .. }) => return true,
                Err(_) => return false,
            }
        }
        scanner.offset() < end + UNSYNCED_LEN_MAX
    }
}

/// Whether a part was first stored in this volume, so that its record can be nowhere else: sequence
/// numbers begin anew with no volume.
fn was_new_in<D: Disk>(volume: &Volume<D::File>, part: PartId) -> bool {
    let first = volume.superblock().first_sequence;
    // A superblock that was unreadable says 0, which is no sequence number.
    first != 0 && first <= part.0
}
