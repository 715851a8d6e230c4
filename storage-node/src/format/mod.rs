//! Pure bytes: what stands in volume files and in the index. Nothing here does IO.
//!
//! Documents: docs/format/volume.md, docs/format/index.md.

mod index_entry;
mod manifest;
mod record;
mod superblock;
mod version;

pub use index_entry::{IndexKey, IndexValue, LogName, Position, ReplayPosition, VolumeStats};
pub use manifest::{Manifest, ManifestError, PartId, Segment};
pub use record::{
    RECORD_ALIGN, RECORD_HEADER_LEN, RecordError, RecordHeader, RecordKind, UnverifiedRecord,
    record_len,
};
pub use superblock::{SUPERBLOCK_FIELDS_LEN, SUPERBLOCK_LEN, Superblock, SuperblockError};
pub use version::{Stamp, Version};

use std::fmt;

/// Number of a volume file within its volume path. Higher numbers are younger; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeNumber(pub u32);

impl VolumeNumber {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for VolumeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

/// Where a record lies: its volume, the offset of its header, and how long its payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// The volume file.
    pub volume: VolumeNumber,
    /// Offset of the record's header, a multiple of [`RECORD_ALIGN`].
    pub offset: u64,
    /// Bytes of the payload.
    pub payload_len: u32,
}
