//! Which pages of other origins may use the image host's calls: those that the operator names.
//!
//! Downloads are open to all pages, see `common::web::front`; the console has no use for others.
//! Source: the Fetch standard, docs/api/image-host.md (CORS).

use common::web::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use http::{Response, StatusCode};

use super::caller::Provenance;

/// The answer to `OPTIONS`; [`mark`] says to whom it means something.
pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets the page read the answer if its origin is allowed. Credentials are never: a token stands in the
/// request, and a cookie of ours is nothing that other origins' pages should act with.
pub(super) fn mark(mut response: Response<Body>, provenance: &Provenance) -> Response<Body> {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from(ORIGIN));
    if let Provenance::Allowed(origin) = provenance {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}
