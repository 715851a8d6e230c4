//! The `FastDFS` protocol of a storage node: packets to store operations and back.
//!
//! One task serves one connection and one request at a time; requests that were sent ahead wait in
//! its buffer. Any error leaves the connection usable: the rest of a refused body is read and thrown
//! away, up to a bound. Source: docs/wire.md, connection life.

mod change;
#[cfg(test)]
mod fixture;
mod metrics;
mod peer;
mod prepare;
mod read;
mod upload;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::code::ErrorCode;
use common::digest::Crc32;
use common::env::{Shutdown, clock};
use common::limits;
use common::rpc::{Connection, ConnectionError};
use common::wire::storage::Streamed;
use common::wire::{AddressWidth, Command, Header, Status, WireError};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, error};

pub(crate) use metrics::ServiceMetrics;
#[cfg(test)]
pub(crate) use peer::NoPeers;
pub(crate) use peer::{Gate, PeerService};
use prepare::{PreparedBlob, abandon};

use crate::counters::Tally;
use crate::error::StoreError;
use crate::node::{Node, UploadRefusal};
use crate::replica::Upload;

/// Time that a connection which must end still gets to read its answer.
const LINGER: Duration = Duration::from_secs(3);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Service {
    /// The node.
    pub(crate) node: Arc<Node>,
    /// Counters.
    pub(crate) metrics: Arc<ServiceMetrics>,
    /// A permit for each byte of uploads that may be kept in memory.
    pub(crate) buffers: Arc<Semaphore>,
    /// Width of the address in file information.
    pub(crate) address_width: AddressWidth,
    /// Longest wait for the peer inside a packet.
    pub(crate) network_timeout: Duration,
    /// Who may connect, as a client or as a node.
    pub(crate) gate: Gate,
    /// What takes over the connections of other nodes.
    pub(crate) peers: Arc<dyn PeerService>,
}

/// How the conversation of a connection ended.
enum Ended {
    /// It is over.
    Done,
    /// Another node is there, which asks with this header to prove that it is one.
    Peer(Header),
}

/// What became of a request whose connection lives.
#[derive(Debug)]
enum Outcome {
    /// The body was read; this is all of the answer.
    Status(Status),
    /// The body was read; the answer is in the session's buffer.
    Body,
    /// The answer was sent.
    Sent,
    /// The answer, this status, was sent, and the connection goes on or not.
    Failed { status: Status, goes_on: bool },
    /// The answer is this status, and so many bytes of the body were not read.
    Refused { status: Status, unread: u64 },
}

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("malformed request")]
    Wire(#[from] WireError),
    #[error("the store refused")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Rule(&'static str, ErrorCode),
}

impl Failure {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Wire(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Rule(_, code) => *code,
        }
    }

    fn status(&self) -> Status {
        let code = self.code();
        if matches!(code, ErrorCode::Storage | ErrorCode::NoSpace) {
            error!(error = self as &dyn std::error::Error, "a request failed");
        } else {
            debug!(
                error = self as &dyn std::error::Error,
                "a request was refused"
            );
        }
        code.wire_status()
    }
}

impl From<UploadRefusal> for Failure {
    fn from(refusal: UploadRefusal) -> Self {
        match refusal {
            UploadRefusal::NoSuchPath => Self::Rule("no such volume path", ErrorCode::Invalid),
            UploadRefusal::Full(error) => Self::Store(error),
        }
    }
}

/// Content that was received.
enum Content {
    /// All of it, at most [`limits::RECORD_PAYLOAD_LEN_MAX`] bytes.
    Inline(Bytes),
    /// Stored already, part by part.
    Parts(Upload),
}

impl Content {
    fn crc(&self) -> Crc32 {
        match self {
            Self::Inline(payload) => Crc32::of(payload),
            Self::Parts(parts) => parts.crc(),
        }
    }
}

/// A failure, and how many bytes of the body are unread.
struct Unread {
    failure: Failure,
    unread: u64,
}

impl Unread {
    /// The outcome, counted as a failure of its kind.
    fn refused(self, count: &Tally) -> Outcome {
        count.add(1, false);
        Outcome::Refused {
            status: self.failure.status(),
            unread: self.unread,
        }
    }
}

impl Service {
    /// Serves one connection until the peer or the node ends it.
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream, shutdown: Shutdown) {
        let node = Arc::clone(&self.node);
        let _connected = node.counters.connect();
        let peers = Arc::clone(&self.peers);
        let is_client = self.gate.allows(&stream);
        let connection = Connection::new(stream, self.network_timeout);
        let mut session = Session {
            service: self,
            connection,
            out: BytesMut::new(),
            prepared: None,
        };
        match session.run(is_client, &shutdown).await {
            Ok(Ended::Done) => {}
            Ok(Ended::Peer(header)) => {
                let gate = &session.service.gate;
                let accepted = gate.accept(session.connection, &header, peers.purposes());
                if let Some((connection, peer)) = accepted.await {
                    peers.serve(connection, peer, shutdown).await;
                }
            }
            Err(error) => debug!(
                error = &error as &dyn std::error::Error,
                "a connection ended"
            ),
        }
    }
}

/// One connection.
struct Session {
    service: Arc<Service>,
    connection: Connection<TcpStream>,
    /// The answer that is being made.
    out: BytesMut,
    /// What waits for its commit. The next request takes it, whatever it is.
    prepared: Option<PreparedBlob>,
}

impl Session {
    /// Serves requests. The first one may ask for authentication, and has to unless `is_client`.
    async fn run(
        &mut self,
        is_client: bool,
        shutdown: &Shutdown,
    ) -> Result<Ended, ConnectionError> {
        let mut stop = pin!(shutdown.requested());
        let mut is_first = true;
        loop {
            let next = if self.prepared.is_some() {
                self.decision(shutdown).await?
            } else {
                let readable = tokio::select! {
                    biased;
                    readable = self.readable(is_first, is_client) => readable?,
                    () = &mut stop => false,
                };
                if readable {
                    self.connection.header().await?
                } else {
                    None
                }
            };
            let Some(header) = next else {
                return Ok(Ended::Done);
            };
            if is_first && header.command == Command::Authenticate as u8 {
                return Ok(Ended::Peer(header));
            }
            if !is_client {
                self.service.gate.refuse(self.connection.get_ref());
                return Ok(Ended::Done);
            }
            is_first = false;
            let goes_on = self.request(&header).await?;
            if !goes_on || (shutdown.is_requested() && self.prepared.is_none()) {
                return Ok(Ended::Done);
            }
        }
    }

    /// Waits for a request; only for the first one not for ever.
    async fn readable(&mut self, is_first: bool, is_client: bool) -> Result<bool, ConnectionError> {
        if !is_first {
            return self.connection.readable().await;
        }
        let patience = if is_client {
            self.service.network_timeout
        } else {
            // Only a node may be there, and nodes say so at once.
            peer::AUTHENTICATION_TIMEOUT
        };
        let first = timeout(patience, self.connection.readable()).await;
        first.unwrap_or(Err(ConnectionError::Timeout(patience)))
    }

    /// Serves one request; whether the connection goes on.
    async fn request(&mut self, header: &Header) -> Result<bool, ConnectionError> {
        let started = clock::monotonic();
        self.out.clear();
        // Whatever is not its commit abandons what was prepared.
        let prepared = self.prepared.take();
        let command = Command::from_byte(header.command);
        let outcome = match command {
            Some(Command::Quit) => return Ok(false),
            Some(Command::ActiveTest) if header.body_len == 0 => Outcome::Status(Status::OK),
            Some(Command::Upload) => self.upload(header, upload::Kind::Normal).await?,
            Some(Command::UploadAppender) => self.upload(header, upload::Kind::Appender).await?,
            Some(Command::UploadSlave) => self.upload_slave(header).await?,
            Some(Command::PrepareUpload) => self.prepare(header).await?,
            Some(Command::CommitUpload) => self.commit(header, prepared).await,
            Some(Command::AbandonUpload) => abandon(header, prepared),
            Some(Command::ExtendStaging) => self.extend(header).await?,
            Some(Command::ArrangeStaging) => self.arrange(header).await?,
            Some(Command::Append) => self.append(header).await?,
            Some(Command::Modify) => self.modify(header).await?,
            Some(Command::Truncate) => self.truncate(header).await?,
            Some(Command::RegenerateAppender) => self.regenerate(header).await?,
            Some(Command::Delete) => self.delete(header).await?,
            Some(Command::SetMetadata) => self.set_metadata(header).await?,
            Some(Command::GetMetadata) => self.get_metadata(header).await?,
            Some(Command::QueryFileInfo) => self.file_info(header).await?,
            Some(Command::Download) => self.download(header).await?,
            _ => Outcome::Refused {
                status: Status::INVALID,
                unread: header.body_len,
            },
        };
        let (status, goes_on) = match outcome {
            Outcome::Sent => (Status::OK, true),
            Outcome::Failed { status, goes_on } => (status, goes_on),
            Outcome::Body => {
                let out = std::mem::take(&mut self.out);
                self.connection.send(&out).await?;
                self.out = out;
                (Status::OK, true)
            }
            Outcome::Status(status) => {
                self.connection
                    .send(&Header::error(status).encode())
                    .await?;
                (status, true)
            }
            Outcome::Refused { status, unread } => (status, self.refuse(status, unread).await?),
        };
        let elapsed = clock::monotonic().duration_since(started);
        self.service.metrics.observe(command, status, elapsed);
        Ok(goes_on)
    }

    /// Answers a request whose body is not wanted; whether the connection goes on.
    async fn refuse(&mut self, status: Status, unread: u64) -> Result<bool, ConnectionError> {
        let answer = Header::error(status).encode();
        if unread <= limits::DRAIN_LEN_MAX {
            self.connection.discard(unread).await?;
            self.connection.send(&answer).await?;
            return Ok(true);
        }
        // Too much to wait for. The answer is sent and the peer gets a while to read it: closing
        // with unread bytes would reset the connection and lose it.
        self.connection.send(&answer).await?;
        self.connection.half_close().await?;
        let drained = timeout(LINGER, self.connection.discard(unread)).await;
        debug!(
            finished = drained.is_ok(),
            "closed a connection with a long unwanted body"
        );
        Ok(false)
    }

    /// Reads a body that is small by its nature.
    async fn body(&mut self, header: &Header) -> Result<Option<Bytes>, ConnectionError> {
        match self.connection.body(header, limits::PACKET_LEN_MAX).await {
            Ok(body) => Ok(Some(body)),
            Err(ConnectionError::BodyTooLong { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the head of a streamed request.
    async fn head<H: Streamed>(
        &mut self,
        header: &Header,
    ) -> Result<Result<H, Outcome>, ConnectionError> {
        let mut unread = header.body_len;
        let refused = |failure: WireError, unread| Outcome::Refused {
            status: Failure::Wire(failure).status(),
            unread,
        };
        let fixed_len = match H::fixed_len(header.body_len) {
            Ok(len) => len,
            Err(error) => return Ok(Err(refused(error, unread))),
        };
        let fixed = self.connection.take(fixed_len).await?;
        unread -= fixed_len as u64;
        let name_len = match H::name_len(&fixed, header.body_len) {
            Ok(len) => len,
            Err(error) => return Ok(Err(refused(error, unread))),
        };
        let name = self.connection.take(name_len).await?;
        unread -= name_len as u64;
        Ok(H::decode(&fixed, &name).map_err(|error| refused(error, unread)))
    }

    /// Receives `size` bytes of content; what does not fit a record goes to the store at once.
    async fn content(
        &mut self,
        store: &crate::replica::GroupStore,
        size: u64,
        time: u32,
    ) -> Result<Result<Content, Unread>, ConnectionError> {
        let part_len = limits::RECORD_PAYLOAD_LEN_MAX as u64;
        let service = Arc::clone(&self.service);
        let _buffer = match u32::try_from(size.min(part_len)) {
            Ok(len) if limits::UPLOAD_UNCOUNTED_LEN_MAX < size => {
                // The semaphore is never closed, so this only waits.
                service.buffers.acquire_many(len).await.ok()
            }
            _ => None,
        };
        if size <= part_len {
            let len = usize::try_from(size).unwrap_or(limits::RECORD_PAYLOAD_LEN_MAX);
            return Ok(Ok(Content::Inline(self.connection.take(len).await?)));
        }
        let mut parts = store.parts(time);
        let mut unread = size;
        while 0 < unread {
            let len = unread.min(part_len);
            let taken = usize::try_from(len).unwrap_or(limits::RECORD_PAYLOAD_LEN_MAX);
            let payload = self.connection.take(taken).await?;
            unread -= len;
            if let Err(error) = parts.push(payload).await {
                return Ok(Err(Unread {
                    failure: error.into(),
                    unread,
                }));
            }
        }
        Ok(Ok(Content::Parts(parts)))
    }
}
