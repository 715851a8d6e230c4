//! What can go wrong between a client and the servers, and whether to try again.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Address;
use crate::code::ErrorCode;
use crate::digest::Crc32;
use crate::rpc::ConnectionError;
use crate::wire::{Command, Status, WireError};

/// How far a request had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Sending the request or its content.
    Send,
    /// Waiting for the answer's header.
    Answer,
    /// Receiving the answer's body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send => "sending the request",
            Self::Answer => "waiting for the answer",
            Self::Body => "receiving the answer",
        })
    }
}

/// An answer that is not what the protocol promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The command byte is not that of a response; the peer speaks another protocol.
    #[error("the peer does not speak this protocol (response command {0} instead of 100)")]
    NotAResponse(u8),
    /// Success before the content was sent.
    #[error("the peer reported success before it had the content")]
    Early,
    /// Something else than what was sent.
    #[error(
        "the node received {size} bytes with checksum {crc}, but {sent_size} with {sent_crc} were sent"
    )]
    Content {
        /// Bytes that the node has.
        size: u64,
        /// Their checksum.
        crc: Crc32,
        /// Bytes that were sent.
        sent_size: u64,
        /// Their checksum.
        sent_crc: Crc32,
    },
    /// The body does not have the shape of its layout.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Why a client call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection came about.
    #[error("cannot connect to {address}")]
    Connect {
        /// Who was called.
        address: Address,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The peer did not accept a connection in time.
    #[error("cannot connect to {address} within {after:?}")]
    ConnectTimeout {
        /// Who was called.
        address: Address,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke or the peer was too slow.
    #[error("connection to {address} failed while {phase}")]
    Connection {
        /// Who was called.
        address: Address,
        /// How far the request had come.
        phase: Phase,
        /// What happened.
        #[source]
        source: ConnectionError,
    },
    /// The server said no.
    #[error("{address} refused {command:?}: {status}")]
    Refused {
        /// Who was called.
        address: Address,
        /// What was asked.
        command: Command,
        /// What the server said.
        status: Status,
    },
    /// The server's answer makes no sense.
    #[error("malformed answer from {address}")]
    Answer {
        /// Who was called.
        address: Address,
        /// What is wrong with it.
        #[source]
        source: AnswerError,
    },
    /// None of the trackers could be asked.
    #[error("none of {tried} trackers answered; the last one")]
    Trackers {
        /// How many there are.
        tried: usize,
        /// Why the last one failed.
        #[source]
        last: Box<ClientError>,
    },
    /// The content to send could not be read.
    #[error("cannot read the content to send")]
    Content(#[source] io::Error),
    /// The content to send ended early. The server discards what it got.
    #[error("the content ended after {got} of {wanted} bytes")]
    ContentShort {
        /// Announced bytes.
        wanted: u64,
        /// Bytes there were.
        got: u64,
    },
    /// More bytes than the caller has room for.
    #[error("{len} bytes, {max} allowed")]
    TooLong {
        /// Bytes that would come.
        len: u64,
        /// Bytes the caller allows.
        max: u64,
    },
    /// No tracker was given.
    #[error("no tracker given; write at least one host:port")]
    NoTracker,
    /// [`super::Pool::close`] was called.
    #[error("the client was closed")]
    Closed,
}

impl ClientError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Connect { .. } | Self::ConnectTimeout { .. } => ErrorCode::Unavailable,
            Self::Connection { .. } | Self::Content(_) | Self::ContentShort { .. } => {
                ErrorCode::Interrupted
            }
            Self::Refused { status, .. } => code_of(*status),
            Self::Answer { .. } => ErrorCode::Storage,
            Self::Trackers { last, .. } => last.code(),
            Self::TooLong { .. } | Self::NoTracker => ErrorCode::Invalid,
            Self::Closed => ErrorCode::ShuttingDown,
        }
    }

    /// What the server answered, if it did.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Trackers { last, .. } => last.status(),
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Connection { .. }
            | Self::Answer { .. }
            | Self::Content(_)
            | Self::ContentShort { .. }
            | Self::TooLong { .. }
            | Self::NoTracker
            | Self::Closed => None,
        }
    }

    /// Whether the server is out of reach, as opposed to having refused.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::ConnectTimeout { .. } | Self::Connection { .. } => true,
            Self::Trackers { last, .. } => last.is_unreachable(),
            Self::Refused { .. }
            | Self::Answer { .. }
            | Self::Content(_)
            | Self::ContentShort { .. }
            | Self::TooLong { .. }
            | Self::NoTracker
            | Self::Closed => false,
        }
    }

    /// Whether the same call may be made again without a doubt about what the first one did.
    pub fn is_safe_to_repeat(&self) -> bool {
        let code = self.code();
        code.is_retryable() && code.has_no_side_effects()
    }

    /// Whether the peer had closed the connection before it saw the request: what an idle
    /// connection that a server cut off looks like.
    pub(super) fn is_stale_connection(&self) -> bool {
        matches!(
            self,
            Self::Connection {
                phase: Phase::Send | Phase::Answer,
                source: ConnectionError::Closed | ConnectionError::Io(_),
                ..
            }
        )
    }
}

/// What kind of failure a status tells.
fn code_of(status: Status) -> ErrorCode {
    match status {
        Status::NOT_FOUND => ErrorCode::NotFound,
        Status::AGAIN => ErrorCode::Unavailable,
        Status::ACCESS => ErrorCode::Forbidden,
        Status::BUSY => ErrorCode::Busy,
        Status::EXISTS | Status::ALREADY => ErrorCode::Exists,
        Status::INVALID => ErrorCode::Invalid,
        Status::NO_SPACE => ErrorCode::NoSpace,
        Status::READ_ONLY => ErrorCode::ReadOnly,
        Status::UNSUPPORTED => ErrorCode::Unsupported,
        // EIO and every other errno of a file system.
        _ => ErrorCode::Storage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_answer_is_not_safe_to_repeat_but_a_refused_connection_is() {
        let address = Address::new("h", 1);
        let lost = ClientError::Connection {
            address: address.clone(),
            phase: Phase::Answer,
            source: ConnectionError::Closed,
        };
        assert!(!lost.is_safe_to_repeat());
        let refused = ClientError::Connect {
            address: address.clone(),
            source: io::ErrorKind::ConnectionRefused.into(),
        };
        assert!(refused.is_safe_to_repeat());
        let missing = ClientError::Refused {
            address,
            command: Command::Download,
            status: Status::NOT_FOUND,
        };
        assert!(!missing.is_safe_to_repeat());
        assert_eq!(missing.code(), ErrorCode::NotFound);
    }
}
