//! Whether hosts agree.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use common::id::{GroupName, NodeNumber};
use common::wire::report::{Entry, NodePhase};
use common::wire::tracker::NodeStatus;
use storage_node::format::{IndexKey, Version};
use storage_node::store::LogEntry;

use crate::clients::read_own;
use crate::random::locked;
use crate::tracker::TrackerProcess;
use crate::world::{PATH, World};

/// More than a history makes.
const ENTRIES_MAX: usize = 100_000;

impl World {
    fn entries(&self, number: NodeNumber, prefix: u8) -> Vec<LogEntry> {
        let store = self.node(number).store();
        let page = store.shared().index_page(prefix, &[], None, ENTRIES_MAX);
        page.expect("the index answers").entries
    }

    /// The names of the blobs that a node has.
    pub(crate) fn keys(&self, number: NodeNumber) -> Vec<Vec<u8>> {
        let entries = self.entries(number, IndexKey::BLOB).into_iter();
        entries.map(|entry| entry.key).collect()
    }

    /// Whether a node can read all that it has.
    pub(crate) async fn is_readable(&self, number: NodeNumber) -> bool {
        let store = self.node(number).store();
        for entry in self.entries(number, IndexKey::METADATA) {
            if store.shared().metadata(&entry.key).await.is_err() {
                return false;
            }
        }
        for key in self.keys(number) {
            if read_own(&store, &key).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Whether all nodes of a group have the same blobs and metadata, in the same versions.
    pub(crate) fn are_same(&self, group: GroupName) -> bool {
        let numbers = self.group(group);
        let (first, others) = numbers.split_first().expect("nodes");
        [IndexKey::BLOB, IndexKey::METADATA]
            .into_iter()
            .all(|prefix| {
                let entries = versions(&self.entries(*first, prefix));
                let mut others = others.iter();
                others.all(|other| versions(&self.entries(*other, prefix)) == entries)
            })
    }

    /// What is not as it is in a cluster that has healed.
    pub(crate) fn disagreement(&self) -> Option<String> {
        let trackers = self.network.trackers();
        if trackers.len() < self.trackers.len() {
            return Some("a tracker does not run".to_owned());
        }
        let registered: Vec<_> = trackers.iter().map(|it| registered(it)).collect();
        if registered.windows(2).any(|pair| pair[0] != pair[1]) {
            return Some(format!("trackers: {registered:#?}"));
        }
        for group in self.groups() {
            if !self.is_settled(group) {
                return Some(format!("{group} is not settled"));
            }
            if !self.are_same(group) {
                return Some(format!("nodes of {group} differ"));
            }
        }
        for tracker in &trackers {
            if let Some(wrong) = self.wrong_at(tracker) {
                return Some(format!("tracker {}: {wrong}", tracker.idx));
            }
        }
        let mut numbers = self.numbers().into_iter();
        numbers.find_map(|number| self.wrong_members_of(number, &trackers))
    }

    /// What a tracker does not know as it is.
    fn wrong_at(&self, tracker: &TrackerProcess) -> Option<String> {
        let cluster = locked(&tracker.cluster);
        let known: Vec<_> = cluster.nodes().map(|node| node.entry().number).collect();
        if known.len() != self.machines.len() {
            return Some(format!("knows {known:?}"));
        }
        self.machines.values().find_map(|machine| {
            let number = machine.number;
            let Some(node) = cluster.node(number) else {
                return Some(format!("does not know {number}"));
            };
            let is_right = node.state() == NodeStatus::Active
                && node.is_readable_at(PATH)
                && node.entry().place.storage() == machine.address
                && node.entry().group == machine.group;
            let told = || format!("{number} is {:?}: {:?}", node.state(), node.entry());
            (!is_right).then(told)
        })
    }

    /// What a node was told of its group and is not so.
    fn wrong_members_of(
        &self,
        number: NodeNumber,
        trackers: &[std::sync::Arc<TrackerProcess>],
    ) -> Option<String> {
        let node = self.node(number);
        let members = node.members.borrow().clone();
        let known: Vec<_> = members.members.iter().map(|it| it.number).collect();
        if known != self.group(node.group) {
            return Some(format!("{number} was told of {known:?}"));
        }
        let wrong = members.members.iter().find(|member| {
            let machine = &self.machines[&member.number];
            let marks = (member.marks.draining, member.marks.read_only);
            !member.is_alive
                || member.phase != NodePhase::Serving
                || member.address != machine.address
                || member.identity != machine.identity
                || trackers
                    .iter()
                    .any(|it| it.marks(node.group, member.number) != marks)
        });
        wrong.map(|member| format!("{number} was told of {member:?}"))
    }

    /// Whether trackers that agree know what operators ordered.
    pub(crate) fn check_wills(&mut self) {
        let tracker = self.network.trackers().remove(0);
        let marks: BTreeMap<_, _> = self
            .machines
            .values()
            .map(|it| (it.number, tracker.marks(it.group, it.number)))
            .filter(|(_, marks)| *marks != (false, false))
            .collect();
        if let Some(wills) = &self.wills {
            assert_eq!(marks, *wills, "orders were undone\n{}", self.history());
        }
        self.wills = Some(marks);
    }

    /// What each node has, for a message.
    pub(crate) fn differences(&self) -> String {
        let mut text = String::new();
        for number in self.numbers() {
            let Some(node) = self.network.node(number) else {
                let _ = writeln!(text, "{number} does not run");
                continue;
            };
            let _ = writeln!(text, "{number} {:#?}", node.standing.followed());
            for prefix in [IndexKey::BLOB, IndexKey::METADATA, IndexKey::TOMBSTONE] {
                for entry in self.entries(number, prefix) {
                    let stem: String = entry
                        .key
                        .iter()
                        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
                    let _ = writeln!(
                        text,
                        "{number} {} {stem} {} {:?}",
                        char::from(prefix),
                        entry.version,
                        entry.says
                    );
                }
            }
        }
        text
    }
}

/// What trackers must agree about: who is registered, where, and what was ordered. Of stamps each has
/// its own where a node tells each where it is.
fn registered(tracker: &TrackerProcess) -> Vec<String> {
    let entries = locked(&tracker.cluster).entries();
    let lines = entries.iter().filter_map(|entry| match entry {
        Entry::Node(node) => Some(format!(
            "{} {:?} {} {} {:?} {:?}",
            node.number, node.identity, node.epoch, node.group, node.place, node.marks
        )),
        Entry::Group(group) if group.marks == common::wire::report::GroupMarks::default() => None,
        Entry::Group(group) => Some(format!("{} {:?}", group.name, group.marks)),
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

/// What must be the same: how a blob is kept may differ.
fn versions(entries: &[LogEntry]) -> Vec<(Vec<u8>, Version)> {
    let pairs = entries
        .iter()
        .map(|entry| (entry.key.clone(), entry.version));
    pairs.collect()
}
