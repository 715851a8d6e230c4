//! What survives a restart of the tracker: who is registered. Everything else comes back with the
//! nodes' next reports.
//!
//! A snapshot is two parts: a line of JSON with format, version and checksum, and behind it the JSON
//! that the checksum is of. The latest and the one before are kept. Each is written beside its place,
//! synced and renamed, so a crash leaves one that is whole.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use common::digest::Crc32;
use common::wire::report::Entry;
use serde::{Deserialize, Serialize};
use tracing::warn;

mod model;

use model::Body;

const FORMAT: &str = "hayloft tracker snapshot";
const VERSION: u32 = 2;
const LATEST: &str = "tracker-snapshot.json";
const PREVIOUS: &str = "tracker-snapshot.previous.json";
const UNFINISHED: &str = "tracker-snapshot.new";
/// Far beyond what all groups full of nodes take.
const SNAPSHOT_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Why registrations are neither loaded nor stored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A later program wrote it.
    #[error(
        "{} has version {version}, this program knows versions up to {VERSION}; \
         remedy: start the later program again",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Neither the latest nor the one before is whole.
    #[error(
        "{} is damaged ({reason}) and there is no whole earlier one; lost are the marks of removed \
         and read-only nodes, and the claims to node numbers of nodes that are offline; \
         remedy: move the file away and start again, nodes register themselves",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Damage,
    },
}

/// What is wrong with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Bigger than any that was written.
    #[error("too long")]
    TooLong,
    /// The first line is not the header of a snapshot.
    #[error("no header")]
    Header,
    /// The bytes are not those that were written.
    #[error("checksum mismatch")]
    Checksum,
    /// The bytes are those that were written but tell no registrations.
    #[error("bad content")]
    Content,
}

/// The directory that keeps the snapshots.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    directory: PathBuf,
}

#[derive(Debug, Deserialize, Serialize)]
struct Header {
    format: String,
    version: u32,
    crc32: String,
}

/// One file that was looked at.
enum Found {
    Nothing,
    Whole(Vec<Entry>),
    Damaged(Damage),
}

impl SnapshotStore {
    /// Keeps snapshots in `directory`, which is made if it does not exist.
    pub fn open(directory: &Path) -> Result<Self, SnapshotError> {
        std::fs::create_dir_all(directory).map_err(failed("create", directory))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// The latest registrations that are whole; none at the first start.
    pub fn load(&self) -> Result<Vec<Entry>, SnapshotError> {
        let (latest, previous) = (self.path(LATEST), self.path(PREVIOUS));
        let damage = match look(&latest)? {
            Found::Whole(registrations) => return Ok(registrations),
            Found::Nothing => None,
            Found::Damaged(damage) => Some(damage),
        };
        match (look(&previous)?, damage) {
            (Found::Nothing, None) => Ok(Vec::new()),
            (Found::Whole(registrations), None) => Ok(registrations),
            (Found::Whole(registrations), Some(reason)) => {
                warn!(
                    path = %latest.display(), %reason,
                    "damaged snapshot, using the one before; lost is the last change of a node"
                );
                Ok(registrations)
            }
            (Found::Damaged(reason), None) => Err(SnapshotError::Damaged {
                path: previous,
                reason,
            }),
            (Found::Nothing | Found::Damaged(_), Some(reason)) => Err(SnapshotError::Damaged {
                path: latest,
                reason,
            }),
        }
    }

    /// Stores registrations so that they survive a power cut from the moment this returns. Blocks.
    pub fn store(&self, registrations: &[Entry]) -> Result<(), SnapshotError> {
        let (latest, previous) = (self.path(LATEST), self.path(PREVIOUS));
        let unfinished = self.path(UNFINISHED);
        write_synced(&unfinished, &encode(registrations)).map_err(failed("write", &unfinished))?;
        match std::fs::rename(&latest, &previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("rename", &latest)(error));
            }
            Ok(()) | Err(_) => {}
        }
        std::fs::rename(&unfinished, &latest).map_err(failed("rename", &unfinished))?;
        sync_directory(&self.directory).map_err(failed("sync", &self.directory))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::Io {
        action,
        path,
        source,
    }
}

fn encode(registrations: &[Entry]) -> Vec<u8> {
    // Plain data with text keys always has a JSON form.
    let body = serde_json::to_vec_pretty(&Body::of(registrations)).unwrap_or_default();
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        crc32: Crc32::of(&body).to_string(),
    };
    let mut bytes = serde_json::to_vec(&header).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(&body);
    bytes
}

fn look(path: &Path) -> Result<Found, SnapshotError> {
    let bytes = match read_bounded(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Found::Damaged(Damage::TooLong)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (header, body) = (parts.next().unwrap_or_default(), parts.next());
    let header: Option<Header> = serde_json::from_slice(header).ok();
    let Some(header) = header.filter(|header| header.format == FORMAT) else {
        return Ok(Found::Damaged(Damage::Header));
    };
    if VERSION < header.version {
        return Err(SnapshotError::TooNew {
            path: path.to_owned(),
            version: header.version,
        });
    }
    let body = body.unwrap_or_default();
    if header.crc32 != Crc32::of(body).to_string() {
        return Ok(Found::Damaged(Damage::Checksum));
    }
    let body: Option<Body> = serde_json::from_slice(body).ok();
    match body.and_then(Body::into_entries) {
        Some(registrations) => Ok(Found::Whole(registrations)),
        None => Ok(Found::Damaged(Damage::Content)),
    }
}

/// `None` when the file is longer than a snapshot can be.
fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = OpenOptions::new().read(true).open(path)?;
    let mut bytes = Vec::new();
    file.take(SNAPSHOT_LEN_MAX + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= SNAPSHOT_LEN_MAX))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes renames durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
