//! Where a server finds the cluster secret: in the configuration, in a file, or in its data directory.
#![expect(clippy::disallowed_types, reason = "a small file, not a volume")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use common::config::{ClusterConfig, Config};
use common::limits;
use common::rpc::auth::Encryption;
use common::secret::{Secret, SecretError, Secrets};
use tracing::{info, warn};

use super::CliError;

/// The file in a data directory that is read without being asked for.
const FILE_NAME: &str = "cluster.secret";

/// Nobody but the server's user may read it.
const MODE: u32 = 0o600;

/// What is done when nobody gave a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make one: this process is a whole cluster.
    Make,
    /// Refuse: other nodes have one already, or need the same.
    Refuse,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFileError {
    #[error(
        "this node has no cluster secret, so no other would trust it; remedy: make one with \
         `hayloft cluster secret`, write it into {} here and into the same file of every other tracker \
         and storage node, or name another file with [cluster] secret_file",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("cannot read the cluster secret in {}; remedy: let the server's user read it, or correct \
             [cluster] secret_file", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} holds no cluster secret", path.display())]
    Content {
        path: PathBuf,
        #[source]
        source: SecretError,
    },
    #[error("cannot write a cluster secret to {}; remedy: make the directory writable", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl CliError for SecretFileError {
    fn exit_code(&self) -> u8 {
        2
    }
}

/// When a tracker or storage node of this configuration encrypts.
pub(crate) fn encryption(config: &Config) -> Encryption {
    if config.cluster.tls {
        Encryption::Always
    } else {
        Encryption::OnRequest
    }
}

/// The secrets that a tracker or storage node of this configuration shows and accepts.
pub(crate) fn secrets(config: &Config, missing: Missing) -> Result<Secrets, SecretFileError> {
    let ClusterConfig {
        secret,
        secret_file,
        secret_previous,
        tls: _,
    } = &config.cluster;
    let current = match (secret, secret_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(path)) => read(path)?,
        (None, None) => of_directory(&config.data_dir, missing)?,
    };
    Ok(Secrets {
        current,
        previous: secret_previous.clone(),
    })
}

fn of_directory(directory: &Path, missing: Missing) -> Result<Secret, SecretFileError> {
    let path = directory.join(FILE_NAME);
    let is_absent = |error: &SecretFileError| match error {
        SecretFileError::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
        SecretFileError::Missing { .. }
        | SecretFileError::Content { .. }
        | SecretFileError::Write { .. } => false,
    };
    match (read(&path), missing) {
        (Err(error), Missing::Make) if is_absent(&error) => make(directory, path),
        (Err(error), Missing::Refuse) if is_absent(&error) => {
            Err(SecretFileError::Missing { path })
        }
        (read, _) => read,
    }
}

fn read(path: &Path) -> Result<Secret, SecretFileError> {
    let failed = |source| SecretFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        warn!(
            file = %path.display(),
            "others may read the cluster secret; remedy: chmod 600"
        );
    }
    let mut text = String::new();
    // A line end may follow; whatever is longer still is refused for its length.
    let len_max = limits::CLUSTER_SECRET_LEN_MAX as u64 + 2;
    file.take(len_max)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Secret::try_from(text.as_str()).map_err(|source| SecretFileError::Content {
        path: path.to_owned(),
        source,
    })
}

/// Written whole or not at all, and never readable by others, not even for a moment.
fn make(directory: &Path, path: PathBuf) -> Result<Secret, SecretFileError> {
    let secret = Secret::generate();
    let temporary = path.with_extension("secret.new");
    let write = || -> io::Result<()> {
        // What a crash left behind may have other permissions.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&temporary)?;
        writeln!(file, "{}", secret.reveal())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(directory)?.sync_all()
    };
    match write() {
        Ok(()) => {
            info!(file = %path.display(), "made a cluster secret; nodes that shall join need it");
            Ok(secret)
        }
        Err(source) => Err(SecretFileError::Write { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path) -> Config {
        Config {
            data_dir: directory.to_owned(),
            ..Config::default()
        }
    }

    #[test]
    fn a_whole_cluster_makes_a_secret_once_that_only_its_user_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let made = secrets(&config, Missing::Make).unwrap();
        let path = directory.path().join(FILE_NAME);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert_eq!(secrets(&config, Missing::Make).unwrap(), made);
        // A role that runs alone later takes it too.
        assert_eq!(secrets(&config, Missing::Refuse).unwrap(), made);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_node_without_a_secret_refuses_and_says_how_to_make_one() {
        let directory = tempfile::tempdir().unwrap();
        let refused = secrets(&config(directory.path()), Missing::Refuse).unwrap_err();
        let message = refused.to_string();
        assert!(message.contains("hayloft cluster secret"), "{message}");
        assert!(message.contains("cluster.secret"), "{message}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_secret_of_the_configuration_wins_and_files_are_read_with_their_line_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let mut config = config(directory.path());
        config.cluster.secret_file = Some(path.clone());
        let found = secrets(&config, Missing::Refuse).unwrap();
        assert_eq!(found.current.reveal(), "0123456789abcdef");
        config.cluster.secret = Some(Secret::generate());
        config.cluster.secret_previous = Some(found.current.clone());
        let found = secrets(&config, Missing::Refuse).unwrap();
        assert_eq!(Some(found.current), config.cluster.secret);
        assert_eq!(found.previous, config.cluster.secret_previous);
    }

    #[test]
    fn a_file_that_holds_no_secret_is_refused_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        for content in ["short", &"x".repeat(2000), "two\nlines of some length"] {
            std::fs::write(&path, content).unwrap();
            let refused = secrets(&config(directory.path()), Missing::Make).unwrap_err();
            assert!(
                matches!(refused, SecretFileError::Content { .. }),
                "{refused:?}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
    }
}
