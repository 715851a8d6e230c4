//! HTTP/1.1 over a listener: limits, timeouts, draining. What is answered is a [`Handler`]'s.
//!
//! A connection costs one task and, while it idles, no buffer of ours. Slow senders are cut by the
//! head timeout, slow receivers by the stall timeout, both of which also bound an idle connection and
//! a vanished peer.

mod patience;
mod refusal;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::debug;

use self::patience::Patient;
use super::body::Body;
use super::front::Front;
use super::metrics::HttpMetrics;
use super::source::BlobSource;
use crate::env::{Shutdown, clock};
use crate::limits;
use crate::rpc::{AcceptLimits, accept_connections};

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Dropped when the client goes away.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

impl<S: BlobSource> Handler for Front<S> {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, _no_body_is_read) = request.into_parts();
        self.respond(&head).await
    }
}

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at the same time; one more is answered 503 and closed.
    pub connections_max: usize,
    /// Time for a whole request head, counted from the end of the last answer: how long a
    /// connection may idle, and how long a slow sender may take.
    pub head_timeout: Duration,
    /// Time without one byte taken by the client while an answer is under way.
    pub stall_timeout: Duration,
    /// Time that answers under way get when the server stops.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            head_timeout: Duration::from_mins(1),
            stall_timeout: Duration::from_mins(1),
            drain: Duration::from_secs(30),
        }
    }
}

/// Serves `listener` until the signal, then finishes the answers under way.
///
/// # Cancel safety
///
/// Dropping the future cuts all connections off.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    limits: ServerLimits,
    metrics: Arc<HttpMetrics>,
    shutdown: Shutdown,
) {
    let shared = Arc::new(Shared {
        handler,
        limits,
        metrics,
        places: Arc::new(Semaphore::new(limits.connections_max)),
        shutdown: shutdown.clone(),
    });
    let accept = AcceptLimits {
        connections_max: limits
            .connections_max
            .saturating_add(limits::HTTP_REFUSALS_MAX),
        drain: limits.drain,
    };
    let refused = |_, peer| shared.refuse(peer);
    accept_connections(listener, accept, shutdown, refused, |stream, peer| {
        serve_connection(Arc::clone(&shared), stream, peer)
    })
    .await;
}

struct Shared<H> {
    handler: Arc<H>,
    limits: ServerLimits,
    metrics: Arc<HttpMetrics>,
    /// One permit per connection that is served.
    places: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl<H> Shared<H> {
    fn refuse(&self, peer: SocketAddr) {
        self.metrics.refused.inc();
        debug!(%peer, limit = self.limits.connections_max, "connection refused: too many");
    }
}

async fn serve_connection<H: Handler>(shared: Arc<Shared<H>>, stream: TcpStream, peer: SocketAddr) {
    let Ok(_place) = shared.places.try_acquire() else {
        shared.refuse(peer);
        refusal::too_many(stream).await;
        return;
    };
    let _open = OpenConnection::new(&shared.metrics);
    let began = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        began.store(true, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        async move {
            let started = clock::monotonic();
            let response = shared.handler.handle(request).await;
            let meter = shared.metrics.answered(response.status().as_u16(), started);
            Ok::<_, Infallible>(response.map(|body| body.metered(meter)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.head_timeout)
        .max_buf_size(limits::HTTP_HEAD_LEN_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .serve_connection(Patient::new(stream, shared.limits.stall_timeout), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shared.shutdown.requested() => {
            // hyper would wait for the rest of a first head that came only in part.
            if !began.load(Ordering::Relaxed) {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%peer, error = super::text::chain(&error), "connection ended early");
    }
}

/// Counts an open connection while it lives.
struct OpenConnection<'a>(&'a HttpMetrics);

impl<'a> OpenConnection<'a> {
    fn new(metrics: &'a HttpMetrics) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

#[cfg(test)]
mod tests;
