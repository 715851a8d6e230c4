//! The pages that come with the server.

use common::web::body::Body;
use common::web::text;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode, request};

use super::caller::Caller;
use super::route::Page;

/// Needs nothing from elsewhere, so it also works without the Internet.
const LANDING_PAGE: &str = include_str!("landing.html");
const LANDING_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// All pages.
#[derive(Debug)]
pub(crate) struct Pages;

impl Pages {
    pub(super) fn respond(
        &self,
        _head: &request::Parts,
        _caller: &Caller,
        page: Page<'_>,
    ) -> Response<Body> {
        if page != Page::Start {
            return text::response(StatusCode::NOT_FOUND, "no such page");
        }
        let mut response = Response::new(Body::from(LANDING_PAGE.to_owned()));
        let headers = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, LANDING_POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CACHE_CONTROL, "no-cache"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(CONTENT_LENGTH, LANDING_PAGE.len().into());
        response
    }
}
