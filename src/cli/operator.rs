//! Calls to a server that runs, for whoever administers its machine.
//!
//! The server says in its data directory how to reach it; see `api_server::OperatorAccess`. So this
//! needs no account and no password, but must run as a user who may read that directory.

mod request;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use api_server::OperatorAccess;
use common::config::Sources;

use super::config::{self, ConfigError};
use super::output::Failure;
use super::{CliError, roles};
use request::Link;

/// Which server is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The configuration that the server runs with
    #[arg(long, value_name = "FILE", env = "HAYLOFT_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Where the server keeps everything [default: ./data]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<String>,
}

impl ServerArgs {
    /// The server, if it runs.
    pub(crate) fn find(self) -> Result<Server, OperatorError> {
        let sources = Sources::new().flag("--data-dir", "data_dir", self.data_dir);
        let config = config::load(self.config.as_deref(), sources)?.config;
        Server::find(&config.data_dir, &roles::api_directory(&config))
    }
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "no API server runs on the data directory {}; remedy: start it with `hayloft serve`, or name \
         the right directory with --data-dir or --config",
        data_dir.display()
    )]
    NotRunning { data_dir: PathBuf },
    #[error(
        "the API server of the data directory {} does not answer at {address}: it was killed or is \
         just stopping; remedy: start it with `hayloft serve`",
        data_dir.display()
    )]
    NoAnswer {
        data_dir: PathBuf,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot read how to reach the server, in {}; remedy: run this as the user that runs the server",
        directory.display()
    )]
    Access {
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the connection to the server broke; look with `hayloft user list` what was done")]
    Broken(#[source] io::Error),
    #[error("the server answered with something else than expected")]
    Answer(#[source] serde_json::Error),
    #[error("there is no account {0:?}; `hayloft user list` shows all")]
    NoAccount(String),
    #[error("there is an account {0:?} already")]
    Exists(String),
    #[error(
        "there is no such account or application; `hayloft user list` and `hayloft app list` show all"
    )]
    NotFound,
    #[error("the server refuses: {message} (status {status})")]
    Refused { status: u16, message: String },
    #[error(transparent)]
    Output(#[from] Failure),
}

impl CliError for OperatorError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::NotRunning { .. } | Self::NoAnswer { .. } => 3,
            Self::Access { .. }
            | Self::Broken(_)
            | Self::Answer(_)
            | Self::NoAccount(_)
            | Self::Exists(_)
            | Self::NotFound
            | Self::Refused { .. }
            | Self::Output(_) => 1,
        }
    }
}

/// The server that runs.
pub(crate) struct Server {
    data_dir: PathBuf,
    link: Link,
}

impl Server {
    fn find(data_dir: &Path, directory: &Path) -> Result<Self, OperatorError> {
        match OperatorAccess::read(directory) {
            Ok(Some(access)) => Ok(Self {
                data_dir: data_dir.to_owned(),
                link: Link::new(access),
            }),
            Ok(None) => Err(OperatorError::NotRunning {
                data_dir: data_dir.to_owned(),
            }),
            Err(source) => Err(OperatorError::Access {
                directory: directory.to_owned(),
                source,
            }),
        }
    }

    /// Makes a call about the account `name`; the body of the answer.
    pub(crate) fn send(
        &self,
        name: &str,
        method: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<Vec<u8>, OperatorError> {
        let stream = self
            .link
            .connect()
            .map_err(|source| OperatorError::NoAnswer {
                data_dir: self.data_dir.clone(),
                address: self.link.address(),
                source,
            })?;
        let answer = self.link.exchange(stream, method, path, body);
        let answer = answer.map_err(OperatorError::Broken)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |member: &str| said.get(member).and_then(|text| text.as_str());
        Err(match text("error") {
            Some("not_found") => OperatorError::NoAccount(name.to_owned()),
            Some("user_exists") => OperatorError::Exists(name.to_owned()),
            _ => OperatorError::Refused {
                status: answer.status,
                message: text("message").unwrap_or("no reason given").to_owned(),
            },
        })
    }

    /// Changes an account's standing.
    pub(crate) fn set(&self, name: &str, wanted: &serde_json::Value) -> Result<(), OperatorError> {
        self.send(name, "POST", &path_of(name), wanted).map(drop)
    }
}

/// Where an account's calls are.
pub(crate) fn path_of(name: &str) -> String {
    use std::fmt::Write as _;

    let mut path = "admin/accounts/".to_owned();
    for byte in name.bytes() {
        // All of it: then nothing in a name means anything in a path. Writing to a string works.
        let _ = write!(path, "%{byte:02X}");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_means_anything_in_a_path() {
        assert_eq!(path_of("a/é"), "admin/accounts/%61%2F%C3%A9");
        assert_eq!(path_of(".."), "admin/accounts/%2E%2E");
    }

    #[test]
    fn a_directory_without_a_server_is_told_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let Err(error) = Server::find(dir.path(), &dir.path().join("api")) else {
            panic!("nobody runs there");
        };
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        assert!(
            text.contains("hayloft serve") && text.contains("--data-dir"),
            "{text}"
        );
        std::fs::create_dir(dir.path().join("api")).unwrap();
        std::fs::write(dir.path().join("api/admin.json"), "{").unwrap();
        let broken = Server::find(dir.path(), &dir.path().join("api"));
        assert!(matches!(broken, Err(OperatorError::Access { .. })));
    }
}
