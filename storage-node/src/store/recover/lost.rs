//! What the index shows and the volumes do not hold, and making the index anew.

use std::ops::ControlFlow;

use tracing::{error, warn};

use super::super::log::is_in;
use super::{Opening, RecoveryMode};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::{Extent, IndexKey, IndexValue, Position, ReplayPosition, VolumeStats};
use crate::index::{Batch, Index};
use crate::volume::Damage;

/// Keys that are removed from the index at a time, so that clearing one of any size takes little
/// memory.
const CLEAR_LEN: usize = 10_000;

/// An entry of the index, and where it says that the record lies.
pub(super) type Entry = (Vec<u8>, Extent);

impl<D: Disk, I: Index> Opening<D, I> {
    /// Entries of the index whose records were looked for and not found.
    ///
    /// Parts of unfinished uploads do not count: they are about to be dropped anyway.
    pub(super) fn unfounded(&mut self, position: ReplayPosition) -> Result<Vec<Entry>, OpenError> {
        let mut stretches = self.cut.clone();
        stretches.extend(self.recovery.damage.iter().filter_map(|damage| {
            let volume = damage.volume;
            let offset = damage.range.start;
            (Position { volume, offset } < position.applied).then(|| damage.clone())
        }));
        let mut doubtful = std::mem::take(&mut self.doubtful);
        if !stretches.is_empty() {
            self.find_in(&stretches, &mut doubtful)?;
        }
        let mut unfounded = Vec::new();
        for (key, extent) in doubtful {
            let index_key = IndexKey::decode(&key).map_err(crate::index::IndexError::from)?;
            let found = self.engine.shared.locate(index_key)?;
            if found.map(|value| value.extent) == Some(extent) && !self.is_open_part(index_key)? {
                unfounded.push((key, extent));
            }
        }
        Ok(unfounded)
    }

    fn is_open_part(&self, key: IndexKey<'_>) -> Result<bool, OpenError> {
        let IndexKey::Part(part) = key else {
            return Ok(false);
        };
        let mark = IndexKey::OpenPart(part).encode();
        Ok(self.engine.shared.index.get(&mark)?.is_some())
    }

    /// Adds the entries of the index that lie, in part at least, in one of the stretches.
    fn find_in(&self, stretches: &[Damage], found: &mut Vec<Entry>) -> Result<(), OpenError> {
        for prefix in [IndexKey::BLOB, IndexKey::METADATA, IndexKey::PART] {
            self.engine
                .shared
                .index
                .scan(prefix, &[], &mut |key, value| {
                    if let (Ok(decoded), Ok(value)) =
                        (IndexKey::decode(key), IndexValue::decode(value))
                        && is_in(stretches, decoded, &value)
                    {
                        found.push((key.to_vec(), value.extent));
                    }
                    ControlFlow::Continue(())
                })?;
        }
        Ok(())
    }

    /// Says which blobs are gone now that the index was made anew. Others are what they were before
    /// their last change.
    pub(super) fn report_lost(&mut self, unfounded: Vec<Entry>) -> Result<(), OpenError> {
        self.recovery.damage.append(&mut self.cut);
        for (key, extent) in unfounded {
            let Ok(IndexKey::Blob(name)) = IndexKey::decode(&key) else {
                continue;
            };
            let text = self.name_of(name);
            if self.engine.shared.locate(IndexKey::Blob(name))?.is_none() {
                error!(name = text, ?extent, "a blob is lost: its record is gone");
                self.recovery.lost.push((text, extent));
            } else {
                warn!(name = text, ?extent, "the last change of a blob is lost");
            }
        }
        Ok(())
    }

    /// Empties the index and forgets what was learnt by it.
    ///
    /// The replay position goes first, so that an end in the middle begins a rebuild again.
    pub(super) fn begin_rebuild(&mut self) -> Result<(), OpenError> {
        warn!(path = %self.engine.shared.volume_path, "the index is rebuilt from the volumes");
        self.cover_skipped()?;
        self.recovery.mode = RecoveryMode::Rebuilt;
        self.recovery.records = 0;
        self.recovery.damage.clear();
        self.recovery.unverified.clear();
        self.tail = None;
        self.moved_parts = None;
        self.rotten_parts.clear();
        let mut batch = Batch::default();
        batch.delete(IndexKey::Replay.encode());
        batch.delete(IndexKey::Log.encode());
        self.engine.shared.index.apply(&batch)?;
        for prefix in [
            IndexKey::BLOB,
            IndexKey::METADATA,
            IndexKey::OPEN_PART,
            IndexKey::PART,
            IndexKey::TOMBSTONE,
            IndexKey::VOLUME,
        ] {
            self.clear(prefix)?;
        }
        for stats in self.engine.shared.stats().values_mut() {
            *stats = VolumeStats::default();
        }
        Ok(())
    }

    fn clear(&self, prefix: u8) -> Result<(), OpenError> {
        let index = &self.engine.shared.index;
        loop {
            let mut batch = Batch::default();
            index.scan(prefix, &[], &mut |key, _| {
                batch.delete(key.to_vec());
                if batch.len() < CLEAR_LEN {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            if batch.is_empty() {
                return Ok(());
            }
            index.apply(&batch)?;
        }
    }
}
