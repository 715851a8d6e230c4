//! Who belongs to the cluster: joins, reports, silence.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::id::{GroupName, NodeNumber};
use common::limits;
use common::wire::report::{
    GroupEntry, GroupMarks, JoinAnswer, NodeEntry, NodeJoin, NodeMarks, NodeReport, Place,
    Progress, ReportAnswer, Stamp, Standing,
};
use common::wire::tracker::NodeStatus;

use super::{Cluster, Group, Node, Now, SessionId};

/// Time in which nodes that a tracker does not know come back to it: longer than their longest pause
/// between two attempts.
const RETURN_TIME: Duration = Duration::from_secs(10);
/// A node that began so short a time before the tracker began with it.
const NEW_FOR: Duration = Duration::from_mins(1);

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
    /// Another identity held the number until an operator removed it.
    #[error(
        "node number {number} of {yours} belonged to the node at {holder}, which was removed, \
         and was not released"
    )]
    NumberOfRemoved {
        /// The number.
        number: NodeNumber,
        /// Where its holder was last seen.
        holder: SocketAddr,
        /// The refused node.
        yours: SocketAddr,
    },
    /// An operator removed this node.
    #[error("the node at {yours} was removed from the cluster")]
    Removed {
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
    /// What a node is told that speaks the layout of `version`.
    pub fn answer(self, version: u16) -> JoinAnswer {
        let limit = |limit: usize| JoinAnswer::Full {
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        };
        match self {
            Self::NumberTaken { holder, yours, .. }
            | Self::NumberOfRemoved { holder, yours, .. } => {
                JoinAnswer::NumberTaken { holder, yours }
            }
            // The verdict came with version 2; of those before, this one keeps the node out.
            Self::Removed { yours } if version < 2 => JoinAnswer::NumberTaken {
                holder: yours,
                yours,
            },
            Self::Removed { .. } => JoinAnswer::Removed,
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

impl Cluster {
    /// Takes a node in, or says why not. `peer` is where its connection comes from.
    pub fn join(&mut self, join: &NodeJoin, peer: IpAddr, now: Now) -> Result<Joined, JoinRefusal> {
        let place = Place {
            address: join.address.unwrap_or(peer).to_canonical(),
            storage_port: join.storage_port,
            http_port: join.http_port,
        };
        let admitted = self.admit(join, place.storage());
        let admitted = admitted.and_then(|()| self.check_limits(join));
        if let Err(refusal) = admitted {
            self.note_refused(join, place.storage(), refusal, now);
            return Err(refusal);
        }
        self.forget_refused(&join.identity);
        self.release_other_numbers(join);

        let before = self.take(join.number);
        let earlier = before.as_ref().map(|node| *node.entry());
        let entry = self.entry_of(join, place, earlier);
        // What a former holder of the number reported is not this node's.
        let before = before.filter(|node| node.entry().identity == join.identity);
        let known_at = before.as_ref().map(|node| node.entry().place.storage());
        let replaced_live_session = before.as_ref().is_some_and(Node::is_alive);
        let mut node = before.unwrap_or_else(|| Node::known(entry));
        node.set_entry(entry);

        self.session_count += 1;
        let session = SessionId {
            group: join.group,
            number: join.number,
            serial: self.session_count,
        };
        node.join(join, session.serial, now);
        if earlier == Some(entry) {
            self.put(node);
        } else {
            self.insert(node);
        }
        self.revive_group(join.group);
        Ok(Joined {
            session,
            address: place.storage(),
            moved_from: known_at.filter(|known_at| *known_at != place.storage()),
            replaced_live_session,
        })
    }

    /// Takes a report in and returns what it changed.
    pub fn report(
        &mut self,
        session: SessionId,
        mut report: NodeReport,
        now: Now,
    ) -> Result<StateChange, NotJoined> {
        let reserved = self.policy.reserved;
        let group = self.groups.get_mut(&session.group).ok_or(NotJoined)?;
        if report.rebuild.total == 0 {
            // A node cannot know how much is missing until it has looked at all of it; its peers do.
            let paths = report.paths.iter().map(|path| group.rebuild_of(path));
            let rebuild = paths.fold(Progress::default(), |sum, path| Progress {
                done: sum.done.saturating_add(path.done),
                total: sum.total.saturating_add(path.total),
            });
            if rebuild.total != 0 {
                report.rebuild = rebuild;
            }
        }
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
    ///
    /// A tracker that begins without a snapshot may have lost it, and whoever joins first is not alone
    /// because of that. So a node that is older than this process is told nothing before all the others
    /// had time to come back.
    pub fn members_answer(&self, session: SessionId, known: u64, now: Now) -> ReportAnswer {
        let Some(group) = self.groups.get(&session.group) else {
            return ReportAnswer::Nothing;
        };
        let is_young = self.began_empty && now.uptime < RETURN_TIME;
        let is_older = |node: &Node| {
            let began = u64::from(now.unix).saturating_sub(now.uptime.as_secs());
            u64::from(node.entry().joined) + NEW_FOR.as_secs() < began
        };
        if is_young && group.node(session.number).is_some_and(is_older) {
            return ReportAnswer::Nothing;
        }
        group.members_answer(known)
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
    ///
    /// To be called several times within `silence_max`. A tracker that could not call it for longer
    /// was asleep itself: what nodes sent meanwhile waits to be read, so nobody is silent yet.
    pub fn tick(&mut self, now: Now) -> Vec<NodeNumber> {
        self.forget_old_refused(now);
        let silence_max = self.policy.silence_max;
        let last = self.last_tick.replace(now.uptime);
        let was_asleep = last.is_some_and(|last| silence_max / 2 < now.uptime.saturating_sub(last));
        let mut silent = Vec::new();
        for group in self.groups.values_mut() {
            let before = silent.len();
            for node in group.nodes_mut() {
                if was_asleep && node.is_alive() {
                    node.forgive_silence(now);
                } else if node.check_silence(silence_max, now) {
                    silent.push(node.entry().number);
                }
            }
            if before < silent.len() {
                group.refresh();
            }
        }
        silent
    }

    /// Whether number and group are the node's own, or free.
    fn admit(&self, join: &NodeJoin, yours: SocketAddr) -> Result<(), JoinRefusal> {
        let number = join.number;
        let entries = || self.nodes().map(Node::entry);
        if let Some(holder) =
            entries().find(|it| it.number == number && it.identity != join.identity)
        {
            let holder_at = holder.place.storage();
            match holder.marks.standing {
                Standing::Member => {
                    return Err(JoinRefusal::NumberTaken {
                        number,
                        holder: holder_at,
                        yours,
                    });
                }
                Standing::Removed => {
                    return Err(JoinRefusal::NumberOfRemoved {
                        number,
                        holder: holder_at,
                        yours,
                    });
                }
                Standing::Released => {}
            }
        }
        for own in entries().filter(|it| it.identity == join.identity) {
            match own.marks.standing {
                Standing::Removed => return Err(JoinRefusal::Removed { yours }),
                Standing::Member if own.group != join.group => {
                    let registered = own.group;
                    return Err(JoinRefusal::WrongGroup { registered });
                }
                Standing::Member | Standing::Released => {}
            }
        }
        Ok(())
    }

    fn check_limits(&self, join: &NodeJoin) -> Result<(), JoinRefusal> {
        let Some(group) = self.group(&join.group) else {
            return if self.groups().count() < limits::GROUPS_MAX {
                Ok(())
            } else {
                Err(JoinRefusal::TooManyGroups)
            };
        };
        let mut members = group.members();
        let is_known = members.any(|node| node.entry().identity == join.identity);
        if is_known || group.members().count() < limits::NODES_PER_GROUP_MAX {
            Ok(())
        } else {
            Err(JoinRefusal::GroupFull)
        }
    }

    /// A node has one number: one that it had before is free.
    fn release_other_numbers(&mut self, join: &NodeJoin) {
        let other = |it: &&NodeEntry| {
            it.identity == join.identity
                && it.number != join.number
                && it.marks.standing == Standing::Member
        };
        let others: Vec<_> = self
            .nodes()
            .map(Node::entry)
            .filter(other)
            .copied()
            .collect();
        for entry in others {
            let marks = NodeMarks {
                standing: Standing::Released,
                ..entry.marks
            };
            self.mark_node(entry.number, marks);
        }
    }

    /// What is remembered of a node from now on, given who had its number.
    fn entry_of(&mut self, join: &NodeJoin, place: Place, earlier: Option<NodeEntry>) -> NodeEntry {
        match earlier {
            Some(mine)
                if mine.identity == join.identity && mine.marks.standing == Standing::Member =>
            {
                let is_moved = mine.place != place;
                NodeEntry {
                    joined: join.joined,
                    place,
                    placed: if is_moved { self.stamp() } else { mine.placed },
                    ..mine
                }
            }
            before => {
                let now = self.stamp();
                NodeEntry {
                    number: join.number,
                    epoch: before.map_or(0, |before| before.epoch.saturating_add(1)),
                    identity: join.identity,
                    claimed: now,
                    group: join.group,
                    joined: join.joined,
                    place,
                    placed: now,
                    marks: NodeMarks::default(),
                    // Nobody ordered these, so any order is later, also one of a tracker where the
                    // node joined a moment earlier.
                    marked: Stamp::default(),
                }
            }
        }
    }

    /// A node that joins a removed group begins it anew.
    fn revive_group(&mut self, name: GroupName) {
        if self.groups.get(&name).is_some_and(|it| it.marks().removed) {
            self.mark_group(name, GroupMarks::default());
        }
    }

    /// Notes a decision about a node as the latest change.
    pub(super) fn mark_node(&mut self, number: NodeNumber, marks: NodeMarks) {
        let marked = self.stamp();
        if let Some(mut node) = self.take(number) {
            node.set_entry(NodeEntry {
                marks,
                marked,
                ..*node.entry()
            });
            self.insert(node);
        }
    }

    /// Notes a decision about a group as the latest change.
    pub(super) fn mark_group(&mut self, name: GroupName, marks: GroupMarks) {
        let marked = self.stamp();
        self.generation += 1;
        let generation = self.generation;
        let group = self.groups.entry(name).or_insert_with(|| Group::new(name));
        group.set_entry(
            GroupEntry {
                name,
                marks,
                marked,
            },
            generation,
        );
    }
}
