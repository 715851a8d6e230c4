//! What an operator decides about a tracker.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use common::rpc::allowed_hosts::AllowedHosts;
use common::rpc::auth::Encryption;
use common::secret::Secrets;
use common::wire::tracker::ClientDialect;
use prometheus::Registry;

use crate::cluster::Policy;

/// An address to listen on, and the family of clients that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Where. Port 0 takes a free one.
    pub address: SocketAddr,
    /// What the clients there expect.
    pub dialect: ClientDialect,
}

/// What an operator decides about a tracker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients, nodes and other trackers are served; the first is the tracker's own address.
    pub listeners: Vec<ListenerSettings>,
    /// How placement is decided.
    pub policy: Policy,
    /// Where registrations are kept; `None` forgets them at the end.
    pub state_directory: Option<PathBuf>,
    /// The trackers of the cluster as `host:port`. May name this one too, so that all can have the
    /// same list.
    pub peers: Vec<String>,
    /// The address that others reach this tracker at; `None` to learn it from the peers.
    pub advertise: Option<SocketAddr>,
    /// What proves to nodes and other trackers that this one belongs to the cluster. By default one
    /// that nobody else knows, so nobody can join.
    pub secrets: Secrets,
    /// When connections with nodes, other trackers and operators are encrypted.
    pub encryption: Encryption,
    /// Clients that may connect.
    pub allowed_hosts: AllowedHosts,
    /// How often each peer is greeted, and how long it may take to answer.
    pub peer_interval: Duration,
    /// How often nodes are checked for silence and figures are brought up to date; several times
    /// within the silence that is allowed.
    pub tick: Duration,
    /// A half packet, a new connection without any request and a silent node end after this.
    pub network_timeout: Duration,
    /// Connections of each listener at the same time.
    pub connections_max: usize,
    /// What requests under way get to finish when the tracker stops.
    pub drain: Duration,
    /// Where the tracker's metrics are registered.
    pub registry: Registry,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            policy: Policy::default(),
            state_directory: None,
            peers: Vec::new(),
            advertise: None,
            secrets: Secrets::default(),
            encryption: Encryption::default(),
            allowed_hosts: AllowedHosts::default(),
            peer_interval: Duration::from_secs(1),
            // With the default silence of a node, a dead one is out of service after 2.75 s at most.
            tick: Duration::from_millis(250),
            network_timeout: Duration::from_mins(1),
            connections_max: 10_000,
            drain: Duration::from_secs(10),
            registry: Registry::new(),
        }
    }
}
