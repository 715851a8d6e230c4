//! Keys and values of the index. Document: docs/format/index.md.
//!
//! The first byte of a key tells what it is about; values are a few fixed fields.

use bytes::BytesMut;
use common::codec::{CodecError, Reader, Writer};

use super::{Extent, PartId, RECORD_ALIGN, RecordHeader, RecordKind, Stamp, Version, VolumeNumber};

/// A key of the index.
///
/// | key | one per | value |
/// |---|---|---|
/// | `B` name | live blob | where its blob or manifest record lies |
/// | `M` name | blob with metadata | where its metadata record lies |
/// | `O` part | part without manifest | nothing |
/// | `P` part | part that is not dropped | where it lies |
/// | `T` name | ended blob of which a peer may not know yet | where its tombstone lies |
/// | `V` volume | volume | [`VolumeStats`] |
/// | `W` | index | [`ReplayPosition`] |
/// | `L` | index | [`LogName`] |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexKey<'a> {
    /// A blob, by the binary form of its remote name.
    Blob(&'a [u8]),
    /// The metadata of a blob.
    Metadata(&'a [u8]),
    /// A part that no manifest refers to yet; what is left of these at start is dropped.
    OpenPart(PartId),
    /// A part.
    Part(PartId),
    /// The tombstone of a blob.
    Tombstone(&'a [u8]),
    /// Statistics of a volume.
    Volume(VolumeNumber),
    /// Where replay of the volumes must begin.
    Replay,
    /// Which log the volumes are.
    Log,
}

impl<'a> IndexKey<'a> {
    /// Prefix of the keys of blobs.
    pub const BLOB: u8 = b'B';
    /// Prefix of the keys of metadata.
    pub const METADATA: u8 = b'M';
    /// Prefix of the keys of open parts.
    pub const OPEN_PART: u8 = b'O';
    /// Prefix of the keys of parts.
    pub const PART: u8 = b'P';
    /// Prefix of the keys of tombstones.
    pub const TOMBSTONE: u8 = b'T';
    /// Prefix of the keys of volumes.
    pub const VOLUME: u8 = b'V';
    const REPLAY: u8 = b'W';
    const LOG: u8 = b'L';

    /// The key under which the index shows the record with this header and key; `None` for records
    /// that it does not show.
    pub fn of_record(header: &RecordHeader, key: &'a [u8]) -> Option<Self> {
        match header.kind {
            RecordKind::Blob | RecordKind::Manifest => Some(Self::Blob(key)),
            RecordKind::Metadata => Some(Self::Metadata(key)),
            RecordKind::Part => Some(Self::Part(PartId(header.sequence))),
            RecordKind::Tombstone | RecordKind::Filler => None,
        }
    }

    /// Encodes the key.
    pub fn encode(self) -> Vec<u8> {
        let with = |prefix: u8, rest: &[u8]| {
            let mut key = Vec::with_capacity(1 + rest.len());
            key.push(prefix);
            key.extend_from_slice(rest);
            key
        };
        match self {
            Self::Blob(name) => with(Self::BLOB, name),
            Self::Metadata(name) => with(Self::METADATA, name),
            Self::OpenPart(part) => with(Self::OPEN_PART, &part.0.to_be_bytes()),
            Self::Part(part) => with(Self::PART, &part.0.to_be_bytes()),
            Self::Tombstone(name) => with(Self::TOMBSTONE, name),
            Self::Volume(number) => with(Self::VOLUME, &number.0.to_be_bytes()),
            Self::Replay => vec![Self::REPLAY],
            Self::Log => vec![Self::LOG],
        }
    }

    /// Decodes a key.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let key = match reader.u8()? {
            Self::BLOB => Self::Blob(reader.rest()),
            Self::METADATA => Self::Metadata(reader.rest()),
            Self::OPEN_PART => Self::OpenPart(PartId(reader.u64()?)),
            Self::PART => Self::Part(PartId(reader.u64()?)),
            Self::TOMBSTONE => Self::Tombstone(reader.rest()),
            Self::VOLUME => Self::Volume(VolumeNumber(reader.u32()?)),
            Self::REPLAY => Self::Replay,
            Self::LOG => Self::Log,
            _ => return Err(CodecError::Field("index key prefix")),
        };
        reader.finish()?;
        Ok(key)
    }
}

/// Where the record of a blob, part, tombstone or metadata lies, of which kind and version it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexValue {
    /// Kind of the record.
    pub kind: RecordKind,
    /// Its place.
    pub extent: Extent,
    /// Its version.
    pub version: Version,
}

impl IndexValue {
    /// Encodes the value in 25 bytes.
    pub fn encode(&self) -> [u8; 25] {
        let mut out = [0; 25];
        // Volume files are shorter than 32 GiB, so the offset in units of the alignment fits.
        let offset = u32::try_from(self.extent.offset / RECORD_ALIGN).unwrap_or(u32::MAX);
        let fields = [self.kind as u8]
            .into_iter()
            .chain(self.extent.volume.0.to_be_bytes())
            .chain(offset.to_be_bytes())
            .chain(self.extent.payload_len.to_be_bytes())
            .chain(self.version.stamp.0.to_be_bytes())
            .chain(self.version.edit.to_be_bytes());
        for (target, byte) in out.iter_mut().zip(fields) {
            *target = byte;
        }
        out
    }

    /// Decodes a value.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let kind =
            RecordKind::try_from(reader.u8()?).map_err(|_| CodecError::Field("record kind"))?;
        let extent = Extent {
            volume: VolumeNumber(reader.u32()?),
            offset: u64::from(reader.u32()?) * RECORD_ALIGN,
            payload_len: reader.u32()?,
        };
        let version = Version {
            stamp: Stamp(reader.u64()?),
            edit: reader.u32()?,
        };
        reader.finish()?;
        Ok(Self {
            kind,
            extent,
            version,
        })
    }
}

/// What a volume holds. Kept in the same batch as the changes that it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeStats {
    /// Bytes of records that are still needed, headers and padding included.
    pub live_bytes: u64,
    /// Records that are still needed.
    pub live_records: u64,
    /// Offset behind the last record.
    pub end: u64,
}

impl VolumeStats {
    /// Encodes the value.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(24);
        let mut writer = Writer::new(&mut out);
        writer.u64(self.live_bytes);
        writer.u64(self.live_records);
        writer.u64(self.end);
        out
    }

    /// Decodes a value.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let stats = Self {
            live_bytes: reader.u64()?,
            live_records: reader.u64()?,
            end: reader.u64()?,
        };
        reader.finish()?;
        Ok(stats)
    }
}

/// A place in the order of all records: volume number, then offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The volume.
    pub volume: VolumeNumber,
    /// The offset within it.
    pub offset: u64,
}

/// How far the index got, and the numbers that must not be used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayPosition {
    /// The index shows exactly the records before this place.
    pub applied: Position,
    /// Records before this place were durable when the index said so; later ones are looked at
    /// again after a crash. Never after `applied`.
    pub synced: Position,
    /// Lowest sequence number never used.
    pub next_sequence: u64,
    /// Highest stamp of a version that was ever seen.
    pub stamp: Stamp,
}

impl ReplayPosition {
    /// Encodes the value.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(40);
        let mut writer = Writer::new(&mut out);
        for position in [self.applied, self.synced] {
            writer.u32(position.volume.0);
            writer.u64(position.offset);
        }
        writer.u64(self.next_sequence);
        writer.u64(self.stamp.0);
        out
    }

    /// Decodes a value.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let mut position = || -> Result<Position, CodecError> {
            Ok(Position {
                volume: VolumeNumber(reader.u32()?),
                offset: reader.u64()?,
            })
        };
        let (applied, synced) = (position()?, position()?);
        let next_sequence = reader.u64()?;
        let stamp = Stamp(reader.u64()?);
        reader.finish()?;
        Ok(Self {
            applied,
            synced,
            next_sequence,
            stamp,
        })
    }
}

/// Which log the volumes are, for the peers of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogName {
    /// A random number.
    pub number: u64,
    /// Whether peers may have seen records before they were durable.
    pub is_ahead: bool,
}

impl LogName {
    /// Encodes the value.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(9);
        let mut writer = Writer::new(&mut out);
        writer.u64(self.number);
        writer.u8(u8::from(self.is_ahead));
        out
    }

    /// Decodes a value.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let number = reader.u64()?;
        let is_ahead = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(CodecError::Field("flag of the log")),
        };
        reader.finish()?;
        Ok(Self { number, is_ahead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_round_trip() {
        for key in [
            IndexKey::Blob(b"name"),
            IndexKey::Metadata(b""),
            IndexKey::OpenPart(PartId(7)),
            IndexKey::Part(PartId(u64::MAX)),
            IndexKey::Tombstone(b"name"),
            IndexKey::Volume(VolumeNumber(5)),
            IndexKey::Replay,
            IndexKey::Log,
        ] {
            assert_eq!(IndexKey::decode(&key.encode()), Ok(key));
        }
        let extent = Extent {
            volume: VolumeNumber(2),
            offset: 4096,
            payload_len: 17,
        };
        let value = IndexValue {
            kind: RecordKind::Manifest,
            extent,
            version: Version {
                stamp: Stamp(9),
                edit: 8,
            },
        };
        assert_eq!(IndexValue::decode(&value.encode()), Ok(value));
        let stats = VolumeStats {
            live_bytes: 1,
            live_records: 2,
            end: 3,
        };
        assert_eq!(VolumeStats::decode(&stats.encode()), Ok(stats));
        let applied = Position {
            volume: VolumeNumber(1),
            offset: 2,
        };
        let synced = Position {
            volume: VolumeNumber(1),
            offset: 1,
        };
        let position = ReplayPosition {
            applied,
            synced,
            next_sequence: 3,
            stamp: Stamp(4),
        };
        assert_eq!(ReplayPosition::decode(&position.encode()), Ok(position));
    }

    /// The worked example of docs/format/index.md.
    #[test]
    fn a_place_has_the_documented_layout() {
        let value = IndexValue {
            kind: RecordKind::Blob,
            extent: Extent {
                volume: VolumeNumber(2),
                offset: 4176,
                payload_len: 5,
            },
            version: Version {
                stamp: Stamp(0x0102_0304_0506_0708),
                edit: 1,
            },
        };
        let place = *b"\x01\0\0\0\x02\0\0\x02\x0a\0\0\0\x05";
        let version = *b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x01";
        assert_eq!(value.encode().to_vec(), [&place[..], &version].concat());
    }

    #[test]
    fn damaged_values_are_errors() {
        assert!(IndexValue::decode(&[0; 25]).is_err());
        assert!(IndexValue::decode(&[1; 24]).is_err());
        assert!(IndexKey::decode(b"").is_err());
        assert!(IndexKey::decode(b"?").is_err());
    }
}
