//! Where to write. Source: docs/wire.md, placement.

use std::ops::Bound;

use common::code::ErrorCode;
use common::id::{GroupName, VolumePath};
use common::wire::AddressWidth;

use super::{Cluster, Endpoint, Group, Node, Policy, StoreLookup, StoreServer};

/// Where a blob shall be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The group.
    pub group: GroupName,
    /// The node.
    pub node: Endpoint,
    /// The volume path.
    pub path: VolumePath,
}

/// Why nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefusal {
    /// There is no such group, or no node of it takes writes.
    #[error("no group with a writable node")]
    NoWriter,
    /// Free space is at or below the reserve.
    #[error("free space is at or below what is reserved")]
    NoSpace,
}

impl StoreRefusal {
    /// The kind of failure.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NoWriter => ErrorCode::NotFound,
            Self::NoSpace => ErrorCode::NoSpace,
        }
    }
}

impl Cluster {
    /// Chooses one place, in the given group or in one that the policy chooses, among the nodes
    /// whose address fits.
    pub fn store_one(
        &mut self,
        group: Option<GroupName>,
        width: AddressWidth,
    ) -> Result<Placement, StoreRefusal> {
        let policy = &self.policy;
        let rules = Rules { policy, width };
        let name = choose_group(&self.groups, rules, group, self.last_group)?;
        let group = self.groups.get_mut(&name).ok_or(StoreRefusal::NoWriter)?;
        let placement = group.choose_writer(rules).ok_or(StoreRefusal::NoSpace)?;
        self.last_group = Some(name);
        Ok(placement)
    }

    /// Like [`Self::store_one`], but with all nodes of the group that take writes, by number. Moves
    /// round robin over groups and paths on, but not over nodes: none was preferred.
    pub fn store_all(
        &mut self,
        group: Option<GroupName>,
        width: AddressWidth,
    ) -> Result<(GroupName, Vec<Endpoint>, VolumePath), StoreRefusal> {
        let policy = &self.policy;
        let rules = Rules { policy, width };
        let name = choose_group(&self.groups, rules, group, self.last_group)?;
        let group = self.groups.get_mut(&name).ok_or(StoreRefusal::NoWriter)?;
        let mut endpoints = Vec::with_capacity(group.writable_count());
        let mut path = None;
        for node in group.nodes_mut() {
            if rules.allow(node) {
                endpoints.push(node.endpoint());
                path = path.or_else(|| node.choose_path(policy.store_path, policy.reserved));
            }
        }
        let path = path.ok_or(StoreRefusal::NoSpace)?;
        self.last_group = Some(name);
        Ok((name, endpoints, path))
    }
}

impl Group {
    /// Whether a write finds a node and space: on one node of the group, for a full disk on another one
    /// must not stop it, or on all of them.
    fn check_writable(&self, rules: Rules<'_>, room: Room) -> Result<(), StoreRefusal> {
        if self.writable_count() == 0 {
            return Err(StoreRefusal::NoWriter);
        }
        let is_enough = match room {
            Room::Everywhere => self.space().has_room(),
            Room::Somewhere => true,
        };
        if is_enough && self.nodes().any(|node| rules.allow(node)) {
            return Ok(());
        }
        let mut writers = self.nodes().filter(|node| node.is_writable());
        if writers.any(|node| node.fits(rules.width)) {
            Err(StoreRefusal::NoSpace)
        } else {
            Err(StoreRefusal::NoWriter)
        }
    }

    fn choose_writer(&mut self, rules: Rules<'_>) -> Option<Placement> {
        let policy = rules.policy;
        let name = self.name();
        let start = self.write_server_index();
        let takes_writes = |node: &Node| rules.allow(node);
        let idx = match policy.store_server {
            StoreServer::RoundRobin => next_after(self.nodes_slice(), start, takes_writes),
            StoreServer::First => self.nodes_slice().iter().position(takes_writes),
            StoreServer::Priority => {
                let candidates = self.nodes().enumerate().filter(|(_, it)| takes_writes(it));
                candidates
                    .min_by_key(|(_, node)| node.upload_priority())
                    .map(|(idx, _)| idx)
            }
        }?;
        let node = self.nodes_mut().get_mut(idx)?;
        let path = node.choose_path(policy.store_path, policy.reserved)?;
        let placement = Placement {
            group: name,
            node: node.endpoint(),
            path,
        };
        if policy.store_server == StoreServer::RoundRobin {
            self.next_writer = idx + 1;
        }
        Some(placement)
    }
}

/// The index of the first item that fits, from `start` on and around.
pub(super) fn next_after<T>(items: &[T], start: usize, fits: impl Fn(&T) -> bool) -> Option<usize> {
    let mut around = (start..items.len()).chain(0..start);
    around.find(|idx| items.get(*idx).is_some_and(&fits))
}

/// What one query goes by.
#[derive(Clone, Copy)]
struct Rules<'a> {
    policy: &'a Policy,
    width: AddressWidth,
}

impl Rules<'_> {
    /// Whether a node may be offered for writing.
    fn allow(self, node: &Node) -> bool {
        node.is_writable() && node.has_room(self.policy.reserved) && node.fits(self.width)
    }
}

/// Where a group must have room.
#[derive(Clone, Copy)]
enum Room {
    /// On all of its nodes: such groups are chosen first.
    Everywhere,
    /// On any of them.
    Somewhere,
}

type Groups = std::collections::BTreeMap<GroupName, Group>;

fn choose_group(
    groups: &Groups,
    rules: Rules<'_>,
    given: Option<GroupName>,
    last: Option<GroupName>,
) -> Result<GroupName, StoreRefusal> {
    match (given, rules.policy.store_lookup) {
        (Some(name), _) | (None, StoreLookup::Group(name)) => {
            let group = groups.get(&name).ok_or(StoreRefusal::NoWriter)?;
            group.check_writable(rules, Room::Somewhere).map(|()| name)
        }
        (None, StoreLookup::RoundRobin) => {
            // What lies behind the last one, then from the beginning.
            let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
            let rest = groups.range((behind, Bound::Unbounded));
            let around = rest.chain(groups).map(|(_, group)| group);
            first_usable(around.clone(), rules, Room::Everywhere)
                .or_else(|_| first_usable(around, rules, Room::Somewhere))
        }
        (None, StoreLookup::LoadBalance) => most_space(groups.values(), rules, Room::Everywhere)
            .or_else(|_| most_space(groups.values(), rules, Room::Somewhere)),
    }
}

fn first_usable<'a>(
    mut groups: impl Iterator<Item = &'a Group>,
    rules: Rules<'_>,
    room: Room,
) -> Result<GroupName, StoreRefusal> {
    let mut refusal = StoreRefusal::NoWriter;
    let usable = groups.find(|group| match group.check_writable(rules, room) {
        Ok(()) => true,
        Err(reason) => {
            refusal = weaker(refusal, reason);
            false
        }
    });
    usable.map(Group::name).ok_or(refusal)
}

fn most_space<'a>(
    groups: impl Iterator<Item = &'a Group>,
    rules: Rules<'_>,
    room: Room,
) -> Result<GroupName, StoreRefusal> {
    let mut refusal = StoreRefusal::NoWriter;
    let mut best: Option<&Group> = None;
    for group in groups {
        match group.check_writable(rules, room) {
            // Strictly more, so that the first of equals stays.
            Ok(()) if best.is_none_or(|best| best.space().free_mb < group.space().free_mb) => {
                best = Some(group);
            }
            Ok(()) => {}
            Err(reason) => refusal = weaker(refusal, reason),
        }
    }
    best.map(Group::name).ok_or(refusal)
}

/// One group that only lacks space makes the answer "no space".
fn weaker(left: StoreRefusal, right: StoreRefusal) -> StoreRefusal {
    match (left, right) {
        (StoreRefusal::NoWriter, StoreRefusal::NoWriter) => StoreRefusal::NoWriter,
        (StoreRefusal::NoSpace, _) | (_, StoreRefusal::NoSpace) => StoreRefusal::NoSpace,
    }
}
