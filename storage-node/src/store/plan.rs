//! What a record means for the index. The same code serves new records and replayed ones (STO-2).

use std::collections::HashSet;

use common::id::RemoteName;
use tracing::warn;

use crate::error::StoreError;
use crate::format::{
    IndexKey, IndexValue, Manifest, PartId, RecordHeader, RecordKind, Segment, VolumeNumber,
    record_len,
};

use super::shared::record_key;

/// The changes of the index that one record brings.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Keys that lead to the record itself.
    pub own: Vec<Vec<u8>>,
    /// Keys that are set to nothing but being there.
    pub marks: Vec<Vec<u8>>,
    /// Keys that go.
    pub deletes: Vec<Vec<u8>>,
    /// Records that are no longer needed: their volume and their length on disk.
    pub dead: Vec<(VolumeNumber, u64)>,
}

/// What planning needs to see: the index with everything that was planned before.
pub(super) trait View {
    /// The entry of `key`.
    fn locate(&mut self, key: IndexKey<'_>) -> Result<Option<IndexValue>, StoreError>;

    /// The manifest that `value`, found under `key`, leads to.
    fn manifest(&mut self, key: IndexKey<'_>, value: &IndexValue) -> Result<Manifest, StoreError>;

    /// The sequence number of the record of `key`, which is there.
    fn sequence(&mut self, key: IndexKey<'_>) -> Result<u64, StoreError>;
}

/// Bytes on disk of the record that `value`, found under `key`, leads to.
pub(super) fn len_on_disk(key: IndexKey<'_>, value: &IndexValue) -> u64 {
    record_len(record_key(key).len(), value.extent.payload_len as usize)
}

impl Plan {
    /// The changes that a record with this header, key and (for manifests) content brings.
    pub(super) fn of(
        view: &mut impl View,
        header: &RecordHeader,
        key: &[u8],
        manifest: Option<&Manifest>,
    ) -> Result<Self, StoreError> {
        let mut plan = Self::default();
        match header.kind {
            RecordKind::Blob => {
                plan.replace(view, IndexKey::Blob(key), None)?;
                plan.own.push(IndexKey::Blob(key).encode());
                plan.end_earlier_life(view, key, header)?;
            }
            RecordKind::Metadata => {
                plan.replace(view, IndexKey::Metadata(key), None)?;
                plan.own.push(IndexKey::Metadata(key).encode());
            }
            RecordKind::Part => {
                let part = PartId(header.sequence);
                if header.moved {
                    plan.replace(view, IndexKey::Part(part), None)?;
                } else {
                    plan.marks.push(IndexKey::OpenPart(part).encode());
                }
                plan.own.push(IndexKey::Part(part).encode());
            }
            RecordKind::Manifest => {
                let manifest = manifest.cloned().unwrap_or_default();
                plan.replace(view, IndexKey::Blob(key), Some(&manifest))?;
                plan.own.push(IndexKey::Blob(key).encode());
                plan.end_earlier_life(view, key, header)?;
                if let Some(replaced) = &manifest.replaces {
                    // The parts have a new owner, so only the old name and its metadata go. When a
                    // moved manifest says so again, the name may be in use anew.
                    let old = IndexKey::Blob(replaced);
                    if !header.moved || is_older(view, old, header.sequence)? {
                        plan.remove(view, old, Some(&manifest))?;
                    }
                    let old = IndexKey::Metadata(replaced);
                    if !header.moved || is_older(view, old, header.sequence)? {
                        plan.remove(view, old, None)?;
                    }
                    plan.end(view, replaced, header)?;
                }
            }
            RecordKind::Tombstone => {
                plan.end(view, key, header)?;
                for key in [IndexKey::Blob(key), IndexKey::Metadata(key)] {
                    if !header.moved {
                        plan.remove(view, key, None)?;
                    } else if is_older(view, key, header.sequence)? {
                        // A moved tombstone stands behind records that are younger than it, such as
                        // a slave that was stored again.
                        plan.remove_name(view, key)?;
                    }
                }
            }
            RecordKind::Filler => {}
        }
        Ok(plan)
    }

    /// Takes metadata away that is older than the blob: that of a slave whose name is used again, where
    /// the end of the first one did not come this far.
    fn end_earlier_life(
        &mut self,
        view: &mut impl View,
        name: &[u8],
        header: &RecordHeader,
    ) -> Result<(), StoreError> {
        if !RemoteName::is_slave_key(name) {
            return Ok(());
        }
        let key = IndexKey::Metadata(name);
        let known = view.locate(key)?;
        if known.is_some_and(|known| known.version < header.version) {
            self.remove(view, key, None)?;
        }
        Ok(())
    }

    /// Notes the end of a name, unless a newer one is noted.
    fn end(
        &mut self,
        view: &mut impl View,
        name: &[u8],
        header: &RecordHeader,
    ) -> Result<(), StoreError> {
        let key = IndexKey::Tombstone(name);
        let known = view.locate(key)?;
        if known.is_none_or(|known| known.version <= header.version) {
            self.own.push(key.encode());
        }
        Ok(())
    }

    /// Counts what `key` leads to as no longer needed; the caller sets the key anew. Parts that
    /// `next` refers to stay.
    fn replace(
        &mut self,
        view: &mut impl View,
        key: IndexKey<'_>,
        next: Option<&Manifest>,
    ) -> Result<bool, StoreError> {
        let found = view.locate(key)?;
        let mut before = Manifest::default();
        if let Some(value) = found {
            self.dead
                .push((value.extent.volume, len_on_disk(key, &value)));
            if value.kind == RecordKind::Manifest {
                match view.manifest(key, &value) {
                    Ok(manifest) => before = manifest,
                    // A damaged manifest must not keep its blob from being deleted or replaced. Its
                    // parts stay until the next rebuild sweeps them.
                    Err(StoreError::Read(error)) => {
                        warn!(%error, "parts of a damaged manifest are not given back");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let after = next.map(Manifest::segments).unwrap_or_default();
        let (gone, new) = difference(before.segments(), after);
        for part in gone {
            self.drop_part(view, part)?;
        }
        for part in new {
            self.deletes.push(IndexKey::OpenPart(part).encode());
        }
        Ok(found.is_some())
    }

    /// Takes `key` and what it leads to away. Parts that `next` refers to stay.
    pub(super) fn remove(
        &mut self,
        view: &mut impl View,
        key: IndexKey<'_>,
        next: Option<&Manifest>,
    ) -> Result<(), StoreError> {
        if self.replace(view, key, next)? {
            self.deletes.push(key.encode());
        }
        Ok(())
    }

    /// Takes `key` away and leaves the parts that it refers to.
    ///
    /// A moved tombstone ends something only in a rebuild. It may stand for an arrangement that was
    /// moved too, to a place behind it, and that still needs the parts; those that nothing needs are
    /// swept when the rebuild is complete.
    fn remove_name(&mut self, view: &mut impl View, key: IndexKey<'_>) -> Result<(), StoreError> {
        if let Some(value) = view.locate(key)? {
            self.dead
                .push((value.extent.volume, len_on_disk(key, &value)));
            self.deletes.push(key.encode());
        }
        Ok(())
    }

    /// A part that nothing refers to any more.
    pub(super) fn drop_part(
        &mut self,
        view: &mut impl View,
        part: PartId,
    ) -> Result<(), StoreError> {
        let key = IndexKey::Part(part);
        if let Some(value) = view.locate(key)? {
            self.dead
                .push((value.extent.volume, len_on_disk(key, &value)));
        }
        self.deletes.push(key.encode());
        self.deletes.push(IndexKey::OpenPart(part).encode());
        Ok(())
    }
}

/// Whether what `key` leads to is older than the change with number `sequence`.
fn is_older(view: &mut impl View, key: IndexKey<'_>, sequence: u64) -> Result<bool, StoreError> {
    if view.locate(key)?.is_none() {
        return Ok(false);
    }
    match view.sequence(key) {
        Ok(found) => Ok(found < sequence),
        // A damaged record has no age. To keep it would bring back what was deleted once it is
        // repaired (STO-3).
        Err(StoreError::Read(error)) => {
            warn!(%error, "a damaged record is taken away by an older change");
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// The parts that only `before` refers to, and those that only `after` does.
///
/// What both begin with is only looked through, for that is nearly all where a long blob is appended to.
fn difference(before: &[Segment], after: &[Segment]) -> (HashSet<PartId>, HashSet<PartId>) {
    let pairs = before.iter().zip(after);
    let same = pairs.take_while(|(one, other)| one == other).count();
    let (same, before) = before.split_at_checked(same).unwrap_or_default();
    let after = after.get(same.len()..).unwrap_or_default();
    let (mut gone, mut new) = (parts_in(before), parts_in(after));
    gone.retain(|part| !new.remove(part));
    for segment in same {
        if gone.is_empty() && new.is_empty() {
            break;
        }
        gone.remove(&segment.part);
        new.remove(&segment.part);
    }
    (gone, new)
}

/// The parts that a manifest refers to, without holes.
pub(super) fn parts_of(manifest: &Manifest) -> HashSet<PartId> {
    parts_in(manifest.segments())
}

fn parts_in(segments: &[Segment]) -> HashSet<PartId> {
    let parts = segments.iter().map(|segment| segment.part);
    parts.filter(|part| *part != PartId::HOLE).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(parts: &[(u64, u32)]) -> Vec<Segment> {
        let segment = |(part, start): &(u64, u32)| Segment {
            part: PartId(*part),
            start: *start,
            len: 1,
        };
        parts.iter().map(segment).collect()
    }

    proptest! {
        #[test]
        fn the_difference_of_manifests_is_that_of_the_sets_of_their_parts(
            same in proptest::collection::vec((0u64..9, 0u32..2), 0..6),
            before in proptest::collection::vec((0u64..9, 0u32..2), 0..6),
            after in proptest::collection::vec((0u64..9, 0u32..2), 0..6),
        ) {
            let before = segments(&[same.clone(), before].concat());
            let after = segments(&[same, after].concat());
            let (gone, new) = difference(&before, &after);
            let (before, after) = (parts_in(&before), parts_in(&after));
            prop_assert_eq!(gone, &before - &after);
            prop_assert_eq!(new, &after - &before);
        }
    }
}
