//! Why the service refuses.

use common::code::ErrorCode;

use crate::backend::BlobsError;
use crate::core::catalog::CatalogError;
use crate::core::error::CoreError;

/// Why a call of the service had no effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The core refused.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// Storage failed.
    #[error("the bytes could not be stored or deleted")]
    Blobs(#[from] BlobsError),
    /// The token is not there, not valid, or another user's; or a call without one is not allowed.
    #[error("the call is not allowed without a valid token of the user")]
    Denied,
    /// Name and password do not fit each other.
    #[error("no account has this name and password")]
    WrongPassword,
    /// Too many attempts.
    #[error("too many attempts: try again in a minute")]
    TooOften,
    /// Nobody may register.
    #[error("registration is closed")]
    RegistrationClosed,
    /// What was received is not what was announced.
    #[error("{received} were received, {announced} were announced")]
    Mismatch {
        /// What the client said.
        announced: String,
        /// What came.
        received: String,
    },
    /// More content for an upload that failed.
    #[error("the upload failed before")]
    Broken,
    /// Hashing a password failed.
    #[error("the password could not be hashed: {0}")]
    Password(argon2::password_hash::Error),
    /// A task of the server ended in a panic.
    #[error("a task of the server failed")]
    Task(#[from] tokio::task::JoinError),
}

impl From<CatalogError> for ServiceError {
    fn from(error: CatalogError) -> Self {
        Self::Core(error.into())
    }
}

impl ServiceError {
    /// The classification that all of Hayloft shares.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Core(error) => error.code(),
            Self::Blobs(error) => error.code(),
            Self::Denied | Self::WrongPassword | Self::RegistrationClosed => ErrorCode::Forbidden,
            Self::TooOften => ErrorCode::Busy,
            Self::Mismatch { .. } => ErrorCode::Invalid,
            Self::Broken | Self::Password(_) | Self::Task(_) => ErrorCode::Storage,
        }
    }

    /// Whether the server, and not the client, is to blame.
    pub(crate) fn is_fault(&self) -> bool {
        match self.code() {
            ErrorCode::Storage
            | ErrorCode::NoSpace
            | ErrorCode::ReadOnly
            | ErrorCode::Interrupted
            | ErrorCode::Unavailable
            | ErrorCode::Unsupported => true,
            ErrorCode::Invalid
            | ErrorCode::NotFound
            | ErrorCode::Exists
            | ErrorCode::Busy
            | ErrorCode::Forbidden
            | ErrorCode::ShuttingDown => false,
        }
    }
}
