//! Manifests of a group that a power cut tore.

use super::super::plan::{View as _, parts_of};
use super::{Opening, RecoveryMode};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::{IndexKey, Manifest, PartId, RecordHeader};
use crate::index::Index;
use crate::volume::{ScanDepth, ScanItem, Scanner, Volume};

/// Bytes of records behind which a crash cannot have interrupted a record: the parts of several uploads
/// that wait for one sync, and a group, are shorter.
const UNSYNCED_LEN_MAX: u64 = 64 * 1024 * 1024;

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
            if !may_be_missing && self.engine.locate(IndexKey::Part(part))?.is_none() {
                return Ok(!is_rebuild || self.is_at_the_end(volume, end));
            }
        }
        Ok(false)
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
