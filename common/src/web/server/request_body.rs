//! The body of a request, as its handler reads it.
//!
//! hyper bounds how long a head may take to arrive, but not a body: a sender that falls silent in the
//! middle would hold its connection, and whatever the handler keeps for it, for ever. So a read that
//! brings nothing for the stall timeout is an error here. Only waiting for the client counts: while a
//! handler is busy elsewhere and asks for nothing, no time runs.
//!
//! A handler may answer without reading the body, or in the middle of it. Closing the connection then
//! would reset it, since the socket still has unread bytes, and the reset can destroy the answer
//! before the client has read it. So what a handler leaves goes to the connection, which reads on for
//! a while and throws it away, as [`super::leftover`] says.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::leftover;
use super::patience::Patience;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client sent no byte of it for the stall timeout.
    #[error("the client sent nothing for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// The connection ended before the body did, or its framing is wrong.
    #[error("the body broke off")]
    Broken(#[from] hyper::Error),
}

/// The body of a request. Its frames are data only; trailers are dropped.
pub struct RequestBody {
    source: Source,
    patience: Patience,
}

enum Source {
    /// From a connection; `None` when it is over, failed or was handed on.
    Wire {
        incoming: Option<Incoming>,
        /// Takes what the handler leaves.
        leave: mpsc::Sender<RequestBody>,
        /// The client waits to be asked for the body, and was not asked yet.
        must_be_asked_for: bool,
    },
    /// What [`super::leftover`] throws away; nothing takes what it leaves.
    Rest(Option<Incoming>),
    /// From memory.
    Whole(Bytes),
}

impl RequestBody {
    pub(super) fn new(
        incoming: Incoming,
        must_be_asked_for: bool,
        stall_timeout: Duration,
        leave: mpsc::Sender<RequestBody>,
    ) -> Self {
        Self {
            source: Source::Wire {
                incoming: Some(incoming),
                leave,
                must_be_asked_for,
            },
            patience: Patience::new(stall_timeout),
        }
    }

    /// Bytes that the request's head announces; `None` if it came in chunks.
    pub fn announced_len(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    fn incoming(&mut self) -> Option<&mut Incoming> {
        match &mut self.source {
            Source::Wire { incoming, .. } | Source::Rest(incoming) => incoming.as_mut(),
            Source::Whole(_) => None,
        }
    }

    /// Nothing more will come, and nothing is left to be thrown away.
    fn end(&mut self) {
        match &mut self.source {
            Source::Wire { incoming, .. } | Source::Rest(incoming) => *incoming = None,
            Source::Whole(bytes) => bytes.clear(),
        }
    }
}

impl From<Bytes> for RequestBody {
    /// A body that is there already.
    fn from(bytes: Bytes) -> Self {
        Self {
            source: Source::Whole(bytes),
            patience: Patience::new(Duration::MAX),
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut *self;
        if let Source::Whole(bytes) = &mut body.source {
            let bytes = std::mem::take(bytes);
            return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
        }
        if let Source::Wire {
            must_be_asked_for, ..
        } = &mut body.source
        {
            // To be polled is how hyper learns that "100 Continue" is to be sent.
            *must_be_asked_for = false;
        }
        loop {
            let Some(incoming) = body.incoming() else {
                return Poll::Ready(None);
            };
            match Pin::new(incoming).poll_frame(cx) {
                Poll::Ready(next) => {
                    body.patience.progress();
                    match next {
                        Some(Ok(frame)) if frame.is_data() => {
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        Some(Ok(_trailers)) => {}
                        Some(Err(error)) => {
                            body.end();
                            return Poll::Ready(Some(Err(error.into())));
                        }
                        None => {
                            body.end();
                            return Poll::Ready(None);
                        }
                    }
                }
                Poll::Pending => {
                    let stalled = ready!(body.patience.poll_lost(cx));
                    body.end();
                    return Poll::Ready(Some(Err(BodyError::Stalled(stalled))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Wire { incoming, .. } | Source::Rest(incoming) => {
                incoming.as_ref().is_none_or(Incoming::is_end_stream)
            }
            Source::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Wire { incoming, .. } | Source::Rest(incoming) => incoming
                .as_ref()
                .map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint),
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Source::Wire {
            incoming,
            leave,
            must_be_asked_for,
        } = &mut self.source
        else {
            return;
        };
        let Some(incoming) = incoming.take() else {
            return;
        };
        // Whoever waits to be asked has sent nothing, and to read would be to ask.
        if incoming.is_end_stream() || *must_be_asked_for {
            return;
        }
        // A connection has one request at a time, so there is room; else the connection just ends.
        let _ = leave.try_send(Self {
            source: Source::Rest(Some(incoming)),
            patience: Patience::new(leftover::stall_timeout(self.patience.limit())),
        });
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("announced_len", &self.announced_len())
            .finish_non_exhaustive()
    }
}
