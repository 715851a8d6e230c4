//! Manifests: one blob of many parts. Document: docs/format/volume.md, manifest.

use std::ops::Range;

use bytes::BytesMut;
use common::codec::{CodecError, Reader, Writer};
use common::digest::Crc32;
use common::limits;

const VERSION: u8 = 1;
const FLAG_CRC_KNOWN: u8 = 1;
const SEGMENT_LEN: usize = 16;
/// Segments of one manifest: a tebibyte in whole parts.
const SEGMENTS_MAX: usize = 1 << 20;

/// Names a part for ever: the sequence number that its record was first written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub u64);

impl PartId {
    /// Stands for zero bytes that are stored nowhere. Sequence numbers begin at 1.
    pub const HOLE: Self = Self(0);
}

/// A run of bytes of a blob: a range within a part's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The part, or [`PartId::HOLE`].
    pub part: PartId,
    /// First byte within the part.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

/// The ordered segments that make a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    segments: Vec<Segment>,
    len: u64,
    /// Checksum of all bytes, if it is known without reading them.
    pub crc: Option<Crc32>,
    /// Key of the blob that this manifest takes the place of, when an appender becomes a normal
    /// blob: one record does both, so no crash can leave two owners of the parts.
    pub replaces: Option<Vec<u8>>,
}

/// Why a change to a manifest, or its bytes, are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Damaged or from a newer version.
    #[error("malformed manifest")]
    Codec(#[from] CodecError),
    /// More segments than a manifest may have.
    #[error("more than {SEGMENTS_MAX} segments; remedy: write in larger pieces")]
    TooManySegments,
    /// Longer than a blob may be.
    #[error("longer than {} bytes", limits::BLOB_LEN_MAX)]
    TooLong,
}

impl Manifest {
    /// The segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes of the blob.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the blob has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a segment at the end. The caller keeps `crc` true.
    pub fn push(&mut self, segment: Segment) -> Result<(), ManifestError> {
        if segment.len == 0 {
            return Ok(());
        }
        if segment.start.checked_add(segment.len).is_none() {
            return Err(CodecError::Field("segment end").into());
        }
        if SEGMENTS_MAX <= self.segments.len() {
            return Err(ManifestError::TooManySegments);
        }
        let len = self.len + u64::from(segment.len);
        if limits::BLOB_LEN_MAX < len {
            return Err(ManifestError::TooLong);
        }
        self.segments.push(segment);
        self.len = len;
        Ok(())
    }

    /// Takes the last segment away.
    pub fn pop(&mut self) -> Option<Segment> {
        let segment = self.segments.pop()?;
        self.len -= u64::from(segment.len);
        Some(segment)
    }

    /// The pieces that make `range`, which is cut at the blob's end.
    pub fn slice(&self, range: Range<u64>) -> Vec<Segment> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for segment in &self.segments {
            let end = start + u64::from(segment.len);
            let from = range.start.clamp(start, end) - start;
            let to = range.end.clamp(start, end) - start;
            // Both fit, for they are at most `segment.len`.
            if let (Ok(from), Ok(to)) = (u32::try_from(from), u32::try_from(to))
                && from < to
            {
                pieces.push(Segment {
                    part: segment.part,
                    start: segment.start + from,
                    len: to - from,
                });
            }
            start = end;
        }
        pieces
    }

    /// The manifest of these ranges in this order, each within the blob and none empty. Checksum and
    /// replaced key are the caller's to say.
    ///
    /// Time is that of the segments that come out, and a look at each segment there is: not their
    /// product, which could be billions.
    pub fn arrange(&self, ranges: &[Range<u64>]) -> Result<Self, ManifestError> {
        let mut starts = Vec::with_capacity(self.segments.len());
        let mut start = 0;
        for segment in &self.segments {
            starts.push(start);
            start += u64::from(segment.len);
        }
        let mut arranged = Self::default();
        for range in ranges {
            let first = starts.partition_point(|start| *start <= range.start);
            let behind = first.saturating_sub(1)..self.segments.len();
            let segments = self.segments.get(behind.clone()).unwrap_or_default();
            let starts = starts.get(behind).unwrap_or_default();
            for (segment, start) in segments.iter().zip(starts) {
                if range.end <= *start {
                    break;
                }
                // Both fit, for they are at most `segment.len`.
                let from = range.start.saturating_sub(*start);
                let to = (range.end - start).min(segment.len.into());
                if let (Ok(from), Ok(to)) = (u32::try_from(from), u32::try_from(to))
                    && from < to
                {
                    arranged.join(Segment {
                        part: segment.part,
                        start: segment.start + from,
                        len: to - from,
                    })?;
                }
            }
        }
        Ok(arranged)
    }

    /// Adds a segment at the end, as one with the last where it goes on there.
    fn join(&mut self, segment: Segment) -> Result<(), ManifestError> {
        if let Some(last) = self.segments.last_mut()
            && last.part == segment.part
            && last.part != PartId::HOLE
            && last.start + last.len == segment.start
            && self.len + u64::from(segment.len) <= limits::BLOB_LEN_MAX
        {
            last.len += segment.len;
            self.len += u64::from(segment.len);
            return Ok(());
        }
        self.push(segment)
    }

    /// The manifest in which `content` stands at `offset` in place of what was there. `offset` is at
    /// most the length; the checksum is unknown afterwards.
    pub fn overwrite(&self, offset: u64, content: &[Segment]) -> Result<Self, ManifestError> {
        let content_len: u64 = content.iter().map(|segment| u64::from(segment.len)).sum();
        let mut changed = Self::default();
        let before = self.slice(0..offset);
        let after = self.slice(offset.saturating_add(content_len)..u64::MAX);
        for segment in before.iter().chain(content).chain(&after) {
            changed.push(*segment)?;
        }
        Ok(changed)
    }

    /// The manifest cut, or extended with zeros, to `len` bytes.
    pub fn truncate(&self, len: u64) -> Result<Self, ManifestError> {
        if limits::BLOB_LEN_MAX < len {
            return Err(ManifestError::TooLong);
        }
        let mut changed = Self::default();
        for segment in self.slice(0..len) {
            changed.push(segment)?;
        }
        while changed.len < len {
            let missing = u32::try_from(len - changed.len).unwrap_or(u32::MAX);
            changed.push(Segment {
                part: PartId::HOLE,
                start: 0,
                len: missing,
            })?;
        }
        Ok(changed)
    }

    /// Encodes the payload of a manifest record.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(24 + self.segments.len() * SEGMENT_LEN);
        let mut writer = Writer::new(&mut out);
        writer.u8(VERSION);
        writer.u8(if self.crc.is_some() {
            FLAG_CRC_KNOWN
        } else {
            0
        });
        let replaces = self.replaces.as_deref().unwrap_or_default();
        // Keys are at most 128 bytes.
        writer.u16(u16::try_from(replaces.len()).unwrap_or_default());
        writer.u32(self.crc.unwrap_or_default().0);
        writer.u32(u32::try_from(self.segments.len()).unwrap_or_default());
        writer.bytes(replaces);
        for segment in &self.segments {
            writer.u64(segment.part.0);
            writer.u32(segment.start);
            writer.u32(segment.len);
        }
        out
    }

    /// Decodes the payload of a manifest record.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(CodecError::Field("manifest version").into());
        }
        let flags = reader.u8()?;
        if flags & !FLAG_CRC_KNOWN != 0 {
            return Err(CodecError::Field("manifest flags").into());
        }
        let replaces_len = usize::from(reader.u16()?);
        let crc = Crc32(reader.u32()?);
        let count = reader.u32()? as usize;
        let replaces = reader.take(replaces_len)?;
        if reader.left() != count * SEGMENT_LEN {
            return Err(CodecError::Field("segment count").into());
        }
        let mut manifest = Self {
            segments: Vec::with_capacity(count),
            len: 0,
            crc: (flags & FLAG_CRC_KNOWN != 0).then_some(crc),
            replaces: (!replaces.is_empty()).then(|| replaces.to_vec()),
        };
        for _ in 0..count {
            let segment = Segment {
                part: PartId(reader.u64()?),
                start: reader.u32()?,
                len: reader.u32()?,
            };
            manifest.push(segment)?;
        }
        reader.finish()?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(part: u64, start: u32, len: u32) -> Segment {
        Segment {
            part: PartId(part),
            start,
            len,
        }
    }

    /// What a reader would see: (part, offset in part) for each byte.
    fn bytes(manifest: &Manifest) -> Vec<(u64, u32)> {
        let each = |s: &Segment| {
            (0..s.len)
                .map(|at| (s.part.0, s.start + at))
                .collect::<Vec<_>>()
        };
        manifest.segments().iter().flat_map(each).collect()
    }

    fn manifest(lens: &[u32]) -> Manifest {
        let mut manifest = Manifest::default();
        for (part, len) in (1..).zip(lens) {
            manifest.push(segment(part, 0, *len)).unwrap();
        }
        manifest
    }

    #[test]
    fn manifests_round_trip_with_and_without_checksum_and_replaced_key() {
        let mut example = manifest(&[5, 7]);
        assert_eq!(Manifest::decode(&example.encode()), Ok(example.clone()));
        example.crc = Some(Crc32(9));
        example.replaces = Some(b"old".to_vec());
        assert_eq!(Manifest::decode(&example.encode()), Ok(example));
    }

    #[test]
    fn extending_fills_with_holes() {
        let longer = manifest(&[3]).truncate(5).unwrap();
        assert_eq!(longer.segments(), &[segment(1, 0, 3), segment(0, 0, 2)]);
    }

    proptest! {
        #[test]
        fn overwriting_equals_overwriting_a_vector(
            lens in proptest::collection::vec(1u32..9, 0..6), at in 0u64..40, len in 1u32..20,
        ) {
            let before = manifest(&lens);
            let at = at.min(before.len());
            let after = before.overwrite(at, &[segment(99, 4, len)]).unwrap();
            let mut model = bytes(&before);
            let at = usize::try_from(at).unwrap();
            let end = (at + len as usize).min(model.len());
            model.splice(at..end, (0..len).map(|byte| (99, 4 + byte)));
            prop_assert_eq!(bytes(&after), model);
        }

        #[test]
        fn truncating_equals_truncating_a_vector(
            lens in proptest::collection::vec(1u32..9, 0..6), len in 0u64..40,
        ) {
            let before = manifest(&lens);
            let after = before.truncate(len).unwrap();
            prop_assert_eq!(after.len(), len);
            let kept = usize::try_from(len.min(before.len())).unwrap();
            prop_assert_eq!(&bytes(&after)[..kept], &bytes(&before)[..kept]);
        }

        #[test]
        fn arranging_equals_arranging_a_vector(
            lens in proptest::collection::vec(1u32..9, 0..6),
            ranges in proptest::collection::vec((0u64..40, 0u64..40), 0..6),
        ) {
            let before = manifest(&lens);
            let len = before.len();
            let ranges: Vec<_> = ranges
                .into_iter()
                .map(|(from, to)| from.min(len)..to.min(len))
                .filter(|range| range.start < range.end)
                .collect();
            let arranged = before.arrange(&ranges).unwrap();
            let model = bytes(&before);
            let model: Vec<_> = ranges
                .iter()
                .flat_map(|range| {
                    let at = |offset: u64| usize::try_from(offset).unwrap();
                    model[at(range.start)..at(range.end)].to_vec()
                })
                .collect();
            prop_assert_eq!(arranged.len(), model.len() as u64);
            prop_assert_eq!(bytes(&arranged), model);
            // Pieces that lie one behind the other are one again.
            let halves: Vec<_> = (0..len).map(|at| at..at + 1).collect();
            let whole = before.arrange(&halves).unwrap();
            prop_assert_eq!(whole.segments(), before.segments());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::decode(&bytes);
        }
    }
}
