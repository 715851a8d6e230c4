//! Why the API server does not start.

use std::io;
use std::net::SocketAddr;

use common::client::ClientError;
use common::code::ErrorCode;

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
    /// A metric of this name is registered already.
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
}

impl ApiError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Listen { .. } | Self::Metrics(_) => ErrorCode::Unavailable,
            Self::Client(error) => error.code(),
        }
    }
}
