//! What an operator orders: marks, removal, release of numbers.
//!
//! A removal is refused while it would lose the last copy of anything that the trackers can know of:
//! a node goes only when its peers hold every volume path that it holds, a group only when it holds
//! no blob. `force` is for what is lost already.

use common::code::ErrorCode;
use common::id::{GroupName, NodeNumber, VolumePath};
use common::limits;
use common::wire::Status;
use common::wire::cluster::{Order, Target};
use common::wire::report::{GroupMarks, NodeMarks, Standing};

use super::{Cluster, Group, Node, counted, sized};

/// How a removal is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Even if copies may be lost.
    pub force: bool,
    /// Whether another node may have the number at once.
    pub release_number: bool,
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// There is no such node.
    #[error("there is no node {0}; `hayloft cluster status` lists all")]
    NoNode(NodeNumber),
    /// There is no such group.
    #[error("there is no group {0}; `hayloft cluster status` lists all")]
    NoGroup(GroupName),
    /// The node was removed before.
    #[error("node {0} was removed already")]
    AlreadyRemoved(NodeNumber),
    /// The number of a node that was not removed cannot be released.
    #[error("node {0} was not removed; its number is free once `hayloft cluster remove` is done")]
    NotRemoved(NodeNumber),
    /// It still takes new blobs.
    #[error("{0} takes new blobs; drain it first, or add --wait to do both")]
    NotDraining(Target),
    /// Nobody else holds what the node holds.
    #[error(
        "node {0} is the only one of its group that answers; add another node and let it rebuild, \
         or use --force if its blobs may be lost"
    )]
    NoPeer(NodeNumber),
    /// Peers do not hold everything yet.
    #[error("waiting for the peers of node {node}: {what}")]
    PeersIncomplete {
        /// The node to remove.
        node: NodeNumber,
        /// What they lack.
        what: String,
    },
    /// The group holds blobs.
    #[error(
        "group {group} holds {} records; a group is emptied by whoever stores its blobs elsewhere \
         and deletes them here, for their ids name the group",
        counted(*.blobs)
    )]
    NotEmpty {
        /// The group.
        group: GroupName,
        /// What it holds.
        blobs: u64,
    },
    /// A node of the group does not tell what it holds.
    #[error(
        "node {node} of group {group} does not answer, so nobody knows what it holds; start it, \
         or remove it first"
    )]
    Unheard {
        /// The group.
        group: GroupName,
        /// The node.
        node: NodeNumber,
    },
    /// The node is in service; asked by command 93, which takes only nodes that are offline.
    #[error("node {0} is in service")]
    InService(NodeNumber),
    /// The group has nodes; asked by command 108.
    #[error("group {0} has nodes")]
    HasNodes(GroupName),
    /// So many removed nodes are remembered that another one has no place.
    #[error(
        "group {0} remembers {max} removed nodes; release numbers that are not needed any more",
        max = limits::REMOVED_PER_GROUP_MAX
    )]
    TooManyRemoved(GroupName),
}

impl OrderRefusal {
    /// Whether the order succeeds by itself once nodes have done their work.
    pub fn is_wait(&self) -> bool {
        match self {
            Self::PeersIncomplete { .. } | Self::NotEmpty { .. } => true,
            Self::NoNode(_)
            | Self::NoGroup(_)
            | Self::AlreadyRemoved(_)
            | Self::NotRemoved(_)
            | Self::NotDraining(_)
            | Self::NoPeer(_)
            | Self::Unheard { .. }
            | Self::InService(_)
            | Self::HasNodes(_)
            | Self::TooManyRemoved(_) => false,
        }
    }

    /// The status byte by which clients of `FastDFS` are told.
    pub fn status(&self) -> Status {
        match self {
            Self::NoNode(_) | Self::NoGroup(_) => ErrorCode::NotFound.wire_status(),
            Self::AlreadyRemoved(_) => Status::ALREADY,
            Self::NotRemoved(_)
            | Self::NotDraining(_)
            | Self::NoPeer(_)
            | Self::PeersIncomplete { .. }
            | Self::NotEmpty { .. }
            | Self::Unheard { .. }
            | Self::InService(_)
            | Self::HasNodes(_)
            | Self::TooManyRemoved(_) => ErrorCode::Busy.wire_status(),
        }
    }
}

impl Cluster {
    /// Carries an order out, or says why not. One that changes nothing succeeds.
    pub fn order(&mut self, target: Target, order: Order) -> Result<(), OrderRefusal> {
        match (order, target) {
            (Order::Remove { force, release }, Target::Node(number)) => self.remove_node(
                number,
                Removal {
                    force,
                    release_number: release,
                },
            ),
            (Order::Remove { force, release }, Target::Group(name)) => self.remove_group(
                name,
                Removal {
                    force,
                    release_number: release,
                },
            ),
            (Order::Drain | Order::Undrain | Order::ReadOnly | Order::Writable, _) => {
                self.mark(target, order)
            }
        }
    }

    /// Command 93: removes a node that is offline, as `FastDFS` does.
    pub fn delete_node(
        &mut self,
        group: &GroupName,
        number: NodeNumber,
    ) -> Result<(), OrderRefusal> {
        let node = self.group(group).and_then(|group| group.node(number));
        let node = node.ok_or(OrderRefusal::NoNode(number))?;
        if !node.is_member() {
            return Err(OrderRefusal::AlreadyRemoved(number));
        }
        if node.is_alive() {
            return Err(OrderRefusal::InService(number));
        }
        self.set_removed(number, Removal::default())
    }

    /// Command 108: removes a group whose nodes were all removed.
    pub fn delete_group(&mut self, name: &GroupName) -> Result<(), OrderRefusal> {
        let group = self.group(name).ok_or(OrderRefusal::NoGroup(*name))?;
        if group.members().next().is_some() {
            return Err(OrderRefusal::HasNodes(*name));
        }
        self.mark_group_removed(*name);
        Ok(())
    }

    fn mark(&mut self, target: Target, order: Order) -> Result<(), OrderRefusal> {
        match target {
            Target::Node(number) => {
                let node = self.node(number).ok_or(OrderRefusal::NoNode(number))?;
                if !node.is_member() {
                    return Err(OrderRefusal::AlreadyRemoved(number));
                }
                let mut marks = node.entry().marks;
                apply(order, &mut marks.draining, &mut marks.read_only);
                if marks != node.entry().marks {
                    self.mark_node(number, marks);
                }
            }
            Target::Group(name) => {
                let group = self.group(&name).ok_or(OrderRefusal::NoGroup(name))?;
                let mut marks = group.marks();
                apply(order, &mut marks.draining, &mut marks.read_only);
                if marks != group.marks() {
                    self.mark_group(name, marks);
                }
            }
        }
        Ok(())
    }

    fn remove_node(&mut self, number: NodeNumber, removal: Removal) -> Result<(), OrderRefusal> {
        let node = self.node(number).ok_or(OrderRefusal::NoNode(number))?;
        match node.entry().marks.standing {
            Standing::Released => return Err(OrderRefusal::AlreadyRemoved(number)),
            Standing::Removed if !removal.release_number => {
                return Err(OrderRefusal::AlreadyRemoved(number));
            }
            Standing::Member if !removal.force => self.check_node_is_spare(node)?,
            Standing::Removed | Standing::Member => {}
        }
        self.set_removed(number, removal)
    }

    /// Whether everything that the node holds is elsewhere, as far as its peers' reports tell.
    fn check_node_is_spare(&self, node: &Node) -> Result<(), OrderRefusal> {
        let number = node.entry().number;
        if node.is_alive() && !node.is_draining() {
            return Err(OrderRefusal::NotDraining(Target::Node(number)));
        }
        let group = self.groups.get(&node.entry().group);
        let group = group.ok_or(OrderRefusal::NoNode(number))?;
        let peers: Vec<&Node> = group
            .members()
            .filter(|peer| peer.entry().number != number && peer.answers_reads())
            .collect();
        if peers.is_empty() {
            return Err(OrderRefusal::NoPeer(number));
        }
        let what = lacking(node, &peers);
        if what.is_empty() {
            Ok(())
        } else {
            let what = what.join("; ");
            Err(OrderRefusal::PeersIncomplete { node: number, what })
        }
    }

    fn remove_group(&mut self, name: GroupName, removal: Removal) -> Result<(), OrderRefusal> {
        let group = self.group(&name).ok_or(OrderRefusal::NoGroup(name))?;
        if !removal.force {
            check_group_is_empty(group)?;
        }
        let numbers: Vec<_> = group.members().map(|node| node.entry().number).collect();
        let removed = group.nodes().len() - numbers.len();
        if limits::REMOVED_PER_GROUP_MAX < removed + numbers.len() {
            return Err(OrderRefusal::TooManyRemoved(name));
        }
        for number in numbers {
            self.set_removed(number, removal)?;
        }
        self.mark_group_removed(name);
        Ok(())
    }

    fn set_removed(&mut self, number: NodeNumber, removal: Removal) -> Result<(), OrderRefusal> {
        let node = self.node(number).ok_or(OrderRefusal::NoNode(number))?;
        let (entry, was_member) = (*node.entry(), node.is_member());
        let group = self.groups.get(&entry.group);
        let gone = group.map_or(0, |it| it.nodes().filter(|node| !node.is_member()).count());
        if was_member && limits::REMOVED_PER_GROUP_MAX <= gone {
            return Err(OrderRefusal::TooManyRemoved(entry.group));
        }
        let standing = if removal.release_number {
            Standing::Released
        } else {
            Standing::Removed
        };
        self.mark_node(
            number,
            NodeMarks {
                standing,
                ..NodeMarks::default()
            },
        );
        Ok(())
    }

    fn mark_group_removed(&mut self, name: GroupName) {
        let removed = true;
        self.mark_group(
            name,
            GroupMarks {
                removed,
                ..GroupMarks::default()
            },
        );
    }
}

fn apply(order: Order, draining: &mut bool, read_only: &mut bool) {
    match order {
        Order::Drain => *draining = true,
        Order::Undrain => *draining = false,
        Order::ReadOnly => *read_only = true,
        Order::Writable => *read_only = false,
        Order::Remove { .. } => {}
    }
}

/// What the peers of a node lack, in words. Every volume path must be complete on some peer, and
/// every peer in service must have caught up: until then the node may be the only one with a blob
/// that the peer shall have.
fn lacking(node: &Node, peers: &[&Node]) -> Vec<String> {
    let holds = |peer: &Node, path: VolumePath| {
        let mut paths = peer.report().paths.iter();
        paths.any(|it| it.path == path && it.is_complete)
    };
    let mut lacking = Vec::new();
    for path in &node.report().paths {
        if !peers.iter().any(|peer| holds(peer, path.path)) {
            lacking.push(format!("no peer is complete in {}", path.path));
        }
    }
    for peer in peers {
        let report = peer.report();
        let open = report.paths.iter().filter(|path| !path.is_complete).count();
        if 0 < open {
            let progress = report.rebuild;
            let so_far = if progress.total == 0 {
                String::new()
            } else {
                let (done, total) = (sized(progress.done), sized(progress.total));
                format!(", {done} of {total}")
            };
            let number = peer.entry().number;
            lacking.push(format!("node {number} lacks {open} volume paths{so_far}"));
        // Copies that a dead node had are missed for as long as it is a member, so that is no reason
        // to keep it.
        } else if node.is_alive() && 0 < report.under_replicated {
            let (number, count) = (peer.entry().number, counted(report.under_replicated));
            lacking.push(format!(
                "node {number} has {count} records with too few copies"
            ));
        }
    }
    lacking
}

fn check_group_is_empty(group: &Group) -> Result<(), OrderRefusal> {
    let name = group.name();
    if !group.marks().draining && group.members().next().is_some() {
        return Err(OrderRefusal::NotDraining(Target::Group(name)));
    }
    for node in group.members() {
        if !node.answers_reads() {
            return Err(OrderRefusal::Unheard {
                group: name,
                node: node.entry().number,
            });
        }
    }
    let blobs = group.members().map(|node| node.report().blobs).max();
    match blobs.unwrap_or_default() {
        0 => Ok(()),
        blobs => Err(OrderRefusal::NotEmpty { group: name, blobs }),
    }
}
