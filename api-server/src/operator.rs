//! How the command line reaches a server that runs: a port of its own on loopback, and a token.
//!
//! Both change with every start and stand in one file that only the server's user can read. So whoever
//! can read the data directory administers the server, which is so anyway, and nobody else does: the
//! public port knows nothing of this token.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file's name in the API server's directory.
const FILE: &str = "admin.json";

/// Where an operator's command finds a server, and what proves that it may.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAccess {
    /// Speaks plain HTTP; on loopback.
    pub address: SocketAddr,
    /// To be sent as `Authorization: Bearer`.
    pub token: String,
}

impl OperatorAccess {
    /// What the server that runs on `directory` wrote; `None` if none runs there, or none did since the
    /// last clean stop.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not one of ours.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read(directory.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// Writes the file, which readers see whole or not at all.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<OperatorFile> {
        let path = directory.join(FILE);
        let temporary = directory.join(format!("{FILE}.new"));
        // One that a crash left may be somebody's to read.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.write_all(b"\n")?;
        fs::rename(&temporary, &path)?;
        Ok(OperatorFile { path })
    }
}

impl fmt::Debug for OperatorAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorAccess")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The file while the server runs; dropped, it is removed.
#[derive(Debug)]
pub(crate) struct OperatorFile {
    path: PathBuf,
}

impl Drop for OperatorFile {
    fn drop(&mut self) {
        // If it stays, a command finds nobody there and says so.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_the_server_writes_is_read_until_it_stops_and_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(OperatorAccess::read(dir.path()).unwrap(), None);
        let access = OperatorAccess {
            address: "127.0.0.1:5".parse().unwrap(),
            token: "secret".to_owned(),
        };
        fs::write(dir.path().join("admin.json.new"), "left by a crash").unwrap();
        let file = access.write(dir.path()).unwrap();
        let mode = fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = OperatorAccess::read(dir.path()).unwrap();
        assert_eq!(read, Some(access.clone()));
        assert!(!format!("{access:?}").contains("secret"));
        drop(file);
        assert_eq!(OperatorAccess::read(dir.path()).unwrap(), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
