//! What trackers tell one another, and what comes of it.
//!
//! Who holds a number comes out the same in any order and any number of times (the tests say so), so
//! trackers that were apart agree once each has heard the others. What was said of a node that loses
//! its number to an earlier claim is forgotten with it. Two things stay a tracker's own: whom it
//! hears, and where a node told it to be reached while that node's session lasts.

use std::net::SocketAddr;

use common::id::NodeNumber;
use common::limits;
use common::wire::report::{Entry, GroupEntry, NodeEntry, Standing};

use super::{Cluster, Node};

/// Two nodes claim one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The number.
    pub number: NodeNumber,
    /// Who had it first and keeps it.
    pub holder: SocketAddr,
    /// Who has to take another one.
    pub loser: SocketAddr,
}

/// What came of an entry of another tracker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Whether this tracker knows more than before.
    pub is_news: bool,
    /// Two nodes that got one number from two trackers that did not know of one another.
    pub conflict: Option<Conflict>,
}

impl Cluster {
    /// What changed behind `position`, oldest first and at most as much as one answer holds, and the
    /// position behind it.
    pub fn changes_since(&self, position: u64) -> (Vec<Entry>, u64) {
        let nodes = self
            .nodes()
            .map(|it| (it.changed(), Entry::Node(*it.entry())));
        let groups = self.groups.values();
        let groups = groups.map(|it| (it.changed(), Entry::Group(*it.entry())));
        let mut changes: Vec<_> = nodes
            .chain(groups)
            .filter(|(changed, _)| position < *changed)
            .collect();
        changes.sort_by_key(|(changed, _)| *changed);
        changes.truncate(limits::TRACKER_ENTRIES_MAX);
        let end = changes.last().map_or(position, |(changed, _)| *changed);
        let entries = changes.into_iter().map(|(_, entry)| entry).collect();
        (entries, end)
    }

    /// The position behind all changes.
    pub fn changes_end(&self) -> u64 {
        let nodes = self.nodes().map(super::Node::changed);
        let groups = self.groups.values().map(super::Group::changed);
        nodes.chain(groups).max().unwrap_or(0)
    }

    /// What a tracker is told that has been told everything up to `position` by the instance
    /// `told_by`. A position that another instance gave says nothing about this one's changes.
    pub fn changes_for(&self, told_by: u64, position: u64) -> (Vec<Entry>, u64) {
        let known = Some(position).filter(|_| told_by == self.instance);
        self.changes_since(known.unwrap_or_default())
    }

    /// Takes in what another tracker, or a snapshot, knows.
    pub fn merge(&mut self, entry: Entry) -> Merged {
        match entry {
            Entry::Node(entry) => self.merge_node(entry),
            Entry::Group(entry) => self.merge_group(entry),
        }
    }

    fn merge_group(&mut self, theirs: GroupEntry) -> Merged {
        self.stamped = self.stamped.max(theirs.marked.count);
        if !self.groups.contains_key(&theirs.name) && limits::NODES_MAX <= self.groups.len() {
            return Merged::default();
        }
        let group = self.groups.entry(theirs.name);
        let group = group.or_insert_with(|| super::Group::new(theirs.name));
        let ours = *group.entry();
        let is_news = (ours.marked, ours.marks) < (theirs.marked, theirs.marks);
        if is_news {
            self.generation += 1;
            group.set_entry(theirs, self.generation);
        }
        Merged {
            is_news,
            conflict: None,
        }
    }

    fn merge_node(&mut self, theirs: NodeEntry) -> Merged {
        for stamp in [theirs.claimed, theirs.placed, theirs.marked] {
            self.stamped = self.stamped.max(stamp.count);
        }
        let Some(ours) = self.node(theirs.number).map(|node| *node.entry()) else {
            // Registered nodes are few; so many are the work of a peer gone mad.
            if limits::NODES_MAX <= self.nodes().count() {
                return Merged::default();
            }
            self.insert(Node::known(theirs));
            return Merged {
                is_news: true,
                conflict: None,
            };
        };
        if (ours.epoch, ours.identity) != (theirs.epoch, theirs.identity) {
            return self.merge_claims(ours, theirs);
        }
        let Some(mut node) = self.take(theirs.number) else {
            return Merged::default();
        };
        let merged = NodeEntry {
            claimed: ours.claimed.min(theirs.claimed),
            ..merge_marks(merge_places(ours, theirs, node.has_session()), theirs)
        };
        let is_news = merged != ours;
        if is_news {
            node.set_entry(merged);
            self.insert(node);
        } else {
            self.put(node);
        }
        Merged {
            is_news,
            conflict: None,
        }
    }

    /// Two identities with one number: a later epoch took it after a release; in one epoch the
    /// earlier claim is right.
    fn merge_claims(&mut self, ours: NodeEntry, theirs: NodeEntry) -> Merged {
        let rank = |it: &NodeEntry| (u32::MAX - it.epoch, it.claimed, it.identity);
        let is_news = rank(&theirs) < rank(&ours);
        let (holder, loser) = if is_news {
            (theirs, ours)
        } else {
            (ours, theirs)
        };
        if is_news {
            // Its session ends with it, so the loser joins again and is told.
            self.take(ours.number);
            self.insert(Node::known(theirs));
        }
        let is_conflict = holder.epoch == loser.epoch
            && [holder, loser]
                .iter()
                .all(|it| it.marks.standing == Standing::Member);
        Merged {
            is_news,
            conflict: is_conflict.then(|| Conflict {
                number: holder.number,
                holder: holder.place.storage(),
                loser: loser.place.storage(),
            }),
        }
    }
}

/// `ours` with the newer place of the two, unless the node itself tells this tracker where it is.
fn merge_places(ours: NodeEntry, theirs: NodeEntry, has_session: bool) -> NodeEntry {
    let rank = |it: &NodeEntry| (it.placed, it.place, it.group, it.joined);
    if has_session || rank(&theirs) <= rank(&ours) {
        return ours;
    }
    NodeEntry {
        group: theirs.group,
        joined: theirs.joined,
        place: theirs.place,
        placed: theirs.placed,
        ..ours
    }
}

/// `ours` with the newer marks of the two.
fn merge_marks(ours: NodeEntry, theirs: NodeEntry) -> NodeEntry {
    if (theirs.marked, theirs.marks) <= (ours.marked, ours.marks) {
        return ours;
    }
    NodeEntry {
        marks: theirs.marks,
        marked: theirs.marked,
        ..ours
    }
}
