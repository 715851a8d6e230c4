//! One open volume file and what is known of its records.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use bytes::Bytes;

use crate::disk::VolumeFile;
use crate::error::ReadError;
use crate::format::{
    Extent, RECORD_HEADER_LEN, RecordError, RecordHeader, Superblock, UnverifiedRecord,
    VolumeNumber, record_len,
};

/// Granule of the memory of verified records. Two records longer than this never begin in the same
/// granule, so one bit for each granule is enough for them; shorter ones are checked every time.
const GRANULE_LEN: u64 = 4096;
/// Payloads up to this many bytes are checked on the spot; longer ones on a thread that may block.
const VERIFY_INLINE_LEN: u64 = 64 * 1024;

/// Whether a volume takes appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VolumeState {
    /// Records are appended to it.
    Active = 0,
    /// Full, or left behind by a restart.
    Sealed = 1,
    /// A write or sync failed: nothing is appended any more (VOL-5).
    Poisoned = 2,
    /// Records in it are damaged: it is kept for repair and not compacted.
    Damaged = 3,
}

/// An open volume file.
///
/// VOL-1: bytes below the committed end never change.
#[derive(Debug)]
pub struct Volume<F> {
    superblock: Superblock,
    file: F,
    committed_end: AtomicU64,
    state: AtomicU8,
    /// A bit for each granule in which a long record begins whose payload was found sound.
    verified: Box<[AtomicU64]>,
}

/// A record found where the index says it is.
#[derive(Clone, Debug)]
pub struct FoundRecord {
    /// Its header.
    pub header: RecordHeader,
    /// Its payload.
    pub payload: Bytes,
}

impl<F: VolumeFile> Volume<F> {
    /// Wraps an open file of which the bytes below `committed_end` no longer change.
    pub fn new(file: F, superblock: Superblock, committed_end: u64, state: VolumeState) -> Self {
        let granules = file.len().div_ceil(GRANULE_LEN);
        let words = usize::try_from(granules.div_ceil(64)).unwrap_or_default();
        Self {
            superblock,
            file,
            committed_end: AtomicU64::new(committed_end),
            state: AtomicU8::new(state as u8),
            verified: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The volume's number.
    pub fn number(&self) -> VolumeNumber {
        self.superblock.number
    }

    /// What the file says about itself.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The file.
    pub fn file(&self) -> &F {
        &self.file
    }

    /// Offset below which bytes never change.
    pub fn committed_end(&self) -> u64 {
        self.committed_end.load(Ordering::Acquire)
    }

    /// Publishes records up to `end`. Only the appender calls this.
    pub fn commit(&self, end: u64) {
        debug_assert!(
            self.committed_end() <= end && end <= self.file.len(),
            "VOL-1"
        );
        self.committed_end.store(end, Ordering::Release);
    }

    /// Sets where the records end, which may be below what the index said. Only recovery calls this,
    /// before anybody reads.
    pub fn set_end(&self, end: u64) {
        self.committed_end.store(end, Ordering::Release);
    }

    /// Whether the volume takes appends.
    pub fn state(&self) -> VolumeState {
        match self.state.load(Ordering::Acquire) {
            0 => VolumeState::Active,
            1 => VolumeState::Sealed,
            2 => VolumeState::Poisoned,
            _ => VolumeState::Damaged,
        }
    }

    /// Changes the state; a volume never becomes active again.
    pub fn set_state(&self, state: VolumeState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// The record at `extent` if its bytes are in memory and known or cheap to be sound; `None` if
    /// [`Self::read`] must look, which may wait for the device.
    pub fn try_read(&self, extent: &Extent, key: &[u8]) -> Option<Result<FoundRecord, ReadError>> {
        let range = match self.record_range(extent, key) {
            Ok(range) => range,
            Err(error) => return Some(Err(error)),
        };
        if !self.file.is_resident(range.clone()) {
            return None;
        }
        let known = GRANULE_LEN < range.end - range.start && self.is_verified(range.start);
        if !known && VERIFY_INLINE_LEN < u64::from(extent.payload_len) {
            return None;
        }
        Some(self.slice_record(range, extent, key, known))
    }

    /// The record at `extent`, verified by a positioned read, so that a bad sector is an error and
    /// not a signal. Blocks.
    pub fn read(&self, extent: &Extent, key: &[u8]) -> Result<FoundRecord, ReadError> {
        let range = self.record_range(extent, key)?;
        let len = usize::try_from(range.end - range.start).unwrap_or_default();
        let mut bytes = vec![0; len];
        self.file
            .read_at(&mut bytes, range.start)
            .map_err(ReadError::Io)?;
        let (record, payload) = self.split(&bytes, extent, key)?;
        record
            .verify(payload)
            .map_err(|cause| self.damaged(extent, cause))?;
        self.set_verified(&range);
        self.slice_record(range, extent, key, true)
    }

    /// Where the whole record lies.
    fn record_range(&self, extent: &Extent, key: &[u8]) -> Result<Range<u64>, ReadError> {
        let end = extent.offset + record_len(key.len(), extent.payload_len as usize);
        if self.committed_end() < end {
            return Err(self.damaged(extent, RecordError::Short));
        }
        Ok(extent.offset..end)
    }

    fn slice_record(
        &self,
        range: Range<u64>,
        extent: &Extent,
        key: &[u8],
        known: bool,
    ) -> Result<FoundRecord, ReadError> {
        let bytes = self.file.slice(range.clone()).map_err(ReadError::Io)?;
        let (record, payload) = self.split(&bytes, extent, key)?;
        if !known {
            record
                .verify(payload)
                .map_err(|cause| self.damaged(extent, cause))?;
            self.set_verified(&range);
        }
        let (header, payload) = (record.header, bytes.slice_ref(payload));
        Ok(FoundRecord { header, payload })
    }

    /// Decodes the record and checks that it is the one the index means.
    fn split<'a>(
        &self,
        bytes: &'a [u8],
        extent: &Extent,
        key: &[u8],
    ) -> Result<(UnverifiedRecord<'a>, &'a [u8]), ReadError> {
        let record = UnverifiedRecord::decode(self.number(), bytes)
            .map_err(|cause| self.damaged(extent, cause))?;
        if record.key != key || record.header.payload_len != extent.payload_len {
            return Err(self.damaged(extent, RecordError::Magic));
        }
        let start = RECORD_HEADER_LEN + key.len();
        let payload = bytes
            .get(start..start + extent.payload_len as usize)
            .ok_or_else(|| self.damaged(extent, RecordError::Short))?;
        Ok((record, payload))
    }

    fn damaged(&self, extent: &Extent, cause: RecordError) -> ReadError {
        ReadError::Damaged {
            volume: self.number(),
            offset: extent.offset,
            cause,
        }
    }

    fn verified_bit(&self, offset: u64) -> Option<(&AtomicU64, u64)> {
        let granule = offset / GRANULE_LEN;
        let word = self.verified.get(usize::try_from(granule / 64).ok()?)?;
        Some((word, 1 << (granule % 64)))
    }

    fn is_verified(&self, offset: u64) -> bool {
        self.verified_bit(offset)
            .is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn set_verified(&self, range: &Range<u64>) {
        if range.end - range.start <= GRANULE_LEN {
            // A short record may share its granule with a long one, for which it must not vouch.
            return;
        }
        if let Some((word, bit)) = self.verified_bit(range.start) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Reads `len` bytes at `offset` by a positioned read. Blocks.
    pub fn read_raw(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}
