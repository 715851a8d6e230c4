//! Statistics of trackers, nodes and groups (96, 97, 98).
//!
//! The original leaves bytes of earlier packets behind the NUL of text fields; ours are zero.

use bytes::BytesMut;

use super::{Connections, NodeStatus};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::GroupName;
use crate::limits;
use crate::wire::field::GROUP_LEN;
use crate::wire::{HostText, NodeText, VersionText, WireError, field, packet};

/// Bytes of a host field.
const HOST_LEN: usize = 52;
/// Bytes of an id field.
const ID_LEN: usize = 16;
/// Bytes of a version field.
const VERSION_LEN: usize = 8;

/// Which trackers to list (96); `None` does not filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerFilter {
    /// Those that are active or not.
    pub active: Option<bool>,
    /// Those that lead or not.
    pub leader: Option<bool>,
}

impl TrackerFilter {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let by = reader.u8()?;
        let (active, leader) = (field::flag(reader)?, field::flag(reader)?);
        Ok(Self {
            active: (by & 1 != 0).then_some(active),
            leader: (by & 2 != 0).then_some(leader),
        })
    }

    pub(super) fn put(self, body: &mut Writer<'_>) {
        put_flags(body, &[self.active, self.leader]);
    }
}

/// Which nodes by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Those in this state.
    Is(NodeStatus),
    /// Those in any other.
    IsNot(NodeStatus),
}

/// Which nodes to list (97); `None` does not filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageFilter {
    /// By state.
    pub status: Option<StatusFilter>,
    /// Those that assign trunk space or not.
    pub trunk_server: Option<bool>,
}

impl StorageFilter {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let (by, op, status) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let is_trunk_server = field::flag(reader)?;
        let status = match (by & 2, op) {
            (0, _) => None,
            (_, b'=') => Some(StatusFilter::Is(status.try_into()?)),
            (_, b'!') => Some(StatusFilter::IsNot(status.try_into()?)),
            _ => return Err(CodecError::Field("operator of a status filter").into()),
        };
        Ok(Self {
            status,
            trunk_server: (by & 1 != 0).then_some(is_trunk_server),
        })
    }

    pub(super) fn put(self, body: &mut Writer<'_>) {
        let (op, status) = match self.status {
            None => (0, 0),
            Some(StatusFilter::Is(status)) => (b'=', status as u8),
            Some(StatusFilter::IsNot(status)) => (b'!', status as u8),
        };
        let by_trunk = u8::from(self.trunk_server.is_some());
        let by_status = u8::from(self.status.is_some()) << 1;
        body.u8(by_trunk | by_status);
        body.u8(op);
        body.u8(status);
        body.u8(u8::from(self.trunk_server.unwrap_or_default()));
    }
}

/// Which groups to list (98); `None` does not filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Those with or without space on disk.
    pub disk_available: Option<bool>,
    /// Those with or without space in trunk files.
    pub trunk_available: Option<bool>,
    /// Those with or without either.
    pub available: Option<bool>,
}

impl GroupFilter {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let by = reader.u8()?;
        let (disk, trunk) = (field::flag(reader)?, field::flag(reader)?);
        let either = field::flag(reader)?;
        Ok(Self {
            disk_available: (by & 1 != 0).then_some(disk),
            trunk_available: (by & 2 != 0).then_some(trunk),
            available: (by & 4 != 0).then_some(either),
        })
    }

    pub(super) fn put(self, body: &mut Writer<'_>) {
        put_flags(
            body,
            &[self.disk_available, self.trunk_available, self.available],
        );
    }
}

/// A byte with a bit per wanted filter, then a byte per filter.
fn put_flags(body: &mut Writer<'_>, flags: &[Option<bool>]) {
    let by = flags
        .iter()
        .rev()
        .fold(0, |by, flag| by << 1 | u8::from(flag.is_some()));
    body.u8(by);
    for flag in flags {
        body.u8(u8::from(flag.unwrap_or_default()));
    }
}

/// One tracker: 90 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerStatistic {
    /// Where it listens.
    pub host: HostText,
    /// Whether it leads.
    pub is_leader: bool,
    /// Whether it answers.
    pub is_active: bool,
    /// Its client connections.
    pub connections: Connections,
    /// Its software version.
    pub version: VersionText,
    /// Unix seconds of its start.
    pub start_time: u64,
    /// Unix seconds of its last sign of life.
    pub last_heartbeat: u64,
}

/// The answer to 96.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackerStatistics {
    /// The trackers, at most [`limits::TRACKERS_MAX`].
    pub trackers: Vec<TrackerStatistic>,
}

impl TrackerStatistics {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let count = usize::from(reader.u8()?);
        let count = counted(&reader, count, 90, limits::TRACKERS_MAX)?;
        let mut trackers = Vec::with_capacity(count);
        for _ in 0..count {
            trackers.push(TrackerStatistic {
                host: field::text(&mut reader, HOST_LEN)?,
                is_leader: field::flag(&mut reader)?,
                is_active: field::flag(&mut reader)?,
                connections: Connections::decode(&mut reader)?,
                version: field::text(&mut reader, VERSION_LEN)?,
                start_time: reader.u64()?,
                last_heartbeat: reader.u64()?,
            });
        }
        reader.finish()?;
        Ok(Self { trackers })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        let trackers = first(&self.trackers, limits::TRACKERS_MAX);
        packet::response(out, |body| {
            body.u8(u8::try_from(trackers.len()).unwrap_or_default());
            for tracker in trackers {
                body.padded(tracker.host.as_bytes(), HOST_LEN);
                body.u8(u8::from(tracker.is_leader));
                body.u8(u8::from(tracker.is_active));
                tracker.connections.put(body);
                body.padded(tracker.version.as_bytes(), VERSION_LEN);
                body.u64(tracker.start_time);
                body.u64(tracker.last_heartbeat);
            }
        });
    }
}

/// One node: 106 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageStatistic {
    /// Its id.
    pub id: NodeText,
    /// Where it listens.
    pub host: HostText,
    /// Whether it assigns trunk space.
    pub is_trunk_server: bool,
    /// Its state.
    pub status: NodeStatus,
    /// Its client connections.
    pub connections: Connections,
    /// Its software version.
    pub version: VersionText,
    /// Unix seconds of its start.
    pub start_time: u64,
    /// Unix seconds of its last heartbeat.
    pub last_heartbeat: u64,
}

/// The answer to 97.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageStatistics {
    /// Whether the cluster uses storage ids.
    pub uses_storage_ids: bool,
    /// Whether it uses trunk files.
    pub uses_trunk: bool,
    /// The nodes of all groups.
    pub nodes: Vec<StorageStatistic>,
}

impl StorageStatistics {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let uses_storage_ids = field::flag(&mut reader)?;
        let uses_trunk = field::flag(&mut reader)?;
        let count = count(&mut reader)?;
        let max = limits::GROUPS_MAX * limits::NODES_PER_GROUP_MAX;
        let count = counted(&reader, count, 106, max)?;
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            nodes.push(StorageStatistic {
                id: field::text(&mut reader, ID_LEN)?,
                host: field::text(&mut reader, HOST_LEN)?,
                is_trunk_server: field::flag(&mut reader)?,
                status: reader.u8()?.try_into()?,
                connections: Connections::decode(&mut reader)?,
                version: field::text(&mut reader, VERSION_LEN)?,
                start_time: reader.u64()?,
                last_heartbeat: reader.u64()?,
            });
        }
        reader.finish()?;
        Ok(Self {
            uses_storage_ids,
            uses_trunk,
            nodes,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.u8(u8::from(self.uses_storage_ids));
            body.u8(u8::from(self.uses_trunk));
            put_count(body, self.nodes.len());
            for node in &self.nodes {
                body.padded(node.id.as_bytes(), ID_LEN);
                body.padded(node.host.as_bytes(), HOST_LEN);
                body.u8(u8::from(node.is_trunk_server));
                body.u8(node.status as u8);
                node.connections.put(body);
                body.padded(node.version.as_bytes(), VERSION_LEN);
                body.u64(node.start_time);
                body.u64(node.last_heartbeat);
            }
        });
    }
}

/// Space of one group in MiB: 59 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSpace {
    /// Its name.
    pub name: GroupName,
    /// On its disks.
    pub total_mb: u64,
    /// Free.
    pub free_mb: u64,
    /// Kept free.
    pub reserved_mb: u64,
    /// Free beyond what is kept free.
    pub available_mb: u64,
    /// Free inside trunk files.
    pub trunk_free_mb: u64,
    /// Whether a blob fits on disk.
    pub disk_available: bool,
    /// Whether a blob fits into a trunk file.
    pub trunk_available: bool,
}

/// The answer to 98.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatistics {
    /// Whether the cluster uses trunk files.
    pub uses_trunk: bool,
    /// The groups.
    pub groups: Vec<GroupSpace>,
}

impl GroupStatistics {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let uses_trunk = field::flag(&mut reader)?;
        let count = count(&mut reader)?;
        let count = counted(&reader, count, 59, limits::GROUPS_MAX)?;
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            let name = reader.padded(GROUP_LEN + 1)?;
            groups.push(GroupSpace {
                name: GroupName::from_bytes(name).map_err(WireError::Group)?,
                total_mb: reader.u64()?,
                free_mb: reader.u64()?,
                reserved_mb: reader.u64()?,
                available_mb: reader.u64()?,
                trunk_free_mb: reader.u64()?,
                disk_available: field::flag(&mut reader)?,
                trunk_available: field::flag(&mut reader)?,
            });
        }
        reader.finish()?;
        Ok(Self { uses_trunk, groups })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.u8(u8::from(self.uses_trunk));
            put_count(body, self.groups.len());
            for group in &self.groups {
                body.padded(group.name.as_field(), GROUP_LEN + 1);
                body.u64(group.total_mb);
                body.u64(group.free_mb);
                body.u64(group.reserved_mb);
                body.u64(group.available_mb);
                body.u64(group.trunk_free_mb);
                body.u8(u8::from(group.disk_available));
                body.u8(u8::from(group.trunk_available));
            }
        });
    }
}

fn count(reader: &mut Reader<'_>) -> Result<usize, WireError> {
    Ok(usize::try_from(reader.u32()?).map_err(|_| CodecError::Field("count"))?)
}

fn put_count(body: &mut Writer<'_>, count: usize) {
    // The limits on groups and nodes lie far below 2^32.
    body.u32(u32::try_from(count).unwrap_or(u32::MAX));
}

/// Checks an announced count against its limit and the bytes that are there.
fn counted(
    reader: &Reader<'_>,
    count: usize,
    record_len: usize,
    max: usize,
) -> Result<usize, WireError> {
    if max < count || count.checked_mul(record_len) != Some(reader.left()) {
        return Err(CodecError::Field("count").into());
    }
    Ok(count)
}

fn first<T>(all: &[T], max: usize) -> &[T] {
    all.get(..max).unwrap_or(all)
}
