//! Reads bodies of requests within a limit: all at once, or piece by piece.
//!
//! What is not read here is the connection's concern, which lets the answer arrive all the same; see
//! [`RequestBody`].

use bytes::{Bytes, BytesMut};
use common::web::server::{BodyError, RequestBody};
use http::StatusCode;
use http_body_util::BodyExt as _;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Longer than the call allows.
    #[error("the body has more than {max} bytes")]
    TooLong {
        /// Bytes that it may have.
        max: u64,
    },
    /// The client fell silent or went away.
    #[error("the body did not arrive")]
    Body(#[from] BodyError),
}

impl ReadError {
    /// The status that says so.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Stalled(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Broken(_)) => StatusCode::BAD_REQUEST,
        }
    }
}

/// All bytes of `body`, of which there may be `max`.
///
/// Memory follows what arrives, not what a head announces.
///
/// # Errors
///
/// [`ReadError::TooLong`] before anything is read if the head announces more, else when more came.
pub(crate) async fn collect(body: RequestBody, max: usize) -> Result<Bytes, ReadError> {
    let mut pieces = Pieces::new(body, max as u64)?;
    let Some(first) = pieces.next().await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = pieces.next().await? else {
        // Most bodies are one piece, which needs no copy.
        return Ok(first);
    };
    let mut all = BytesMut::from(&*first);
    all.extend_from_slice(&second);
    while let Some(piece) = pieces.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// Reads a body piece by piece; only the piece in hand is in memory.
#[derive(Debug)]
pub(crate) struct Pieces {
    body: RequestBody,
    max: u64,
    read: u64,
}

impl Pieces {
    /// Of `body`, which may have `max` bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooLong`] if its head announces more.
    pub(crate) fn new(body: RequestBody, max: u64) -> Result<Self, ReadError> {
        if body.announced_len().is_some_and(|len| max < len) {
            return Err(ReadError::TooLong { max });
        }
        Ok(Self { body, max, read: 0 })
    }

    /// The next piece, never empty; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; nothing more comes after one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no piece is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        while let Some(frame) = self.body.frame().await {
            let Ok(piece) = frame?.into_data() else {
                continue;
            };
            self.read = self.read.saturating_add(piece.len() as u64);
            if self.max < self.read {
                return Err(ReadError::TooLong { max: self.max });
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_whole_or_in_pieces_up_to_its_limit() {
        let body = || RequestBody::from(Bytes::from_static(b"12345"));
        assert_eq!(collect(body(), 5).await.unwrap(), "12345");
        assert_eq!(
            collect(RequestBody::from(Bytes::new()), 0).await.unwrap(),
            ""
        );
        let refused = collect(body(), 4).await.unwrap_err();
        assert_eq!(refused.status(), 413);
        let mut pieces = Pieces::new(body(), 5).unwrap();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "12345");
        assert_eq!(pieces.next().await.unwrap(), None);
    }
}
