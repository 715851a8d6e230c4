//! The first block of every volume file. Document: docs/format/volume.md, superblock.

use bytes::BytesMut;
use common::codec::{CodecError, Reader, Writer};
use common::digest::Crc32;
use common::id::VolumePath;

use super::VolumeNumber;

/// Bytes that the superblock takes; the first record begins behind it.
pub const SUPERBLOCK_LEN: usize = 4096;

const MAGIC: [u8; 8] = *b"HAYLOFTv";
const VERSION: u16 = 2;
/// Bytes before the checksum.
pub const SUPERBLOCK_FIELDS_LEN: usize = 8 + 2 + 1 + 1 + 4 + 8 + 8 + 4 + 16 + 8;

const _: () = assert!(SUPERBLOCK_FIELDS_LEN == 60);

/// What a volume file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Slot that the volume belongs to.
    pub volume_path: VolumePath,
    /// Number within the slot.
    pub number: VolumeNumber,
    /// Bytes of the whole file.
    pub len: u64,
    /// Sequence number that the first record appended to it may have.
    pub first_sequence: u64,
    /// Unix seconds of its creation.
    pub created: u32,
    /// Identity of the store that made it, so that a stray file is not taken for ours.
    pub store: [u8; 16],
    /// Where the volume before this one ended when this one was made; 0 if that was not known. Bytes
    /// behind it are what a failed write left, and no records, whatever they look like.
    pub previous_end: u64,
}

/// Why bytes are not a superblock of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuperblockError {
    /// Not a volume file at all.
    #[error("no volume file: the magic number is missing")]
    Magic,
    /// Written by another Hayloft: a newer one, or one from before the first release.
    #[error(
        "volume format {0}, this version reads {VERSION}; remedy: use the Hayloft that wrote it"
    )]
    Version(u16),
    /// Damaged.
    #[error("the checksum of the superblock does not match")]
    Checksum,
    /// Shorter than a superblock.
    #[error("the superblock is cut short")]
    Short(#[from] CodecError),
}

impl Superblock {
    /// Encodes the block, padded to [`SUPERBLOCK_LEN`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::with_capacity(SUPERBLOCK_LEN);
        let mut writer = Writer::new(&mut out);
        writer.bytes(&MAGIC);
        writer.u16(VERSION);
        writer.u8(self.volume_path.0);
        writer.u8(0);
        writer.u32(self.number.0);
        writer.u64(self.len);
        writer.u64(self.first_sequence);
        writer.u32(self.created);
        writer.bytes(&self.store);
        writer.u64(self.previous_end);
        let crc = Crc32::of(&out);
        Writer::new(&mut out).u32(crc.0);
        out.resize(SUPERBLOCK_LEN, 0);
        out.to_vec()
    }

    /// Decodes a block.
    pub fn decode(bytes: &[u8]) -> Result<Self, SuperblockError> {
        let mut reader = Reader::new(bytes);
        let fields = reader.take(SUPERBLOCK_FIELDS_LEN)?;
        let crc = Crc32(reader.u32()?);
        let mut reader = Reader::new(fields);
        if reader.array::<8>()? != MAGIC {
            return Err(SuperblockError::Magic);
        }
        let version = reader.u16()?;
        // First, so that a flipped bit does not look like a newer version.
        if Crc32::of(fields) != crc {
            return Err(SuperblockError::Checksum);
        }
        if version != VERSION {
            return Err(SuperblockError::Version(version));
        }
        let volume_path = VolumePath(reader.u8()?);
        reader.u8()?;
        Ok(Self {
            volume_path,
            number: VolumeNumber(reader.u32()?),
            len: reader.u64()?,
            first_sequence: reader.u64()?,
            created: reader.u32()?,
            store: reader.array()?,
            previous_end: reader.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Superblock {
        Superblock {
            volume_path: VolumePath(2),
            number: VolumeNumber(7),
            len: 1 << 30,
            first_sequence: 42,
            created: 1_700_000_000,
            store: [9; 16],
            previous_end: 4096,
        }
    }

    #[test]
    fn superblocks_round_trip() {
        let bytes = example().encode();
        assert_eq!(bytes.len(), SUPERBLOCK_LEN);
        assert_eq!(Superblock::decode(&bytes), Ok(example()));
    }

    #[test]
    fn damage_and_foreign_files_are_told_apart() {
        let mut bytes = example().encode();
        bytes[20] ^= 1;
        assert_eq!(Superblock::decode(&bytes), Err(SuperblockError::Checksum));
        bytes[0] = 0;
        assert_eq!(Superblock::decode(&bytes), Err(SuperblockError::Magic));
        assert!(matches!(
            Superblock::decode(&bytes[..9]),
            Err(SuperblockError::Short(_))
        ));
        let mut newer = example().encode();
        newer[9] = 3;
        assert_eq!(Superblock::decode(&newer), Err(SuperblockError::Checksum));
        let crc = Crc32::of(&newer[..SUPERBLOCK_FIELDS_LEN]).0.to_be_bytes();
        newer[SUPERBLOCK_FIELDS_LEN..SUPERBLOCK_FIELDS_LEN + 4].copy_from_slice(&crc);
        assert_eq!(Superblock::decode(&newer), Err(SuperblockError::Version(3)));
    }
}
