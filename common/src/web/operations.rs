//! The routes that operators and their tools ask: `/healthz`, `/readyz`, `/metrics`.

use std::fmt;

use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use prometheus::{Registry, TextEncoder};

use super::body::Body;
use super::text;

/// Whether a server can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot, for these reasons.
    NotReady(Vec<String>),
}

type Probe = Box<dyn Fn() -> BoxFuture<'static, Readiness> + Send + Sync>;

/// Answers the operations routes.
pub struct Operations {
    registry: Registry,
    ready: Probe,
}

impl Operations {
    /// `ready` is asked by each `/readyz` and should answer within a second or so.
    pub fn new(
        registry: Registry,
        ready: impl Fn() -> BoxFuture<'static, Readiness> + Send + Sync + 'static,
    ) -> Self {
        Self {
            registry,
            ready: Box::new(ready),
        }
    }

    /// The answer, if `path` is one of the routes.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn respond(&self, path: &str) -> Option<Response<Body>> {
        match path {
            // That this line runs is the answer.
            "/healthz" => Some(text::response(StatusCode::OK, "ok")),
            "/readyz" => Some(match (self.ready)().await {
                Readiness::Ready => text::response(StatusCode::OK, "ready"),
                Readiness::NotReady(reasons) => {
                    let why = format!("not ready: {}", reasons.join("; "));
                    text::response(StatusCode::SERVICE_UNAVAILABLE, &why)
                }
            }),
            "/metrics" => Some(self.metrics()),
            _ => None,
        }
    }

    fn metrics(&self) -> Response<Body> {
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(text) => {
                let mut response = Response::new(Body::empty());
                let headers = response.headers_mut();
                let format = HeaderValue::from_static(prometheus::TEXT_FORMAT);
                headers.insert(CONTENT_TYPE, format);
                headers.insert(CONTENT_LENGTH, text.len().into());
                response.map(|_| Body::from(text))
            }
            Err(error) => {
                tracing::error!(%error, "metrics could not be rendered");
                let why = "the metrics could not be rendered: see the log";
                text::response(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
        }
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").finish_non_exhaustive()
    }
}
