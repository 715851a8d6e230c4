//! Many requests at once over one authenticated connection between two nodes.
//!
//! Whoever opened the connection asks, the other side answers, in any order. On each side one task
//! reads and one writes. What waits to be written leaves in one call, and payloads are copied in
//! neither direction. Requests and their bytes under way are bounded by what both sides allow, and
//! callers wait for room. Both sides send a sign of life when they have nothing else to say, so a peer
//! that is dead, paused or cut off is noticed after [`MuxLimits::silence_max`]; then every call under
//! way fails with the reason. Source: docs/wire.md, between nodes.

mod client;
mod frame;
mod halves;
mod receiver;
mod sender;
mod server;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::auth::AuthError;
use crate::limits;
pub use client::Mux;
#[cfg(any(test, feature = "testing"))]
pub(crate) use frame::fuzz_frames;
pub use frame::{Frame, FrameError};
pub use halves::Halves;
pub use server::{Handler, serve};

/// How much may be under way on one connection, and how patient it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MuxLimits {
    /// Requests under way, 1 to [`limits::NODE_REQUESTS_MAX`]. The smaller one of both sides counts.
    pub requests_max: usize,
    /// Bytes of requests under way; one request may always be. The smaller one of both sides counts.
    pub bytes_max: usize,
    /// Time from a call until its answer, waiting for room included.
    pub call_timeout: Duration,
    /// Silence after which the peer counts as gone. It is told, and sends signs of life more often.
    pub silence_max: Duration,
    /// Time for each step until the connection can be used: connecting, authenticating, and learning
    /// the peer's limits.
    pub connect_timeout: Duration,
}

impl Default for MuxLimits {
    fn default() -> Self {
        Self {
            requests_max: 256,
            bytes_max: 32 * 1024 * 1024,
            call_timeout: Duration::from_secs(30),
            silence_max: Duration::from_millis(1500),
            connect_timeout: Duration::from_secs(2),
        }
    }
}

impl MuxLimits {
    /// The limits within what can be counted.
    fn checked(self) -> Self {
        Self {
            requests_max: self.requests_max.clamp(1, limits::NODE_REQUESTS_MAX),
            bytes_max: self.bytes_max.clamp(1, BYTES_MAX),
            ..self
        }
    }
}

/// Bytes under way that the counters have room for.
const BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Why a connection between nodes ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MuxEnd {
    /// The peer closed it, or its process ended.
    #[error("the peer closed the connection")]
    Closed,
    /// Nothing came, not even a sign of life.
    #[error("the peer was silent for {0:?}")]
    Silent(Duration),
    /// The peer takes no bytes.
    #[error("the peer took nothing for {0:?}")]
    Stalled(Duration),
    /// The socket failed.
    #[error("the connection failed")]
    Io(#[source] Arc<io::Error>),
    /// The peer sent what it must not.
    #[error("the peer broke the protocol")]
    Protocol(#[from] FrameError),
    /// The peer stops and answers no more requests.
    #[error("the peer is stopping")]
    Leaving,
    /// This side stops.
    #[error("this node is stopping")]
    Stopping,
    /// A request on this side ended without an answer, which is a defect of its handler.
    #[error("a request was left without an answer")]
    Unanswered,
}

impl From<io::Error> for MuxEnd {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Why a call failed, or a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// The peer cannot be reached. No request was sent.
    #[error("cannot connect to the node")]
    Connect(#[source] io::Error),
    /// Nobody answered. No request was sent.
    #[error("the node does not answer within {0:?}")]
    Unreachable(Duration),
    /// The two do not know the same secret. No request was sent.
    #[error("the node and this one do not trust each other")]
    Auth(#[from] AuthError),
    /// A frame that no peer would take. It was not sent.
    #[error("a request of {len} bytes, {} allowed", limits::NODE_FRAME_LEN_MAX)]
    TooLong {
        /// Bytes of head and payload.
        len: usize,
    },
    /// No answer in time. Whether the peer acted on the request is not known.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The connection ended. Whether the peer acted on the request is not known.
    #[error("the connection between the nodes ended")]
    Ended(#[from] MuxEnd),
}

#[cfg(test)]
mod tests;
