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
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "application/json;charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_LENGTH, json.len().into());
    response.map(|()| Body::from(json))
}

/// `{"code":N}`, which is all that a failed call of the image host says.
pub(crate) fn code(status: StatusCode, code: u8) -> Response<Body> {
    response(status, format!("{{\"code\":{code}}}"))
}
