//! Records: how a payload is framed in a volume. Document: docs/format/volume.md, record.
//!
//! A header's checksum covers the volume's number too, so bytes of another volume, or of an earlier
//! life of the same disk blocks, are never taken for a record of this one.

use bytes::BytesMut;
use common::codec::{Reader, Writer};
use common::digest::Crc32;

use super::{Stamp, Version, VolumeNumber};

/// Records begin at multiples of this many bytes.
pub const RECORD_ALIGN: u64 = 8;
/// Bytes of a header, before the key.
pub const RECORD_HEADER_LEN: usize = 44;
/// Longest key: a remote name is at most 127 bytes of text.
pub(super) const RECORD_KEY_LEN_MAX: usize = 128;
/// Longest payload in bytes: a manifest of a million parts.
pub(super) const RECORD_PAYLOAD_LEN_MAX: usize = 17 * 1024 * 1024;

/// No record is newer. A store that writes a million records a second comes here in 292,000 years,
/// so what is above it is no header of ours, and adding to a sequence number cannot overflow.
const SEQUENCE_MAX: u64 = 1 << 63;

const MAGIC: [u8; 4] = *b"Hrec";
const FLAG_MOVED: u8 = 1;

const _: () = assert!(common::limits::RECORD_PAYLOAD_LEN_MAX <= RECORD_PAYLOAD_LEN_MAX);

/// What a record is. The numbers are stable: they are on disk. 0 is never valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// The bytes of a whole blob.
    Blob = 1,
    /// A blob is deleted.
    Tombstone = 2,
    /// Bytes that a manifest refers to.
    Part = 3,
    /// The ordered parts that make a blob.
    Manifest = 4,
    /// The metadata of a blob; an empty payload means none.
    Metadata = 5,
    /// Nothing; its space is skipped.
    Filler = 6,
}

impl TryFrom<u8> for RecordKind {
    type Error = RecordError;

    fn try_from(byte: u8) -> Result<Self, Self::Error> {
        Ok(match byte {
            1 => Self::Blob,
            2 => Self::Tombstone,
            3 => Self::Part,
            4 => Self::Manifest,
            5 => Self::Metadata,
            6 => Self::Filler,
            other => return Err(RecordError::Kind(other)),
        })
    }
}

/// The fields in front of key and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record is.
    pub kind: RecordKind,
    /// Whether compaction copied the record from an older volume.
    pub moved: bool,
    /// Position in the order of all changes of the volume path; kept when the record moves.
    pub sequence: u64,
    /// Unix seconds of the change.
    pub time: u32,
    /// Version of what the record says about its key; nothing in parts and fillers.
    pub version: Version,
    /// Bytes of the key.
    pub key_len: u16,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// Checksum of the payload.
    pub payload_crc: Crc32,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// All zero: space that was never written.
    #[error("never written")]
    Blank,
    /// Something else than a record.
    #[error("no record here")]
    Magic,
    /// The header's checksum does not match.
    #[error("the checksum of the record header does not match")]
    HeaderChecksum,
    /// The payload's checksum does not match.
    #[error("the checksum of the payload does not match")]
    PayloadChecksum,
    /// A kind of record that this version does not know.
    #[error("unknown record kind {0}")]
    Kind(u8),
    /// Flags that this version does not know.
    #[error("unknown record flags {0:#04x}")]
    Flags(u8),
    /// A sequence number that no store reaches.
    #[error("the sequence number of the record is above its limit")]
    Sequence,
    /// A length above its limit.
    #[error("a length in the record header is above its limit")]
    Length,
    /// The record does not end within the bytes at hand.
    #[error("the record is cut short")]
    Short,
}

/// Bytes of a whole record, padding included.
pub fn record_len(key_len: usize, payload_len: usize) -> u64 {
    let unpadded = (RECORD_HEADER_LEN + key_len + payload_len) as u64;
    unpadded.next_multiple_of(RECORD_ALIGN)
}

impl RecordHeader {
    /// Appends header and key to `out`; payload and padding follow.
    pub fn encode(&self, volume: VolumeNumber, key: &[u8], out: &mut BytesMut) {
        debug_assert_eq!(usize::from(self.key_len), key.len());
        let start = out.len();
        let mut writer = Writer::new(out);
        writer.bytes(&MAGIC);
        writer.u8(self.kind as u8);
        writer.u8(if self.moved { FLAG_MOVED } else { 0 });
        writer.u16(self.key_len);
        writer.u32(self.payload_len);
        writer.u32(self.payload_crc.0);
        writer.u64(self.sequence);
        writer.u32(self.time);
        writer.u64(self.version.stamp.0);
        writer.u32(self.version.edit);
        let fields = out.get(start..).unwrap_or_default();
        let crc = header_crc(volume, fields, key);
        let mut writer = Writer::new(out);
        writer.u32(crc.0);
        writer.bytes(key);
    }

    /// Bytes of the whole record, padding included.
    pub fn record_len(&self) -> u64 {
        record_len(usize::from(self.key_len), self.payload_len as usize)
    }

    /// Offset of the payload from the record's start.
    pub fn payload_start(&self) -> u64 {
        (RECORD_HEADER_LEN + usize::from(self.key_len)) as u64
    }
}

fn header_crc(volume: VolumeNumber, fields: &[u8], key: &[u8]) -> Crc32 {
    let mut hasher = common::digest::Crc32Hasher::new();
    hasher.update(&volume.0.to_be_bytes());
    hasher.update(fields);
    hasher.update(key);
    hasher.finish()
}

/// A record whose header is sound and whose payload has not been checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnverifiedRecord<'a> {
    /// The fields.
    pub header: RecordHeader,
    /// What the record is about.
    pub key: &'a [u8],
}

impl<'a> UnverifiedRecord<'a> {
    /// Decodes header and key at the start of `bytes`, which may end anywhere behind the key.
    pub fn decode(volume: VolumeNumber, bytes: &'a [u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        let fields = reader
            .take(RECORD_HEADER_LEN - 4)
            .map_err(|_| RecordError::Short)?;
        let crc = Crc32(reader.u32().map_err(|_| RecordError::Short)?);
        let mut field = Reader::new(fields);
        let mut decode = || -> Result<_, common::codec::CodecError> {
            Ok((
                field.array::<4>()?,
                field.u8()?,
                field.u8()?,
                field.u16()?,
                field.u32()?,
                field.u32()?,
                field.u64()?,
                field.u32()?,
                Version {
                    stamp: Stamp(field.u64()?),
                    edit: field.u32()?,
                },
            ))
        };
        let (magic, kind, flags, key_len, payload_len, payload_crc, sequence, time, version) =
            decode().map_err(|_| RecordError::Short)?;
        if magic != MAGIC {
            let blank = crc.0 == 0 && fields.iter().all(|byte| *byte == 0);
            return Err(if blank {
                RecordError::Blank
            } else {
                RecordError::Magic
            });
        }
        if RECORD_KEY_LEN_MAX < usize::from(key_len)
            || RECORD_PAYLOAD_LEN_MAX < payload_len as usize
        {
            return Err(RecordError::Length);
        }
        let key = reader
            .take(usize::from(key_len))
            .map_err(|_| RecordError::Short)?;
        if header_crc(volume, fields, key) != crc {
            return Err(RecordError::HeaderChecksum);
        }
        if flags & !FLAG_MOVED != 0 {
            return Err(RecordError::Flags(flags));
        }
        if SEQUENCE_MAX < sequence {
            return Err(RecordError::Sequence);
        }
        let header = RecordHeader {
            kind: kind.try_into()?,
            moved: flags & FLAG_MOVED != 0,
            sequence,
            time,
            version,
            key_len,
            payload_len,
            payload_crc: Crc32(payload_crc),
        };
        Ok(Self { header, key })
    }

    /// Checks the payload.
    pub fn verify(&self, payload: &[u8]) -> Result<(), RecordError> {
        if payload.len() != self.header.payload_len as usize {
            return Err(RecordError::Short);
        }
        if Crc32::of(payload) == self.header.payload_crc {
            Ok(())
        } else {
            Err(RecordError::PayloadChecksum)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VOLUME: VolumeNumber = VolumeNumber(3);

    fn encoded(payload: &[u8], key: &[u8]) -> BytesMut {
        let header = RecordHeader {
            kind: RecordKind::Blob,
            moved: false,
            sequence: 0x0102_0304_0506_0708,
            time: 1_700_000_000,
            version: Version {
                stamp: Stamp(0x1112_1314_1516_1718),
                edit: 0x191a_1b1c,
            },
            key_len: u16::try_from(key.len()).unwrap(),
            payload_len: u32::try_from(payload.len()).unwrap(),
            payload_crc: Crc32::of(payload),
        };
        let mut out = BytesMut::new();
        header.encode(VOLUME, key, &mut out);
        out.extend_from_slice(payload);
        out
    }

    /// The worked example of docs/format/volume.md.
    #[test]
    fn the_layout_is_the_documented_one() {
        let fields = [
            "48726563",         // magic "Hrec"
            "01",               // kind: blob
            "00",               // flags
            "0003",             // key length
            "00000005",         // payload length
            "3610a686",         // payload checksum
            "0102030405060708", // sequence number
            "6553f100",         // time
            "1112131415161718", // version: stamp
            "191a1b1c",         // version: edit
            "832f3f18",         // header checksum
            "6b6579",           // key "key"
            "68656c6c6f",       // payload "hello"
        ];
        let bytes = encoded(b"hello", b"key");
        let hex = bytes
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(hex, fields.concat());
        assert_eq!(record_len(3, 5), 56, "four bytes of padding");
    }

    #[test]
    fn records_of_another_volume_are_not_ours() {
        let bytes = encoded(b"hello", b"key");
        assert!(UnverifiedRecord::decode(VOLUME, &bytes).is_ok());
        assert_eq!(
            UnverifiedRecord::decode(VolumeNumber(4), &bytes),
            Err(RecordError::HeaderChecksum)
        );
    }

    #[test]
    fn zeros_are_blank_and_a_flipped_payload_is_found() {
        assert_eq!(
            UnverifiedRecord::decode(VOLUME, &[0; 64]),
            Err(RecordError::Blank)
        );
        let bytes = encoded(b"hello", b"key");
        let record = UnverifiedRecord::decode(VOLUME, &bytes).unwrap();
        assert_eq!(record.verify(b"hello"), Ok(()));
        assert_eq!(record.verify(b"hallo"), Err(RecordError::PayloadChecksum));
        assert_eq!(record.verify(b"hell"), Err(RecordError::Short));
    }

    proptest! {
        #[test]
        fn any_flipped_header_byte_is_noticed(at in 0usize..47, bit in 0u8..8) {
            let mut bytes = encoded(b"hello", b"key");
            bytes[at] ^= 1 << bit;
            prop_assert!(UnverifiedRecord::decode(VOLUME, &bytes).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = UnverifiedRecord::decode(VOLUME, &bytes);
        }
    }
}
