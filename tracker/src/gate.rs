//! Who comes in: clients by their address, nodes and trackers by the cluster secret.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::env::clock;
use common::rpc::Connection;
use common::rpc::allowed_hosts::AllowedHosts;
use common::rpc::auth::{self, Credentials, Member, Purpose, Rarely};
use common::wire::Header;
use tokio::net::TcpStream;
use tracing::{debug, warn};

/// Time for the few messages of an authentication.
pub(crate) const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(5);

/// What members come to a tracker for.
const PURPOSES: [Purpose; 3] = [Purpose::Report, Purpose::Hello, Purpose::Control];

/// Decides who comes in.
#[derive(Debug)]
pub(crate) struct Gate {
    credentials: Credentials,
    allowed_hosts: AllowedHosts,
    /// Log lines about authentications that failed.
    refused: Rarely,
    /// Log lines about commands of members that somebody else sent.
    strangers: Rarely,
    /// Log lines about clients that are not in the list.
    clients: Rarely,
}

impl Gate {
    pub(crate) fn new(credentials: Credentials, allowed_hosts: AllowedHosts) -> Self {
        Self {
            credentials,
            allowed_hosts,
            refused: Rarely::new(),
            strangers: Rarely::new(),
            clients: Rarely::new(),
        }
    }

    /// What proves to others that this tracker is a member.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Whether the list of clients has `peer`, which connected to our address `local`.
    pub(crate) fn allows(&self, peer: IpAddr, local: IpAddr) -> bool {
        self.allowed_hosts.allows(peer, local)
    }

    /// Tells the log of a client that the list does not have.
    pub(crate) fn refuse(&self, peer: SocketAddr) {
        if let Some(before) = self.clients.note(clock::monotonic()) {
            warn!(
                %peer, before,
                "client refused; remedy: if it belongs here, add its address to [tracker] allow_hosts"
            );
        }
    }

    /// Tells the log of a command for members by somebody who did not prove to be one.
    pub(crate) fn log_stranger(&self, peer: SocketAddr, purpose: Purpose) {
        if let Some(before) = self.strangers.note(clock::monotonic()) {
            warn!(
                %peer, %purpose, before,
                "a command that only members of the cluster may send was refused; \
                 remedy: if the sender belongs here, upgrade it and give it the same [cluster] secret"
            );
        }
    }

    /// Lets the other side prove that it is a member, and proves it in turn. After `None` the connection
    /// is closed.
    pub(crate) async fn accept(
        &self,
        connection: Connection<TcpStream>,
        header: &Header,
    ) -> Option<Member<TcpStream>> {
        let peer = connection.get_ref().peer_addr().ok();
        let (credentials, patience) = (&self.credentials, AUTHENTICATION_TIMEOUT);
        let accepted = auth::accept(connection, header, credentials, &PURPOSES, patience).await;
        match accepted {
            Ok((connection, member)) => {
                let (purpose, tls) = (member.purpose(), member.is_encrypted());
                debug!(?peer, %purpose, tls, "a member of the cluster connected");
                Some((connection, member))
            }
            Err(error) => {
                if let Some(before) = self.refused.note(clock::monotonic()) {
                    let error: &dyn std::error::Error = &error;
                    warn!(
                        ?peer,
                        before, error, "a connection of the cluster was refused"
                    );
                }
                None
            }
        }
    }
}
