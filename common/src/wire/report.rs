//! What nodes and trackers tell one another: commands 160 to 162. No client sees them.
//!
//! A node joins, then reports on the same connection; the end of the connection takes it out of
//! service at once. Trackers greet one another to know who lives. Every message begins with the
//! version of this layout, so a newer peer is refused by name instead of being misread.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;

use crate::codec::{CodecError, Reader, Writer};
use crate::id::{GroupName, NodeNumber, VolumePath};
use crate::limits;

mod answer;
mod counters;

pub use answer::{HelloAnswer, JoinAnswer};
pub use counters::{NodeCounters, Outcome};

/// Version of the layouts in this module.
pub const REPORT_VERSION: u16 = 1;

/// Bytes of a software version text; longer ones are cut. The listings show the first 8.
pub const SOFTWARE_LEN_MAX: usize = 16;

/// Bytes of the longest address text, an IPv6 address with a mapped IPv4 tail.
const ADDRESS_LEN_MAX: usize = 45;

/// Why a message between nodes was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The peer speaks a later layout.
    #[error("layout version {theirs}, this program knows versions up to {REPORT_VERSION}")]
    TooNew {
        /// The version in the message.
        theirs: u16,
    },
    /// The message does not have the shape of its version.
    #[error("malformed message")]
    Malformed(#[from] CodecError),
}

/// 16 random bytes that a node drew at its first start: what a node is, whatever its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIdentity(pub [u8; 16]);

/// Body of command 160: a node introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeJoin {
    /// Who it is.
    pub identity: NodeIdentity,
    /// The number that its file ids carry.
    pub number: NodeNumber,
    /// The group it belongs to.
    pub group: GroupName,
    /// The address that clients shall use; `None` for the one the connection comes from.
    pub address: Option<IpAddr>,
    /// Port of the storage protocol.
    pub storage_port: u16,
    /// Port of HTTP downloads.
    pub http_port: u16,
    /// Unix seconds of its first start.
    pub joined: u32,
    /// Unix seconds of this start.
    pub started: u32,
    /// Version of its program, at most [`SOFTWARE_LEN_MAX`] bytes.
    pub software: String,
    /// Smaller numbers are written first under the `priority` policy.
    pub upload_priority: i32,
    /// The volume paths it holds, ascending.
    pub volume_paths: Vec<VolumePath>,
}

/// How far a node is from serving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NodePhase {
    /// In service.
    #[default]
    Serving = 0,
    /// Receives what it missed from its peers.
    CatchingUp = 1,
    /// Rebuilds a lost store path.
    Recovering = 2,
}

/// Space of one volume path on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathSpace {
    /// The slot.
    pub path: VolumePath,
    /// Size of the disk under it, MiB.
    pub total_mb: u64,
    /// Free space, MiB.
    pub free_mb: u64,
    /// What the node keeps free, MiB.
    pub reserved_mb: u64,
    /// Whether it takes no writes.
    pub read_only: bool,
}

/// Connections of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// The limit.
    pub allocated: u32,
    /// Open now.
    pub current: u32,
    /// Most that were open at once.
    pub highest: u32,
}

/// Body of command 161: heartbeat. Answered with an empty body, or with status 13 when the connection
/// did not join before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// How far the node is from serving.
    pub phase: NodePhase,
    /// Whether it answers reads.
    pub readable: bool,
    /// Whether it takes writes.
    pub writable: bool,
    /// Space, one entry for each volume path it holds, ascending.
    pub paths: Vec<PathSpace>,
    /// What it did since its start.
    pub counters: NodeCounters,
    /// Its connections.
    pub connections: ConnectionCounts,
    /// Unix seconds of the last change that a client made here; 0 for never.
    pub changed_as_source: u32,
    /// Unix seconds of the last change that came from a peer; 0 for never.
    pub changed_as_replica: u32,
    /// Unix seconds up to which it holds everything its group stored; 0 when it cannot tell.
    pub complete_up_to: u32,
}

/// Body of command 162: a tracker greets another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerHello {
    /// Drawn at its start; a tracker that meets its own recognises itself in its list of peers.
    pub instance: u64,
    /// The port it is reached at.
    pub port: u16,
}

impl NodeJoin {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = versioned(body)?;
        let join = Self {
            identity: NodeIdentity(reader.array()?),
            number: NodeNumber::try_from(reader.u32()?)
                .map_err(|_| CodecError::Field("node number"))?,
            group: group(&mut reader)?,
            address: optional_address(&mut reader)?,
            storage_port: reader.u16()?,
            http_port: reader.u16()?,
            joined: reader.u32()?,
            started: reader.u32()?,
            software: software(&mut reader)?,
            upload_priority: i32::from_be_bytes(reader.array()?),
            volume_paths: volume_paths(&mut reader)?,
        };
        reader.finish()?;
        Ok(join)
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(REPORT_VERSION);
        writer.bytes(&self.identity.0);
        writer.u32(self.number.get());
        writer.bytes(self.group.as_field());
        put_optional_address(&mut writer, self.address);
        writer.u16(self.storage_port);
        writer.u16(self.http_port);
        writer.u32(self.joined);
        writer.u32(self.started);
        put_text(&mut writer, &self.software, SOFTWARE_LEN_MAX);
        writer.bytes(&self.upload_priority.to_be_bytes());
        let kept = self.volume_paths.iter().take(limits::VOLUME_PATHS_MAX);
        put_count(&mut writer, kept.len());
        for path in kept {
            writer.u8(path.0);
        }
    }
}

impl NodeReport {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = versioned(body)?;
        let report = Self {
            phase: phase(reader.u8()?)?,
            readable: flag(&mut reader, "readable")?,
            writable: flag(&mut reader, "writable")?,
            paths: path_spaces(&mut reader)?,
            counters: NodeCounters::decode(&mut reader)?,
            connections: ConnectionCounts::decode(&mut reader)?,
            changed_as_source: reader.u32()?,
            changed_as_replica: reader.u32()?,
            complete_up_to: reader.u32()?,
        };
        reader.finish()?;
        Ok(report)
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(REPORT_VERSION);
        writer.u8(self.phase as u8);
        writer.u8(u8::from(self.readable));
        writer.u8(u8::from(self.writable));
        let kept = self.paths.iter().take(limits::VOLUME_PATHS_MAX);
        put_count(&mut writer, kept.len());
        for space in kept {
            writer.u8(space.path.0);
            writer.u64(space.total_mb);
            writer.u64(space.free_mb);
            writer.u64(space.reserved_mb);
            writer.u8(u8::from(space.read_only));
        }
        self.counters.encode(&mut writer);
        self.connections.encode(&mut writer);
        writer.u32(self.changed_as_source);
        writer.u32(self.changed_as_replica);
        writer.u32(self.complete_up_to);
    }
}

impl TrackerHello {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = versioned(body)?;
        let hello = Self {
            instance: reader.u64()?,
            port: reader.u16()?,
        };
        reader.finish()?;
        Ok(hello)
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(REPORT_VERSION);
        writer.u64(self.instance);
        writer.u16(self.port);
    }
}

impl ConnectionCounts {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            allocated: reader.u32()?,
            current: reader.u32()?,
            highest: reader.u32()?,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.u32(self.allocated);
        writer.u32(self.current);
        writer.u32(self.highest);
    }
}

fn versioned(body: &[u8]) -> Result<Reader<'_>, ReportError> {
    let mut reader = Reader::new(body);
    match reader.u16()? {
        0 => Err(CodecError::Field("version").into()),
        theirs if REPORT_VERSION < theirs => Err(ReportError::TooNew { theirs }),
        _ => Ok(reader),
    }
}

fn phase(byte: u8) -> Result<NodePhase, CodecError> {
    match byte {
        0 => Ok(NodePhase::Serving),
        1 => Ok(NodePhase::CatchingUp),
        2 => Ok(NodePhase::Recovering),
        _ => Err(CodecError::Field("phase")),
    }
}

fn flag(reader: &mut Reader<'_>, field: &'static str) -> Result<bool, CodecError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Field(field)),
    }
}

fn group(reader: &mut Reader<'_>) -> Result<GroupName, CodecError> {
    let field = reader.padded(limits::GROUP_NAME_LEN_MAX)?;
    GroupName::from_bytes(field).map_err(|_| CodecError::Field("group"))
}

/// Volume paths, strictly ascending, so that none is named twice.
fn volume_paths(reader: &mut Reader<'_>) -> Result<Vec<VolumePath>, CodecError> {
    let count = count(reader)?;
    let bytes = reader.take(count)?;
    if !bytes.is_sorted_by(|left, right| left < right) {
        return Err(CodecError::Field("volume paths"));
    }
    Ok(bytes.iter().copied().map(VolumePath).collect())
}

fn path_spaces(reader: &mut Reader<'_>) -> Result<Vec<PathSpace>, CodecError> {
    let count = count(reader)?;
    let mut spaces = Vec::with_capacity(count);
    for _ in 0..count {
        spaces.push(PathSpace {
            path: VolumePath(reader.u8()?),
            total_mb: reader.u64()?,
            free_mb: reader.u64()?,
            reserved_mb: reader.u64()?,
            read_only: flag(reader, "read-only")?,
        });
    }
    if !spaces.is_sorted_by(|left, right| left.path < right.path) {
        return Err(CodecError::Field("volume paths"));
    }
    Ok(spaces)
}

fn count(reader: &mut Reader<'_>) -> Result<usize, CodecError> {
    let count = usize::from(reader.u16()?);
    if limits::VOLUME_PATHS_MAX < count {
        return Err(CodecError::Field("volume path count"));
    }
    Ok(count)
}

fn put_count(writer: &mut Writer<'_>, count: usize) {
    // The callers keep at most `VOLUME_PATHS_MAX`, which fits.
    writer.u16(u16::try_from(count).unwrap_or(u16::MAX));
}

fn software(reader: &mut Reader<'_>) -> Result<String, CodecError> {
    text(reader, SOFTWARE_LEN_MAX, "software").map(str::to_owned)
}

/// A text of printable ASCII behind its length in one byte.
fn text<'a>(
    reader: &mut Reader<'a>,
    len_max: usize,
    field: &'static str,
) -> Result<&'a str, CodecError> {
    let len = usize::from(reader.u8()?);
    let bytes = reader.take(len)?;
    match std::str::from_utf8(bytes) {
        Ok(text) if len <= len_max && bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) => {
            Ok(text)
        }
        _ => Err(CodecError::Field(field)),
    }
}

/// Writes what [`text`] reads: other characters become `?`, what is too long is cut.
fn put_text(writer: &mut Writer<'_>, text: &str, len_max: usize) {
    let kept = text.chars().take(len_max);
    writer.u8(u8::try_from(kept.clone().count()).unwrap_or(u8::MAX));
    for character in kept {
        let printable = u8::try_from(character)
            .ok()
            .filter(|byte| (b' '..=b'~').contains(byte));
        writer.u8(printable.unwrap_or(b'?'));
    }
}

fn optional_address(reader: &mut Reader<'_>) -> Result<Option<IpAddr>, CodecError> {
    match text(reader, ADDRESS_LEN_MAX, "address")? {
        "" => Ok(None),
        address => address
            .parse()
            .map(Some)
            .map_err(|_| CodecError::Field("address")),
    }
}

fn put_optional_address(writer: &mut Writer<'_>, address: Option<IpAddr>) {
    let address = address
        .map(|address| address.to_string())
        .unwrap_or_default();
    put_text(writer, &address, ADDRESS_LEN_MAX);
}

fn address(reader: &mut Reader<'_>) -> Result<IpAddr, CodecError> {
    optional_address(reader)?.ok_or(CodecError::Field("address"))
}

fn socket_address(reader: &mut Reader<'_>) -> Result<SocketAddr, CodecError> {
    Ok(SocketAddr::new(address(reader)?, reader.u16()?))
}

fn put_socket_address(writer: &mut Writer<'_>, address: SocketAddr) {
    put_optional_address(writer, Some(address.ip()));
    writer.u16(address.port());
}

#[cfg(test)]
mod tests;
