//! Why the API server does not start.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use common::client::ClientError;
use common::code::ErrorCode;
use common::web::tls::TlsError;

use crate::backend::catalog::{OpenError, PostgresError};

/// Why the API server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}; remedy: stop what listens there or choose another address"
    )]
    Listen {
        /// What the settings say.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The settings of the connection to the cluster are no use.
    #[error("cannot be a client of the cluster")]
    Client(#[from] ClientError),
    /// The certificate is no use.
    #[error("cannot serve HTTPS")]
    Tls(#[source] Box<TlsError>),
    /// The directory of the front end is no use.
    #[error("api.web_dir {} cannot be served; remedy: give a directory with an index.html that the server's user can read", .directory.display())]
    WebDir {
        /// What the settings say.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// What the server keeps cannot be kept there.
    #[error("cannot write into {}; remedy: check its owner, permissions and free space", .directory.display())]
    Directory {
        /// What the settings say.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The catalog cannot be opened.
    #[error("cannot open the catalog of accounts and files")]
    Catalog(#[from] OpenError),
    /// The catalog's database is no use.
    #[error("cannot use the catalog of accounts and files")]
    Database(#[from] PostgresError),
    /// A text of the settings is not what it should be.
    #[error("{key} has the text \"{text}\", which is no such; remedy: mend or remove it")]
    Setting {
        /// The key.
        key: &'static str,
        /// The text.
        text: String,
    },
    /// The first password could not be hashed.
    #[error("cannot hash passwords")]
    Passwords(#[source] Box<dyn Error + Send + Sync>),
    /// A task of the start ended in a panic.
    #[error("a task of the start failed")]
    Task(#[from] tokio::task::JoinError),
    /// A metric of this name is registered already.
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
}

impl ApiError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Listen { .. } | Self::Metrics(_) => ErrorCode::Unavailable,
            Self::Directory { .. } | Self::Passwords(_) | Self::Task(_) => ErrorCode::Storage,
            Self::Catalog(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::Tls(_) | Self::WebDir { .. } | Self::Setting { .. } => ErrorCode::Invalid,
            Self::Client(error) => error.code(),
        }
    }
}
