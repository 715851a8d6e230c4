//! Who may connect to the storage port: clients by their address, other nodes by the cluster secret.
//!
//! A connection whose first request is an authentication belongs to another node, and whoever
//! replicates takes it over.

use std::fmt;
use std::time::Duration;

use common::env::{Shutdown, clock};
use common::rpc::allowed_hosts::AllowedHosts;
use common::rpc::auth::{self, AuthError, Authenticated, Credentials, Member, Purpose, Rarely};
use common::rpc::{Connection, MemberStream};
use common::wire::Header;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tracing::{debug, warn};

/// Time for the few messages of an authentication.
pub(super) const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(5);

/// What takes over the connections of other nodes.
pub(crate) trait PeerService: fmt::Debug + Send + Sync + 'static {
    /// What they may be for; any other purpose is refused before it is proved.
    fn purposes(&self) -> &[Purpose];

    /// Serves a connection that `peer` has opened until either side ends it, or the signal comes and
    /// what is under way has been finished.
    fn serve(
        &self,
        connection: Connection<MemberStream<TcpStream>>,
        peer: Authenticated,
        shutdown: Shutdown,
    ) -> BoxFuture<'static, ()>;
}

/// A node without peers: takes no such connection.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoPeers;

#[cfg(test)]
impl PeerService for NoPeers {
    fn purposes(&self) -> &[Purpose] {
        &[]
    }

    fn serve(
        &self,
        _connection: Connection<MemberStream<TcpStream>>,
        _peer: Authenticated,
        _shutdown: Shutdown,
    ) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Decides who comes in.
#[derive(Debug)]
pub(crate) struct Gate {
    credentials: Credentials,
    allowed_hosts: AllowedHosts,
    /// Log lines about strangers.
    strangers: Rarely,
    /// Log lines about clients that are not in the list.
    refused: Rarely,
}

impl Gate {
    /// For the node that `credentials` are of.
    pub(crate) fn new(credentials: Credentials, allowed_hosts: AllowedHosts) -> Self {
        Self {
            credentials,
            allowed_hosts,
            strangers: Rarely::new(),
            refused: Rarely::new(),
        }
    }

    /// Whether the list of clients has the one behind `stream`.
    pub(crate) fn allows(&self, stream: &TcpStream) -> bool {
        match (stream.peer_addr(), stream.local_addr()) {
            (Ok(peer), Ok(local)) => self.allowed_hosts.allows(peer.ip(), local.ip()),
            // It has gone already.
            (Err(_), _) | (_, Err(_)) => false,
        }
    }

    /// Tells the log of a client that the list does not have.
    pub(crate) fn refuse(&self, stream: &TcpStream) {
        if let Some(before) = self.refused.note(clock::monotonic()) {
            let peer = stream.peer_addr().ok();
            warn!(
                ?peer,
                before,
                "client refused; remedy: if it belongs here, add its address to [storage] allow_hosts"
            );
        }
    }

    /// Lets the other side prove that it is a member, and proves it in turn. After `None` the connection
    /// is closed.
    pub(crate) async fn accept(
        &self,
        connection: Connection<TcpStream>,
        header: &Header,
        purposes: &[Purpose],
    ) -> Option<Member<TcpStream>> {
        let patience = AUTHENTICATION_TIMEOUT;
        let peer = connection.get_ref().peer_addr().ok();
        let accepted =
            auth::accept(connection, header, &self.credentials, purposes, patience).await;
        match accepted {
            Ok((connection, member)) => {
                let (purpose, tls) = (member.purpose(), member.is_encrypted());
                debug!(?peer, %purpose, tls, "another node connected");
                Some((connection, member))
            }
            Err(error) => {
                self.log_refusal(peer, &error);
                None
            }
        }
    }

    fn log_refusal(&self, peer: Option<std::net::SocketAddr>, error: &AuthError) {
        if let Some(before) = self.strangers.note(clock::monotonic()) {
            let error: &dyn std::error::Error = error;
            warn!(?peer, before, error, "connection of another node refused");
        }
    }
}

#[cfg(test)]
mod tests;
