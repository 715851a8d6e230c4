//! Opens the database: makes it once, whole or not at all, and never a second time by accident.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use common::code::ErrorCode;
use rocksdb::{DB, ErrorKind};
use tracing::warn;

use super::super::VERSION;
use super::CatalogSettings;
use super::options::{COUNTS, LATER_OPTIONS, LogTrust, options, trees, write_options};
use super::writer::Sync;

/// Where the version of the key schema stands.
const VERSION_KEY: &[u8] = b"\0version";

/// Why the catalog does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A directory cannot be made or looked at.
    #[error(
        "cannot use {path} for the catalog; remedy: check its owner, permissions and free space"
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The database is there but cannot be understood.
    #[error(
        "the catalog in {path} is damaged; remedy: copy the directory away, then put a backup of \
         it in its place. Blobs and their links are not touched. Removing the directory starts \
         with no accounts and no files"
    )]
    Damaged {
        /// The directory of the database.
        path: PathBuf,
        /// What `RocksDB` said.
        #[source]
        source: rocksdb::Error,
    },
    /// The database cannot be reached.
    #[error(
        "cannot open the catalog in {path}; remedy: check that no other process uses it, its \
         permissions, and the disk; if files are missing, put a backup of the directory in its place"
    )]
    Failed {
        /// The directory of the database.
        path: PathBuf,
        /// What `RocksDB` said.
        #[source]
        source: rocksdb::Error,
    },
    /// The directory holds a database that is no catalog.
    #[error(
        "{path} holds a database that is no catalog of Hayloft; remedy: check the data directory \
         in the configuration"
    )]
    Foreign {
        /// The directory of the database.
        path: PathBuf,
    },
    /// A newer Hayloft wrote the catalog.
    #[error(
        "the catalog in {path} has version {found}, and this program knows up to version {known}; \
         remedy: start the newer program that wrote it"
    )]
    Newer {
        /// The directory of the database.
        path: PathBuf,
        /// The version of the catalog.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// A Hayloft from before the first release wrote the catalog.
    #[error(
        "the catalog in {path} has version {found}, from before the first release, and this program \
         knows version {known} only; remedy: start the program that wrote it, or move the directory \
         away to begin with no accounts and no files. Blobs and their links are not touched"
    )]
    Older {
        /// The directory of the database.
        path: PathBuf,
        /// The version of the catalog.
        found: u32,
        /// The version that is understood.
        known: u32,
    },
    /// The writer's thread does not start.
    #[error("cannot start the catalog's thread")]
    Thread(#[source] io::Error),
    /// A metric of this name is registered already.
    #[error("cannot register the catalog's metrics")]
    Metrics(#[from] prometheus::Error),
}

impl OpenError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Directory { .. }
            | Self::Damaged { .. }
            | Self::Failed { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Older { .. } => ErrorCode::Storage,
            Self::Thread(_) | Self::Metrics(_) => ErrorCode::Unavailable,
        }
    }
}

/// Opens the database, or makes an empty one if its directory is not there or empty.
pub(super) fn open(settings: &CatalogSettings) -> Result<DB, OpenError> {
    let path = settings.directory.as_path();
    if is_absent(path).map_err(directory_error(path))? {
        create(path, settings)?;
    }
    let db = open_existing(path, settings)?;
    check_version(path, &db)?;
    db.set_options(LATER_OPTIONS).map_err(classify(path))?;
    let counts = db.cf_handle(COUNTS);
    let counts = counts.ok_or_else(|| OpenError::Foreign { path: path.into() })?;
    db.set_options_cf(counts, LATER_OPTIONS)
        .map_err(classify(path))?;
    Ok(db)
}

fn is_absent(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Makes an empty database beside `path` and gives it its name when it is complete and durable: a
/// crash on the way leaves nothing that looks like a catalog.
fn create(path: &Path, settings: &CatalogSettings) -> Result<(), OpenError> {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(directory_error(&unfinished)(error));
        }
        _ => {}
    }
    // Hashes of passwords and tokens are nobody else's business.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&unfinished)
        .map_err(directory_error(&unfinished))?;
    let mut options = options(settings, LogTrust::Whole);
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let db = DB::open_cf_descriptors(&options, &unfinished, trees(settings))
        .map_err(classify(&unfinished))?;
    db.put_opt(
        VERSION_KEY,
        VERSION.to_be_bytes(),
        &write_options(Sync::Now),
    )
    .and_then(|()| db.flush())
    .map_err(classify(&unfinished))?;
    drop(db);
    fs::rename(&unfinished, path)
        .and_then(|()| sync_parents(path))
        .map_err(directory_error(path))
}

/// Makes the names on the way to `path` durable.
pub(in super::super) fn sync_parents(path: &Path) -> io::Result<()> {
    // The directory itself, the one it was made in, and the data directory in which that may be new.
    for directory in path.ancestors().take(3) {
        if directory.as_os_str().is_empty() {
            break;
        }
        #[expect(
            clippy::disallowed_types,
            reason = "a directory is opened for its sync only"
        )]
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn open_existing(path: &Path, settings: &CatalogSettings) -> Result<DB, OpenError> {
    let open = |trust| {
        let mut options = options(settings, trust);
        // One that lacks a tree is of another version, which is looked at next.
        options.create_missing_column_families(true);
        DB::open_cf_descriptors(&options, path, trees(settings))
    };
    match open(LogTrust::Whole) {
        Ok(db) => Ok(db),
        Err(error) if error.kind() == ErrorKind::Corruption => {
            // A power cut may leave the last pages of the log in any order. What they held was not
            // acknowledged if every change is synced, and could be lost by the setting if not.
            let db = open(LogTrust::UpToDamage).map_err(classify(path))?;
            warn!(
                path = %path.display(),
                error = %error,
                "the end of the catalog's log could not be read and was dropped; this is normal \
                 after a power cut, and without one a sign that the disk is failing"
            );
            Ok(db)
        }
        Err(error) => Err(classify(path)(error)),
    }
}

fn check_version(path: &Path, db: &DB) -> Result<(), OpenError> {
    let value = db.get(VERSION_KEY).map_err(classify(path))?;
    let found = value.and_then(|value| <[u8; 4]>::try_from(value.as_slice()).ok());
    let Some(found) = found.map(u32::from_be_bytes) else {
        return Err(OpenError::Foreign { path: path.into() });
    };
    if found < VERSION {
        return Err(OpenError::Older {
            path: path.into(),
            found,
            known: VERSION,
        });
    }
    if VERSION < found {
        return Err(OpenError::Newer {
            path: path.into(),
            found,
            known: VERSION,
        });
    }
    Ok(())
}

fn directory_error(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Directory {
        path: path.into(),
        source,
    }
}

fn classify(path: &Path) -> impl FnOnce(rocksdb::Error) -> OpenError {
    move |source| {
        let path = path.into();
        // The last two are what a directory without its list of files is called.
        let is_damaged = matches!(
            source.kind(),
            ErrorKind::Corruption | ErrorKind::InvalidArgument | ErrorKind::NotFound
        );
        if is_damaged {
            OpenError::Damaged { path, source }
        } else {
            OpenError::Failed { path, source }
        }
    }
}
