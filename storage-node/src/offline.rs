//! A volume path without a server: look at all of it, or make its index anew.
//!
//! [`check`] changes nothing on disk. It walks the volumes, which are the truth, and compares the
//! index with what replaying them would give (STO-2), without holding that in memory: only records
//! that the index does not lead to are remembered. [`rebuild()`] throws the index away, has the volumes
//! replayed, and names what the old index showed and the volumes no longer hold.

mod compare;
mod rebuild;
mod report;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use common::id::{GroupName, RemoteName, VolumePath};

use crate::disk::{Disk as _, OsDisk};
use crate::format::{IndexKey, VolumeNumber, VolumeStats};
use crate::index::{IndexError, IndexSettings, RocksIndex};
use crate::node::{INDEX_DIRECTORY, VOLUMES_DIRECTORY};
use crate::volume::ScanDepth;

pub use rebuild::{RebuildError, Rebuilt, rebuild};
pub use report::{Affected, Content, IndexState, PathReport, Stretch, VolumeProblem};
use walk::Walk;

/// Which volume path to look at.
#[derive(Clone, Debug)]
pub struct Place {
    /// The store path.
    pub directory: PathBuf,
    /// The volume path in it.
    pub volume_path: VolumePath,
    /// The node's group, which is part of every id.
    pub group: GroupName,
    /// The node's identity, which stands in every volume.
    pub store: [u8; 16],
}

impl Place {
    /// The directory of the volume path.
    pub fn root(&self) -> PathBuf {
        self.directory.join(self.volume_path.to_string())
    }

    fn volumes(&self) -> PathBuf {
        self.root().join(VOLUMES_DIRECTORY)
    }

    fn index(&self) -> PathBuf {
        self.root().join(INDEX_DIRECTORY)
    }

    /// The file id of the blob with this key.
    fn id(&self, key: &[u8]) -> String {
        match RemoteName::from_key(self.volume_path, key) {
            Some(name) => format!("{}/{}", self.group, name.to_text()),
            None => format!("a blob with the unknown key {key:02x?}"),
        }
    }

    /// Numbers and lengths in bytes of the volume files. Files that are no volumes are left out.
    pub fn volume_files(&self) -> io::Result<Vec<(VolumeNumber, u64)>> {
        let directory = self.volumes();
        if !directory.exists() {
            return Ok(Vec::new());
        }
        let numbers = OsDisk::read_only(&directory).list()?;
        let len = |number: VolumeNumber| {
            let path = directory.join(format!("{number}.vol"));
            Ok((number, std::fs::metadata(path)?.len()))
        };
        numbers.into_iter().map(len).collect()
    }
}

/// A check or rebuild says how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// About so many more bytes will be walked.
    Expect(u64),
    /// So many bytes were walked.
    Walked(u64),
}

/// A volume path could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The directory is not there.
    #[error(
        "there is no volume path {volume_path} in {}; remedy: check --data-dir and storage.store_paths",
        directory.display()
    )]
    Missing {
        /// The store path.
        directory: PathBuf,
        /// The volume path.
        volume_path: VolumePath,
    },
    /// The volumes cannot be listed or opened.
    #[error("cannot read the volumes in {}", directory.display())]
    Volumes {
        /// Where they lie.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no sound index to list blobs from.
    #[error(
        "there is no index to list from in {} ({why}); remedy: `hayloft repair` makes it anew",
        directory.display()
    )]
    NoIndex {
        /// Where it should lie.
        directory: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The index failed in another way than by being damaged.
    #[error("cannot read the index in {}", directory.display())]
    Index {
        /// Where it lies.
        directory: PathBuf,
        /// Why.
        source: IndexError,
    },
}

/// Gives the file id of every blob that the index in `place` shows, until `visit` fails. Blocks.
///
/// # Errors
///
/// What `visit` returns, or a [`CheckError`]; without a sound index that is [`CheckError::NoIndex`],
/// unless nothing was ever stored.
pub fn each_id<E: From<CheckError>>(
    place: &Place,
    settings: &IndexSettings,
    mut visit: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    existing(place)?;
    let Some(index) =
        open_index(&place.index(), settings).map_err(|error| unlisted(place, error))?
    else {
        let volumes = place.volume_files();
        let volumes = volumes.map_err(|source| volumes_failed(place, source))?;
        return if volumes.is_empty() {
            Ok(())
        } else {
            Err(no_index(place, "it is missing".to_owned()).into())
        };
    };
    let visited = crate::index::each(&index, IndexKey::BLOB, |key, _| {
        // No other key has the prefix.
        let IndexKey::Blob(name) = key else {
            return Ok(());
        };
        visit(&place.id(name)).map_err(Unvisited::Visit)
    });
    visited.map_err(|error| match error {
        Unvisited::Visit(error) => error,
        Unvisited::Index(error) => unlisted(place, error).into(),
    })
}

/// Why not all of an index was visited.
enum Unvisited<E> {
    Visit(E),
    Index(IndexError),
}

impl<E> From<IndexError> for Unvisited<E> {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

/// The failure of an index from which something was to be listed.
fn unlisted(place: &Place, error: IndexError) -> CheckError {
    match damage_or_err(place, error) {
        Ok(why) => no_index(place, format!("it is damaged: {why}")),
        Err(error) => error,
    }
}

fn no_index(place: &Place, why: String) -> CheckError {
    let directory = place.index();
    CheckError::NoIndex { directory, why }
}

/// Whether the volume path is there.
fn existing(place: &Place) -> Result<(), CheckError> {
    if place.root().is_dir() {
        return Ok(());
    }
    Err(CheckError::Missing {
        directory: place.directory.clone(),
        volume_path: place.volume_path,
    })
}

/// Looks at everything in `place` and changes nothing. Blocks.
pub fn check(
    place: &Place,
    depth: ScanDepth,
    settings: &IndexSettings,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathReport, CheckError> {
    existing(place)?;
    let (index, state) = match open_index(&place.index(), settings) {
        Ok(Some(index)) => (Some(index), IndexState::Sound),
        Ok(None) => (None, IndexState::Missing),
        Err(error) => (None, IndexState::Damaged(damage_or_err(place, error)?)),
    };
    if let Some(index) = &index {
        match Walk::run(place, depth, Some(index), progress) {
            Ok(report) => return Ok(report),
            Err(Stopped::Volumes(source)) => return Err(volumes_failed(place, source)),
            Err(Stopped::Index(error)) => {
                let state = IndexState::Damaged(damage_or_err(place, error)?);
                return without_index(place, depth, state, progress);
            }
        }
    }
    without_index(place, depth, state, progress)
}

/// Why a walk ended early.
#[derive(Debug)]
enum Stopped {
    Volumes(io::Error),
    Index(IndexError),
}

impl From<IndexError> for Stopped {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

/// Checksums can be compared without an index too.
fn without_index(
    place: &Place,
    depth: ScanDepth,
    state: IndexState,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathReport, CheckError> {
    match Walk::run(place, depth, None, progress) {
        Ok(mut report) => {
            // A node that never stored anything needs no index.
            if 0 < report.volumes {
                report.index = state;
            }
            Ok(report)
        }
        Err(Stopped::Volumes(source)) => Err(volumes_failed(place, source)),
        Err(Stopped::Index(source)) => Err(index_failed(place, source)),
    }
}

/// The index in `directory`, or `None` where none was made.
fn open_index(
    directory: &Path,
    settings: &IndexSettings,
) -> Result<Option<RocksIndex>, IndexError> {
    // RocksDB's own sign of a database; without it there is nothing to be damaged.
    if !directory.join("CURRENT").exists() {
        return Ok(None);
    }
    RocksIndex::open_read_only(directory, settings).map(Some)
}

/// A damaged index is a finding, any other failure the end.
fn damage_or_err(place: &Place, error: IndexError) -> Result<String, CheckError> {
    match error {
        IndexError::Damaged(source) => Ok(source.to_string()),
        IndexError::Malformed(source) => Ok(source.to_string()),
        IndexError::Failed(_) | IndexError::Injected => Err(index_failed(place, error)),
    }
}

fn volumes_failed(place: &Place, source: io::Error) -> CheckError {
    let directory = place.volumes();
    CheckError::Volumes { directory, source }
}

fn index_failed(place: &Place, source: IndexError) -> CheckError {
    let directory = place.index();
    CheckError::Index { directory, source }
}

/// Volumes that the index knows.
fn known_volumes(index: &RocksIndex) -> Result<BTreeMap<VolumeNumber, VolumeStats>, IndexError> {
    let mut known = BTreeMap::new();
    crate::index::each(index, IndexKey::VOLUME, |key, value| {
        if let IndexKey::Volume(number) = key {
            known.insert(number, VolumeStats::decode(value)?);
        }
        Ok::<_, IndexError>(())
    })?;
    Ok(known)
}
