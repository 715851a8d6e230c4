//! What a node learns from its reports: who else belongs to its group.
//!
//! A tracker numbers its views of a group. A node names the view it has in each report, so an
//! unchanged list costs eleven bytes. A tracker of layout version 1 answers with an empty body and
//! tells nobody's members.

use std::net::SocketAddr;

use bytes::BytesMut;

use super::{
    NodeIdentity, NodePhase, REPORT_VERSION, ReportError, phase, put_socket_address,
    socket_address, versioned,
};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::NodeNumber;
use crate::limits;

// The values are stable: they are the protocol.
const UNCHANGED: u8 = 0;
const MEMBERS: u8 = 1;

const ALIVE: u8 = 1;
const DRAINING: u8 = 1 << 1;
const READ_ONLY: u8 = 1 << 2;
const FLAGS: u8 = ALIVE | DRAINING | READ_ONLY;

/// What an operator said of a node or of its whole group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemberMarks {
    /// It shall be emptied: it takes no new blobs and answers what it holds.
    pub draining: bool,
    /// It takes no new blobs.
    pub read_only: bool,
}

/// A node of a group as one tracker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub identity: NodeIdentity,
    /// The number that its file ids carry.
    pub number: NodeNumber,
    /// Where it answers the storage protocol.
    pub address: SocketAddr,
    /// Its port of HTTP downloads.
    pub http_port: u16,
    /// How far it is from serving, as it said last.
    pub phase: NodePhase,
    /// Whether this tracker hears it.
    pub is_alive: bool,
    /// What an operator said of it.
    pub marks: MemberMarks,
    /// Orders what trackers know of its addresses: the greater is newer.
    pub place_version: u64,
    /// Orders what trackers know of its marks: the greater is newer.
    pub marks_version: u64,
}

/// A node that an operator removed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemovedMember {
    /// The number, which nobody else gets.
    pub number: NodeNumber,
    /// Who it was.
    pub identity: NodeIdentity,
}

/// Answer to a [`super::NodeReport`] of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportAnswer {
    /// The tracker tells no members: its version is 1.
    Nothing,
    /// The view that the node has is the latest.
    Unchanged {
        /// That view.
        view: u64,
    },
    /// The members have changed, or the node had no view.
    Members {
        /// The number of this view; never 0.
        view: u64,
        /// All nodes of the group that were not removed, the asking one too, by number.
        members: Vec<Member>,
        /// Nodes of the group that an operator removed, by number.
        removed: Vec<RemovedMember>,
    },
}

impl ReportAnswer {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        if body.is_empty() {
            return Ok(Self::Nothing);
        }
        let mut reader = versioned(body)?;
        let (view, kind) = (reader.u64()?, reader.u8()?);
        let answer = match kind {
            UNCHANGED => Self::Unchanged { view },
            MEMBERS => Self::Members {
                view,
                members: members(&mut reader)?,
                removed: removed(&mut reader)?,
            },
            _ => return Err(CodecError::Field("kind of answer").into()),
        };
        reader.finish()?;
        Ok(answer)
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Nothing => {}
            Self::Unchanged { view } => put_head(out, *view, UNCHANGED),
            Self::Members {
                view,
                members,
                removed,
            } => put_members(out, *view, members, removed),
        }
    }
}

fn put_head(out: &mut BytesMut, view: u64, kind: u8) {
    let mut writer = Writer::new(out);
    writer.u16(REPORT_VERSION);
    writer.u64(view);
    writer.u8(kind);
}

fn put_members(out: &mut BytesMut, view: u64, members: &[Member], removed: &[RemovedMember]) {
    put_head(out, view, MEMBERS);
    let mut writer = Writer::new(out);
    let members = members.iter().take(limits::NODES_PER_GROUP_MAX);
    put_count(&mut writer, members.len());
    for member in members {
        put_member(&mut writer, member);
    }
    let removed = removed.iter().take(limits::REMOVED_PER_GROUP_MAX);
    put_count(&mut writer, removed.len());
    for node in removed {
        writer.u32(node.number.get());
        writer.bytes(&node.identity.0);
    }
}

fn put_count(writer: &mut Writer<'_>, count: usize) {
    // The callers keep at most as many as the limits say, which fits.
    writer.u16(u16::try_from(count).unwrap_or(u16::MAX));
}

fn put_member(writer: &mut Writer<'_>, member: &Member) {
    writer.bytes(&member.identity.0);
    writer.u32(member.number.get());
    put_socket_address(writer, member.address);
    writer.u16(member.http_port);
    writer.u8(member.phase as u8);
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    writer.u8(bit(member.is_alive, ALIVE)
        | bit(member.marks.draining, DRAINING)
        | bit(member.marks.read_only, READ_ONLY));
    writer.u64(member.place_version);
    writer.u64(member.marks_version);
}

fn members(reader: &mut Reader<'_>) -> Result<Vec<Member>, CodecError> {
    let count = count(reader, limits::NODES_PER_GROUP_MAX)?;
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        members.push(member(reader)?);
    }
    if !members.is_sorted_by(|left, right| left.number < right.number) {
        return Err(CodecError::Field("members"));
    }
    Ok(members)
}

fn member(reader: &mut Reader<'_>) -> Result<Member, CodecError> {
    let identity = NodeIdentity(reader.array()?);
    let number = number(reader)?;
    let address = socket_address(reader)?;
    let http_port = reader.u16()?;
    let phase = phase(reader.u8()?)?;
    let flags = reader.u8()?;
    if flags & !FLAGS != 0 {
        return Err(CodecError::Field("member flags"));
    }
    Ok(Member {
        identity,
        number,
        address,
        http_port,
        phase,
        is_alive: flags & ALIVE != 0,
        marks: MemberMarks {
            draining: flags & DRAINING != 0,
            read_only: flags & READ_ONLY != 0,
        },
        place_version: reader.u64()?,
        marks_version: reader.u64()?,
    })
}

fn removed(reader: &mut Reader<'_>) -> Result<Vec<RemovedMember>, CodecError> {
    let count = count(reader, limits::REMOVED_PER_GROUP_MAX)?;
    let mut removed = Vec::with_capacity(count);
    for _ in 0..count {
        removed.push(RemovedMember {
            number: number(reader)?,
            identity: NodeIdentity(reader.array()?),
        });
    }
    if !removed.is_sorted_by(|left, right| left.number < right.number) {
        return Err(CodecError::Field("removed nodes"));
    }
    Ok(removed)
}

fn number(reader: &mut Reader<'_>) -> Result<NodeNumber, CodecError> {
    NodeNumber::try_from(reader.u32()?).map_err(|_| CodecError::Field("node number"))
}

fn count(reader: &mut Reader<'_>, max: usize) -> Result<usize, CodecError> {
    let count = usize::from(reader.u16()?);
    if max < count {
        return Err(CodecError::Field("member count"));
    }
    Ok(count)
}
