//! Bodies of answers: bytes in memory, or pieces that are read one after another.
//!
//! A piece is read only when the connection wants it, so a download holds one piece in memory
//! whatever its size. An error in the middle cuts the connection: a body that merely ended would look
//! whole to some clients.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use http_body::{Frame, SizeHint};
use tracing::warn;

use super::download::{BodyPiece, PlanBody};
use super::metrics::Meter;
use super::source::{Content, ReadPieces, SourceError};
use super::text;
use crate::code::ErrorCode;

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>;

/// The body of an answer.
pub struct Body {
    kind: Kind,
    /// Bytes still to come, if anybody knows.
    left: Option<u64>,
    meter: Option<Meter>,
}

enum Kind {
    Empty,
    One(Bytes),
    Several(VecDeque<Bytes>),
    Stream(Pieces),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::of(Kind::Empty, 0)
    }

    /// The bytes that `plan` wants of `content`, whose blob has `size` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Storage`] if a whole content does not have its size.
    pub fn planned<R: ReadPieces>(
        plan: PlanBody,
        content: Content<R>,
        size: u64,
    ) -> Result<Self, SourceError> {
        let len = len_of(&plan);
        match content {
            Content::Whole(bytes) => {
                if bytes.len() as u64 != size {
                    return Err(ErrorCode::Storage.into());
                }
                let kind = match plan {
                    PlanBody::Empty => Kind::Empty,
                    PlanBody::Range(range) => Kind::One(slice(&bytes, &range)?),
                    PlanBody::Pieces(pieces) => Kind::Several(
                        pieces
                            .into_iter()
                            .map(|piece| match piece {
                                BodyPiece::Literal(text) => Ok(text),
                                BodyPiece::Range(range) => slice(&bytes, &range),
                            })
                            .collect::<Result<_, _>>()?,
                    ),
                };
                Ok(Self::of(kind, len))
            }
            Content::Pieces(reader) => {
                let pieces = match plan {
                    PlanBody::Empty => return Ok(Self::empty()),
                    PlanBody::Range(range) => VecDeque::from([BodyPiece::Range(range)]),
                    PlanBody::Pieces(pieces) => pieces.into(),
                };
                Ok(Self::of(Kind::Stream(read_all(reader, pieces)), len))
            }
        }
    }

    /// Pieces of which nobody knows yet how many bytes they are. Each is made when the connection wants
    /// it.
    pub fn streamed(
        pieces: impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static,
    ) -> Self {
        Self {
            kind: Kind::Stream(Box::pin(pieces)),
            left: None,
            meter: None,
        }
    }

    /// The same body, counted by `meter` until its last byte is gone.
    pub(super) fn metered(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    fn of(kind: Kind, left: u64) -> Self {
        Self {
            kind,
            left: Some(left),
            meter: None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let len = bytes.len() as u64;
        Self::of(Kind::One(bytes), len)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = SourceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceError>>> {
        let body = &mut *self;
        let next = match &mut body.kind {
            Kind::Empty => None,
            Kind::One(bytes) => {
                let bytes = std::mem::take(bytes);
                body.kind = Kind::Empty;
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Kind::Several(pieces) => pieces.pop_front().map(Ok),
            Kind::Stream(pieces) => match pieces.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(next) => next,
            },
        };
        let Some(next) = next else {
            return Poll::Ready(None);
        };
        match &next {
            Ok(bytes) => {
                body.left = (body.left).map(|left| left.saturating_sub(bytes.len() as u64));
                if let Some(meter) = &body.meter {
                    meter.sent(bytes.len());
                }
            }
            // hyper only learns that the connection must end, so the reason is told here.
            Err(error) => warn!(
                left = body.left,
                error = text::chain(error),
                "answer broken off"
            ),
        }
        Poll::Ready(Some(next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn len_of(plan: &PlanBody) -> u64 {
    match plan {
        PlanBody::Empty => 0,
        PlanBody::Range(range) => range.end - range.start,
        PlanBody::Pieces(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                BodyPiece::Literal(text) => text.len() as u64,
                BodyPiece::Range(range) => range.end - range.start,
            })
            .sum(),
    }
}

/// A part of the mapping, without a copy.
fn slice(bytes: &Bytes, range: &std::ops::Range<u64>) -> Result<Bytes, SourceError> {
    let at = |offset: u64| usize::try_from(offset).ok().filter(|at| *at <= bytes.len());
    match (at(range.start), at(range.end)) {
        (Some(start), Some(end)) if start <= end => Ok(bytes.slice(start..end)),
        _ => Err(ErrorCode::Storage.into()),
    }
}

fn read_all<R: ReadPieces>(reader: R, pieces: VecDeque<BodyPiece>) -> Pieces {
    Box::pin(stream::try_unfold(
        (reader, pieces),
        |(mut reader, mut pieces)| async move {
            let range = match pieces.pop_front() {
                None => return Ok(None),
                Some(BodyPiece::Literal(text)) => return Ok(Some((text, (reader, pieces)))),
                Some(BodyPiece::Range(range)) => range,
            };
            let bytes = reader.read(range.clone()).await?;
            let read = bytes.len() as u64;
            // A reader that gives nothing would be asked for ever; one that gives too much would
            // shift everything behind.
            if read == 0 || range.end - range.start < read {
                return Err(ErrorCode::Storage.into());
            }
            if read < range.end - range.start {
                pieces.push_front(BodyPiece::Range(range.start + read..range.end));
            }
            Ok(Some((bytes, (reader, pieces))))
        },
    ))
}
