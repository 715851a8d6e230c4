//! Long-lived connections, a bounded number per address.
//!
//! A [`Lease`] is one connection for one exchange. Only [`Lease::release`] keeps the connection: a
//! lease dropped half-way closes it, because its stream is out of step with the protocol.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Buf;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Address;
use super::error::{AnswerError, ClientError, Phase};
use crate::env::clock;
use crate::rpc::{Connection, ConnectionError};
use crate::wire::{Command, Header, RESPONSE_COMMAND, Status};

/// Bounds of a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Connections per address, busy and idle; more callers wait for one. At least 1.
    pub connections_max: usize,
    /// How long to wait for a connection to come about.
    pub connect_timeout: Duration,
    /// How long a peer may make no progress inside a request.
    pub network_timeout: Duration,
    /// A connection that idled longer than this is asked whether it lives before it carries a
    /// request, since a firewall may have forgotten it without telling either end.
    pub probe_after: Duration,
    /// A connection that idled longer than this is closed instead of used.
    pub idle_max: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            connections_max: 64,
            connect_timeout: Duration::from_secs(5),
            network_timeout: Duration::from_secs(30),
            probe_after: Duration::from_secs(20),
            idle_max: Duration::from_mins(5),
        }
    }
}

/// Connections by address. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: PoolSettings,
    addresses: Mutex<Addresses>,
}

#[derive(Debug, Default)]
struct Addresses {
    closed: bool,
    by_address: HashMap<Address, Slots>,
}

#[derive(Debug)]
struct Slots {
    permits: Arc<Semaphore>,
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection<TcpStream>,
    since: Instant,
}

impl Pool {
    /// A pool without connections.
    pub fn new(settings: PoolSettings) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                addresses: Mutex::default(),
            }),
        }
    }

    /// The bounds it works in.
    pub fn settings(&self) -> &PoolSettings {
        &self.shared.settings
    }

    /// A connection to `address`, an idle one if there is one that lives. Waits while all of the
    /// address's connections are busy.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn lease(&self, address: &Address) -> Result<Lease, ClientError> {
        let permits = Arc::clone(&self.lock().slots(address, self.settings())?.permits);
        let permit = permits
            .acquire_owned()
            .await
            .map_err(|_closed| ClientError::Closed)?;
        let mut lease = Lease {
            pool: self.clone(),
            address: address.clone(),
            connection: None,
            reused: false,
            _permit: permit,
        };
        while let Some(idle) = self.take_idle(address)? {
            let idled = clock::monotonic().saturating_duration_since(idle.since);
            if idled > self.settings().idle_max || !is_open(&idle.connection) {
                continue;
            }
            lease.connection = Some(idle.connection);
            lease.reused = true;
            if idled < self.settings().probe_after || lease.probe().await.is_ok() {
                return Ok(lease);
            }
        }
        lease.reconnect().await?;
        Ok(lease)
    }

    /// Says goodbye on idle connections and refuses new leases. Leases under way finish.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: connections not yet told are just closed.
    pub async fn close(&self) {
        let slots: Vec<Slots> = {
            let mut addresses = self.lock();
            addresses.closed = true;
            addresses
                .by_address
                .drain()
                .map(|(_, slots)| slots)
                .collect()
        };
        for slots in slots {
            slots.permits.close();
            for mut idle in slots.idle {
                // The peer may be gone already, which is just as well.
                let _ = idle
                    .connection
                    .send(&Header::request(Command::Quit, 0).encode())
                    .await;
            }
        }
    }

    fn take_idle(&self, address: &Address) -> Result<Option<Idle>, ClientError> {
        // The most recently used one: the others may then grow old and be closed.
        Ok(self.lock().slots(address, self.settings())?.idle.pop())
    }

    fn put_idle(&self, address: &Address, connection: Connection<TcpStream>) {
        let now = clock::monotonic();
        let idle_max = self.settings().idle_max;
        if let Ok(slots) = self.lock().slots(address, self.settings()) {
            slots
                .idle
                .retain(|idle| now.saturating_duration_since(idle.since) <= idle_max);
            slots.idle.push(Idle {
                connection,
                since: now,
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Addresses> {
        // No code that can panic runs under this lock.
        self.shared
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Addresses {
    fn slots(
        &mut self,
        address: &Address,
        settings: &PoolSettings,
    ) -> Result<&mut Slots, ClientError> {
        if self.closed {
            return Err(ClientError::Closed);
        }
        Ok(self
            .by_address
            .entry(address.clone())
            .or_insert_with(|| Slots {
                permits: Arc::new(Semaphore::new(settings.connections_max.max(1))),
                idle: Vec::new(),
            }))
    }
}

/// Whether an idle connection is still open and silent, without waiting.
fn is_open(connection: &Connection<TcpStream>) -> bool {
    let mut byte = [0];
    let read = connection.get_ref().try_read(&mut byte);
    // A byte that nobody asked for, or the end: not usable in either case.
    connection.buffered_len() == 0
        && matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// One connection for one exchange.
#[derive(Debug)]
pub struct Lease {
    pool: Pool,
    address: Address,
    /// `None` between a failure and [`Self::reconnect`].
    connection: Option<Connection<TcpStream>>,
    reused: bool,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Who is at the other end.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the connection has carried requests before, and may therefore be stale.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Gives the connection back for the next exchange. The caller has read the whole answer.
    pub fn release(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.put_idle(&self.address, connection);
        }
    }

    /// Replaces the connection by a new one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the lease has no connection then.
    pub(super) async fn reconnect(&mut self) -> Result<(), ClientError> {
        self.connection = None;
        let settings = *self.pool.settings();
        let target = (self.address.host(), self.address.port());
        let stream = match timeout(settings.connect_timeout, TcpStream::connect(target)).await {
            Err(_) => {
                return Err(ClientError::ConnectTimeout {
                    address: self.address.clone(),
                    after: settings.connect_timeout,
                });
            }
            Ok(stream) => stream.map_err(|source| self.connect_error(source))?,
        };
        stream
            .set_nodelay(true)
            .map_err(|source| self.connect_error(source))?;
        self.connection = Some(Connection::new(stream, settings.network_timeout));
        self.reused = false;
        Ok(())
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> Result<&mut Connection<TcpStream>, ClientError> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(ClientError::Connection {
                address: self.address.clone(),
                phase: Phase::Send,
                source: ConnectionError::Closed,
            }),
        }
    }

    /// Sends bytes of the request.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let sent = self.connection()?.send(bytes).await;
        sent.map_err(|source| self.connection_error(Phase::Send, source))
    }

    /// Sends bytes of the request, with as few system calls as possible.
    pub(super) async fn send_buf(&mut self, bytes: &mut impl Buf) -> Result<(), ClientError> {
        let sent = self.connection()?.send_buf(bytes).await;
        sent.map_err(|source| self.connection_error(Phase::Send, source))
    }

    /// Closes the connection: its stream is out of step with the protocol.
    pub(super) fn cut(&mut self) {
        self.connection = None;
    }

    /// Waits for the header of the answer to `command`; an error status is an error.
    pub(super) async fn answer(&mut self, command: Command) -> Result<Header, ClientError> {
        let limit = self.pool.settings().network_timeout;
        let header = match timeout(limit, self.connection()?.header()).await {
            Err(_) => Err(ConnectionError::Timeout(limit)),
            Ok(Ok(None)) => Err(ConnectionError::Closed),
            Ok(Ok(Some(header))) => Ok(header),
            Ok(Err(error)) => Err(error),
        }
        .map_err(|source| self.connection_error(Phase::Answer, source))?;
        if header.command != RESPONSE_COMMAND {
            return Err(self.answer_error(AnswerError::NotAResponse(header.command)));
        }
        let status = Status(header.status);
        if !status.is_ok() {
            return Err(ClientError::Refused {
                address: self.address.clone(),
                command,
                status,
            });
        }
        Ok(header)
    }

    /// The body of an answer, at most `max` bytes.
    pub(super) async fn body(
        &mut self,
        header: &Header,
        max: usize,
    ) -> Result<bytes::Bytes, ClientError> {
        let body = self.connection()?.body(header, max).await;
        body.map_err(|source| self.connection_error(Phase::Body, source))
    }

    /// The next bytes of an answer's body.
    pub(super) async fn piece(&mut self, max: usize) -> Result<bytes::Bytes, ClientError> {
        let piece = self.connection()?.piece(max).await;
        piece.map_err(|source| self.connection_error(Phase::Body, source))
    }

    /// An error of this connection.
    pub(super) fn connection_error(&self, phase: Phase, source: ConnectionError) -> ClientError {
        ClientError::Connection {
            address: self.address.clone(),
            phase,
            source,
        }
    }

    /// An error of this peer's answer.
    pub(super) fn answer_error(&self, source: AnswerError) -> ClientError {
        ClientError::Answer {
            address: self.address.clone(),
            source,
        }
    }

    fn connect_error(&self, source: std::io::Error) -> ClientError {
        ClientError::Connect {
            address: self.address.clone(),
            source,
        }
    }

    /// Asks whether the peer is there.
    async fn probe(&mut self) -> Result<(), ClientError> {
        self.send(&Header::request(Command::ActiveTest, 0).encode())
            .await?;
        let header = self.answer(Command::ActiveTest).await?;
        self.body(&header, 0).await?;
        Ok(())
    }
}
