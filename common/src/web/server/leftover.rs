//! Reads and throws away what a handler left of a request's body, so that its answer arrives.

use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use super::request_body::RequestBody;
use crate::limits;

/// Bodies that are thrown away at the same time; HTTP/1.1 has one request at a time.
pub(super) const WAITING_MAX: usize = 1;

/// Throws away what comes, until nothing can come any more.
///
/// At most [`limits::DRAIN_LEN_MAX`] bytes of each: that far, the connection goes on with the next
/// request. Beyond it, or when the client falls silent, dropping the rest ends the connection; the
/// client had all this time to read the answer.
pub(super) async fn throw_away(mut bodies: mpsc::Receiver<RequestBody>) {
    while let Some(body) = bodies.recv().await {
        discard(body).await;
    }
}

async fn discard(mut body: RequestBody) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        if limits::DRAIN_LEN_MAX < read {
            return;
        }
    }
}
