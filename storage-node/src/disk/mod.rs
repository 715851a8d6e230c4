//! The seam between the engine and what keeps its bytes.
//!
//! [`OsDisk`] is a directory of a file system; `MemoryDisk` (feature `testing`) loses and tears what
//! was not synced, refuses to sync and fills up. One conformance suite runs on both.

mod map;
mod os;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
mod memory;

use std::io;
use std::ops::Range;

use bytes::Bytes;

use crate::format::VolumeNumber;

#[cfg(any(test, feature = "testing"))]
pub use memory::{CrashStyle, MemoryDisk, MemoryFile};
pub use os::{DiskError, OsDisk, OsVolumeFile};

/// Space of the file system under a disk, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system.
    pub total: u64,
    /// What an ordinary user may still write.
    pub free: u64,
}

/// A place for the volume files of one volume path.
///
/// * a created volume has its full length allocated and reads as zeros behind its first block
/// * `create` and `remove` are durable when they return
/// * after a crash a volume is there whole (with its first block) or not at all
pub trait Disk: Send + Sync + 'static {
    /// An open volume file.
    type File: VolumeFile;

    /// Makes a volume of `len` bytes that begins with `first_block`.
    fn create(&self, number: VolumeNumber, len: u64, first_block: &[u8]) -> io::Result<Self::File>;

    /// Opens a volume.
    fn open(&self, number: VolumeNumber) -> io::Result<Self::File>;

    /// Numbers of all volumes, ascending.
    fn list(&self) -> io::Result<Vec<VolumeNumber>>;

    /// Removes a volume. Bytes that were handed out stay readable.
    fn remove(&self, number: VolumeNumber) -> io::Result<()>;

    /// How much room there is.
    fn space(&self) -> io::Result<Space>;
}

/// One volume file.
///
/// The length never changes. Writes become durable by `sync`, all or in part before it.
pub trait VolumeFile: Send + Sync + 'static {
    /// Bytes of the file.
    fn len(&self) -> u64;

    /// Whether the file has no bytes, which no volume is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the pieces one after another from `offset`.
    fn write_at(&self, pieces: &[io::IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;

    /// Fills `buffer` from `offset` by a positioned read: a bad sector is an error, not a signal.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// The first offset from `offset` on that may hold something else than zeros, or `None`.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;

    /// The bytes of `range` without copying. The caller keeps to ranges that no longer change.
    fn slice(&self, range: Range<u64>) -> io::Result<Bytes>;

    /// Whether [`Self::slice`] of `range` can be used without waiting for the device.
    fn is_resident(&self, range: Range<u64>) -> bool;
}
