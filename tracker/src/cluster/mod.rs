//! What the tracker knows and decides, without IO: joins, reports and silence go in together with
//! `now`, answers come out. The same calls always give the same answers, so it can be simulated.
//!
//! * TRK-1: two identities never hold one node number at the same time, deleted records aside.
//! * TRK-2: a node that is not in service, takes no writes or has no space is never offered for
//!   writing.
//! * TRK-3: the end of a session takes its node out of service, a later session's node stays.
//!
//! Everything but the [`Registration`]s is soft: it comes back with the nodes' next reports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::id::GroupName;

mod group;
mod lookup;
mod membership;
mod node;
mod placement;
mod space;

pub use group::Group;
pub use membership::{DeleteRefusal, JoinRefusal, Joined, NotJoined, StateChange};
pub use node::{Endpoint, Node, Registration, SessionId};
pub use placement::{Placement, StoreRefusal};
pub use space::{ReservedSpace, Space};

/// How a group is chosen for a write that names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreLookup {
    /// One after the other, in the order of their names.
    RoundRobin,
    /// Always this one.
    Group(GroupName),
    /// The one with most free space.
    #[default]
    LoadBalance,
}

/// How a node of the chosen group is chosen for a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreServer {
    /// One after the other, in the order of their numbers.
    #[default]
    RoundRobin,
    /// The one with the smallest number.
    First,
    /// The one with the smallest upload priority, among equals the smallest number.
    Priority,
}

/// How a volume path of the chosen node is chosen for a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorePath {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with most free space.
    LoadBalance,
}

/// The rules that an operator sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Group of a write.
    pub store_lookup: StoreLookup,
    /// Node of a write.
    pub store_server: StoreServer,
    /// Volume path of a write.
    pub store_path: StorePath,
    /// Space that writes leave free.
    pub reserved: ReservedSpace,
    /// A node that was silent for longer is out of service.
    pub silence_max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            store_lookup: StoreLookup::default(),
            store_server: StoreServer::default(),
            store_path: StorePath::default(),
            reserved: ReservedSpace::default(),
            silence_max: Duration::from_secs(3),
        }
    }
}

/// The moment of an event on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the tracker's start; never goes back. Decides.
    pub uptime: Duration,
    /// Unix seconds. Only shown.
    pub unix: u32,
}

/// Groups and nodes as the tracker knows them.
#[derive(Debug)]
pub struct Cluster {
    policy: Policy,
    groups: BTreeMap<GroupName, Group>,
    /// The group that round robin tries first: the next one behind this name.
    last_group: Option<GroupName>,
    session_count: u64,
    generation: u64,
}

impl Cluster {
    /// A cluster whose nodes are known from earlier but have not called yet.
    pub fn new(policy: Policy, known: Vec<Registration>) -> Self {
        let mut cluster = Self {
            policy,
            groups: BTreeMap::new(),
            last_group: None,
            session_count: 0,
            generation: 0,
        };
        for registration in known {
            cluster.insert(Node::known(registration));
        }
        cluster
    }

    /// The rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// All groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.groups.values()
    }

    /// One group.
    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.groups.get(name)
    }

    /// All nodes, group by group, in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.groups().flat_map(Group::nodes)
    }

    /// The node that clients reach at this address, deleted ones aside.
    pub fn node_at(&self, address: SocketAddr) -> Option<&Node> {
        self.nodes()
            .find(|node| !node.registration().deleted && node.endpoint().address == address)
    }

    /// Grows with every change of what [`Self::registrations`] tells.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What must survive a restart.
    pub fn registrations(&self) -> Vec<Registration> {
        self.nodes().map(|node| *node.registration()).collect()
    }

    /// Adds the node to its group, which is made if there is none.
    fn insert(&mut self, node: Node) {
        let name = node.registration().group;
        let group = self.groups.entry(name).or_insert_with(|| Group::new(name));
        group.insert(node);
        group.refresh();
    }
}

#[cfg(test)]
mod tests;
