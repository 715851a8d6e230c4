//! The JSON form of what trackers remember. Names and meanings never change within a version.
//!
//! Version 1 knew nodes without stamps; what it holds is older than anything that trackers of
//! version 2 said, so its stamps are the smallest.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common::id::GroupName;
use common::wire::report::{
    Entry, GroupEntry, GroupMarks, NodeEntry, NodeIdentity, NodeMarks, Place, Stamp, Standing,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    groups: BTreeMap<String, Vec<Node>>,
    /// What operators said of groups. Since version 2.
    #[serde(default)]
    marks: BTreeMap<String, Group>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Node {
    number: u32,
    identity: String,
    address: IpAddr,
    storage_port: u16,
    http_port: u16,
    joined: u32,
    /// Version 1 only.
    #[serde(default, skip_serializing)]
    deleted: bool,
    /// Version 1 only.
    #[serde(default, skip_serializing)]
    mode: Mode,
    #[serde(default)]
    epoch: u32,
    #[serde(default)]
    claimed: Order,
    #[serde(default)]
    placed: Order,
    #[serde(default)]
    standing: Option<Name>,
    #[serde(default)]
    draining: bool,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    marked: Order,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Group {
    removed: bool,
    draining: bool,
    read_only: bool,
    marked: Order,
}

/// A stamp: its count and its tracker.
type Order = (u64, u64);

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    None,
    Write,
    Read,
    #[default]
    Both,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Member,
    Removed,
    Released,
}

impl Body {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        let mut marks = BTreeMap::new();
        for entry in entries {
            match entry {
                Entry::Node(node) => {
                    let nodes = groups.entry(node.group.to_string()).or_default();
                    nodes.push(Node::of(node));
                }
                Entry::Group(group) => {
                    marks.insert(group.name.to_string(), Group::of(group));
                }
            }
        }
        Self { groups, marks }
    }

    /// `None` when a value is none that was ever written.
    pub(super) fn into_entries(self) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        for (name, group) in self.marks {
            entries.push(Entry::Group(group.into_entry(name.parse().ok()?)));
        }
        for (group, nodes) in self.groups {
            let group: GroupName = group.parse().ok()?;
            for node in nodes {
                entries.push(Entry::Node(node.into_entry(group)?));
            }
        }
        Some(entries)
    }
}

impl Group {
    fn of(entry: &GroupEntry) -> Self {
        Self {
            removed: entry.marks.removed,
            draining: entry.marks.draining,
            read_only: entry.marks.read_only,
            marked: order_of(entry.marked),
        }
    }

    fn into_entry(self, name: GroupName) -> GroupEntry {
        GroupEntry {
            name,
            marks: GroupMarks {
                removed: self.removed,
                draining: self.draining,
                read_only: self.read_only,
            },
            marked: stamp_of(self.marked),
        }
    }
}

impl Node {
    fn of(entry: &NodeEntry) -> Self {
        Self {
            number: entry.number.get(),
            identity: to_hex(entry.identity.0),
            address: entry.place.address,
            storage_port: entry.place.storage_port,
            http_port: entry.place.http_port,
            joined: entry.joined,
            deleted: false,
            mode: Mode::Both,
            epoch: entry.epoch,
            claimed: order_of(entry.claimed),
            placed: order_of(entry.placed),
            standing: Some(match entry.marks.standing {
                Standing::Member => Name::Member,
                Standing::Removed => Name::Removed,
                Standing::Released => Name::Released,
            }),
            draining: entry.marks.draining,
            read_only: entry.marks.read_only,
            marked: order_of(entry.marked),
        }
    }

    fn into_entry(self, group: GroupName) -> Option<NodeEntry> {
        let standing = match self.standing {
            Some(Name::Removed) => Standing::Removed,
            Some(Name::Released) => Standing::Released,
            // Removed nodes of version 1 barred nobody from their number, so they still do not.
            None if self.deleted => Standing::Released,
            Some(Name::Member) | None => Standing::Member,
        };
        let read_only = match self.mode {
            Mode::None | Mode::Read => true,
            Mode::Write | Mode::Both => self.read_only,
        };
        Some(NodeEntry {
            number: self.number.try_into().ok()?,
            epoch: self.epoch,
            identity: NodeIdentity(from_hex(&self.identity)?),
            claimed: stamp_of(self.claimed),
            group,
            joined: self.joined,
            place: Place {
                address: self.address,
                storage_port: self.storage_port,
                http_port: self.http_port,
            },
            placed: stamp_of(self.placed),
            marks: NodeMarks {
                standing,
                draining: self.draining,
                read_only,
            },
            marked: stamp_of(self.marked),
        })
    }
}

fn order_of(stamp: Stamp) -> Order {
    (stamp.count, stamp.tracker)
}

fn stamp_of((count, tracker): Order) -> Stamp {
    Stamp { count, tracker }
}

fn to_hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

fn from_hex(text: &str) -> Option<[u8; 16]> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok())??;
    Some(number.to_be_bytes())
}
