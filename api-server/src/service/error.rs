//! Why the service refuses.

use std::ops::RangeInclusive;

use common::code::ErrorCode;
use common::web::source::SourceError;

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
    /// Bytes that are stored could not be read.
    #[error("stored bytes could not be read")]
    Read(#[from] SourceError),
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
    /// The upload has no such slice.
    #[error("there is no slice {number}: the upload has {slices}, from 1 on")]
    NoSlice {
        /// The number asked for.
        number: u64,
        /// How many there are.
        slices: u64,
    },
    /// The upload cannot be completed yet.
    #[error("slices are missing: {}", ranges(.0))]
    SlicesMissing(Vec<RangeInclusive<u64>>),
    /// A block that does not follow what is there.
    #[error("{received} bytes are there, and a block at {offset} does not follow them")]
    Gap {
        /// Bytes that are there.
        received: u64,
        /// Where the block should go.
        offset: u64,
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

/// Ranges as people write them.
fn ranges(ranges: &[RangeInclusive<u64>]) -> String {
    let texts = ranges.iter().map(|range| {
        let (first, last) = (range.start(), range.end());
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    texts.collect::<Vec<_>>().join(", ")
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
            Self::Read(error) => error.code,
            Self::Denied | Self::WrongPassword | Self::RegistrationClosed => ErrorCode::Forbidden,
            Self::TooOften => ErrorCode::Busy,
            Self::Mismatch { .. }
            | Self::NoSlice { .. }
            | Self::SlicesMissing(_)
            | Self::Gap { .. } => ErrorCode::Invalid,
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
