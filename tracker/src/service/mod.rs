//! Wire messages ⇄ cluster: one connection of a client, a node or another tracker.
//!
//! Errors never close a connection; what cannot be answered does. Answers to pipelined requests leave
//! in one write. Source: docs/wire.md, connection life.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use common::code::ErrorCode;
use common::env::{Shutdown, clock};
use common::limits;
use common::rpc::auth::{Authenticated, Purpose};
use common::rpc::{Connection, ConnectionError};
use common::wire::tracker::{ClientDialect, Request};
use common::wire::{Command, HEADER_LEN, Header, Status, WireError, encode_error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use crate::cluster::SessionId;
use crate::gate::AUTHENTICATION_TIMEOUT;
use crate::shared::Shared;

mod client;
mod listing;
mod node;
mod operator;

/// Answers that pile up before they are sent even though more requests wait: bounds what a client that
/// sends without reading can make us keep.
const ANSWERS_LEN_MAX: usize = 64 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Service {
    shared: Arc<Shared>,
    dialect: ClientDialect,
    peer: SocketAddr,
    local: SocketAddr,
    /// Set once the other side proved that it is a member of the cluster.
    member: Option<Authenticated>,
    /// Set once a node joined over this connection.
    session: Option<SessionId>,
}

/// How a conversation ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It is over.
    Done,
    /// The other side asks with this header to prove that it is a member.
    Member(Header),
}

/// Whether the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

impl Service {
    /// A connection from `peer` to our address `local`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        dialect: ClientDialect,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Self {
        shared.metrics.connected();
        Self {
            shared,
            dialect,
            peer,
            local,
            member: None,
            session: None,
        }
    }

    /// Serves until the peer goes, fails, or the signal comes.
    pub(crate) async fn serve(mut self, stream: TcpStream, shutdown: Shutdown) {
        let connection = Connection::new(stream, self.shared.network_timeout);
        if let Err(error) = self.serve_whoever(connection, &shutdown).await {
            let error: &dyn std::error::Error = &error;
            debug!(peer = %self.peer, error, "connection ended");
        }
    }

    async fn serve_whoever(
        &mut self,
        mut connection: Connection<TcpStream>,
        shutdown: &Shutdown,
    ) -> Result<(), ConnectionError> {
        let Ended::Member(header) = self.serve_requests(&mut connection, shutdown).await? else {
            return Ok(());
        };
        let accepted = self.shared.gate.accept(connection, &header).await;
        let Some((mut connection, member)) = accepted else {
            return Ok(());
        };
        self.member = Some(member);
        self.serve_requests(&mut connection, shutdown).await?;
        Ok(())
    }

    async fn serve_requests<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        connection: &mut Connection<S>,
        shutdown: &Shutdown,
    ) -> Result<Ended, ConnectionError> {
        let is_client = self.shared.gate.allows(self.peer.ip(), self.local.ip());
        let mut stop = pin!(shutdown.requested());
        let mut answers = BytesMut::new();
        let mut is_new = self.member.is_none();
        loop {
            if !connection.holds_packet() || ANSWERS_LEN_MAX <= answers.len() {
                connection.send(&answers).await?;
                answers.clear();
                if connection.buffered_len() == 0 {
                    let is_there = tokio::select! {
                        biased;
                        () = &mut stop => false,
                        readable = self.readable(connection, is_new, is_client) => readable?,
                    };
                    if !is_there {
                        return Ok(Ended::Done);
                    }
                }
            }
            let Some(header) = connection.header().await? else {
                return Ok(Ended::Done);
            };
            if is_new && header.command == Command::Authenticate as u8 {
                return Ok(Ended::Member(header));
            }
            is_new = false;
            if !is_client && self.member.is_none() {
                self.shared.gate.refuse(self.peer);
                return Ok(Ended::Done);
            }
            let body = connection
                .body(&header, limits::PACKET_LEN_MAX - HEADER_LEN)
                .await?;
            if self.answer(header, &body, &mut answers).await == Next::Close {
                connection.send(&answers).await?;
                return Ok(Ended::Done);
            }
        }
    }

    /// Waits for the next packet. Clients may idle for ever once they sent a request; members have
    /// something to say all the time, so a silent one is gone.
    async fn readable<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
        is_new: bool,
        is_client: bool,
    ) -> Result<bool, ConnectionError> {
        let is_member = self.member.is_some();
        if !is_new && !is_member {
            return connection.readable().await;
        }
        let patience = if is_new && !is_client {
            // Only a member may be there, and members say so at once.
            AUTHENTICATION_TIMEOUT
        } else {
            self.shared.network_timeout
        };
        timeout(patience, connection.readable())
            .await
            .map_err(|_| ConnectionError::Timeout(patience))?
    }

    async fn answer(&mut self, header: Header, body: &[u8], out: &mut BytesMut) -> Next {
        let start = clock::monotonic();
        let answered = match Command::from_byte(header.command) {
            Some(Command::NodeJoin) => self.node_join(body, out).await,
            Some(Command::NodeReport) => self.node_report(body, out),
            Some(Command::TrackerHello) => self.tracker_hello(body, out),
            Some(Command::ClusterStatus) => self.cluster_status(body, out),
            Some(Command::ClusterOrder) => self.cluster_order(body, out).await,
            _ => match Request::decode(header.command, body) {
                Ok(Request::Quit) => return Next::Close,
                Ok(request) => self.client_request(request, out).await,
                Err(error) => Err(self.refused(header.command, &error)),
            },
        };
        let status = answered.err().unwrap_or(Status::OK);
        if !status.is_ok() {
            encode_error(out, status);
        }
        let latency = clock::monotonic().saturating_duration_since(start);
        let metrics = &self.shared.metrics;
        metrics.answered(header.command, status, latency);
        Next::Request
    }

    /// The member at the other end, if it proved that it is one for `purpose`.
    fn member_for(&self, purpose: Purpose) -> Result<Authenticated, Status> {
        match self.member {
            Some(member) if member.purpose() == purpose => Ok(member),
            _ => {
                self.shared.gate.log_stranger(self.peer, purpose);
                Err(Status::ACCESS)
            }
        }
    }

    fn refused(&self, command: u8, error: &WireError) -> Status {
        let code = error.code();
        if code == ErrorCode::Invalid {
            debug!(peer = %self.peer, command, %error, "malformed request");
        }
        code.wire_status()
    }
}

/// However a connection ends, its node is out of service at once.
impl Drop for Service {
    fn drop(&mut self) {
        self.end_session();
        self.shared.metrics.disconnected();
    }
}

/// Appends a successful answer.
fn put_answer(out: &mut BytesMut, encode: impl FnOnce(&mut BytesMut)) {
    let mut body = BytesMut::new();
    encode(&mut body);
    out.extend_from_slice(&Header::success(body.len() as u64).encode());
    out.extend_from_slice(&body);
}
