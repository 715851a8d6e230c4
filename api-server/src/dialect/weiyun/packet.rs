//! The packet of a control upload: one block of a file behind a binary head.
//! Source: docs/api/weiyun.md §4.1.
//!
//! The block streams through as slices of what came in; only the head is kept. How the packet is cut
//! into pieces changes nothing.

use bytes::Bytes;
use common::codec::{CodecError, Reader};

use super::key::{self, UploadKey};
use crate::service;

/// What a packet begins with, and no form does.
pub(super) const MAGIC: [u8; 4] = [0xab, 0xcd, 0x98, 0x76];
/// The one command that there is.
const COMMAND: u32 = 1000;
/// Bytes in front of the upload key: magic, command, sequence, length, and the key's length.
const PREFIX_LEN: usize = 4 * 4 + 2;
/// Bytes of the file key, a SHA-1.
const FILE_KEY_LEN: usize = 20;
/// Bytes behind the upload key and in front of the block: the file key with its length, and three
/// numbers.
const SUFFIX_LEN: usize = 2 + FILE_KEY_LEN + 3 * 4;
/// Bytes of the largest block.
pub(super) const BLOCK_LEN_MAX: u32 = 16 * 1024 * 1024;
const _: () = assert!(BLOCK_LEN_MAX as u64 == service::BLOCK_LEN_MAX);
/// Bytes of the largest packet.
pub(super) const LEN_MAX: u64 =
    (PREFIX_LEN + key::LEN_MAX + SUFFIX_LEN) as u64 + BLOCK_LEN_MAX as u64;

/// Why a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PacketError {
    /// It begins with something else.
    #[error("the packet does not begin with its magic number")]
    Magic,
    /// It is another request.
    #[error("the packet has the command {0}, {COMMAND} is known")]
    Command(u32),
    /// No key is as long, or none at all.
    #[error("the upload key has {0} bytes")]
    KeyLen(u16),
    /// The file key is no SHA-1.
    #[error("the file key has {0} bytes, {FILE_KEY_LEN} are expected")]
    FileKeyLen(u16),
    /// The block is larger than blocks may be.
    #[error("the block has {0} bytes, {BLOCK_LEN_MAX} are the most")]
    BlockLen(u32),
    /// The lengths of the parts do not make the length of the whole.
    #[error("the packet announces {announced} bytes, its parts have {parts}")]
    Len {
        /// What the head says.
        announced: u32,
        /// What its parts make.
        parts: u64,
    },
    /// The body ended too early.
    #[error("the packet was cut")]
    Cut,
    /// The body goes on behind the block.
    #[error("bytes follow the packet")]
    Trailing,
}

impl From<CodecError> for PacketError {
    /// All lengths are known before something is decoded, so that nothing but this is left to be
    /// wrong.
    fn from(_: CodecError) -> Self {
        Self::Cut
    }
}

/// What stands in front of the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PacketHead {
    /// The permission.
    pub(super) key: UploadKey,
    /// SHA-1 of the whole file.
    pub(super) file_key: [u8; FILE_KEY_LEN],
    /// Bytes of the whole file.
    pub(super) file_size: u32,
    /// Bytes in front of the block.
    pub(super) offset: u32,
    /// Bytes of the block.
    pub(super) block_len: u32,
}

/// Reads one packet.
pub(super) struct Decoder {
    state: State,
}

enum State {
    /// What came of the head, and how many bytes of it are known to be needed.
    Head { bytes: Vec<u8>, wanted: usize },
    /// So many bytes of the block are still to come.
    Block(u32),
}

/// A key may be in what is kept.
impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub(super) fn new() -> Self {
        Self {
            state: State::Head {
                bytes: Vec::new(),
                wanted: PREFIX_LEN,
            },
        }
    }

    /// Takes what belongs to the head from `input`, and gives the head once it is complete. What is
    /// left of the input is the block's.
    pub(super) fn head(&mut self, input: &mut Bytes) -> Result<Option<PacketHead>, PacketError> {
        let State::Head { bytes, wanted } = &mut self.state else {
            return Ok(None);
        };
        loop {
            let missing = wanted.saturating_sub(bytes.len());
            bytes.extend_from_slice(&input.split_to(missing.min(input.len())));
            if bytes.len() < *wanted {
                return Ok(None);
            }
            let key_len = key_len(bytes)?;
            let len = PREFIX_LEN + key_len + SUFFIX_LEN;
            if *wanted < len {
                *wanted = len;
                continue;
            }
            let head = parse(bytes, key_len)?;
            self.state = State::Block(head.block_len);
            return Ok(Some(head));
        }
    }

    /// Checks that `piece` is not more than the block has, and counts it.
    pub(super) fn block(&mut self, piece: &[u8]) -> Result<(), PacketError> {
        match &mut self.state {
            State::Block(missing) => {
                let len = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                *missing = missing.checked_sub(len).ok_or(PacketError::Trailing)?;
                Ok(())
            }
            State::Head { .. } => Err(PacketError::Cut),
        }
    }

    /// Ends the body.
    pub(super) fn finish(self) -> Result<(), PacketError> {
        match self.state {
            State::Block(0) => Ok(()),
            State::Block(_) | State::Head { .. } => Err(PacketError::Cut),
        }
    }
}

/// Checks what stands in front of the key, and says how long the key is.
fn key_len(bytes: &[u8]) -> Result<usize, PacketError> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != MAGIC {
        return Err(PacketError::Magic);
    }
    let command = reader.u32()?;
    if command != COMMAND {
        return Err(PacketError::Command(command));
    }
    let _sequence = reader.u32()?;
    let _len = reader.u32()?;
    let len = reader.u16()?;
    match usize::from(len) {
        1..=key::LEN_MAX => Ok(len.into()),
        _ => Err(PacketError::KeyLen(len)),
    }
}

fn parse(bytes: &[u8], key_len: usize) -> Result<PacketHead, PacketError> {
    let mut reader = Reader::new(bytes);
    reader.take(3 * 4)?;
    let announced = reader.u32()?;
    reader.u16()?;
    let key = UploadKey::of_bytes(reader.take(key_len)?);
    let file_key_len = reader.u16()?;
    if usize::from(file_key_len) != FILE_KEY_LEN {
        return Err(PacketError::FileKeyLen(file_key_len));
    }
    let head = PacketHead {
        key,
        file_key: reader.array()?,
        file_size: reader.u32()?,
        offset: reader.u32()?,
        block_len: reader.u32()?,
    };
    if BLOCK_LEN_MAX < head.block_len {
        return Err(PacketError::BlockLen(head.block_len));
    }
    let parts = (2 + key_len + SUFFIX_LEN) as u64 + u64::from(head.block_len);
    if parts != u64::from(announced) {
        return Err(PacketError::Len { announced, parts });
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{hex, tests};
    use super::*;

    /// The packet of the file `abc` with a key of zeros, from docs/api/weiyun.md §4.1.
    fn golden() -> Vec<u8> {
        let packet = tests::golden("packet");
        hex::decode(tests::text(&packet, "hex")).unwrap()
    }

    fn read<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(PacketHead, Vec<u8>), PacketError> {
        let mut decoder = Decoder::new();
        let (mut found, mut block) = (None, Vec::new());
        for piece in pieces {
            let mut piece = Bytes::copy_from_slice(piece);
            if found.is_none() {
                found = decoder.head(&mut piece)?;
            }
            if !piece.is_empty() {
                decoder.block(&piece)?;
                block.extend_from_slice(&piece);
            }
        }
        decoder.finish()?;
        Ok((found.expect("a sound packet has a head"), block))
    }

    /// Reads a packet in one piece, and makes sure that byte by byte and any two pieces say the same.
    fn check(packet: &[u8]) -> Result<(PacketHead, Vec<u8>), PacketError> {
        let whole = read([packet]);
        assert_eq!(read(packet.chunks(1)), whole, "byte by byte");
        for at in 0..=packet.len() {
            let (head, tail) = packet.split_at(at);
            assert_eq!(read([head, tail]), whole, "cut at {at}");
        }
        whole
    }

    #[test]
    fn the_example_is_359_bytes_and_says_abc() {
        let packet = golden();
        assert_eq!(packet.len(), 359);
        let (head, block) = check(&packet).unwrap();
        assert_eq!(block, b"abc");
        assert_eq!(head.key, UploadKey::of_bytes(&[0; 304]));
        let sha = hex::encode(&head.file_key);
        assert_eq!(sha, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!((head.file_size, head.offset, head.block_len), (3, 0, 3));
    }

    /// The example with other bytes from `at` on.
    fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut packet = golden();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        packet
    }

    #[test]
    fn whatever_is_wrong_with_a_packet_is_said() {
        let key_end = PREFIX_LEN + key::LEN;
        let announced = |announced, parts| Err(PacketError::Len { announced, parts });
        for (packet, expected) in [
            (with(0, b"\xab\xcd\x98\x77"), Err(PacketError::Magic)),
            (with(4, &[0, 0, 3, 0xe9]), Err(PacketError::Command(1001))),
            (with(16, &[0, 0]), Err(PacketError::KeyLen(0))),
            (with(16, &[1, 93]), Err(PacketError::KeyLen(349))),
            (with(key_end, &[0, 19]), Err(PacketError::FileKeyLen(19))),
            (with(12, &[0, 0, 1, 0x58]), announced(344, 343)),
            (with(key_end + 33, &[4]), announced(343, 344)),
            (
                with(key_end + 30, &[1, 0, 0, 1]),
                Err(PacketError::BlockLen(BLOCK_LEN_MAX + 1)),
            ),
            ([golden(), vec![0]].concat(), Err(PacketError::Trailing)),
        ] {
            assert_eq!(check(&packet).map(drop), expected);
        }
        assert!(check(&with(8, &[9; 4])).is_ok(), "sequences are not read");
        let packet = golden();
        for len in 0..packet.len() {
            assert_eq!(read([&packet[..len]]).map(drop), Err(PacketError::Cut));
        }
    }

    #[test]
    fn a_packet_of_an_empty_file_has_an_empty_block() {
        let mut packet = with(12, &[0, 0, 1, 0x54]);
        packet.truncate(packet.len() - 3);
        let at = packet.len() - 12;
        packet[at..].fill(0);
        let (head, block) = check(&packet).unwrap();
        assert_eq!((head.file_size, head.block_len, block.len()), (0, 0, 0));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            tail in prop::collection::vec(any::<u8>(), 0..400),
            len in 1..60_usize,
        ) {
            let packet = [&golden()[..PREFIX_LEN], &tail].concat();
            for packet in [packet, tail] {
                prop_assert_eq!(read(packet.chunks(len)), read([packet.as_slice()]));
            }
        }
    }
}
