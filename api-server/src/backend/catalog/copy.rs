//! Takes a catalog from one keeper to another: all entries, in their order, and proof that they are the
//! same.
//!
//! The source is one state: a directory that nobody else has open, or one snapshot of a database. The
//! destination is no catalog before all of it was read back and found to be what was read, so a copy
//! that is interrupted leaves nothing that a server would start on.

use std::io;
use std::path::{Path, PathBuf};

use common::config::DatabaseUrl;
use prometheus::Registry;

use super::postgres::{Filling, Snapshot};
use super::rocks::sync_parents;
use super::{CatalogSettings, FIRST_KEY, OpenError, PostgresError, RocksCatalog};
use crate::core::catalog::{Catalog, CatalogError, Direction};

/// Entries with their keys, in the order of these.
pub(super) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Entries that are taken at once: with less than a KiB each, a megabyte at most as a rule.
const AT_ONCE: usize = 1_000;
/// Bytes of entries that are taken at once from a directory, unless one entry has more.
const LEN_AT_ONCE: usize = 4 * 1024 * 1024;

/// Where a catalog is.
#[derive(Clone, Debug)]
pub enum CopyPlace {
    /// The directory of an embedded one.
    Embedded(PathBuf),
    /// A database.
    Database(DatabaseUrl),
}

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyReport {
    /// Entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// BLAKE3 of all of them.
    pub digest: blake3::Hash,
}

/// Why a catalog was not copied. The destination has none then.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The embedded one does not open.
    #[error(transparent)]
    Embedded(#[from] OpenError),
    /// The database is no use.
    #[error(transparent)]
    Database(#[from] PostgresError),
    /// The embedded one does not answer.
    #[error("the embedded catalog failed")]
    Catalog(#[from] CatalogError),
    /// There is none.
    #[error("there is no catalog in {}; remedy: name the right directory", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error(
        "the catalog in {} is not empty; remedy: name another directory, or move that one away",
        .0.display()
    )]
    Occupied(PathBuf),
    /// A directory cannot be changed.
    #[error("cannot write {}; remedy: check its owner, permissions and free space", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// What was read back is something else.
    #[error(
        "the copy is not what was copied: {} entries with digest {}, and {} entries with digest {} were \
         read; remedy: make sure that nobody else writes to the destination, empty it and copy again",
        .found.entries, .found.digest.to_hex(), .expected.entries, .expected.digest.to_hex()
    )]
    Different {
        /// What was read.
        expected: CopyReport,
        /// What was read back.
        found: CopyReport,
    },
}

/// Copies the catalog in `from` to `to`, which has none or an empty one. `progress` is told the entries
/// of each step: first all as they are copied, then all as they are read back.
///
/// # Errors
///
/// [`CopyError`]. No server takes what is left behind then for a catalog.
///
/// # Cancel safety
///
/// As after an error.
pub async fn copy(
    from: &CopyPlace,
    to: &CopyPlace,
    mut progress: impl FnMut(Step, u64),
) -> Result<CopyReport, CopyError> {
    let source = Source::open(from).await?;
    let copied = copy_from(&source, to, &mut progress).await;
    source.close().await;
    copied
}

/// What a copy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Entries go to the destination.
    Copy,
    /// They are read back from there.
    Verify,
}

async fn copy_from(
    source: &Source,
    to: &CopyPlace,
    progress: &mut impl FnMut(Step, u64),
) -> Result<CopyReport, CopyError> {
    let target = Target::begin(to).await?;
    let mut sum = Sum::default();
    let mut after = None;
    loop {
        let entries = source.behind(after.as_deref()).await?;
        let Some((last, _)) = entries.last() else {
            break;
        };
        after = Some(last.clone());
        sum.add(&entries);
        progress(Step::Copy, entries.len() as u64);
        target.add(entries).await?;
    }
    let expected = sum.report();
    let mut sum = Sum::default();
    let mut after = None;
    loop {
        let entries = target.behind(after.as_deref()).await?;
        let Some((last, _)) = entries.last() else {
            break;
        };
        after = Some(last.clone());
        sum.add(&entries);
        progress(Step::Verify, entries.len() as u64);
    }
    let found = sum.report();
    if found != expected {
        return Err(CopyError::Different { expected, found });
    }
    target.complete().await?;
    Ok(expected)
}

/// What all entries come to.
#[derive(Debug, Default)]
struct Sum {
    entries: u64,
    bytes: u64,
    digest: Box<blake3::Hasher>,
}

impl Sum {
    fn add(&mut self, entries: &Entries) {
        for (key, value) in entries {
            for part in [key, value] {
                let len = part.len() as u64;
                self.digest.update(&len.to_be_bytes());
                self.digest.update(part);
                self.bytes += len;
            }
            self.entries += 1;
        }
    }

    fn report(&self) -> CopyReport {
        CopyReport {
            entries: self.entries,
            bytes: self.bytes,
            digest: self.digest.finalize(),
        }
    }
}

/// One state of a catalog.
enum Source {
    Embedded(RocksCatalog),
    Database(Box<Snapshot>),
}

impl Source {
    async fn open(place: &CopyPlace) -> Result<Self, CopyError> {
        match place {
            CopyPlace::Embedded(directory) => {
                if !has_database(directory) {
                    return Err(CopyError::Missing(directory.clone()));
                }
                // Nobody else has it open, so all that is read is of one state.
                Ok(Self::Embedded(open(directory).await?))
            }
            CopyPlace::Database(url) => Ok(Self::Database(Box::new(Snapshot::open(url).await?))),
        }
    }

    async fn behind(&self, after: Option<&[u8]>) -> Result<Entries, CopyError> {
        match self {
            Self::Embedded(catalog) => behind(catalog, after).await,
            Self::Database(snapshot) => Ok(snapshot.behind(after, AT_ONCE).await?),
        }
    }

    async fn close(self) {
        match self {
            Self::Embedded(catalog) => catalog.close().await,
            Self::Database(snapshot) => snapshot.close().await,
        }
    }
}

/// A catalog that is being made.
enum Target {
    /// It is made beside its place, which it gets in the end.
    Embedded {
        catalog: RocksCatalog,
        unfinished: PathBuf,
        directory: PathBuf,
    },
    Database(Box<Filling>),
}

impl Target {
    async fn begin(place: &CopyPlace) -> Result<Self, CopyError> {
        let directory = match place {
            CopyPlace::Database(url) => {
                return Ok(Self::Database(Box::new(Filling::begin(url).await?)));
            }
            CopyPlace::Embedded(directory) => directory.clone(),
        };
        if has_database(&directory) {
            let catalog = open(&directory).await?;
            let first = behind(&catalog, None).await;
            catalog.close().await;
            if !first?.is_empty() {
                return Err(CopyError::Occupied(directory));
            }
        }
        let mut name = directory.file_name().unwrap_or_default().to_owned();
        name.push(".copying");
        let unfinished = directory.with_file_name(name);
        remove(&unfinished)?;
        Ok(Self::Embedded {
            catalog: open(&unfinished).await?,
            unfinished,
            directory,
        })
    }

    async fn add(&self, entries: Entries) -> Result<(), CopyError> {
        match self {
            Self::Embedded { catalog, .. } => {
                let write = catalog.write(move |tx| {
                    let put = |(key, value): &(Vec<u8>, Vec<u8>)| tx.put(key, value);
                    entries.iter().try_for_each(put)
                });
                Ok(write.await?)
            }
            Self::Database(filling) => Ok(filling.add(&entries).await?),
        }
    }

    async fn behind(&self, after: Option<&[u8]>) -> Result<Entries, CopyError> {
        match self {
            Self::Embedded { catalog, .. } => behind(catalog, after).await,
            Self::Database(filling) => Ok(filling.behind(after, AT_ONCE).await?),
        }
    }

    async fn complete(self) -> Result<(), CopyError> {
        match self {
            Self::Database(filling) => Ok(filling.complete().await?),
            Self::Embedded {
                catalog,
                unfinished,
                directory,
            } => {
                catalog.close().await;
                // An empty catalog, if anything.
                remove(&directory)?;
                let renamed = std::fs::rename(&unfinished, &directory);
                let renamed = renamed.and_then(|()| sync_parents(&directory));
                renamed.map_err(|source| CopyError::Directory {
                    path: directory,
                    source,
                })
            }
        }
    }
}

/// Whether a directory has a database, which opening it would else make.
fn has_database(directory: &Path) -> bool {
    directory.join("CURRENT").exists()
}

async fn open(directory: &Path) -> Result<RocksCatalog, CopyError> {
    let settings = CatalogSettings {
        directory: directory.to_owned(),
        ..CatalogSettings::new(directory)
    };
    let opening = tokio::task::spawn_blocking(move || {
        // Nobody asks for figures of a copy.
        RocksCatalog::open(&settings, &Registry::new())
    });
    let opened = opening.await;
    opened
        .map_err(|error| OpenError::Thread(error.into()))?
        .map_err(CopyError::from)
}

async fn behind(catalog: &RocksCatalog, after: Option<&[u8]>) -> Result<Entries, CopyError> {
    let from = after.map_or_else(|| FIRST_KEY.to_vec(), |after| [after, &[0]].concat());
    let read = catalog.read(move |view| {
        let (mut entries, mut len) = (Entries::new(), 0);
        // Types are letters, so no key is as large as this.
        view.scan(
            &from,
            &[u8::MAX],
            Direction::Ascending,
            &mut |key, value| {
                entries.push((key.to_vec(), value.to_vec()));
                len += key.len() + value.len();
                if AT_ONCE <= entries.len() || LEN_AT_ONCE <= len {
                    std::ops::ControlFlow::Break(())
                } else {
                    std::ops::ControlFlow::Continue(())
                }
            },
        )?;
        Ok::<_, CatalogError>(entries)
    });
    Ok(read.await?)
}

fn remove(directory: &Path) -> Result<(), CopyError> {
    match std::fs::remove_dir_all(directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CopyError::Directory {
            path: directory.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
