//! Reads and throws away what a handler left of a request's body, so that its answer arrives.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::request_body::RequestBody;
use crate::limits;

/// Bodies that are thrown away at the same time; HTTP/1.1 has one request at a time.
pub(super) const WAITING_MAX: usize = 1;

/// Time without a byte of what is thrown away, and for all of it. Shorter than for what somebody
/// waits for: here the only thing at stake is that the client reads an answer it has already got.
const STALL_MAX: Duration = Duration::from_secs(5);
const TIME_MAX: Duration = Duration::from_secs(30);

/// Throws away what comes, until nothing can come any more.
///
/// At most [`limits::DRAIN_LEN_MAX`] bytes of each: that far, the connection goes on with the next
/// request. Beyond it, or when the client is too slow, dropping the rest ends the connection; the
/// client had all this time to read the answer.
pub(super) async fn throw_away(mut bodies: mpsc::Receiver<RequestBody>) {
    while let Some(body) = bodies.recv().await {
        // Whether it came to its end shows in the connection, which goes on or ends.
        let _ = timeout(TIME_MAX, discard(body)).await;
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

/// The patience with a body that is thrown away, for a server with this stall timeout.
pub(super) fn stall_timeout(of_server: Duration) -> Duration {
    of_server.min(STALL_MAX)
}
