//! Making the index anew, and naming what was lost.
//!
//! The old index is kept beside the new one until the two were compared, so that a repair that is
//! interrupted can still say what is lost when it is run again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::env::clock;

use super::report::{Affected, Content, Stretch};
use super::walk::affected;
use super::{Place, known_volumes, open_index};
use crate::error::{OpenError, ReadError};
use crate::format::{IndexKey, IndexValue, Position, RecordError};
use crate::index::{Index as _, IndexError, RocksIndex};
use crate::metrics::StoreMetrics;
use crate::node::{OLD_INDEX_DIRECTORY, OpenStore, StoreOptions, open_beside_old_index};
use crate::store::Shared;

/// What a rebuild did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records replayed.
    pub records: u64,
    /// Bytes of volumes that were walked.
    pub bytes: u64,
    /// Time that the replay took, until the new index was durable.
    pub took: Duration,
    /// Whether there was an old index that could be read, so that `lost` is complete.
    pub is_lost_complete: bool,
    /// What the old index showed and the volumes no longer hold.
    pub lost: Vec<Affected>,
    /// Stretches without a readable record although records follow.
    pub damage: Vec<Stretch>,
    /// Volumes that are gone, with the number of needed records in them.
    pub missing: Vec<(u32, u64)>,
    /// Parts of unfinished uploads, and of deleted blobs, that were dropped.
    pub dropped_parts: u64,
}

/// The index could not be made anew. Trying again is safe.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The old index cannot be put aside or removed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The volumes cannot be replayed.
    #[error("the volumes cannot be replayed")]
    Open(#[from] OpenError),
    /// The new index fails.
    #[error("the new index fails")]
    Index(#[from] IndexError),
}

/// Throws the index of `place` away and makes it anew from the volumes. Blocks.
pub fn rebuild(
    place: &Place,
    options: &StoreOptions,
    metrics: StoreMetrics,
) -> Result<Rebuilt, RebuildError> {
    let old = place.root().join(OLD_INDEX_DIRECTORY);
    put_aside(&place.index(), &old)?;
    let started = clock::monotonic();
    let OpenStore { engine, recovery } =
        open_beside_old_index(&place.directory, place.volume_path, options, metrics)?;
    let shared = engine.shared();
    let stretch = |damage: &crate::volume::Damage| Stretch {
        volume: damage.volume.0,
        start: damage.range.start,
        end: damage.range.end,
    };
    let mut rebuilt = Rebuilt {
        records: recovery.records,
        bytes: recovery.bytes,
        took: started.elapsed(),
        damage: recovery.damage.iter().map(stretch).collect(),
        dropped_parts: recovery.dropped_parts,
        ..Rebuilt::default()
    };
    // An index that is damaged names nothing, or not everything.
    if let Ok(Some(index)) = open_index(&old, &options.index) {
        rebuilt.is_lost_complete = compare(place, &index, shared, &mut rebuilt)?;
    }
    remove(&old)?;
    Ok(rebuilt)
}

fn put_aside(index: &Path, old: &Path) -> Result<(), RebuildError> {
    // Left by a repair that was interrupted: the index beside it is the unfinished new one.
    if old.exists() {
        return remove(index);
    }
    match std::fs::rename(index, old) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RebuildError::File {
            action: "put aside",
            path: index.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<(), RebuildError> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RebuildError::File {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

type OsShared = Shared<crate::disk::OsDisk, RocksIndex>;

/// Finds what `old` showed and the store no longer has. `false` if `old` turned out to be damaged.
fn compare(
    place: &Place,
    old: &RocksIndex,
    shared: &OsShared,
    rebuilt: &mut Rebuilt,
) -> Result<bool, RebuildError> {
    // One that was never flushed shows nothing that could be lost.
    match (known_volumes(old), old.get(&IndexKey::Replay.encode())) {
        (Ok(known), Ok(Some(_))) => {
            let gone = known.iter().filter(|(number, stats)| {
                shared.volume(**number).is_none() && 0 < stats.live_records
            });
            rebuilt.missing = gone
                .map(|(number, stats)| (number.0, stats.live_records))
                .collect();
        }
        (Ok(_) | Err(_), _) => return Ok(false),
    }
    let mut new_failed = None;
    for prefix in [IndexKey::BLOB, IndexKey::METADATA] {
        let walked = crate::index::each(old, prefix, |key, value| {
            let value = IndexValue::decode(value)?;
            match loss(place, shared, key, &value) {
                Ok(lost) => rebuilt.lost.extend(lost),
                Err(error) => new_failed = Some(error),
            }
            Ok::<_, IndexError>(())
        });
        if let Some(error) = new_failed {
            return Err(error.into());
        }
        if walked.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The loss of what the old index showed at `value`, if it is one.
fn loss(
    place: &Place,
    shared: &OsShared,
    key: IndexKey<'_>,
    value: &IndexValue,
) -> Result<Option<Affected>, IndexError> {
    let (name, content) = match key {
        IndexKey::Blob(name) => (name, Content::Blob),
        IndexKey::Metadata(name) => (name, Content::Metadata),
        IndexKey::OpenPart(_)
        | IndexKey::Part(_)
        | IndexKey::Tombstone(_)
        | IndexKey::Volume(_)
        | IndexKey::Replay
        | IndexKey::Log => return Ok(None),
    };
    if shared.index.get(&key.encode())?.is_some() {
        return Ok(None);
    }
    let number = value.extent.volume;
    let why = match shared.volume(number) {
        None => ReadError::VolumeMissing(number).to_string(),
        Some(volume) => match volume.read(&value.extent, name) {
            // It is there and the replay took it out: it was deleted after the index was written.
            Ok(_) => return Ok(None),
            Err(ReadError::Damaged { cause, .. }) => damage(cause),
            Err(error) => error.to_string(),
        },
    };
    let at = Position {
        volume: number,
        offset: value.extent.offset,
    };
    Ok(Some(affected(place.id(name), content, why, at)))
}

fn damage(cause: RecordError) -> String {
    match cause {
        RecordError::PayloadChecksum => "the checksum does not match".to_owned(),
        RecordError::Blank => "the record was overwritten with zeros".to_owned(),
        RecordError::Magic
        | RecordError::HeaderChecksum
        | RecordError::Kind(_)
        | RecordError::Flags(_)
        | RecordError::Sequence
        | RecordError::Length
        | RecordError::Short => format!("the record is unreadable: {cause}"),
    }
}
