//! Walks the records of a volume in order, by positioned reads.
//!
//! Recovery, rebuild, scrub, compaction and the offline check all see a volume through this one
//! walk. A torn tail is a normal end; damage in the middle is given its extent and skipped.

use std::io;
use std::ops::Range;

use common::digest::Crc32;

use crate::disk::VolumeFile;
use crate::format::{
    RECORD_ALIGN, RECORD_HEADER_LEN, RecordError, RecordHeader, RecordKind, UnverifiedRecord,
    VolumeNumber,
};

/// Bytes read at a time where payloads are looked at.
const WINDOW_LEN: usize = 1024 * 1024;
/// Bytes read at a time where only headers are: payloads are stepped over.
const HEADERS_WINDOW_LEN: usize = 512;
/// Longest header with key.
const HEAD_LEN_MAX: usize = RECORD_HEADER_LEN + 128;

/// How much of each record is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanDepth {
    /// Headers and keys.
    Headers,
    /// Payloads too: each is read and its checksum compared.
    Verify,
    /// As `Verify`, and the payload is given.
    Payloads,
}

/// A stretch of a volume that holds no readable record although records follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The volume.
    pub volume: VolumeNumber,
    /// Where no record could be read.
    pub range: Range<u64>,
}

/// A record that the walk met.
#[derive(Clone, Debug)]
pub struct ScannedRecord {
    /// Offset of the header.
    pub offset: u64,
    /// The header, which is sound.
    pub header: RecordHeader,
    /// The key.
    pub key: Vec<u8>,
    /// Whether the payload matches its checksum; `true` too where it was not looked at.
    pub is_sound: bool,
    /// The payload: with [`ScanDepth::Payloads`] of every record, else of manifests and tombstones,
    /// whose payload says what they mean.
    pub payload: Vec<u8>,
}

/// What the walk meets next.
#[derive(Clone, Debug)]
pub enum ScanItem {
    /// A record with a sound header.
    Record(ScannedRecord),
    /// Bytes that are no record, with records behind them.
    Damage(Damage),
    /// Nothing more: the offset behind the last record, and the offset behind the last byte that is
    /// not zero, which is higher when the tail is torn.
    End {
        /// Where the next record may be appended once the tail is clean.
        end: u64,
        /// End of the garbage behind it.
        garbage_end: u64,
    },
}

/// A positioned read failed.
#[derive(Debug, thiserror::Error)]
#[error("reading volume {volume} at offset {offset}")]
pub struct ScanError {
    /// The volume.
    pub volume: VolumeNumber,
    /// Where.
    pub offset: u64,
    /// Why.
    pub source: io::Error,
}

/// The walk.
#[derive(Debug)]
pub struct Scanner<'a, F> {
    file: &'a F,
    volume: VolumeNumber,
    depth: ScanDepth,
    at: u64,
    /// Bytes at `window_start`.
    window: Vec<u8>,
    window_start: u64,
}

impl<'a, F: VolumeFile> Scanner<'a, F> {
    /// A walk from `offset`, where a record begins.
    pub fn new(file: &'a F, volume: VolumeNumber, offset: u64, depth: ScanDepth) -> Self {
        Self {
            file,
            volume,
            depth,
            at: offset,
            window: Vec::new(),
            window_start: offset,
        }
    }

    /// Offset of what comes next.
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// The next thing. After `End` it is `End` again.
    pub fn next_item(&mut self) -> Result<ScanItem, ScanError> {
        match self.record_at(self.at)? {
            Ok((header, key)) => self.record(header, key),
            Err(_) => self.gap(),
        }
    }

    fn record(&mut self, header: RecordHeader, key: Vec<u8>) -> Result<ScanItem, ScanError> {
        let offset = self.at;
        let speaks = matches!(header.kind, RecordKind::Manifest | RecordKind::Tombstone);
        let is_wanted = speaks || self.depth != ScanDepth::Headers;
        let is_read = is_wanted && header.kind != RecordKind::Filler;
        let mut payload = Vec::new();
        let mut is_sound = true;
        if is_read {
            let is_given = speaks || self.depth == ScanDepth::Payloads;
            let start = offset + header.payload_start();
            let bytes = self.bytes(start, header.payload_len as usize)?;
            is_sound = Crc32::of(bytes) == header.payload_crc;
            if is_given {
                payload = bytes.to_vec();
            }
        }
        self.at += header.record_len();
        Ok(ScanItem::Record(ScannedRecord {
            offset,
            header,
            key,
            is_sound,
            payload,
        }))
    }

    /// Looks for the next record behind bytes that are none.
    fn gap(&mut self) -> Result<ScanItem, ScanError> {
        let start = self.at;
        let mut at = start;
        let mut garbage_end = start;
        while let Some(data) = self.next_data(at)? {
            at = data;
            let window_end = (at + WINDOW_LEN as u64).min(self.file.len());
            while at < window_end {
                let len = usize::try_from(window_end - at).unwrap_or(WINDOW_LEN);
                let Some(zeros) = leading_zeros(self.bytes(at, len)?) else {
                    at = window_end;
                    break;
                };
                at += zeros - zeros % RECORD_ALIGN;
                garbage_end = at + RECORD_ALIGN;
                if at != start && self.record_at(at)?.is_ok() {
                    self.at = at;
                    let range = start..at;
                    return Ok(ScanItem::Damage(Damage {
                        volume: self.volume,
                        range,
                    }));
                }
                at += RECORD_ALIGN;
            }
        }
        Ok(ScanItem::End {
            end: start,
            garbage_end,
        })
    }

    fn next_data(&self, offset: u64) -> Result<Option<u64>, ScanError> {
        let found = self
            .file
            .next_data(offset)
            .map_err(|source| self.error(offset, source))?;
        // A record begins at a multiple of the alignment.
        Ok(found.map(|data| offset.max(data - data % RECORD_ALIGN)))
    }

    fn record_at(
        &mut self,
        offset: u64,
    ) -> Result<Result<(RecordHeader, Vec<u8>), RecordError>, ScanError> {
        let left = self.file.len().saturating_sub(offset);
        let len = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(HEAD_LEN_MAX);
        let volume = self.volume;
        let bytes = self.bytes(offset, len)?;
        Ok(match UnverifiedRecord::decode(volume, bytes) {
            Ok(record) if left < record.header.record_len() => Err(RecordError::Short),
            Ok(record) => Ok((record.header, record.key.to_vec())),
            Err(error) => Err(error),
        })
    }

    /// `len` bytes at `offset`, through the window.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8], ScanError> {
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || window_end < offset + len as u64 {
            let left =
                usize::try_from(self.file.len().saturating_sub(offset)).unwrap_or(usize::MAX);
            let window_len = match self.depth {
                ScanDepth::Headers => HEADERS_WINDOW_LEN,
                ScanDepth::Verify | ScanDepth::Payloads => WINDOW_LEN,
            };
            self.window
                .resize(len.max(window_len).min(left.max(len)), 0);
            self.window_start = offset;
            if let Err(source) = self.file.read_at(&mut self.window, offset) {
                self.window.clear();
                return Err(self.error(offset, source));
            }
        }
        let start = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
        Ok(self.window.get(start..start + len).unwrap_or_default())
    }

    fn error(&self, offset: u64, source: io::Error) -> ScanError {
        ScanError {
            volume: self.volume,
            offset,
            source,
        }
    }
}

/// Number of zeros before the first other byte; `None` if there is none. Not every file system knows
/// its holes, so a walk may have to look at all of the space that a volume claimed and never used.
fn leading_zeros(bytes: &[u8]) -> Option<u64> {
    /// Bytes that are looked at together, by vector instructions.
    const TOGETHER: usize = 256;
    let is_zero = |chunk: &[u8]| chunk.iter().fold(0, |all, byte| all | byte) == 0;
    let blank = bytes.chunks(TOGETHER).take_while(|chunk| is_zero(chunk));
    let start = (blank.count() * TOGETHER).min(bytes.len());
    let rest = bytes.get(start..).unwrap_or_default();
    let place = rest.iter().position(|byte| *byte != 0)?;
    Some((start + place) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_counted_up_to_the_first_other_byte() {
        for len in [0, 1, 255, 256, 257, 1000] {
            let mut bytes = vec![0; len];
            assert_eq!(leading_zeros(&bytes), None, "{len}");
            for at in [0, 1, 255, 256, 511, 999] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = 1;
                    assert_eq!(leading_zeros(&bytes), Some(at as u64), "{at} of {len}");
                    bytes[at] = 0;
                }
            }
        }
    }
}
