//! What nodes and trackers tell one another: commands 160 to 162. No client sees them.
//!
//! A node joins, then reports on the same connection; the end of the connection takes it out of
//! service at once. Each report is answered with the members of the node's group. Trackers greet one
//! another to know who lives. Every message begins with the version of this layout, so a newer peer
//! is refused by name instead of being misread, and a peer of the version before is spoken to in
//! its own: clusters are upgraded one process at a time.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;

use super::VersionText;
use super::tracker::{Connections, StorageCounters};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::{GroupName, NodeNumber, VolumePath};
use crate::limits;

mod answer;
mod entries;
mod hello;
mod members;

pub use answer::JoinAnswer;
pub use entries::{Entry, GroupEntry, GroupMarks, NodeEntry, NodeMarks, Place, Stamp, Standing};
pub use hello::{HelloAnswer, TrackerHello};
pub use members::{Member, MemberMarks, RemovedMember, ReportAnswer};

/// Version of the layouts in this module.
pub const REPORT_VERSION: u16 = 2;
/// The earliest version that is still spoken.
pub const REPORT_VERSION_MIN: u16 = 1;
/// The first version whose reports tell completeness and whose answers tell members.
const WITH_MEMBERS: u16 = 2;

/// Bytes of an address field: the longest text is an IPv6 address with a mapped IPv4 tail.
const ADDRESS_LEN: usize = 46;
/// Bytes of a software version field.
const SOFTWARE_LEN: usize = 8;

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
    /// Version of its program.
    pub software: VersionText,
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
    /// Whether the node holds everything that its group stored in this path. Only then clients are
    /// sent here for it.
    pub is_complete: bool,
    /// Records that it holds there, parts of big blobs included.
    pub records: u64,
}

/// How far a rebuild is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Here already.
    pub done: u64,
    /// As far as known; 0 when nothing is rebuilt.
    pub total: u64,
}

/// Body of command 161: heartbeat. Answered with a [`ReportAnswer`], or with status 13 when the
/// connection did not join before.
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
    pub counters: StorageCounters,
    /// Its connections.
    pub connections: Connections,
    /// Unix seconds of the last change that a client made here; 0 for never.
    pub changed_as_source: u32,
    /// Unix seconds of the last change that came from a peer; 0 for never.
    pub changed_as_replica: u32,
    /// Unix seconds up to which it holds everything its group stored; 0 when it cannot tell.
    pub complete_up_to: u32,
    /// The latest view of its group that the node took from this tracker on this connection; 0 for
    /// none.
    pub view: u64,
    /// Age of the oldest change of a peer that is not applied here, in milliseconds; 0 for none.
    pub lag_ms: u64,
    /// Records that have fewer copies than the group keeps.
    pub under_replicated: u64,
    /// Seconds since the byte was verified that waits longest for it.
    pub unverified_age_s: u32,
    /// How far a rebuild of this node is.
    pub rebuild: Progress,
    /// Blobs that it holds and that were not deleted.
    pub blobs: u64,
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

    /// Appends the body in the latest layout.
    pub fn encode(&self, out: &mut BytesMut) {
        self.encode_as(REPORT_VERSION, out);
    }

    /// Appends the body in the layout of `version`, which is that of a peer.
    pub fn encode_as(&self, version: u16, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(spoken(version));
        writer.bytes(&self.identity.0);
        writer.u32(self.number.get());
        writer.bytes(self.group.as_field());
        put_optional_address(&mut writer, self.address);
        writer.u16(self.storage_port);
        writer.u16(self.http_port);
        writer.u32(self.joined);
        writer.u32(self.started);
        writer.padded(self.software.as_bytes(), SOFTWARE_LEN);
        writer.bytes(&self.upload_priority.to_be_bytes());
        let kept = self.volume_paths.iter().take(limits::VOLUME_PATHS_MAX);
        put_count(&mut writer, kept.len());
        for path in kept {
            writer.u8(path.0);
        }
    }
}

impl NodeReport {
    /// The last report of a node that stops: it takes no more clients. Trackers then send nobody to it
    /// before it closes its port.
    #[must_use]
    pub fn farewell(self) -> Self {
        Self {
            readable: false,
            writable: false,
            ..self
        }
    }

    /// Whether it is such a last report.
    pub fn is_farewell(&self) -> bool {
        !self.readable && !self.writable
    }

    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = versioned(body)?;
        let version = version_of(body);
        let phase = phase(reader.u8()?)?;
        let mut report = Self {
            phase,
            readable: flag(&mut reader, "readable")?,
            writable: flag(&mut reader, "writable")?,
            paths: path_spaces(&mut reader, version, phase)?,
            counters: StorageCounters::decode(&mut reader)?,
            connections: connections(&mut reader)?,
            changed_as_source: reader.u32()?,
            changed_as_replica: reader.u32()?,
            complete_up_to: reader.u32()?,
            ..Self::default()
        };
        if WITH_MEMBERS <= version {
            report.view = reader.u64()?;
            report.lag_ms = reader.u64()?;
            report.under_replicated = reader.u64()?;
            report.unverified_age_s = reader.u32()?;
            report.rebuild = Progress {
                done: reader.u64()?,
                total: reader.u64()?,
            };
            report.blobs = reader.u64()?;
        }
        reader.finish()?;
        Ok(report)
    }

    /// Appends the body in the latest layout.
    pub fn encode(&self, out: &mut BytesMut) {
        self.encode_as(REPORT_VERSION, out);
    }

    /// Appends the body in the layout of `version`, which is that of a peer.
    pub fn encode_as(&self, version: u16, out: &mut BytesMut) {
        let version = spoken(version);
        let mut writer = Writer::new(out);
        writer.u16(version);
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
            if WITH_MEMBERS <= version {
                writer.u8(u8::from(space.is_complete));
                writer.u64(space.records);
            }
        }
        self.counters.encode(&mut writer);
        put_connections(&mut writer, self.connections);
        writer.u32(self.changed_as_source);
        writer.u32(self.changed_as_replica);
        writer.u32(self.complete_up_to);
        if WITH_MEMBERS <= version {
            writer.u64(self.view);
            writer.u64(self.lag_ms);
            writer.u64(self.under_replicated);
            writer.u32(self.unverified_age_s);
            writer.u64(self.rebuild.done);
            writer.u64(self.rebuild.total);
            writer.u64(self.blobs);
        }
    }
}

/// The version of this program as the listings show it, cut to what their field holds.
pub fn software_version(version: &str) -> VersionText {
    let shown = version.get(..8).unwrap_or(version);
    VersionText::from_bytes(shown.as_bytes()).unwrap_or_default()
}

fn connections(reader: &mut Reader<'_>) -> Result<Connections, CodecError> {
    Ok(Connections {
        allocated: reader.u32()?,
        current: reader.u32()?,
        max: reader.u32()?,
    })
}

fn put_connections(writer: &mut Writer<'_>, connections: Connections) {
    writer.u32(connections.allocated);
    writer.u32(connections.current);
    writer.u32(connections.max);
}

fn versioned(body: &[u8]) -> Result<Reader<'_>, ReportError> {
    let mut reader = Reader::new(body);
    match reader.u16()? {
        0 => Err(CodecError::Field("version").into()),
        theirs if REPORT_VERSION < theirs => Err(ReportError::TooNew { theirs }),
        _ => Ok(reader),
    }
}

/// The version that a body begins with; 0 for a body without one. Answers are made in it.
pub fn version_of(body: &[u8]) -> u16 {
    Reader::new(body).u16().unwrap_or_default()
}

/// A peer's version, as far as this program speaks it.
fn spoken(version: u16) -> u16 {
    version.clamp(REPORT_VERSION_MIN, REPORT_VERSION)
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

fn path_spaces(
    reader: &mut Reader<'_>,
    version: u16,
    phase: NodePhase,
) -> Result<Vec<PathSpace>, CodecError> {
    let count = count(reader)?;
    let mut spaces = Vec::with_capacity(count);
    for _ in 0..count {
        spaces.push(PathSpace {
            path: VolumePath(reader.u8()?),
            total_mb: reader.u64()?,
            free_mb: reader.u64()?,
            reserved_mb: reader.u64()?,
            read_only: flag(reader, "read-only")?,
            // Before, a node was complete as a whole or not at all.
            is_complete: if WITH_MEMBERS <= version {
                flag(reader, "is-complete")?
            } else {
                phase == NodePhase::Serving
            },
            records: if WITH_MEMBERS <= version {
                reader.u64()?
            } else {
                0
            },
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

fn software(reader: &mut Reader<'_>) -> Result<VersionText, CodecError> {
    let text = reader.padded(SOFTWARE_LEN)?;
    VersionText::from_bytes(text).map_err(|_| CodecError::Field("software"))
}

fn optional_address(reader: &mut Reader<'_>) -> Result<Option<IpAddr>, CodecError> {
    let malformed = CodecError::Field("address");
    match reader.padded(ADDRESS_LEN)? {
        b"" => Ok(None),
        text => {
            let text = std::str::from_utf8(text).map_err(|_| malformed)?;
            text.parse().map(Some).map_err(|_| malformed)
        }
    }
}

fn put_optional_address(writer: &mut Writer<'_>, address: Option<IpAddr>) {
    let address = address.map(|address| address.to_string());
    writer.padded(address.unwrap_or_default().as_bytes(), ADDRESS_LEN);
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
