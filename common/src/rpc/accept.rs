//! Accepts connections up to a limit and owns the task of each until it ends.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::env::Shutdown;
use crate::wire::{Header, Status};

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

/// Connections that the system keeps for us until they are accepted; it may allow fewer. With the
/// usual 128, a burst of clients loses packets and waits a second for the next try.
const BACKLOG: u32 = 4096;

/// Silence after which the system asks whether the peer is still there.
const KEEP_ALIVE_AFTER: Duration = Duration::from_mins(1);

/// Listens on `address`.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted server gets its port although old connections linger on it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves each connection of `listener` with `serve` until the signal, then waits for the rest.
///
/// `serve` watches the same signal and ends after the request under way; what is left after
/// `limits.drain` is cut off. `refused` gets each connection over the limit; it may say a last word
/// and must not wait.
///
/// # Cancel safety
///
/// Dropping the future cuts all connections off.
pub async fn accept_connections<S, F>(
    listener: TcpListener,
    limits: AcceptLimits,
    shutdown: Shutdown,
    refused: impl Fn(TcpStream, SocketAddr),
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
                tune(&stream, peer);
                connections.spawn(serve(stream, peer));
            }
            Ok((stream, peer)) => refused(stream, peer),
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

/// Answers a client of the `FastDFS` protocol that there are too many connections, and closes.
pub fn refuse_busy(stream: TcpStream) {
    let answer = Header::error(Status::BUSY).encode();
    // A fresh socket takes ten bytes at once; whoever does not get them sees the close.
    let sent = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(&answer));
    if let Err(error) = sent {
        debug!(%error, "a refusal was not sent");
    }
}

/// Latency matters more than packet count. Clients may idle for ever, so one that vanished without a
/// word is found by the system's probes; else such connections would add up to the limit.
fn tune(stream: &TcpStream, peer: SocketAddr) {
    let probes = TcpKeepalive::new().with_time(KEEP_ALIVE_AFTER);
    let socket = SockRef::from(stream);
    if let Err(error) = socket
        .set_tcp_nodelay(true)
        .and(socket.set_tcp_keepalive(&probes))
    {
        debug!(%peer, %error, "socket options not set");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection task panicked");
    }
}
