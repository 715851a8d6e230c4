//! Why a call is refused, and the code that says so. Source: docs/api/pan123.md §1.5.
//!
//! Three loops of client programs limit what a code may mean. 401 makes them fetch a new token and
//! repeat for ever, so it is about tokens and nothing else. 429 and 20103 make them repeat every second,
//! so they never stand for what lasts.

use common::web::body::Body;
use common::web::text;
use http::{Method, Response, StatusCode};

use super::answer::{TraceId, refused};
use super::multipart::FormError;
use super::param::{ParamError, SyntaxError, TooMany};
use crate::http::body::ReadError;
use crate::service::ServiceError;

/// Anything wrong with a request.
const BAD_REQUEST: u32 = 1;
/// The token, or the secret that would get one.
const UNAUTHORIZED: u32 = 401;
/// No such path.
const NOT_FOUND: u32 = 404;
/// Our fault: to try again may help.
const FAULT: u32 = 500;

/// Why a call had no effect.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no such call")]
    NotFound,
    #[error("the call is made by {0}")]
    Method(Method),
    #[error("the header Platform is not open_platform")]
    Platform,
    #[error("the access token is missing, wrong, or expired")]
    Unauthorized,
    #[error("the body was not read")]
    Body(#[from] ReadError),
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Param(#[from] ParamError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("the answer could not be written")]
    Unwritten(#[source] serde_json::Error),
    #[error("the server failed; its log says more")]
    Panicked,
}

impl Refusal {
    /// The documented code.
    pub(super) fn code(&self) -> u32 {
        match self {
            Self::NotFound => NOT_FOUND,
            Self::Unauthorized => UNAUTHORIZED,
            Self::Method(_)
            | Self::Platform
            | Self::Body(_)
            | Self::Syntax(_)
            | Self::Form(_)
            | Self::TooMany(_)
            | Self::Param(_) => BAD_REQUEST,
            Self::Service(error) if error.is_fault() => FAULT,
            Self::Service(_) => BAD_REQUEST,
            Self::Unwritten(_) | Self::Panicked => FAULT,
        }
    }

    /// The status. Only what is no answer of a known call has another one than 200.
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Body(error) => error.status(),
            Self::Method(_)
            | Self::Platform
            | Self::Unauthorized
            | Self::Syntax(_)
            | Self::Form(_)
            | Self::TooMany(_)
            | Self::Param(_)
            | Self::Service(_)
            | Self::Unwritten(_)
            | Self::Panicked => StatusCode::OK,
        }
    }

    /// Whether the server, and not the client, is to blame.
    pub(super) fn is_fault(&self) -> bool {
        self.code() == FAULT
    }

    /// What the client reads.
    fn message(&self) -> String {
        if self.is_fault() {
            // Causes within the server are the operator's concern, whose log has them.
            return Self::Panicked.to_string();
        }
        text::chain(self)
    }

    /// The only rendering of a refusal.
    pub(super) fn render(&self, trace: TraceId) -> Response<Body> {
        refused(self.status(), self.code(), &self.message(), trace)
    }
}
