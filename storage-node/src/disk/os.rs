//! Volume files in a directory of a real file system.
//!
//! A new volume is written under a temporary name, allocated to its full length, synced and renamed,
//! so a crash leaves either no volume or a whole one, and a full disk shows here as an error and
//! never later while appending.
#![expect(
    clippy::disallowed_types,
    reason = "this is the seam that others are sent to"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate, fdatasync, fsync};
use rustix::io::Errno;

use super::map::Map;
use super::{Disk, Space, VolumeFile};
use crate::format::VolumeNumber;

const SUFFIX: &str = ".vol";
const TEMPORARY_SUFFIX: &str = ".new";
/// Pieces of one `pwritev` call, below the kernel's limit of 1024.
const PIECES_MAX: usize = 1000;

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct DiskError {
    /// What was tried.
    pub action: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// A directory with the volume files of one volume path.
#[derive(Debug)]
pub struct OsDisk {
    directory: PathBuf,
    /// Whether volumes are opened for appending too.
    is_writable: bool,
}

impl OsDisk {
    /// Uses `directory`, which is made if it is not there. Remains of unfinished volumes go.
    pub fn open(directory: &Path) -> Result<Self, DiskError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| DiskError {
                action,
                path,
                source,
            }
        };
        std::fs::create_dir_all(directory).map_err(failed("make directory", directory))?;
        // The new directory's own entry must be durable before a volume in it is promised.
        for parent in directory.ancestors().skip(1).take(2) {
            let synced = File::open(parent).and_then(|parent| parent.sync_all());
            synced.map_err(failed("sync directory", parent))?;
        }
        let disk = Self {
            directory: directory.to_owned(),
            is_writable: true,
        };
        for entry in std::fs::read_dir(directory).map_err(failed("read directory", directory))? {
            let path = entry.map_err(failed("read directory", directory))?.path();
            if path.extension().is_some_and(|suffix| suffix == "new") {
                std::fs::remove_file(&path).map_err(failed("remove unfinished volume", &path))?;
            }
        }
        disk.sync_directory()
            .map_err(failed("sync directory", directory))?;
        Ok(disk)
    }

    /// Looks at `directory`, which is there, and changes nothing in it.
    pub fn read_only(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            is_writable: false,
        }
    }

    fn path(&self, number: VolumeNumber) -> PathBuf {
        self.directory.join(format!("{number}{SUFFIX}"))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn write_new(path: &Path, len: u64, first_block: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, len) {
            Ok(()) => {}
            // Some file systems cannot allocate ahead; appends then meet a full disk themselves.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(len)?,
            Err(error) => return Err(error.into()),
        }
        file.write_all_at(first_block, 0)?;
        fsync(&file)?;
        Ok(())
    }
}

impl Disk for OsDisk {
    type File = OsVolumeFile;

    fn create(
        &self,
        number: VolumeNumber,
        len: u64,
        first_block: &[u8],
    ) -> io::Result<OsVolumeFile> {
        let path = self.path(number);
        let temporary = path.with_extension(TEMPORARY_SUFFIX.trim_start_matches('.'));
        if let Err(error) = Self::write_new(&temporary, len, first_block) {
            // The half-made file must not keep the space that it could not get.
            let _ = std::fs::remove_file(&temporary);
            return Err(error);
        }
        std::fs::rename(&temporary, &path)?;
        self.sync_directory()?;
        self.open(number)
    }

    fn open(&self, number: VolumeNumber) -> io::Result<OsVolumeFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(self.is_writable)
            .open(self.path(number))?;
        let len = file.metadata()?.len();
        let map = Map::new(&file, len)?;
        Ok(OsVolumeFile { file, map })
    }

    fn list(&self) -> io::Result<Vec<VolumeNumber>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                numbers.push(VolumeNumber(number));
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn remove(&self, number: VolumeNumber) -> io::Result<()> {
        std::fs::remove_file(self.path(number))?;
        self.sync_directory()
    }

    fn space(&self) -> io::Result<Space> {
        let stats = rustix::fs::statvfs(&self.directory)?;
        Ok(Space {
            total: stats.f_blocks * stats.f_frsize,
            free: stats.f_bavail * stats.f_frsize,
        })
    }
}

/// A volume file with its read-only map.
#[derive(Debug)]
pub struct OsVolumeFile {
    file: File,
    map: Map,
}

impl VolumeFile for OsVolumeFile {
    fn len(&self) -> u64 {
        self.map.len()
    }

    fn write_at(&self, pieces: &[io::IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        for group in pieces.chunks(PIECES_MAX) {
            let total: usize = group.iter().map(|piece| piece.len()).sum();
            let written = loop {
                match rustix::io::pwritev(self.file.as_fd(), group, offset) {
                    Err(Errno::INTR) => {}
                    result => break result?,
                }
            };
            if written < total {
                self.write_rest(group, written, offset)?;
            }
            offset += total as u64;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fdatasync(&self.file)?)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        if self.len() <= offset {
            return Ok(None);
        }
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => Ok((data < self.len()).then_some(data)),
            Err(Errno::NXIO) => Ok(None),
            // Not every file system knows its holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(offset)),
            Err(error) => Err(error.into()),
        }
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.map.slice(range)
    }

    fn is_resident(&self, range: Range<u64>) -> bool {
        self.map.is_resident(range)
    }
}

impl OsVolumeFile {
    /// Goes on after a short write, piece by piece; the cause then shows as an error.
    fn write_rest(&self, group: &[io::IoSlice<'_>], written: usize, offset: u64) -> io::Result<()> {
        let mut piece_start = 0;
        for piece in group {
            let done = written.saturating_sub(piece_start).min(piece.len());
            let rest = piece.get(done..).unwrap_or_default();
            self.file
                .write_all_at(rest, offset + (piece_start + done) as u64)?;
            piece_start += piece.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_a_disk() {
        let directory = tempfile::tempdir().unwrap();
        crate::disk::conformance::check(&OsDisk::open(directory.path()).unwrap());
    }

    #[test]
    fn unfinished_volumes_go_when_the_disk_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("00000001.new"), b"half").unwrap();
        let disk = OsDisk::open(directory.path()).unwrap();
        assert_eq!(disk.list().unwrap(), []);
        assert!(!directory.path().join("00000001.new").exists());
    }
}
