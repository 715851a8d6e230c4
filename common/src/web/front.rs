//! Answers requests for blobs of a source: path, access, conditions, ranges, body.
//!
//! Pages of every origin may read them (CORS): what a link opens, it opens for everybody who has it,
//! and no cookie has a part in it. Source: docs/api/image-host.md (CORS).

use std::fmt;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, HeaderValue, RETRY_AFTER,
};
use http::{Method, Response, StatusCode, request};
use tracing::{error, warn};

use super::anti_leech::Access;
use super::body::Body;
use super::download::{self, Sharing};
use super::operations::Operations;
use super::source::{BlobSource, SourceError};
use super::{path, text};
use crate::code::ErrorCode;
use crate::env::{clock, entropy};
use crate::id::{FileId, GroupName};

/// Which groups a server answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// One: the others' blobs are not here.
    Only(GroupName),
    /// All that the source finds.
    Any,
}

/// What a front is told.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// Which groups are answered for.
    pub groups: Groups,
    /// The group of URLs without one, `/M00/…`.
    pub default_group: Option<GroupName>,
    /// Who may download.
    pub access: Access,
}

/// Seconds after which a client should try again. Nodes come back within seconds or not soon.
const RETRY_AFTER_SECONDS: &str = "2";

/// Turns requests into answers.
pub struct Front<S> {
    source: S,
    settings: FrontSettings,
    operations: Operations,
}

impl<S: BlobSource> Front<S> {
    /// A front over `source`.
    pub fn new(source: S, settings: FrontSettings, operations: Operations) -> Self {
        Self {
            source,
            settings,
            operations,
        }
    }

    /// Answers one request.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: downloads change nothing.
    pub async fn respond(&self, request: &request::Parts) -> Response<Body> {
        let path = request.uri.path();
        let id = path::file_id(path, self.settings.default_group);
        match request.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS if id.is_ok() => return preflight(),
            _ => return method_not_allowed(),
        }
        let id = match id {
            Ok(id) => id,
            // Blobs are asked for far more often than operations, and no file id looks like one.
            Err(error) => {
                let response = match self.operations.respond(path).await {
                    Some(response) => response,
                    None => text::response(error.status(), &text::chain(&error)),
                };
                return without_body_for_head(request, response);
            }
        };
        let response = match self.download(request, &id).await {
            Ok(response) => response,
            Err(Refusal::OtherGroup(group)) => {
                let why = format!("no file here is of group {group}: ask a node of that group");
                text::response(StatusCode::NOT_FOUND, &why)
            }
            Err(Refusal::Denied(denied)) => {
                text::response(StatusCode::FORBIDDEN, &denied.to_string())
            }
            Err(Refusal::Source(error)) => refused_by_source(path, &error),
        };
        without_body_for_head(request, open_to_all_pages(response))
    }

    /// The blob that a GET or HEAD asks for and may have, and who else may keep a copy of the answer;
    /// for whoever answers with something that is made of the blob. `None` leaves the request to
    /// [`Self::respond`], which says what is wrong with it.
    pub fn admits(&self, request: &request::Parts) -> Option<(FileId, Sharing)> {
        if request.method != Method::GET && request.method != Method::HEAD {
            return None;
        }
        let id = path::file_id(request.uri.path(), self.settings.default_group).ok()?;
        let sharing = self.admit(request, &id).ok()?;
        Some((id, sharing))
    }

    /// Whether the request may have the blob.
    fn admit(&self, request: &request::Parts, id: &FileId) -> Result<Sharing, Refusal> {
        if let Groups::Only(group) = self.settings.groups
            && group != id.group
        {
            return Err(Refusal::OtherGroup(id.group));
        }
        match &self.settings.access {
            Access::Public => Ok(Sharing::Public),
            Access::Token(rule) => {
                let query = request.uri.query().unwrap_or_default();
                rule.check(&id.name, query, clock::unix_seconds())?;
                Ok(Sharing::Private)
            }
        }
    }

    async fn download(
        &self,
        request: &request::Parts,
        id: &FileId,
    ) -> Result<Response<Body>, Refusal> {
        let sharing = self.admit(request, id)?;
        let opened = self.source.open(id).await?;
        let plan = download::respond(
            request,
            &opened.facts,
            id.name.extension(),
            sharing,
            entropy::random_u64,
        );
        let body = Body::planned(plan.body, opened.content, opened.facts.size)?;
        Ok(plan.head.map(|()| body))
    }
}

impl<S> fmt::Debug for Front<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Why a request gets no blob.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("group {0} is not served here")]
    OtherGroup(GroupName),
    #[error("access denied")]
    Denied(#[from] super::anti_leech::Denied),
    #[error("source")]
    Source(#[from] SourceError),
}

/// What a page of another origin needs to read a download, or why there is none.
pub fn open_to_all_pages(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = "accept-ranges, content-disposition, content-length, content-range, etag";
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(exposed),
    );
    response
}

/// The answer to a browser that asks whether a page may send ranges and conditions.
fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn method_not_allowed() -> Response<Body> {
    let why = "only GET and HEAD are served here";
    let mut response = text::response(StatusCode::METHOD_NOT_ALLOWED, why);
    let allow = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allow);
    response
}

fn refused_by_source(path: &str, error: &SourceError) -> Response<Body> {
    if error.code == ErrorCode::Storage {
        error!(path, error = text::chain(error), "download failed");
    } else if error.code != ErrorCode::NotFound {
        warn!(path, error = text::chain(error), "download refused");
    }
    let status = match error.code.http_status() {
        // "Request timeout" would blame the client for a server behind this one.
        408 => StatusCode::SERVICE_UNAVAILABLE,
        status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let mut response = text::response(status, &error.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let value = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// Headers say what a GET would get; hyper would send the body of a text answer with a HEAD.
fn without_body_for_head(request: &request::Parts, response: Response<Body>) -> Response<Body> {
    if request.method == Method::HEAD {
        response.map(|_| Body::empty())
    } else {
        response
    }
}
