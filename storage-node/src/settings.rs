//! What a storage node is told. The binary builds it from the configuration.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use common::id::{GroupName, NodeNumber, VolumePath};
use common::rpc::allowed_hosts::AllowedHosts;
use common::rpc::auth::Encryption;
use common::secret::Secrets;
use common::web::anti_leech::Access;
use common::web::server::ServerLimits;
use common::wire::AddressWidth;

use crate::replica::CopySettings;
use crate::store::{Durability, MaintenanceSettings, Reserve};

/// A data directory and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePathSettings {
    /// The directory.
    pub directory: PathBuf,
    /// The volume paths in it.
    pub volume_paths: Vec<VolumePath>,
}

/// Settings of a storage node.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where HTTP clients connect.
    pub http_listen: SocketAddr,
    /// Width of the address in file information.
    pub address_width: AddressWidth,
    /// The group that the node belongs to.
    pub group: GroupName,
    /// The node's number; `None` lets the node choose one at its first start.
    pub node_number: Option<NodeNumber>,
    /// The address that trackers give to clients; `None` for the one that they see.
    pub advertise: Option<IpAddr>,
    /// Directory of the node's identity.
    pub state_directory: PathBuf,
    /// Data directories.
    pub store_paths: Vec<StorePathSettings>,
    /// Trackers as `host:port`.
    pub trackers: Vec<String>,
    /// What proves to trackers and other nodes that this one belongs to the cluster.
    pub secrets: Secrets,
    /// When connections with trackers and other nodes are encrypted.
    pub encryption: Encryption,
    /// Clients that may connect to the storage port.
    pub allowed_hosts: AllowedHosts,
    /// Time between two reports to the trackers.
    pub heartbeat: Duration,
    /// For placement by priority.
    pub upload_priority: i32,
    /// How many copies of a change are waited for.
    pub copies: CopySettings,
    /// Longest time without comparing everything with each peer.
    pub compare_interval: Duration,
    /// When a change is acknowledged.
    pub durability: Durability,
    /// Bytes of a new volume file.
    pub volume_len: u64,
    /// Space of each store path that uploads leave alone.
    pub reserve: Reserve,
    /// Bytes of the index's block cache, shared by all volume paths.
    pub index_cache_len: usize,
    /// Background work.
    pub maintenance: MaintenanceSettings,
    /// Connections at the same time.
    pub connections_max: usize,
    /// Longest wait for the peer inside a packet.
    pub network_timeout: Duration,
    /// Who may download by HTTP.
    pub access: Access,
    /// Limits of the HTTP port.
    pub http_limits: ServerLimits,
    /// Time that requests under way get when the node stops.
    pub drain: Duration,
}
