//! A file as the raw loops write to: of its full length from the beginning, since a write that grows a
//! file would make every sync a sync of metadata.
#![expect(
    clippy::disallowed_types,
    reason = "the limit is what the operating system's files can do, without the store's seam"
)]

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::FallocateFlags;

/// Makes a file of `len` bytes.
pub(crate) fn preallocated(path: &Path, len: u64) -> io::Result<File> {
    let file = File::create(path)?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len)?;
    file.sync_all()?;
    Ok(file)
}
