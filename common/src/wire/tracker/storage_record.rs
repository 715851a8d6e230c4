//! Storage records (92). Source: docs/wire.md, storage record.

use bytes::BytesMut;

use super::{
    ClientDialect, Connections, ListingLayout, NodeStatus, ReadWriteMode, StorageCounters,
};
use crate::codec::{CodecError, Reader, Writer};
use crate::limits;
use crate::wire::{AddressText, AddressWidth, NodeText, VersionText, WireError, field, packet};

/// Bytes of an id field.
const ID_LEN: usize = 16;
/// Bytes of the domain field of the older layouts, which no server ever filled.
const DOMAIN_LEN: usize = 128;

/// What monitoring sees of a node. Times are Unix seconds, space is in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageRecord {
    /// Its state.
    pub status: NodeStatus,
    /// What it may be used for. Not in the older layouts.
    pub mode: ReadWriteMode,
    /// Its id.
    pub id: NodeText,
    /// Its address.
    pub address: AddressText,
    /// Id of the node that gave it its first copy, or empty.
    pub sync_source: NodeText,
    /// Its software version.
    pub version: VersionText,
    /// When it joined first.
    pub join_time: u64,
    /// When it started.
    pub start_time: u64,
    /// Space on its disks.
    pub total_mb: u64,
    /// Space that is free.
    pub free_mb: u64,
    /// Space that is kept free. Not in the older layouts.
    pub reserved_mb: u64,
    /// Smaller is preferred for writes.
    pub upload_priority: i64,
    /// Its volume paths.
    pub volume_path_count: u64,
    /// Subdirectories per level.
    pub subdir_count: u64,
    /// The volume path that the next write goes to.
    pub write_path: u64,
    /// Its storage port.
    pub port: u16,
    /// Its HTTP port. Only in the older layouts.
    pub http_port: u16,
    /// Its client connections. Not in the V4 layout.
    pub connections: Connections,
    /// What it has done.
    pub counters: StorageCounters,
    /// Time of its last change as source.
    pub last_source_change: u64,
    /// Time of its last change as replica.
    pub last_replica_change: u64,
    /// Time up to which it is complete.
    pub last_synced: u64,
    /// Time of its last heartbeat.
    pub last_heartbeat: u64,
    /// Whether it assigns trunk space.
    pub is_trunk_server: bool,
}

/// A layout and its address width: together they fix every offset.
type Shape = (ListingLayout, AddressWidth);

/// Every shape that a listing can have. No length of up to
/// [`limits::NODES_PER_GROUP_MAX`] records fits two of them.
const SHAPES: [Shape; 5] = [
    (ListingLayout::Current, AddressWidth::V4),
    (ListingLayout::Current, AddressWidth::V6),
    (ListingLayout::V5, AddressWidth::V4),
    (ListingLayout::V5, AddressWidth::V6),
    (ListingLayout::V4, AddressWidth::V4),
];

fn record_len((listing, width): Shape) -> usize {
    match (listing, width) {
        (ListingLayout::Current, AddressWidth::V4) => 487,
        (ListingLayout::Current, AddressWidth::V6) => 517,
        (ListingLayout::V5, AddressWidth::V4) => 612,
        (ListingLayout::V5, AddressWidth::V6) => 642,
        (ListingLayout::V4, AddressWidth::V4 | AddressWidth::V6) => 600,
    }
}

/// Bytes of the version field.
fn version_len(listing: ListingLayout) -> usize {
    match listing {
        ListingLayout::Current => 8,
        ListingLayout::V5 | ListingLayout::V4 => 6,
    }
}

impl StorageRecord {
    fn decode(reader: &mut Reader<'_>, (listing, width): Shape) -> Result<Self, WireError> {
        let is_current = listing == ListingLayout::Current;
        let status = NodeStatus::try_from(reader.u8()?)?;
        let mode = if is_current {
            ReadWriteMode::try_from(reader.u8()?)?
        } else {
            ReadWriteMode::Both
        };
        let id = field::text(reader, ID_LEN)?;
        let address = field::text(reader, width.in_record())?;
        if !is_current {
            reader.take(DOMAIN_LEN)?;
        }
        let sync_source = field::text(reader, ID_LEN)?;
        let version = field::text(reader, version_len(listing))?;
        let (join_time, start_time) = (reader.u64()?, reader.u64()?);
        let (total_mb, free_mb) = (reader.u64()?, reader.u64()?);
        let reserved_mb = if is_current { reader.u64()? } else { 0 };
        let upload_priority = reader.i64()?;
        let (volume_path_count, subdir_count) = (reader.u64()?, reader.u64()?);
        let write_path = reader.u64()?;
        let port = field::port(reader)?;
        let http_port = if is_current { 0 } else { field::port(reader)? };
        let connections = match listing {
            ListingLayout::Current | ListingLayout::V5 => Connections::decode(reader)?,
            ListingLayout::V4 => Connections::default(),
        };
        Ok(Self {
            status,
            mode,
            id,
            address,
            sync_source,
            version,
            join_time,
            start_time,
            total_mb,
            free_mb,
            reserved_mb,
            upload_priority,
            volume_path_count,
            subdir_count,
            write_path,
            port,
            http_port,
            connections,
            counters: StorageCounters::decode(reader)?,
            last_source_change: reader.u64()?,
            last_replica_change: reader.u64()?,
            last_synced: reader.u64()?,
            last_heartbeat: reader.u64()?,
            is_trunk_server: field::flag(reader)?,
        })
    }

    fn put(&self, body: &mut Writer<'_>, dialect: ClientDialect) {
        let ClientDialect { address, listing } = dialect;
        let is_current = listing == ListingLayout::Current;
        body.u8(self.status as u8);
        if is_current {
            body.u8(self.mode as u8);
        }
        body.padded(self.id.as_bytes(), ID_LEN);
        let width = match listing {
            ListingLayout::Current | ListingLayout::V5 => address,
            ListingLayout::V4 => AddressWidth::V4,
        };
        field::put_address(body, &self.address, width.in_record());
        if !is_current {
            body.padded(b"", DOMAIN_LEN);
        }
        body.padded(self.sync_source.as_bytes(), ID_LEN);
        body.padded(self.version.as_bytes(), version_len(listing));
        body.u64(self.join_time);
        body.u64(self.start_time);
        body.u64(self.total_mb);
        body.u64(self.free_mb);
        if is_current {
            body.u64(self.reserved_mb);
        }
        body.i64(self.upload_priority);
        body.u64(self.volume_path_count);
        body.u64(self.subdir_count);
        body.u64(self.write_path);
        body.u64(u64::from(self.port));
        if !is_current {
            body.u64(u64::from(self.http_port));
        }
        match listing {
            ListingLayout::Current | ListingLayout::V5 => self.connections.put(body),
            ListingLayout::V4 => {}
        }
        self.counters.encode(body);
        body.u64(self.last_source_change);
        body.u64(self.last_replica_change);
        body.u64(self.last_synced);
        body.u64(self.last_heartbeat);
        body.u8(u8::from(self.is_trunk_server));
    }
}

/// Appends the answer to 92.
pub fn encode_storages<'a>(
    storages: impl IntoIterator<Item = &'a StorageRecord>,
    dialect: ClientDialect,
    out: &mut BytesMut,
) {
    packet::response(out, |body| {
        for storage in storages {
            storage.put(body, dialect);
        }
    });
}

/// Decodes the answer to 92, of whichever layout fits.
pub fn decode_storages(body: &[u8]) -> Result<Vec<StorageRecord>, WireError> {
    let (shape, count) = SHAPES
        .into_iter()
        .filter(|shape| body.len().is_multiple_of(record_len(*shape)))
        .map(|shape| (shape, body.len() / record_len(shape)))
        .find(|(_, count)| *count <= limits::NODES_PER_GROUP_MAX)
        .ok_or(CodecError::Field("length of storage records"))?;
    let mut reader = Reader::new(body);
    let mut storages = Vec::with_capacity(count);
    for _ in 0..count {
        storages.push(StorageRecord::decode(&mut reader, shape)?);
    }
    reader.finish()?;
    Ok(storages)
}
