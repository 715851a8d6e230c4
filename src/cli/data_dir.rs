//! The data directory belongs to one process at a time.

use std::fs::{OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Name of the lock file in the data directory.
const LOCK_FILE: &str = "lock";

/// The right to use a data directory; dropping it, or the end of the process, gives it back.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    #[expect(
        clippy::disallowed_types,
        reason = "a lock is held by an open file and nothing is stored in it"
    )]
    _file: std::fs::File,
}

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error(
        "the data directory {} is used by {holder}; stop it, or choose another directory with --data-dir",
        dir.display()
    )]
    InUse { dir: PathBuf, holder: String },
    #[error("there is no data directory {}; name the right one with --data-dir", dir.display())]
    Missing { dir: PathBuf },
    #[error(
        "cannot use the data directory {}; it must be writable for the user that runs hayloft",
        dir.display()
    )]
    Io {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl DataDirLock {
    /// Locks `dir` for a tool, which must not make a directory where none is.
    pub(crate) fn of_existing(dir: &Path) -> Result<Self, DataDirError> {
        if dir.is_dir() {
            Self::take(dir)
        } else {
            Err(DataDirError::Missing {
                dir: dir.to_owned(),
            })
        }
    }

    /// Creates `dir` if it is missing and locks it.
    pub(crate) fn take(dir: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io {
            dir: dir.to_owned(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(LOCK_FILE))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only the message is poorer when the number cannot be read.
                let _ = file.take(32).read_to_string(&mut pid);
                let holder = match pid.trim().parse::<u32>() {
                    Ok(pid) => format!("process {pid}"),
                    Err(_) => "another process".to_owned(),
                };
                return Err(DataDirError::InUse {
                    dir: dir.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_user_is_refused_with_the_first_ones_process_number() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDirLock::take(dir.path()).unwrap();
        let refused = DataDirLock::take(dir.path()).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
        drop(first);
        DataDirLock::of_existing(dir.path()).unwrap();
    }

    #[test]
    fn a_tool_makes_no_directory() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("data");
        let error = DataDirLock::of_existing(&missing).unwrap_err();
        assert!(error.to_string().contains("--data-dir"), "{error}");
        assert!(!missing.exists());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = DataDirLock::take(&dir.path().join("file/data")).unwrap_err();
        assert!(error.to_string().contains("writable"), "{error}");
    }
}
