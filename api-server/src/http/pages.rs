//! Pages: the console and the share page from the binary, or another front end from a directory.
//!
//! A page of ours loads nothing from elsewhere and runs no script that does not come from here, so that
//! a file name or nickname that slips through some escaping stays text. Every file is asked about each
//! time and answered with 304 while it is the same: after an upgrade nobody runs an old script.

use std::collections::BTreeMap;

use bytes::Bytes;
use common::web::body::Body;
use common::web::origin::{Origin, Scheme};
use common::web::{condition, text};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{Method, Response, StatusCode, request};

use super::caller::Caller;
use super::embedded::{self, Embedded};
use super::route::Page;
use super::web_dir::WebDir;

/// What pages are told not to use, for themselves and for what they embed.
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";
/// Half a year in which browsers ask by HTTPS only.
const TRANSPORT_SECURITY: &str = "max-age=15552000";
/// For a front end that we did not write: it may be embedded nowhere and load plug-ins from nowhere.
const FOREIGN_POLICY: &str = "object-src 'none'; base-uri 'self'; frame-ancestors 'self'";

/// All pages.
#[derive(Debug)]
pub(crate) struct Pages {
    files: BTreeMap<&'static str, File>,
    /// Stands at `/` in place of the console.
    web_dir: Option<WebDir>,
    /// Whether the port itself speaks HTTPS. A proxy that does may have HTTP clients besides.
    scheme: Scheme,
}

/// A file from the binary.
#[derive(Debug)]
struct File {
    bytes: &'static [u8],
    content_type: HeaderValue,
    etag: HeaderValue,
}

impl File {
    fn new(file: &Embedded) -> Self {
        let etag = format!("\"{}\"", blake3::hash(file.bytes).to_hex());
        Self {
            bytes: file.bytes,
            content_type: content_type(file.name),
            etag: ascii(etag),
        }
    }
}

impl Pages {
    /// The pages of a port that is reached by `scheme`.
    pub(crate) fn new(web_dir: Option<WebDir>, scheme: Scheme) -> Self {
        let file = |file: &Embedded| (file.name, File::new(file));
        Self {
            files: embedded::FILES.iter().map(file).collect(),
            web_dir,
            scheme,
        }
    }

    /// Whether another front end has everything that nobody else answers.
    pub(super) fn has_front_end(&self) -> bool {
        self.web_dir.is_some()
    }

    /// Answers a request for `page`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: pages change nothing.
    pub(super) async fn respond(
        &self,
        head: &request::Parts,
        caller: &Caller,
        page: Page<'_>,
    ) -> Response<Body> {
        if head.method != Method::GET && head.method != Method::HEAD {
            return method_not_allowed();
        }
        let own = |name| self.own(head, caller, name);
        let mut response = match (page, &self.web_dir) {
            (Page::Console(""), _) | (Page::Start, None) => own(embedded::START),
            (Page::Console(name), _) => own(name),
            (Page::Start | Page::Share | Page::Other, Some(web_dir)) => {
                let mut response = web_dir.respond(head).await;
                let headers = response.headers_mut();
                for (name, value) in [
                    (CONTENT_SECURITY_POLICY, FOREIGN_POLICY),
                    (X_FRAME_OPTIONS, "SAMEORIGIN"),
                ] {
                    headers.insert(name, HeaderValue::from_static(value));
                }
                response
            }
            (Page::Share, None) if self.files.contains_key(embedded::SHARE) => own(embedded::SHARE),
            (Page::Share, None) => own(embedded::START),
            (Page::Other, None) => not_found(),
        };
        self.harden(response.headers_mut());
        response
    }

    /// A file from the binary.
    fn own(&self, head: &request::Parts, caller: &Caller, name: &str) -> Response<Body> {
        let Some(file) = self.files.get(name) else {
            return not_found();
        };
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(ETAG, file.etag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, policy(caller));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        if condition::none_match_has(&head.headers, file.etag.as_bytes()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(CONTENT_TYPE, file.content_type.clone());
        headers.insert(CONTENT_LENGTH, file.bytes.len().into());
        response.map(|_| Body::from(Bytes::from_static(file.bytes)))
    }

    fn harden(&self, headers: &mut HeaderMap) {
        for (name, value) in [
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "same-origin"),
            (HeaderName::from_static("permissions-policy"), PERMISSIONS),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.scheme == Scheme::Https {
            let value = HeaderValue::from_static(TRANSPORT_SECURITY);
            headers.insert(STRICT_TRANSPORT_SECURITY, value);
        }
    }
}

/// What a page of ours may load: pictures also from where links point to.
fn policy(caller: &Caller) -> HeaderValue {
    // Both are made of names that were parsed, so nothing in them ends a source or a directive.
    let base = caller.public_base();
    let pictures = match Origin::of_url(&base) {
        Ok((origin, _)) => format!(" {origin}"),
        Err(_) => String::new(),
    };
    ascii(format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; \
         img-src 'self' data: blob:{pictures}; media-src 'self' blob:; connect-src 'self'; \
         frame-src 'self' blob:; worker-src 'self'; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'none'"
    ))
}

fn not_found() -> Response<Body> {
    text::response(StatusCode::NOT_FOUND, "no such page")
}

fn method_not_allowed() -> Response<Body> {
    let why = "a page takes only GET and HEAD";
    let mut response = text::response(StatusCode::METHOD_NOT_ALLOWED, why);
    let allow = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// The type of a page's file; unlike uploads, these are what they say they are.
pub(super) fn content_type(name: &str) -> HeaderValue {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        // Not in the list that uploads go by.
        "mjs" => HeaderValue::from_static("text/javascript; charset=utf-8"),
        "webmanifest" => HeaderValue::from_static("application/manifest+json"),
        _ => common::web::content_type::of_extension(extension).value,
    }
}

/// A header value of text that we wrote ourselves and know to be visible ASCII.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
