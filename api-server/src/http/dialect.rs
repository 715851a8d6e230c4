//! What the API port asks of a family of HTTP calls.

use std::future::Future;
use std::sync::Arc;

use common::web::body::Body;
use common::web::server::RequestBody;
use http::{Response, request};

use super::caller::Caller;

/// One request on its way to a dialect.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Method, path, query and headers.
    pub(crate) head: request::Parts,
    /// Who asks, and under which name the server was asked.
    pub(crate) caller: Caller,
    /// What the client sends; may be dropped unread or in the middle, see [`RequestBody`].
    pub(crate) body: RequestBody,
}

/// Answers the calls of one API.
///
/// `OPTIONS` and the headers of CORS are not its concern, and a body that it gives to a HEAD is
/// dropped on the way.
pub(crate) trait Dialect: Send + Sync + 'static {
    /// Answers one call. Dropped when the client goes away.
    fn handle(&self, exchange: Exchange) -> impl Future<Output = Response<Body>> + Send;

    /// The answer in place of one that ended in a panic, which was logged.
    fn failed(&self) -> Response<Body>;
}

/// For a dialect that others use, too.
impl<D: Dialect> Dialect for Arc<D> {
    async fn handle(&self, exchange: Exchange) -> Response<Body> {
        D::handle(self, exchange).await
    }

    fn failed(&self) -> Response<Body> {
        D::failed(self)
    }
}
