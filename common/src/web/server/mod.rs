//! HTTP/1.1 over a listener, with or without TLS: limits, timeouts, draining. What is answered is a [`Handler`]'s.
//!
//! A connection costs one task and, while it idles, no buffer of ours. Slow senders are cut by the
//! head timeout and, within a body, by the stall timeout; slow receivers by the stall timeout. Both
//! also bound an idle connection and a vanished peer.

mod leftover;
mod patience;
mod refusal;
mod request_body;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::EXPECT;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error};

use self::patience::Patient;
use super::body::Body;
use super::front::Front;
use super::metrics::HttpMetrics;
use super::source::BlobSource;
use super::text;
use super::tls::{self, Tls};
use crate::env::{Shutdown, clock};
use crate::limits;
use crate::rpc::{AcceptLimits, accept_connections};

pub use self::request_body::{BodyError, RequestBody};

/// The other end of the connection that a request came over; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request, which has a [`Peer`] among its extensions. Dropped when the client goes
    /// away. A panic is logged and answered 500.
    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Body>> + Send;
}

impl<S: BlobSource> Handler for Front<S> {
    async fn handle(&self, request: Request<RequestBody>) -> Response<Body> {
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
    /// Time for the handshake of a TLS connection.
    pub handshake_timeout: Duration,
    /// Time without one byte taken by the client while an answer is under way, and without one byte
    /// sent by it while a handler waits for the request's body.
    pub stall_timeout: Duration,
    /// Time that answers under way get when the server stops.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            head_timeout: Duration::from_mins(1),
            handshake_timeout: Duration::from_secs(10),
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
    accept(listener, None, handler, limits, metrics, shutdown).await;
}

/// As [`serve`], by TLS only. A client that speaks anything else sees the connection end.
///
/// # Cancel safety
///
/// Dropping the future cuts all connections off.
pub async fn serve_tls<H: Handler>(
    listener: TcpListener,
    tls: Tls,
    handler: Arc<H>,
    limits: ServerLimits,
    metrics: Arc<HttpMetrics>,
    shutdown: Shutdown,
) {
    let acceptor = Some(tls.acceptor());
    tokio::select! {
        () = accept(listener, acceptor, handler, limits, metrics, shutdown) => {}
        () = tls.keep_current(tls::CHECK_EVERY) => {}
    }
}

async fn accept<H: Handler>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    limits: ServerLimits,
    metrics: Arc<HttpMetrics>,
    shutdown: Shutdown,
) {
    let shared = Arc::new(Shared {
        handler,
        tls,
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
    /// `None` for a port without TLS.
    tls: Option<TlsAcceptor>,
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

impl<H> Shared<H> {
    /// The request as handlers see it.
    fn received(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        leave: mpsc::Sender<RequestBody>,
    ) -> Request<RequestBody> {
        let (mut head, incoming) = request.into_parts();
        head.extensions.insert(Peer(peer));
        let must_be_asked_for = head.headers.contains_key(EXPECT);
        let body = RequestBody::new(
            incoming,
            must_be_asked_for,
            self.limits.stall_timeout,
            leave,
        );
        Request::from_parts(head, body)
    }
}

async fn serve_connection<H: Handler>(shared: Arc<Shared<H>>, stream: TcpStream, peer: SocketAddr) {
    let Ok(_place) = shared.places.try_acquire() else {
        shared.refuse(peer);
        // A client that waits for a handshake would not understand it.
        if shared.tls.is_none() {
            refusal::too_many(stream).await;
        }
        return;
    };
    let _open = OpenConnection::new(&shared.metrics);
    let stream = Patient::new(stream, shared.limits.stall_timeout);
    let Some(tls) = shared.tls.clone() else {
        return serve_stream(&shared, stream, peer).await;
    };
    let handshake = timeout(shared.limits.handshake_timeout, tls.accept(stream));
    let stream = tokio::select! {
        stream = handshake => stream,
        // Nothing was asked yet.
        () = shared.shutdown.requested() => return,
    };
    match stream {
        Ok(Ok(stream)) => serve_stream(&shared, stream, peer).await,
        Ok(Err(error)) => debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => debug!(%peer, "TLS handshake took too long"),
    }
}

async fn serve_stream<H: Handler>(
    shared: &Arc<Shared<H>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    peer: SocketAddr,
) {
    let began = AtomicBool::new(false);
    let (leave, left) = mpsc::channel(leftover::WAITING_MAX);
    let service = service_fn(|request: Request<Incoming>| {
        began.store(true, Ordering::Relaxed);
        let shared = Arc::clone(shared);
        let request = shared.received(request, peer, leave.clone());
        async move {
            let started = clock::monotonic();
            let response = answer(&*shared.handler, request).await;
            let meter = shared.metrics.answered(response.status().as_u16(), started);
            Ok::<_, Infallible>(response.map(|body| body.metered(meter)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.head_timeout)
        .max_buf_size(limits::HTTP_HEAD_LEN_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut throwing_away = pin!(leftover::throw_away(left));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = throwing_away.as_mut() => return,
        () = shared.shutdown.requested() => {
            // hyper would wait for the rest of a first head that came only in part.
            if !began.load(Ordering::Relaxed) {
                return;
            }
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = connection => ended,
                () = throwing_away => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, error = text::chain(&error), "connection ended early");
    }
}

/// The handler's answer, or 500 in place of a panic: hyper would just end the connection, and nobody
/// would know why.
async fn answer<H: Handler>(handler: &H, request: Request<RequestBody>) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match AssertUnwindSafe(handler.handle(request))
        .catch_unwind()
        .await
    {
        Ok(response) => response,
        Err(panic) => {
            error!(%method, path, panic = text::panic(&*panic), "a request ended in a panic");
            let why = "the server failed on this request: the operator's log says more";
            text::response(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
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
