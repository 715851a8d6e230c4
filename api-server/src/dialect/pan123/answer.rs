//! The envelope of all answers. Source: docs/api/pan123.md §1.4.
//!
//! The status is 200 for refusals, too: the clients that people have raise an error on any other one
//! before they read the code, or fetch new tokens without end.

use std::fmt;

use common::env::entropy;
use common::web::body::Body;
use http::{HeaderValue, Response, StatusCode, header::ETAG};
use serde::Serialize;

use super::refusal::Refusal;
use crate::core::id::Md5;
use crate::http::json;

/// What a successful call answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// The member `data`, as JSON.
    Data(String),
    /// Outside of the envelope: bytes that were put to a URL of their own were taken.
    Part(Md5),
}

/// The code of success, and its message.
const SUCCESS: (u32, &str) = (0, "ok");
/// `data` of a call that has nothing to say.
const NOTHING: &str = "null";

/// Names a request in its answer and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId(u128);

impl TraceId {
    /// A new one.
    pub(super) fn generate() -> Self {
        let [high, low] = [(); 2].map(|()| u128::from(entropy::random_u64()));
        Self(high << 64 | low)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Answer {
    /// The answer whose `data` is `model`.
    pub(super) fn of(model: &impl Serialize) -> Result<Self, Refusal> {
        let data = serde_json::to_string(model).map_err(Refusal::Unwritten)?;
        Ok(Self::Data(data))
    }

    /// The answer without data.
    pub(super) fn nothing() -> Self {
        Self::Data(NOTHING.to_owned())
    }

    /// The only rendering of an answer.
    pub(super) fn render(self, trace: TraceId) -> Response<Body> {
        match self {
            Self::Data(data) => {
                let (code, message) = SUCCESS;
                json::response(StatusCode::OK, envelope(code, message, &data, trace))
            }
            Self::Part(md5) => {
                let mut response = Response::new(Body::empty());
                // Digits and quotes are always a header's value.
                if let Ok(etag) = HeaderValue::try_from(format!("\"{md5}\"")) {
                    response.headers_mut().insert(ETAG, etag);
                }
                response
            }
        }
    }
}

/// The answer of a refused call.
pub(super) fn refused(
    status: StatusCode,
    code: u32,
    message: &str,
    trace: TraceId,
) -> Response<Body> {
    json::response(status, envelope(code, message, NOTHING, trace))
}

/// `data` is JSON.
fn envelope(code: u32, message: &str, data: &str, trace: TraceId) -> String {
    // A text is always written.
    let message = serde_json::to_string(message).unwrap_or_default();
    format!(r#"{{"code":{code},"message":{message},"data":{data},"x-traceID":"{trace}"}}"#)
}
