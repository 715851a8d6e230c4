//! Who belongs to the cluster: joins, reports, silence, removal.

use std::net::{IpAddr, SocketAddr};

use common::code::ErrorCode;
use common::id::{GroupName, NodeNumber};
use common::limits;
use common::wire::Status;
use common::wire::report::{JoinAnswer, NodeJoin, NodeReport, ReportAnswer};
use common::wire::tracker::{NodeStatus, ReadWriteMode};

use super::{Cluster, Node, Now, Registration, SessionId};

/// A node was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Names the session in reports and at its end.
    pub session: SessionId,
    /// Where clients are sent.
    pub address: SocketAddr,
    /// Where the node was known before, if elsewhere.
    pub moved_from: Option<SocketAddr>,
    /// Whether another session of this identity was in service until now. Together with a move this
    /// means that a data directory was copied and both copies run.
    pub replaced_live_session: bool,
}

/// Why a node was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// Another identity holds the number.
    #[error("node number {number} of {yours} is held by the node at {holder}")]
    NumberTaken {
        /// The number.
        number: NodeNumber,
        /// Where its holder was last seen.
        holder: SocketAddr,
        /// The refused node.
        yours: SocketAddr,
    },
    /// The identity belongs to another group.
    #[error("the node belongs to group {registered}")]
    WrongGroup {
        /// The group it belongs to.
        registered: GroupName,
    },
    /// The group has as many nodes as it can have.
    #[error("a group has at most {} nodes", limits::NODES_PER_GROUP_MAX)]
    GroupFull,
    /// There are as many groups as there can be.
    #[error("a tracker keeps at most {} groups", limits::GROUPS_MAX)]
    TooManyGroups,
}

impl JoinRefusal {
    /// What the node is told.
    pub fn answer(self) -> JoinAnswer {
        let limit = |limit: usize| JoinAnswer::Full {
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        };
        match self {
            Self::NumberTaken { holder, yours, .. } => JoinAnswer::NumberTaken { holder, yours },
            Self::WrongGroup { registered } => JoinAnswer::WrongGroup { registered },
            Self::GroupFull => limit(limits::NODES_PER_GROUP_MAX),
            Self::TooManyGroups => limit(limits::GROUPS_MAX),
        }
    }
}

/// Where a node stood before a report and where it stands after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Before.
    pub from: NodeStatus,
    /// After.
    pub to: NodeStatus,
}

impl StateChange {
    /// Whether they differ.
    pub fn is_news(self) -> bool {
        self.from != self.to
    }
}

/// A report of a session that is no more: a newer one took its place, or the node was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session has ended")]
pub struct NotJoined;

/// Why something is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRefusal {
    /// No such group or node.
    #[error("no such group or node")]
    Unknown,
    /// It is connected, or the group still has nodes.
    #[error("in service, or not empty")]
    InUse,
    /// It was removed before.
    #[error("removed already")]
    Already,
}

impl Cluster {
    /// Takes a node in, or says why not. `peer` is where its connection comes from.
    pub fn join(&mut self, join: &NodeJoin, peer: IpAddr, now: Now) -> Result<Joined, JoinRefusal> {
        let address = join.address.unwrap_or(peer).to_canonical();
        let yours = SocketAddr::new(address, join.storage_port);
        let earlier = self.earlier(join, yours)?;
        self.check_limits(join, earlier.as_ref())?;

        let registration = Registration {
            identity: join.identity,
            number: join.number,
            group: join.group,
            address,
            storage_port: join.storage_port,
            http_port: join.http_port,
            joined: join.joined,
            deleted: false,
            mode: earlier.map_or(ReadWriteMode::Both, |earlier| earlier.mode),
        };
        let before = self.forget_other_places(join, earlier);
        let replaced_live_session = before
            .as_ref()
            .is_some_and(|node| !matches!(node.state(), NodeStatus::Offline | NodeStatus::Deleted));
        let mut node = before.unwrap_or_else(|| Node::known(registration));
        node.register(registration);

        self.session_count += 1;
        let session = SessionId {
            group: join.group,
            number: join.number,
            serial: self.session_count,
        };
        node.join(join, session.serial, now);
        self.insert(node);
        if earlier != Some(registration) {
            self.generation += 1;
        }
        let known_at = earlier.map(|it| SocketAddr::new(it.address, it.storage_port));
        Ok(Joined {
            session,
            address: yours,
            moved_from: known_at.filter(|known_at| *known_at != yours),
            replaced_live_session,
        })
    }

    /// Takes a report in and returns what it changed.
    pub fn report(
        &mut self,
        session: SessionId,
        report: NodeReport,
        now: Now,
    ) -> Result<StateChange, NotJoined> {
        let reserved = self.policy.reserved;
        let group = self.groups.get_mut(&session.group).ok_or(NotJoined)?;
        let node = group.node_mut(session.number).ok_or(NotJoined)?;
        let from = node.state();
        if !node.take_report(session.serial, report, reserved, now) {
            return Err(NotJoined);
        }
        let to = node.state();
        group.refresh();
        Ok(StateChange { from, to })
    }

    /// What the node of a session is told about its group when it has the view `known`.
    pub fn members_answer(&self, session: SessionId, known: u64) -> ReportAnswer {
        let group = self.groups.get(&session.group);
        group.map_or(ReportAnswer::Nothing, |it| it.members_answer(known))
    }

    /// Ends a session; its node is out of service at once. `false` when a later one took its place.
    pub fn leave(&mut self, session: SessionId) -> bool {
        let Some(group) = self.groups.get_mut(&session.group) else {
            return false;
        };
        let left = group
            .node_mut(session.number)
            .is_some_and(|node| node.leave(session.serial));
        group.refresh();
        left
    }

    /// Takes silent nodes out of service and returns those for which that is news.
    pub fn tick(&mut self, now: Now) -> Vec<NodeNumber> {
        let silence_max = self.policy.silence_max;
        let mut silent = Vec::new();
        for group in self.groups.values_mut() {
            let before = silent.len();
            for node in group.nodes_mut() {
                if node.check_silence(silence_max, now) {
                    silent.push(node.registration().number);
                }
            }
            if before < silent.len() {
                group.refresh();
            }
        }
        silent
    }

    /// Sets what an operator allows on a node.
    pub fn set_mode(
        &mut self,
        number: NodeNumber,
        mode: ReadWriteMode,
    ) -> Result<(), DeleteRefusal> {
        let mut groups = self.groups.values_mut();
        let group = groups.find(|group| group.node(number).is_some());
        let group = group.ok_or(DeleteRefusal::Unknown)?;
        let node = group.node_mut(number).ok_or(DeleteRefusal::Unknown)?;
        node.set_mode(mode);
        group.refresh();
        self.generation += 1;
        Ok(())
    }

    /// Marks a node as removed. It stays on the lists; when it joins again it is new.
    pub fn delete_node(
        &mut self,
        group: &GroupName,
        number: NodeNumber,
    ) -> Result<(), DeleteRefusal> {
        let group = self.groups.get_mut(group).ok_or(DeleteRefusal::Unknown)?;
        let node = group.node_mut(number).ok_or(DeleteRefusal::Unknown)?;
        match node.state() {
            NodeStatus::Deleted => Err(DeleteRefusal::Already),
            NodeStatus::Offline => {
                node.delete();
                group.refresh();
                self.generation += 1;
                Ok(())
            }
            NodeStatus::Init
            | NodeStatus::WaitSync
            | NodeStatus::Syncing
            | NodeStatus::IpChanged
            | NodeStatus::Online
            | NodeStatus::Active
            | NodeStatus::Recovery
            | NodeStatus::None => Err(DeleteRefusal::InUse),
        }
    }

    /// Forgets a group whose nodes were all removed.
    pub fn delete_group(&mut self, name: &GroupName) -> Result<(), DeleteRefusal> {
        let group = self.groups.get(name).ok_or(DeleteRefusal::Unknown)?;
        if group.nodes().any(|node| !node.registration().deleted) {
            return Err(DeleteRefusal::InUse);
        }
        self.groups.remove(name);
        self.generation += 1;
        Ok(())
    }

    /// The record of the same identity, after checking that number and group are the node's own.
    ///
    /// Records of removed nodes bar nobody: neither from their number nor from a new group.
    fn earlier(
        &self,
        join: &NodeJoin,
        yours: SocketAddr,
    ) -> Result<Option<Registration>, JoinRefusal> {
        let registrations = || self.nodes().map(Node::registration);
        let holder = registrations()
            .find(|it| it.number == join.number && it.identity != join.identity && !it.deleted);
        if let Some(holder) = holder {
            return Err(JoinRefusal::NumberTaken {
                number: join.number,
                holder: SocketAddr::new(holder.address, holder.storage_port),
                yours,
            });
        }
        let earlier = registrations().find(|it| it.identity == join.identity);
        match earlier {
            Some(earlier) if earlier.group != join.group && !earlier.deleted => {
                Err(JoinRefusal::WrongGroup {
                    registered: earlier.group,
                })
            }
            _ => Ok(earlier.copied()),
        }
    }

    fn check_limits(
        &self,
        join: &NodeJoin,
        earlier: Option<&Registration>,
    ) -> Result<(), JoinRefusal> {
        let Some(group) = self.groups.get(&join.group) else {
            return if self.groups.len() < limits::GROUPS_MAX {
                Ok(())
            } else {
                Err(JoinRefusal::TooManyGroups)
            };
        };
        let is_known = earlier.is_some_and(|earlier| earlier.group == join.group);
        let living = group.nodes().filter(|node| !node.registration().deleted);
        if is_known || living.count() < limits::NODES_PER_GROUP_MAX {
            Ok(())
        } else {
            Err(JoinRefusal::GroupFull)
        }
    }

    /// Removes what stands in the joining node's way: its own record, which is returned, a removed
    /// node of its number, and the oldest removed nodes when the group's list is full.
    fn forget_other_places(
        &mut self,
        join: &NodeJoin,
        earlier: Option<Registration>,
    ) -> Option<Node> {
        let own = earlier.and_then(|it| self.groups.get_mut(&it.group)?.remove(it.number));
        for group in self.groups.values_mut() {
            group.remove(join.number);
        }
        self.groups.retain(|name, group| {
            let is_empty = group.nodes().len() == 0;
            *name == join.group || !is_empty
        });
        if let Some(group) = self.groups.get_mut(&join.group) {
            while limits::NODES_PER_GROUP_MAX <= group.nodes().len() {
                let removed = group
                    .nodes()
                    .map(Node::registration)
                    .filter(|it| it.deleted);
                let Some(oldest) = removed.min_by_key(|it| it.joined).map(|it| it.number) else {
                    break;
                };
                group.remove(oldest);
            }
        }
        for group in self.groups.values_mut() {
            group.refresh();
        }
        own
    }
}

impl DeleteRefusal {
    /// The status byte of the refusal. `Already` has no kind of its own among the error codes.
    pub fn status(self) -> Status {
        match self {
            Self::Unknown => ErrorCode::NotFound.wire_status(),
            Self::InUse => ErrorCode::Busy.wire_status(),
            Self::Already => Status::ALREADY,
        }
    }
}
