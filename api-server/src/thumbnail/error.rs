//! Why a thumbnail is not given.

use std::sync::Arc;
use std::time::Duration;

use common::code::ErrorCode;
use common::web::source::SourceError;
use http::StatusCode;

/// Why a thumbnail is not given. Cheap to clone: everybody who waited for it gets the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ThumbError {
    /// The blob does not exist or cannot be read.
    #[error(transparent)]
    Source(#[from] Arc<SourceError>),
    /// Too many thumbnails are being made, or the server is stopping.
    #[error("the server is making as many thumbnails as it can: try again in a moment")]
    Busy,
    /// The picture is the reason; asking again does not help.
    #[error("no thumbnail can be made of this file")]
    Picture(#[from] PictureError),
}

/// What is wrong with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Not JPEG, PNG, GIF, WebP or BMP by its first bytes.
    #[error("it is no picture of a known format")]
    Unknown,
    /// More bytes than are read for a thumbnail.
    #[error("its {len} bytes are more than the {max} that are read")]
    TooLong {
        /// Bytes of the blob.
        len: u64,
        /// What the settings allow.
        max: u64,
    },
    /// More pixels than are decoded.
    #[error("its {pixels} pixels are more than the {max} that are decoded")]
    TooManyPixels {
        /// What its header says, or the largest of its frames.
        pixels: u64,
        /// What the settings allow.
        max: u64,
    },
    /// Decoding would take more memory than one picture may have.
    #[error("decoding it takes at least {needed} bytes of memory, and {max} are allowed")]
    TooMuchMemory {
        /// Estimated from header and format.
        needed: u64,
        /// What the settings allow.
        max: u64,
    },
    /// Decoding took longer than a picture may.
    #[error("decoding it took longer than {0:?}")]
    TooSlow(Duration),
    /// The decoder gave up.
    #[error("it is damaged or of a kind that is not supported")]
    Broken,
    /// The decoder stopped in a way that it should not.
    #[error("it made the decoder fail")]
    Panicked,
    /// The thumbnail could not be written as JPEG or WebP.
    #[error("its thumbnail could not be encoded")]
    Encode,
}

impl ThumbError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Source(error) => error.code,
            Self::Busy => ErrorCode::Busy,
            Self::Picture(_) => ErrorCode::Invalid,
        }
    }

    /// The HTTP status of the answer. What the picture is to blame for has its own status, for the
    /// request is well formed: RFC 9110 §15.5.16 and §15.5.21.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Picture(PictureError::Unknown) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Picture(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Source(_) | Self::Busy => match self.code().http_status() {
                // "Request timeout" would blame the client for a server behind this one.
                408 => StatusCode::SERVICE_UNAVAILABLE,
                status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            },
        }
    }
}

impl From<SourceError> for ThumbError {
    fn from(error: SourceError) -> Self {
        Self::Source(Arc::new(error))
    }
}
