//! One classification of everything that can go wrong.
//!
//! Each error of each crate answers with an [`ErrorCode`]; this file alone says what a code means on
//! the wire and over HTTP, whether trying again can help, and whether anything may have changed.

use crate::wire::Status;

/// What kind of failure a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request is malformed or breaks a rule of the protocol.
    Invalid,
    /// No such blob, group, node or metadata.
    NotFound,
    /// The name is taken.
    Exists,
    /// Free space is at or below what is reserved.
    NoSpace,
    /// A limit on connections, uploads or memory is reached.
    Busy,
    /// The disk failed or a checksum did not match.
    Storage,
    /// The store path takes no writes.
    ReadOnly,
    /// Not allowed for this peer.
    Forbidden,
    /// The peer was too slow or went away.
    Interrupted,
    /// The server is stopping.
    ShuttingDown,
    /// Nobody who could answer is reachable.
    Unavailable,
    /// The operation exists but not in this configuration.
    Unsupported,
}

impl ErrorCode {
    /// The status byte of the response.
    pub fn wire_status(self) -> Status {
        match self {
            Self::Invalid => Status::INVALID,
            Self::NotFound => Status::NOT_FOUND,
            Self::Exists => Status::EXISTS,
            Self::NoSpace => Status::NO_SPACE,
            Self::Busy => Status::BUSY,
            Self::Storage | Self::Interrupted => Status::IO,
            Self::ReadOnly => Status::READ_ONLY,
            Self::Forbidden => Status::ACCESS,
            Self::ShuttingDown | Self::Unavailable => Status::AGAIN,
            Self::Unsupported => Status::UNSUPPORTED,
        }
    }

    /// The HTTP status of the response.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Exists => 409,
            Self::NoSpace => 507,
            Self::Busy | Self::ShuttingDown | Self::Unavailable | Self::ReadOnly => 503,
            Self::Storage => 500,
            Self::Forbidden => 403,
            Self::Interrupted => 408,
            Self::Unsupported => 501,
        }
    }

    /// Whether the same request may succeed later without anyone changing it.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Busy
            | Self::Interrupted
            | Self::ShuttingDown
            | Self::Unavailable
            | Self::NoSpace
            | Self::ReadOnly => true,
            Self::Invalid
            | Self::NotFound
            | Self::Exists
            | Self::Storage
            | Self::Forbidden
            | Self::Unsupported => false,
        }
    }

    /// Whether the server promises that nothing changed, so the request may simply be sent again.
    pub fn has_no_side_effects(self) -> bool {
        match self {
            Self::Invalid
            | Self::NotFound
            | Self::Exists
            | Self::NoSpace
            | Self::Busy
            | Self::ReadOnly
            | Self::Forbidden
            | Self::ShuttingDown
            | Self::Unavailable
            | Self::Unsupported => true,
            // The write may have become durable before the answer was lost.
            Self::Interrupted | Self::Storage => false,
        }
    }
}
