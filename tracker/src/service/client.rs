//! What clients ask.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use common::code::ErrorCode;
use common::id::{GroupName, NodeNumber, RemoteName};
use common::wire::tracker::{
    FetchTarget, FetchTargets, GroupResponse, LeaderResponse, NodeAddress, NodeIdResponse,
    NodeStatusResponse, Request, Scope, StoreTarget, StoreTargets, encode_groups, encode_storages,
};
use common::wire::{AddressText, HostText, NodeText, Status, encode_empty};
use tokio::time::timeout;
use tracing::{error, info};

use super::{Service, listing};
use crate::cluster::{Cluster, Endpoint, Node, OrderRefusal};
use crate::shared::parameters;

/// Time in which the nodes that a tracker knows come back to it after its start: twice the longest pause
/// between two attempts of theirs, and less than any client waits for an answer.
const RETURN_PATIENCE: Duration = Duration::from_secs(2);

impl Service {
    pub(super) async fn client_request(
        &self,
        request: Request,
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        let width = self.dialect.address;
        match request {
            Request::QueryStore { group, scope } => {
                self.once_nodes_are_back(|| self.query_store(group, scope, out))
                    .await
            }
            Request::QueryFetch { group, name, scope } => {
                self.once_nodes_are_back(|| self.query_fetch(group, &name, scope, out))
                    .await
            }
            Request::QueryUpdate { group, name } => {
                self.once_nodes_are_back(|| {
                    let node = self.shared.cluster().update(&group, &name, width);
                    self.put_fetch_target(group, node, out)
                })
                .await
            }
            Request::ListOneGroup(group) => {
                let cluster = self.shared.cluster();
                let group = cluster.group(&group).ok_or(Status::NOT_FOUND)?;
                encode_groups(&[listing::group_record(group)], self.dialect, out);
                Ok(())
            }
            Request::ListAllGroups => {
                let cluster = self.shared.cluster();
                let groups: Vec<_> = cluster.groups().map(listing::group_record).collect();
                encode_groups(&groups, self.dialect, out);
                Ok(())
            }
            Request::ListStorages { group, node } => self.list_storages(&group, node, out),
            Request::SetTrunkServer { .. } => Err(Status::UNSUPPORTED),
            Request::GetLeader => {
                LeaderResponse(listing::host(self.shared.peers.leader(self.local))).encode(out);
                Ok(())
            }
            Request::TrackerStatistics(filter) => {
                let statistics = listing::trackers(&self.shared, self.local, filter)
                    // Only the leader answers for all.
                    .ok_or(Status::UNSUPPORTED)?;
                statistics.encode(out);
                Ok(())
            }
            Request::StorageStatistics(filter) => {
                listing::storage_statistics(&self.shared.cluster(), filter).encode(out);
                Ok(())
            }
            Request::GroupStatistics(filter) => {
                listing::group_statistics(&self.shared.cluster(), filter).encode(out);
                Ok(())
            }
            Request::FetchStorageIds { start, allow_empty } => {
                listing::storage_ids(&self.shared.cluster(), start, allow_empty, out)
            }
            Request::GetStorageId { group, host } => {
                let cluster = self.shared.cluster();
                let node = node_at(&cluster, &group, &host).ok_or(Status::NOT_FOUND)?;
                NodeIdResponse(listing::node_text(node)).encode(out);
                Ok(())
            }
            Request::GetStorageStatus { group, host } => {
                let cluster = self.shared.cluster();
                let node = node_at(&cluster, &group, &host).ok_or(Status::NOT_FOUND)?;
                NodeStatusResponse {
                    status: node.state(),
                    port: u32::from(node.entry().place.storage_port),
                    id: listing::node_text(node),
                    address: node.endpoint().text,
                }
                .encode(out);
                Ok(())
            }
            Request::GetParameters => {
                let parameters = parameters(self.shared.cluster().policy());
                let parameters = parameters.map_err(|error| error.code().wire_status())?;
                parameters.encode(out);
                Ok(())
            }
            Request::GetGroup { address, port } => self.get_group(&address, port, out),
            Request::ActiveTest => {
                encode_empty(out);
                Ok(())
            }
            Request::DeleteStorage { group, node } => {
                let number = number(&node).ok_or(Status::NOT_FOUND)?;
                let change = |cluster: &mut Cluster| cluster.delete_node(&group, number);
                let deleted = self.change(change).await;
                self.deleted(deleted, &group, node.as_str(), out)
            }
            Request::DeleteGroup(group) => {
                let change = |cluster: &mut Cluster| cluster.delete_group(&group);
                let deleted = self.change(change).await;
                self.deleted(deleted, &group, "", out)
            }
            // Ends the connection before it comes here.
            Request::Quit => Ok(()),
        }
    }

    /// Answers as soon as that is no error. A client waits for nodes that were not heard since the tracker
    /// began, a short while: it asked a tracker that lives, and would not ask another one.
    async fn once_nodes_are_back(
        &self,
        mut answer: impl FnMut() -> Result<(), Status>,
    ) -> Result<(), Status> {
        loop {
            let left = RETURN_PATIENCE.saturating_sub(self.shared.now().uptime);
            if left.is_zero() {
                return answer();
            }
            let mut changed = pin!(self.shared.node_changed.notified());
            changed.as_mut().enable();
            let answered = answer();
            if answered.is_ok() || !self.shared.cluster().awaits_nodes() {
                return answered;
            }
            // Whichever comes first: the next look decides.
            let _ = timeout(left, changed).await;
        }
    }

    fn query_store(
        &self,
        group: Option<GroupName>,
        scope: Scope,
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        let width = self.dialect.address;
        match scope {
            Scope::One => {
                let placement = self.shared.cluster().store_one(group, width);
                let placement = placement.map_err(|refusal| refusal.code().wire_status())?;
                StoreTarget {
                    group: placement.group,
                    node: node_address(&placement.node),
                    path: placement.path,
                }
                .encode(width, out);
            }
            Scope::All => {
                let placement = self.shared.cluster().store_all(group, width);
                let (group, nodes, path) =
                    placement.map_err(|refusal| refusal.code().wire_status())?;
                StoreTargets {
                    group,
                    nodes: nodes.iter().map(node_address).collect(),
                    path,
                }
                .encode(width, out);
            }
        }
        Ok(())
    }

    fn query_fetch(
        &self,
        group: GroupName,
        name: &RemoteName,
        scope: Scope,
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        let width = self.dialect.address;
        match scope {
            Scope::One => {
                let node = self.shared.cluster().fetch_one(&group, name, width);
                self.put_fetch_target(group, node, out)
            }
            Scope::All => {
                let nodes = self.shared.cluster().fetch_all(&group, name, width);
                let nodes = nodes.ok_or_else(|| self.nobody(&group))?;
                let nodes = nodes.iter().map(node_address).collect();
                FetchTargets { group, nodes }.encode(width, out);
                Ok(())
            }
        }
    }

    fn put_fetch_target(
        &self,
        group: GroupName,
        node: Option<Endpoint>,
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        let node = node_address(&node.ok_or_else(|| self.nobody(&group))?);
        FetchTarget { group, node }.encode(self.dialect.address, out);
        Ok(())
    }

    /// Why there is no node to send a client to for a blob of `group`: it may be there, and whoever knows
    /// is silent, or has not reported to a tracker that was just started.
    fn nobody(&self, group: &GroupName) -> Status {
        let cluster = self.shared.cluster();
        let is_known = cluster
            .group(group)
            .is_some_and(|group| group.nodes().any(Node::is_member));
        if is_known {
            ErrorCode::Unavailable.wire_status()
        } else {
            Status::NOT_FOUND
        }
    }

    fn list_storages(
        &self,
        group: &GroupName,
        node: Option<NodeText>,
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        let cluster = self.shared.cluster();
        let group = cluster.group(group).ok_or(Status::NOT_FOUND)?;
        let records: Vec<_> = match node {
            None => listing::listed(group)
                .map(listing::storage_record)
                .collect(),
            Some(id) => {
                let node = number(&id).and_then(|number| group.node(number));
                vec![listing::storage_record(node.ok_or(Status::NOT_FOUND)?)]
            }
        };
        encode_storages(&records, self.dialect, out);
        Ok(())
    }

    fn get_group(
        &self,
        address: &AddressText,
        port: u32,
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        let address = if address.is_empty() {
            self.peer.ip().to_canonical()
        } else {
            address.as_str().parse().map_err(|_| Status::NOT_FOUND)?
        };
        let port = u16::try_from(port).map_err(|_| Status::NOT_FOUND)?;
        let cluster = self.shared.cluster();
        let node = cluster.node_at(SocketAddr::new(address, port));
        GroupResponse(node.ok_or(Status::NOT_FOUND)?.entry().group).encode(out);
        Ok(())
    }

    /// Makes a change of registrations and waits until it is stored.
    async fn change(
        &self,
        change: impl FnOnce(&mut Cluster) -> Result<(), OrderRefusal>,
    ) -> Result<(), Status> {
        let generation = {
            let mut cluster = self.shared.cluster();
            change(&mut cluster).map_err(|refusal| refusal.status())?;
            cluster.generation()
        };
        if self.shared.persistence.stored(generation).await {
            Ok(())
        } else {
            Err(Status::IO)
        }
    }

    fn deleted(
        &self,
        deleted: Result<(), Status>,
        group: &GroupName,
        node: &str,
        out: &mut BytesMut,
    ) -> Result<(), Status> {
        match deleted {
            Ok(()) => {
                info!(%group, node, peer = %self.peer, "removed by an operator");
                encode_empty(out);
                Ok(())
            }
            Err(status) => {
                if status == Status::IO {
                    error!(%group, node, "removed, but that is not stored");
                }
                Err(status)
            }
        }
    }
}

fn number(id: &NodeText) -> Option<NodeNumber> {
    id.as_str().parse().ok()
}

fn node_address(endpoint: &Endpoint) -> NodeAddress {
    NodeAddress {
        address: endpoint.text,
        port: endpoint.address.port(),
    }
}

/// The node of a group at `address:port`, or at `address` whatever its port.
fn node_at<'a>(cluster: &'a Cluster, group: &GroupName, host: &HostText) -> Option<&'a Node> {
    let mut nodes = cluster.group(group)?.nodes();
    if let Ok(address) = host.as_str().parse::<SocketAddr>() {
        return nodes.find(|node| node.endpoint().address == address);
    }
    let address: IpAddr = host.as_str().parse().ok()?;
    nodes.find(|node| node.entry().place.address == address)
}
