//! What the tracker knows and decides, without IO: joins, reports and silence go in together with
//! `now`, answers come out. The same calls always give the same answers, so it can be simulated.
//!
//! * TRK-1: a node that is not in service, takes no writes or has no space is never offered for
//!   writing.
//! * TRK-2: two identities never hold one node number at the same time.
//! * TRK-4: what an operator ordered is not undone by a tracker that was away.
//! * The end of a session takes its node out of service, a later session's node stays.
//!
//! Everything but the [`Entry`]s is soft: it comes back with the nodes' next reports. Entries are
//! exchanged with the other trackers, see [`Cluster::merge`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use common::id::{GroupName, NodeNumber};
use common::wire::report::{Entry, NodeIdentity, Stamp};
use common::wire::tracker::NodeStatus;

mod exchange;
mod group;
mod lookup;
mod membership;
mod node;
mod orders;
mod placement;
mod reasons;
mod refused;
mod space;

pub use exchange::{Conflict, Merged};
pub use group::Group;
pub use membership::{JoinRefusal, Joined, NotJoined, StateChange};
pub use node::{Endpoint, Node, SessionId};
pub use orders::{OrderRefusal, Removal};
pub use placement::{Placement, StoreRefusal};
pub use reasons::{counted, sized};
pub use refused::Refused;
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
            silence_max: Duration::from_millis(2500),
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
    /// Grows with every change of an entry; entries carry the value of their last change.
    generation: u64,
    /// The greatest count of any stamp that was seen.
    stamped: u64,
    /// This tracker, in stamps.
    instance: u64,
    refused: BTreeMap<NodeIdentity, Refused>,
    last_tick: Option<Duration>,
    /// Whether it began without knowing anybody.
    began_empty: bool,
}

impl Cluster {
    /// A cluster whose nodes are known from earlier but have not called yet. `instance` tells this
    /// tracker from others.
    pub fn new(policy: Policy, known: Vec<Entry>, instance: u64) -> Self {
        let mut cluster = Self {
            policy,
            groups: BTreeMap::new(),
            last_group: None,
            session_count: 0,
            generation: 0,
            stamped: 0,
            instance,
            refused: BTreeMap::new(),
            last_tick: None,
            began_empty: known.is_empty(),
        };
        for entry in known {
            cluster.merge(entry);
        }
        cluster
    }

    /// The rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// All groups that were not removed and ever had a node, by name.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        let groups = self.groups.values();
        groups.filter(|group| !group.marks().removed && group.nodes().len() != 0)
    }

    /// Whether a node that belongs to the cluster is not in full service.
    pub fn awaits_nodes(&self) -> bool {
        let mut members = self.groups().flat_map(Group::members);
        members.any(|node| node.state() != NodeStatus::Active)
    }

    /// One group.
    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.groups.get(name).filter(|group| !group.marks().removed)
    }

    /// One node, whatever its standing.
    pub fn node(&self, number: NodeNumber) -> Option<&Node> {
        self.groups.values().find_map(|group| group.node(number))
    }

    /// All nodes, group by group, in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.groups.values().flat_map(Group::nodes)
    }

    /// The node that clients reach at this address, deleted ones aside.
    pub fn node_at(&self, address: SocketAddr) -> Option<&Node> {
        self.nodes()
            .find(|node| node.is_member() && node.endpoint().address == address)
    }

    /// Grows with every change of what [`Self::entries`] tells.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What must survive a restart.
    pub fn entries(&self) -> Vec<Entry> {
        let marked = self.groups.values().filter(|group| group.changed() != 0);
        let groups = marked.map(|group| Entry::Group(*group.entry()));
        groups
            .chain(self.nodes().map(|node| Entry::Node(*node.entry())))
            .collect()
    }

    /// A stamp that is greater than every one that was seen.
    fn stamp(&mut self) -> Stamp {
        self.stamped = self.stamped.saturating_add(1);
        Stamp {
            count: self.stamped,
            tracker: self.instance,
        }
    }

    /// Adds the node to its group, which is made if there is none, as the latest change.
    fn insert(&mut self, mut node: Node) {
        self.generation += 1;
        node.set_changed(self.generation);
        self.put(node);
    }

    /// Adds the node to its group without a change to tell.
    fn put(&mut self, node: Node) {
        let name = node.entry().group;
        let group = self.groups.entry(name).or_insert_with(|| Group::new(name));
        group.insert(node);
        group.refresh();
    }

    /// Takes the node with that number out of its group.
    fn take(&mut self, number: NodeNumber) -> Option<Node> {
        self.groups.values_mut().find_map(|group| {
            let node = group.remove(number)?;
            group.refresh();
            Some(node)
        })
    }
}

#[cfg(test)]
mod tests;
