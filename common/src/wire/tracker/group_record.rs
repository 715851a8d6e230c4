//! Group records (90, 91). Source: docs/wire.md, group record.

use bytes::BytesMut;

use super::{ClientDialect, ListingLayout};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::GroupName;
use crate::limits;
use crate::wire::field::GROUP_LEN;
use crate::wire::{WireError, field, packet};

/// Bytes of the name field: one more than in requests.
const NAME_LEN: usize = GROUP_LEN + 1;
/// Bytes of a record of [`ListingLayout::Current`].
const CURRENT_LEN: usize = NAME_LEN + 12 * 8;
/// Bytes of a record of the older layouts.
const OLD_LEN: usize = NAME_LEN + 11 * 8;
const _: () = assert!(CURRENT_LEN == 113 && OLD_LEN == 105);

/// What "none" looks like in fields where 0 is a value.
const NONE: u64 = u64::MAX;

/// What monitoring sees of a group. Space is in MiB and that of the node with the least free space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// Its name.
    pub name: GroupName,
    /// MiB on its disks.
    pub total_mb: u64,
    /// MiB that are free.
    pub free_mb: u64,
    /// MiB that are kept free. Not in the older layouts.
    pub reserved_mb: u64,
    /// MiB free inside trunk files; we have none.
    pub trunk_free_mb: u64,
    /// Nodes, whatever their state.
    pub node_count: u64,
    /// Storage port; `None` when the nodes use different ones.
    pub storage_port: Option<u16>,
    /// HTTP port of its nodes. Only in the older layouts.
    pub http_port: u16,
    /// Nodes that can be read from. The older layouts know one number, of active nodes: this one.
    pub readable_count: u64,
    /// Nodes that can be written to. Not in the older layouts.
    pub writable_count: u64,
    /// Position of the node that the next write goes to.
    pub write_node_idx: u64,
    /// Volume paths of each node.
    pub volume_path_count: u64,
    /// Subdirectories per level.
    pub subdir_count: u64,
    /// Number of the current trunk file; `None` without trunk files.
    pub trunk_file: Option<u64>,
}

impl GroupRecord {
    fn decode_current(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            name: name(reader)?,
            total_mb: reader.u64()?,
            free_mb: reader.u64()?,
            reserved_mb: reader.u64()?,
            trunk_free_mb: reader.u64()?,
            node_count: reader.u64()?,
            storage_port: optional_port(reader)?,
            http_port: 0,
            readable_count: reader.u64()?,
            writable_count: reader.u64()?,
            write_node_idx: reader.u64()?,
            volume_path_count: reader.u64()?,
            subdir_count: reader.u64()?,
            trunk_file: optional(reader)?,
        })
    }

    fn decode_old(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let (name, total_mb, free_mb) = (name(reader)?, reader.u64()?, reader.u64()?);
        let (trunk_free_mb, node_count) = (reader.u64()?, reader.u64()?);
        let (storage_port, http_port) = (optional_port(reader)?, field::port(reader)?);
        let active_count = reader.u64()?;
        Ok(Self {
            name,
            total_mb,
            free_mb,
            reserved_mb: 0,
            trunk_free_mb,
            node_count,
            storage_port,
            http_port,
            readable_count: active_count,
            writable_count: active_count,
            write_node_idx: reader.u64()?,
            volume_path_count: reader.u64()?,
            subdir_count: reader.u64()?,
            trunk_file: optional(reader)?,
        })
    }

    fn put(&self, body: &mut Writer<'_>, listing: ListingLayout) {
        let is_current = listing == ListingLayout::Current;
        body.padded(self.name.as_field(), NAME_LEN);
        body.u64(self.total_mb);
        body.u64(self.free_mb);
        if is_current {
            body.u64(self.reserved_mb);
        }
        body.u64(self.trunk_free_mb);
        body.u64(self.node_count);
        body.u64(self.storage_port.map_or(NONE, u64::from));
        if !is_current {
            body.u64(u64::from(self.http_port));
        }
        body.u64(self.readable_count);
        if is_current {
            body.u64(self.writable_count);
        }
        body.u64(self.write_node_idx);
        body.u64(self.volume_path_count);
        body.u64(self.subdir_count);
        body.u64(self.trunk_file.unwrap_or(NONE));
    }
}

/// Appends the answer to 90 or 91.
pub fn encode_groups<'a>(
    groups: impl IntoIterator<Item = &'a GroupRecord>,
    dialect: ClientDialect,
    out: &mut BytesMut,
) {
    packet::response(out, |body| {
        for group in groups {
            group.put(body, dialect.listing);
        }
    });
}

/// Decodes the answer to 90 or 91, of whichever layout fits.
pub fn decode_groups(body: &[u8]) -> Result<Vec<GroupRecord>, WireError> {
    // A length can be a multiple of both; then only one layout has names where names must be.
    let current = records(body, CURRENT_LEN, GroupRecord::decode_current);
    if current.is_ok() {
        return current;
    }
    records(body, OLD_LEN, GroupRecord::decode_old).or(current)
}

fn records(
    body: &[u8],
    record_len: usize,
    decode: fn(&mut Reader<'_>) -> Result<GroupRecord, WireError>,
) -> Result<Vec<GroupRecord>, WireError> {
    let count = body.len() / record_len;
    if !body.len().is_multiple_of(record_len) || limits::GROUPS_MAX < count {
        return Err(CodecError::Field("length of group records").into());
    }
    let mut reader = Reader::new(body);
    let mut groups = Vec::with_capacity(count);
    for _ in 0..count {
        groups.push(decode(&mut reader)?);
    }
    reader.finish()?;
    Ok(groups)
}

fn name(reader: &mut Reader<'_>) -> Result<GroupName, WireError> {
    GroupName::from_bytes(reader.padded(NAME_LEN)?).map_err(WireError::Group)
}

fn optional(reader: &mut Reader<'_>) -> Result<Option<u64>, WireError> {
    Ok(Some(reader.u64()?).filter(|value| *value != NONE))
}

fn optional_port(reader: &mut Reader<'_>) -> Result<Option<u16>, WireError> {
    match optional(reader)? {
        None => Ok(None),
        Some(port) => Ok(Some(
            u16::try_from(port).map_err(|_| CodecError::Field("port"))?,
        )),
    }
}
