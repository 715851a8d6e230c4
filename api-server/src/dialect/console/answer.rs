//! What a call that did its work is answered with.

use common::web::body::Body;
use http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use serde::Serialize;

use super::refusal::Refusal;
use crate::http::json;

/// What a call is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A JSON object.
    Json(Vec<u8>),
    /// It is done, and there is nothing to say.
    Done,
}

impl Answer {
    /// The answer that `model` is.
    pub(super) fn of(model: &impl Serialize) -> Result<Self, Refusal> {
        serde_json::to_vec(model)
            .map(Self::Json)
            .map_err(Refusal::Unwritten)
    }

    /// The only rendering of an answer.
    pub(super) fn render(self) -> Response<Body> {
        match self {
            Self::Json(json) => json::response(StatusCode::OK, json),
            Self::Done => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                let headers = response.headers_mut();
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                response
            }
        }
    }
}
