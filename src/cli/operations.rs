//! Health and metrics of a role that has no HTTP of its own.

use std::fmt;
use std::sync::Arc;

use common::env::Shutdown;
use common::web::body::Body;
use common::web::metrics::HttpMetrics;
use common::web::operations::{Operations, Readiness};
use common::web::server::{self, Handler, RequestBody, ServerLimits};
use common::web::text;
use http::{Request, Response, StatusCode};
use prometheus::Registry;
use tokio::net::TcpListener;

/// Answers `/healthz`, `/readyz` and `/metrics` and nothing else.
struct OperationsOnly(Operations);

impl fmt::Debug for OperationsOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperationsOnly")
    }
}

impl Handler for OperationsOnly {
    async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
        let path = request.uri().path();
        self.0.respond(path).await.unwrap_or_else(|| {
            text::response(
                StatusCode::NOT_FOUND,
                "only /healthz, /readyz and /metrics are here",
            )
        })
    }
}

/// Serves the tracker's routes on `listener` until the signal. A tracker that serves is ready: what
/// it does not know yet, it tells each client by status.
pub(crate) async fn serve_tracker(
    listener: TcpListener,
    registry: Registry,
    metrics: Arc<HttpMetrics>,
    limits: ServerLimits,
    shutdown: Shutdown,
) {
    let operations = Operations::new(registry, || Box::pin(async { Readiness::Ready }));
    let handler = Arc::new(OperationsOnly(operations));
    server::serve(listener, handler, limits, metrics, shutdown).await;
}
