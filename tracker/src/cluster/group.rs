//! A group: nodes that hold the same blobs.

use common::id::{GroupName, NodeNumber, VolumePath};
use common::wire::report::{
    GroupEntry, GroupMarks, Member, PathSpace, Progress, RemovedMember, ReportAnswer, Stamp,
};

use super::{Node, Space};

/// Nodes in the order of their numbers, and what follows from their states.
#[derive(Debug)]
pub struct Group {
    entry: GroupEntry,
    /// Place of the entry in this tracker's list of changes; 0 while nobody said anything.
    changed: u64,
    nodes: Vec<Node>,
    /// Derived by [`Group::refresh`], so that queries do not add up over all nodes.
    space: Space,
    writable_count: usize,
    readable_count: usize,
    /// What members are told, and how often it changed.
    members: Vec<Member>,
    removed: Vec<RemovedMember>,
    view: u64,
    /// Where round robin over writers and readers goes on.
    pub(super) next_writer: usize,
    pub(super) next_reader: usize,
}

impl Group {
    pub(super) fn new(name: GroupName) -> Self {
        Self {
            entry: GroupEntry {
                name,
                marks: GroupMarks::default(),
                marked: Stamp::default(),
            },
            changed: 0,
            nodes: Vec::new(),
            space: Space::default(),
            writable_count: 0,
            readable_count: 0,
            members: Vec::new(),
            removed: Vec::new(),
            view: 1,
            next_writer: 0,
            next_reader: 0,
        }
    }

    /// Its name.
    pub fn name(&self) -> GroupName {
        self.entry.name
    }

    /// What is remembered of it beside its nodes.
    pub fn entry(&self) -> &GroupEntry {
        &self.entry
    }

    /// What an operator said of it.
    pub fn marks(&self) -> GroupMarks {
        self.entry.marks
    }

    pub(super) fn set_entry(&mut self, entry: GroupEntry, changed: u64) {
        self.entry = entry;
        self.changed = changed;
        self.refresh();
    }

    /// Records of a volume path on a node that has all of them; 0 while none is known to.
    pub fn records_at(&self, path: VolumePath) -> u64 {
        let spaces = self.nodes().filter(|node| node.is_alive());
        let spaces = spaces.flat_map(|node| &node.report().paths);
        let complete = spaces.filter(|space| space.path == path && space.is_complete);
        complete.map(|space| space.records).max().unwrap_or(0)
    }

    /// How far a volume path of a node is from complete, in records; nothing when it is, or when no
    /// other node knows how many there are.
    pub fn rebuild_of(&self, space: &PathSpace) -> Progress {
        let total = if space.is_complete {
            0
        } else {
            self.records_at(space.path)
        };
        Progress {
            done: space.records.min(total),
            total,
        }
    }

    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    /// Nodes that belong to it.
    pub fn members(&self) -> impl Iterator<Item = &Node> + Clone {
        self.nodes.iter().filter(|node| node.is_member())
    }

    /// Its nodes by number, also those that are deleted or offline.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> + Clone {
        self.nodes.iter()
    }

    pub(super) fn nodes_slice(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// One node.
    pub fn node(&self, number: NodeNumber) -> Option<&Node> {
        let idx = self.position(number).ok()?;
        self.nodes.get(idx)
    }

    pub(super) fn node_mut(&mut self, number: NodeNumber) -> Option<&mut Node> {
        let idx = self.position(number).ok()?;
        self.nodes.get_mut(idx)
    }

    pub(super) fn insert(&mut self, node: Node) {
        match self.position(node.entry().number) {
            Ok(idx) => {
                if let Some(place) = self.nodes.get_mut(idx) {
                    *place = node;
                }
            }
            Err(idx) => self.nodes.insert(idx, node),
        }
    }

    pub(super) fn remove(&mut self, number: NodeNumber) -> Option<Node> {
        let idx = self.position(number).ok()?;
        Some(self.nodes.remove(idx))
    }

    /// Space of its member with the least free space: what a write to all of them finds. While no
    /// member is in service, of those that were.
    pub fn space(&self) -> Space {
        self.space
    }

    /// Nodes that clients are sent to for reading.
    pub fn readable_count(&self) -> usize {
        self.readable_count
    }

    /// Nodes that clients are sent to for writing, space aside.
    pub fn writable_count(&self) -> usize {
        self.writable_count
    }

    /// Index of the node that round robin tries next for a write.
    pub fn write_server_index(&self) -> usize {
        self.next_writer.checked_rem(self.nodes.len()).unwrap_or(0)
    }

    /// The port of the storage protocol that all members share, `None` when they differ.
    pub fn shared_port(&self) -> Option<u16> {
        let mut ports = self.members().map(|node| node.entry().place.storage_port);
        let first = ports.next()?;
        ports.all(|port| port == first).then_some(first)
    }

    /// Volume paths of the member with most.
    pub fn path_count(&self) -> usize {
        self.nodes.iter().map(Node::path_count).max().unwrap_or(0)
    }

    /// Derives again what follows from the nodes; to be called after every change of one.
    pub(super) fn refresh(&mut self) {
        let GroupEntry { marks, marked, .. } = self.entry;
        for node in &mut self.nodes {
            node.set_group_marks(marks, marked);
        }
        let smallest = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.map(Node::space).min_by_key(|space| space.free_mb)
        };
        let mut active = self
            .nodes
            .iter()
            .filter(|node| node.answers() && !node.is_draining());
        let mut known = self
            .nodes
            .iter()
            .filter(|node| node.has_reported() && node.is_member());
        self.space = smallest(&mut active)
            .or_else(|| smallest(&mut known))
            .unwrap_or_default();
        self.writable_count = self.nodes.iter().filter(|node| node.is_writable()).count();
        self.readable_count = self.nodes.iter().filter(|node| node.is_readable()).count();
        self.refresh_members();
    }

    /// Makes a new view of what members are told changed.
    fn refresh_members(&mut self) {
        let members: Vec<_> = self.nodes.iter().filter_map(Node::member).collect();
        // A node that changed its number stays a member.
        let is_gone = |it: &RemovedMember| members.iter().all(|one| one.identity != it.identity);
        let removed = self.nodes.iter().filter_map(Node::removed_member);
        let removed: Vec<_> = removed.filter(is_gone).collect();
        if members != self.members || removed != self.removed {
            (self.members, self.removed) = (members, removed);
            self.view += 1;
        }
    }

    /// What a member is told that has the view `known`.
    pub fn members_answer(&self, known: u64) -> ReportAnswer {
        let view = self.view;
        if known == view {
            return ReportAnswer::Unchanged { view };
        }
        ReportAnswer::Members {
            view,
            members: self.members.clone(),
            removed: self.removed.clone(),
        }
    }

    fn position(&self, number: NodeNumber) -> Result<usize, usize> {
        self.nodes
            .binary_search_by_key(&number, |node| node.entry().number)
    }
}
