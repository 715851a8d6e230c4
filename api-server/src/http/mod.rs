//! Routes of the API port.

use common::web::body::Body;
use common::web::front::Front;
use common::web::server::Handler;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response};
use hyper::body::Incoming;

use crate::backend::Blobs;

/// Needs nothing from elsewhere, so it also works without the Internet.
const LANDING_PAGE: &str = include_str!("landing.html");
const LANDING_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Everything that the API port answers.
#[derive(Debug)]
pub(crate) struct Routes<B> {
    blobs: Front<B>,
}

impl<B: Blobs> Routes<B> {
    pub(crate) fn new(blobs: Front<B>) -> Self {
        Self { blobs }
    }
}

impl<B: Blobs> Handler for Routes<B> {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, _no_body_is_read) = request.into_parts();
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/") => landing_page(Body::from(LANDING_PAGE.to_owned())),
            (&Method::HEAD, "/") => landing_page(Body::empty()),
            _ => self.blobs.respond(&head).await,
        }
    }
}

fn landing_page(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
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
