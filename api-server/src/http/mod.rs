//! The API port: which part of the server answers what.
//!
//! | path | answered by |
//! |---|---|
//! | `/api/v1/…`, `/api/v2/…`, `/upload/v1/…`, `/upload/v2/…` | the dialect of 123pan |
//! | `/api/…` | the dialect of the image host |
//! | `/weiyun/…`, `/ftn_handler`, `/oauth2.0/…`, `/crossdomain.xml` | the dialect of Weiyun |
//! | `/console/api/…` | the dialect of the console |
//! | `/`, `/share`, `/console/…` | [`pages`], or the front end of `api.web_dir` |
//! | everything else | [`downloads`]: the cluster's blobs, thumbnails of them, `/healthz` and its kind |

pub(crate) mod body;
pub(crate) mod caller;
mod cors;
pub(crate) mod dialect;
pub(crate) mod downloads;
mod embedded;
pub(crate) mod json;
pub(crate) mod multipart;
pub(crate) mod pages;
mod route;
pub(crate) mod web_dir;

use std::panic::AssertUnwindSafe;

use common::web::body::Body;
use common::web::server::{Handler, Peer, RequestBody};
use common::web::text;
use futures_util::FutureExt as _;
use http::{Method, Request, Response, StatusCode};
use tracing::error;

pub(crate) use self::dialect::{Dialect, Exchange};

use self::caller::CallerRules;
use self::downloads::Downloads;
use self::pages::Pages;
use self::route::Route;
use crate::backend::Blobs;

/// Everything that the API port answers.
#[derive(Debug)]
pub(crate) struct Routes<B, I, P, W, C> {
    pub(crate) blobs: Downloads<B>,
    pub(crate) image_host: I,
    pub(crate) pan123: P,
    pub(crate) weiyun: W,
    pub(crate) console: C,
    pub(crate) pages: Pages,
    pub(crate) callers: CallerRules,
}

impl<B: Blobs, I: Dialect, P: Dialect, W: Dialect, C: Dialect> Handler for Routes<B, I, P, W, C> {
    async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Some(Peer(peer)) = head.extensions.get().copied() else {
            error!("a request came without its peer");
            return text::response(StatusCode::INTERNAL_SERVER_ERROR, "no peer is known");
        };
        let caller = match self.callers.identify(peer.ip(), &head) {
            Ok(caller) => caller,
            Err(error) => return text::response(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let method = head.method.clone();
        let response = match Route::of(head.uri.path(), self.pages.has_front_end()) {
            Route::ImageHost => {
                let provenance = caller.provenance().clone();
                let response = if method == Method::OPTIONS {
                    cors::preflight()
                } else {
                    let exchange = Exchange { head, caller, body };
                    answer(&self.image_host, exchange).await
                };
                cors::mark(response, &provenance)
            }
            Route::Pan123 => answer(&self.pan123, Exchange { head, caller, body }).await,
            Route::Weiyun => answer(&self.weiyun, Exchange { head, caller, body }).await,
            Route::Console => answer(&self.console, Exchange { head, caller, body }).await,
            Route::Page(page) => self.pages.respond(&head, &caller, page).await,
            Route::Blob => self.blobs.respond(&head).await,
        };
        if method == Method::HEAD {
            // Headers say what a GET would get; hyper would send the body all the same.
            return response.map(|_| Body::empty());
        }
        response
    }
}

/// The dialect's answer, also in place of a panic: its clients read its codes, not a line of text.
async fn answer<D: Dialect>(dialect: &D, exchange: Exchange) -> Response<Body> {
    let (method, path) = (
        exchange.head.method.clone(),
        exchange.head.uri.path().to_owned(),
    );
    match AssertUnwindSafe(dialect.handle(exchange))
        .catch_unwind()
        .await
    {
        Ok(response) => response,
        Err(panic) => {
            error!(%method, path, panic = text::panic(&*panic), "a call ended in a panic");
            dialect.failed()
        }
    }
}

#[cfg(test)]
mod tests;
