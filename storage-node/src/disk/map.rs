//! Read-only maps of volume files: the only unsafe code of the workspace.
//!
//! The argument. A volume file has its full length before it is mapped and is never truncated while
//! it is mapped (VOL-2), so every page of the map is backed. Records are appended by positioned
//! writes, never through the map. A slice is handed out only for a range below the committed end,
//! and bytes there never change (VOL-1), so `&[u8]` into it is sound. The map itself makes no
//! reference to any other byte. A removed volume stays mapped until its last slice is dropped.
#![expect(
    unsafe_code,
    reason = "mapping a file, and referring to bytes of the map"
)]

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};

/// Page size that residency is asked in. Larger real pages only make the answer coarser.
const PAGE_LEN: usize = 4096;
/// Pages that one residency question covers; longer ranges are asked in pieces.
const PAGES_MAX: usize = 320;

/// A read-only map of a whole volume file.
#[derive(Clone, Debug)]
pub struct Map {
    raw: Arc<MmapRaw>,
}

/// A range of a map, as the owner of a [`Bytes`].
struct Window {
    raw: Arc<MmapRaw>,
    start: usize,
    len: usize,
}

impl Map {
    /// Maps the first `len` bytes of `file`.
    pub fn new(file: &impl AsRawFd, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let raw = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(Self { raw: Arc::new(raw) })
    }

    /// Whether the map has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the map.
    pub fn len(&self) -> u64 {
        self.raw.len() as u64
    }

    /// The bytes of `range`, which must lie below the volume's committed end.
    pub fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        let (start, len) = self.check(&range)?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        Ok(Bytes::from_owner(Window {
            raw: Arc::clone(&self.raw),
            start,
            len,
        }))
    }

    /// Whether all pages of `range` are in memory, so that touching them waits for no device.
    pub fn is_resident(&self, range: Range<u64>) -> bool {
        let page_len = PAGE_LEN as u64;
        let first = range.start - range.start % page_len;
        let mut at = first;
        while at < range.end {
            let end = range.end.min(at + page_len * PAGES_MAX as u64);
            let Ok((start, len)) = self.check(&(at..end)) else {
                return false;
            };
            let mut pages = [0_u8; PAGES_MAX];
            // SAFETY: VOL-2: `start` is page-aligned and lies with `len` inside the map, which is
            // alive; `pages` has a byte for each page of at most PAGES_MAX.
            let answer = unsafe {
                libc::mincore(
                    self.raw.as_mut_ptr().wrapping_add(start).cast(),
                    len,
                    pages.as_mut_ptr(),
                )
            };
            let count = len.div_ceil(PAGE_LEN);
            if answer != 0 || pages.iter().take(count).any(|page| page & 1 == 0) {
                return false;
            }
            at = end;
        }
        true
    }

    fn check(&self, range: &Range<u64>) -> io::Result<(usize, usize)> {
        if range.end < range.start || self.len() < range.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = usize::try_from(range.start).map_err(io::Error::other)?;
        let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        Ok((start, len))
    }
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: VOL-1 and VOL-2: the range was checked to lie inside the map, which `raw` keeps
        // alive, and nobody changes these bytes any more.
        unsafe { std::slice::from_raw_parts(self.raw.as_ptr().wrapping_add(self.start), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn slices_outlive_the_map_and_ranges_are_checked() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10_000]).unwrap();
        let map = Map::new(&file, 10_000).unwrap();
        assert!(map.is_resident(5000..10_000));
        assert!(map.slice(9_999..10_001).is_err());
        let (start, end) = (3, 2);
        assert!(map.slice(start..end).is_err());
        let slice = map.slice(9_000..10_000).unwrap();
        drop(map);
        assert_eq!(&slice[..], &[7; 1000]);
    }
}
