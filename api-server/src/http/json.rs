//! Answers in JSON. Source: docs/api/image-host.md, transport.

use bytes::Bytes;
use common::web::body::Body;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};

/// An answer of these bytes, which are JSON. Never cached: the next one may differ.
pub(crate) fn response(status: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    let json = json.into();
    let len = json.len();
    let mut response = headed(status, Body::from(json));
    response.headers_mut().insert(CONTENT_LENGTH, len.into());
    response
}

/// A successful answer whose bytes, which are JSON, are made while they are sent.
pub(crate) fn streamed(json: Body) -> Response<Body> {
    headed(StatusCode::OK, json)
}

fn headed(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "application/json;charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// `{"code":N}`, which is all that a failed call of the image host says.
pub(crate) fn code(status: StatusCode, code: u8) -> Response<Body> {
    response(status, format!("{{\"code\":{code}}}"))
}
