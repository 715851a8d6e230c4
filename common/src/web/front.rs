//! Answers requests for blobs of a source: path, access, conditions, ranges, body.

use std::fmt;

use http::header::{ALLOW, HeaderValue, RETRY_AFTER};
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
use crate::id::GroupName;

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
        if request.method != Method::GET && request.method != Method::HEAD {
            return method_not_allowed();
        }
        let path = request.uri.path();
        let response = match self.download(request, path).await {
            Ok(response) => response,
            // Blobs are asked for far more often than operations, and no file id looks like one.
            Err(Refusal::Path(error)) => match self.operations.respond(path).await {
                Some(response) => response,
                None => text::response(error.status(), &text::chain(&error)),
            },
            Err(Refusal::OtherGroup(group)) => {
                let why = format!("no file here is of group {group}: ask a node of that group");
                text::response(StatusCode::NOT_FOUND, &why)
            }
            Err(Refusal::Denied(denied)) => {
                text::response(StatusCode::FORBIDDEN, &denied.to_string())
            }
            Err(Refusal::Source(error)) => refused_by_source(path, &error),
        };
        without_body_for_head(request, response)
    }

    async fn download(
        &self,
        request: &request::Parts,
        path: &str,
    ) -> Result<Response<Body>, Refusal> {
        let id = path::file_id(path, self.settings.default_group)?;
        if let Groups::Only(group) = self.settings.groups
            && group != id.group
        {
            return Err(Refusal::OtherGroup(id.group));
        }
        let sharing = match &self.settings.access {
            Access::Public => Sharing::Public,
            Access::Token(rule) => {
                let query = request.uri.query().unwrap_or_default();
                rule.check(&id.name, query, clock::unix_seconds())?;
                Sharing::Private
            }
        };
        let opened = self.source.open(&id).await?;
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
    #[error("path")]
    Path(#[from] path::PathError),
    #[error("group {0} is not served here")]
    OtherGroup(GroupName),
    #[error("access denied")]
    Denied(#[from] super::anti_leech::Denied),
    #[error("source")]
    Source(#[from] SourceError),
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
