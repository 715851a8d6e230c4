//! Accepts connections up to a limit and owns the task of each until it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::env::Shutdown;

/// How many connections are served, and how long they may finish when the server stops.
#[derive(Clone, Copy, Debug)]
pub struct AcceptLimits {
    /// Connections at the same time; one more is closed at once and counted.
    pub connections_max: usize,
    /// Time that open connections get to finish their request after the signal.
    pub drain: Duration,
}

/// Pause after an accept error such as "too many open files", which would repeat at once.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Serves each connection of `listener` with `serve` until the signal, then waits for the rest.
///
/// `serve` watches the same signal and ends after the request under way; what is left after
/// `limits.drain` is cut off. `refused` is called for each connection over the limit.
///
/// # Cancel safety
///
/// Dropping the future cuts all connections off.
pub async fn accept_connections<S, F>(
    listener: TcpListener,
    limits: AcceptLimits,
    shutdown: Shutdown,
    refused: impl Fn(SocketAddr),
    serve: S,
) where
    S: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.requested() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) if connections.len() < limits.connections_max => {
                // Latency matters more than packet count; failure only costs speed.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%peer, %error, "TCP_NODELAY not set");
                }
                connections.spawn(serve(stream, peer));
            }
            Ok((stream, peer)) => {
                refused(peer);
                drop(stream);
            }
            Err(error) => {
                warn!(%error, "accept failed; remedy: raise the limit of open files (ulimit -n)");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        warn!(
            left = connections.len(),
            "connections cut off at the end of the drain time"
        );
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        if error.is_panic() {
            tracing::error!(%error, "a connection task panicked");
        }
    }
}
