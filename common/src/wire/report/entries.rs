//! What trackers tell one another: who is registered, and what operators said of nodes and groups.
//!
//! Trackers agree by merging, in any order and any number of times: of each fact the one with the
//! greater [`Stamp`] stays, of two identities that claim one number the earlier claim. Stamps count
//! events, not seconds, so a clock that jumps decides nothing.

use std::net::{IpAddr, SocketAddr};

use super::{NodeIdentity, address, group, put_optional_address};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::{GroupName, NodeNumber};
use crate::limits;

// The values are stable: they are the protocol.
const NODE: u8 = 0;
const GROUP: u8 = 1;

const DRAINING: u8 = 1;
const READ_ONLY: u8 = 1 << 1;
const REMOVED: u8 = 1 << 2;

/// Orders what several trackers decided: greater than every stamp that its tracker had seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// One more than the greatest that was seen.
    pub count: u64,
    /// The tracker that decided, as its instance: tells two apart that had seen the same.
    pub tracker: u64,
}

/// How a registered node belongs to the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Standing {
    /// It does.
    #[default]
    Member = 0,
    /// An operator removed it: it does not come back, and nobody gets its number.
    Removed = 1,
    /// An operator gave its number free for another.
    Released = 2,
}

/// What an operator said of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeMarks {
    /// Whether it belongs to the cluster.
    pub standing: Standing,
    /// It takes no new blobs and shall be removed.
    pub draining: bool,
    /// It takes no writes.
    pub read_only: bool,
}

/// What an operator said of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupMarks {
    /// It is no group any more, until a node joins it.
    pub removed: bool,
    /// It takes no new blobs and shall be removed.
    pub draining: bool,
    /// It takes no writes.
    pub read_only: bool,
}

/// Where a node is reached, as it said when it joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Its address.
    pub address: IpAddr,
    /// Its port of the storage protocol.
    pub storage_port: u16,
    /// Its port of HTTP downloads.
    pub http_port: u16,
}

impl Place {
    /// Address and port of the storage protocol.
    pub fn storage(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.storage_port)
    }
}

/// What is remembered of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// The number that its file ids carry.
    pub number: NodeNumber,
    /// How often the number was released and taken before: a greater one is a later holder.
    pub epoch: u32,
    /// Who the node is.
    pub identity: NodeIdentity,
    /// When it took the number. Of two holders in one epoch the earlier one is right.
    pub claimed: Stamp,
    /// Its group.
    pub group: GroupName,
    /// Unix seconds of its first start.
    pub joined: u32,
    /// Where it was last seen.
    pub place: Place,
    /// When it was seen there first.
    pub placed: Stamp,
    /// What an operator said of it.
    pub marks: NodeMarks,
    /// When.
    pub marked: Stamp,
}

/// What is remembered of a group beside its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    /// Its name.
    pub name: GroupName,
    /// What an operator said of it.
    pub marks: GroupMarks,
    /// When.
    pub marked: Stamp,
}

/// One line of what trackers tell one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A node.
    Node(NodeEntry),
    /// A group.
    Group(GroupEntry),
}

/// Entries, at most [`limits::TRACKER_ENTRIES_MAX`].
pub(super) fn entries(reader: &mut Reader<'_>) -> Result<Vec<Entry>, CodecError> {
    let count = usize::from(reader.u16()?);
    if limits::TRACKER_ENTRIES_MAX < count {
        return Err(CodecError::Field("entry count"));
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(entry(reader)?);
    }
    Ok(entries)
}

pub(super) fn put_entries(writer: &mut Writer<'_>, entries: &[Entry]) {
    let entries = entries.iter().take(limits::TRACKER_ENTRIES_MAX);
    // At most `TRACKER_ENTRIES_MAX`, which fits.
    writer.u16(u16::try_from(entries.len()).unwrap_or(u16::MAX));
    for entry in entries {
        match entry {
            Entry::Node(node) => put_node(writer, node),
            Entry::Group(group) => put_group(writer, group),
        }
    }
}

fn entry(reader: &mut Reader<'_>) -> Result<Entry, CodecError> {
    match reader.u8()? {
        NODE => node(reader).map(Entry::Node),
        GROUP => group_entry(reader).map(Entry::Group),
        _ => Err(CodecError::Field("kind of entry")),
    }
}

fn put_node(writer: &mut Writer<'_>, node: &NodeEntry) {
    writer.u8(NODE);
    writer.u32(node.number.get());
    writer.u32(node.epoch);
    writer.bytes(&node.identity.0);
    put_stamp(writer, node.claimed);
    writer.bytes(node.group.as_field());
    writer.u32(node.joined);
    put_optional_address(writer, Some(node.place.address));
    writer.u16(node.place.storage_port);
    writer.u16(node.place.http_port);
    put_stamp(writer, node.placed);
    writer.u8(node.marks.standing as u8);
    writer.u8(bits(&[
        (node.marks.draining, DRAINING),
        (node.marks.read_only, READ_ONLY),
    ]));
    put_stamp(writer, node.marked);
}

fn node(reader: &mut Reader<'_>) -> Result<NodeEntry, CodecError> {
    Ok(NodeEntry {
        number: NodeNumber::try_from(reader.u32()?)
            .map_err(|_| CodecError::Field("node number"))?,
        epoch: reader.u32()?,
        identity: NodeIdentity(reader.array()?),
        claimed: stamp(reader)?,
        group: group(reader)?,
        joined: reader.u32()?,
        place: Place {
            address: address(reader)?,
            storage_port: reader.u16()?,
            http_port: reader.u16()?,
        },
        placed: stamp(reader)?,
        marks: {
            let standing = standing(reader.u8()?)?;
            let flags = flags(reader, DRAINING | READ_ONLY)?;
            NodeMarks {
                standing,
                draining: flags & DRAINING != 0,
                read_only: flags & READ_ONLY != 0,
            }
        },
        marked: stamp(reader)?,
    })
}

fn put_group(writer: &mut Writer<'_>, group: &GroupEntry) {
    writer.u8(GROUP);
    writer.bytes(group.name.as_field());
    writer.u8(bits(&[
        (group.marks.draining, DRAINING),
        (group.marks.read_only, READ_ONLY),
        (group.marks.removed, REMOVED),
    ]));
    put_stamp(writer, group.marked);
}

fn group_entry(reader: &mut Reader<'_>) -> Result<GroupEntry, CodecError> {
    let name = group(reader)?;
    let flags = flags(reader, DRAINING | READ_ONLY | REMOVED)?;
    Ok(GroupEntry {
        name,
        marks: GroupMarks {
            removed: flags & REMOVED != 0,
            draining: flags & DRAINING != 0,
            read_only: flags & READ_ONLY != 0,
        },
        marked: stamp(reader)?,
    })
}

fn bits(flags: &[(bool, u8)]) -> u8 {
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    set.fold(0, |bits, (_, bit)| bits | bit)
}

fn flags(reader: &mut Reader<'_>, known: u8) -> Result<u8, CodecError> {
    let flags = reader.u8()?;
    if flags & !known != 0 {
        return Err(CodecError::Field("marks"));
    }
    Ok(flags)
}

fn standing(byte: u8) -> Result<Standing, CodecError> {
    match byte {
        0 => Ok(Standing::Member),
        1 => Ok(Standing::Removed),
        2 => Ok(Standing::Released),
        _ => Err(CodecError::Field("standing")),
    }
}

fn stamp(reader: &mut Reader<'_>) -> Result<Stamp, CodecError> {
    Ok(Stamp {
        count: reader.u64()?,
        tracker: reader.u64()?,
    })
}

fn put_stamp(writer: &mut Writer<'_>, stamp: Stamp) {
    writer.u64(stamp.count);
    writer.u64(stamp.tracker);
}
