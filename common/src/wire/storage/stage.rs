//! Staged uploads: a staging blob that is extended by many requests, and an arrangement that makes
//! another blob of its pieces. Source: docs/wire.md, staged uploads.

use bytes::BytesMut;

use super::streamed::{SIGNED_MAX, blob_len};
use super::upload::extension;
use super::{APPENDER_NAME, PrepareHead};
use crate::codec::{CodecError, Reader, Writer};
use crate::digest::{Crc32, Crc32Hasher};
use crate::id::{Extension, GroupName, RemoteName};
use crate::limits;
use crate::wire::{Command, HEADER_LEN, WireError, field, packet};

/// A range of a staging blob, with its checksum. Also the answer to an extension (173).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Checksum of the bytes.
    pub crc: Crc32,
}

impl Piece {
    /// Bytes of a piece in a packet.
    pub const LEN: usize = 20;

    /// The byte behind the last one.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// Decodes an answer's body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let piece = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(piece)
    }

    /// Appends the packet of an answer.
    pub fn encode_response(&self, out: &mut BytesMut) {
        packet::response(out, |body| self.write(body));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let piece = Self {
            offset: reader.len(limits::BLOB_LEN_MAX)?,
            len: reader.len(limits::BLOB_LEN_MAX)?,
            crc: Crc32(reader.u32()?),
        };
        if limits::BLOB_LEN_MAX < piece.end() {
            return Err(CodecError::Field("end of a piece"));
        }
        Ok(piece)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.u64(self.offset);
        writer.u64(self.len);
        writer.u32(self.crc.0);
    }
}

/// The head of an extension (173), in two parts: a fixed one, then the name. Chunks follow, each
/// behind a [`super::ChunkHead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendHead {
    /// Group of the staging blob.
    pub group: GroupName,
    /// The staging blob.
    pub name: RemoteName,
}

impl ExtendHead {
    /// Bytes of the fixed part: group, and length of the name.
    pub const FIXED_LEN: usize = field::GROUP_LEN + 1;

    /// What the header gives as the length of the body; see [`PrepareHead::BODY_LEN`].
    pub const BODY_LEN: u64 = PrepareHead::BODY_LEN;

    /// Bytes of the name behind the fixed part. Where it is wrong, nobody knows where the first
    /// chunk stands.
    pub fn name_len(fixed: &[u8]) -> Result<usize, WireError> {
        let mut reader = Reader::new(fixed);
        reader.take(field::GROUP_LEN)?;
        let len = reader.u8()?;
        reader.finish()?;
        field::name_len(len.into(), APPENDER_NAME)
    }

    /// Decodes the two parts.
    pub fn decode(fixed: &[u8], name: &[u8]) -> Result<Self, WireError> {
        let group = field::group(&mut Reader::new(fixed))?;
        let name = field::blob_name(name, APPENDER_NAME)?;
        Ok(Self { group, name })
    }

    /// Appends the header and the head. The chunks follow.
    pub fn encode(&self, out: &mut BytesMut) {
        let name = self.name.text();
        let head_len = Self::FIXED_LEN + name.as_bytes().len();
        let unknown = Self::BODY_LEN - head_len as u64;
        packet::request(out, Command::ExtendStaging, 0, unknown, |body| {
            body.bytes(self.group.as_field());
            // A name has at most 127 bytes.
            body.u8(u8::try_from(name.as_bytes().len()).unwrap_or_default());
            body.bytes(name.as_bytes());
        });
    }
}

/// A request to put pieces of a staging blob together to another blob (174). It is answered like a
/// prepared upload, and committed or abandoned like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrangeRequest {
    /// Group of the staging blob.
    pub group: GroupName,
    /// The staging blob.
    pub name: RemoteName,
    /// Extension to keep in the new blob's name.
    pub extension: Extension,
    /// The pieces, in order.
    pub pieces: Vec<Piece>,
}

impl ArrangeRequest {
    /// Bytes of a body at most.
    pub const BODY_LEN_MAX: usize =
        Self::FIXED_LEN + limits::REMOTE_NAME_LEN_MAX + limits::ARRANGED_PIECES_MAX * Piece::LEN;

    /// Group, length of the name, extension, number of pieces.
    const FIXED_LEN: usize = field::GROUP_LEN + 1 + limits::EXTENSION_LEN_MAX + 4;

    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let group = field::group(&mut reader)?;
        let name_len = field::name_len(reader.u8()?.into(), APPENDER_NAME)?;
        let extension = extension(&mut reader)?;
        let count = reader.u32()? as usize;
        if limits::ARRANGED_PIECES_MAX < count {
            let (len, max) = (count as u64, limits::ARRANGED_PIECES_MAX as u64);
            let len = i64::try_from(len).unwrap_or(i64::MAX);
            return Err(CodecError::Length { len, max }.into());
        }
        let name = field::blob_name(reader.take(name_len)?, APPENDER_NAME)?;
        if reader.left() != count * Piece::LEN {
            return Err(CodecError::Field("number of pieces").into());
        }
        let mut pieces = Vec::with_capacity(count);
        for _ in 0..count {
            let piece = Piece::read(&mut reader)?;
            if piece.len == 0 {
                return Err(CodecError::Field("length of a piece").into());
            }
            pieces.push(piece);
        }
        reader.finish()?;
        Ok(Self {
            group,
            name,
            extension,
            pieces,
        })
    }

    /// Appends the packet. More than [`limits::ARRANGED_PIECES_MAX`] pieces no server takes.
    pub fn encode(&self, out: &mut BytesMut) {
        let name = self.name.text();
        packet::request(out, Command::ArrangeStaging, 0, 0, |body| {
            body.bytes(self.group.as_field());
            // A name has at most 127 bytes.
            body.u8(u8::try_from(name.as_bytes().len()).unwrap_or_default());
            body.bytes(self.extension.as_field());
            body.u32(u32::try_from(self.pieces.len()).unwrap_or(u32::MAX));
            body.bytes(name.as_bytes());
            for piece in &self.pieces {
                piece.write(body);
            }
        });
    }

    /// Bytes and checksum of all pieces one behind the other, if a blob can have that many bytes.
    pub fn arranged(&self) -> Result<(u64, Crc32), WireError> {
        let mut hasher = Crc32Hasher::new();
        let mut len = 0_u64;
        for piece in &self.pieces {
            hasher.append(piece.crc, piece.len);
            len = len.saturating_add(piece.len);
            blob_len(len)?;
        }
        Ok((len, hasher.finish()))
    }
}

const _: () = assert!(ArrangeRequest::BODY_LEN_MAX + HEADER_LEN < 3 * 1024 * 1024);
const _: () = assert!(limits::BLOB_LEN_MAX < SIGNED_MAX);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::code::ErrorCode;
    use crate::id::{NewBlob, NodeNumber, VolumePath};
    use crate::testing::arbitrary;
    use crate::wire::Header;

    /// Header and body of what `encode` appends.
    fn packet(encode: impl FnOnce(&mut BytesMut)) -> (Header, Vec<u8>) {
        let mut out = BytesMut::new();
        encode(&mut out);
        let header = Header::decode(*out.first_chunk().unwrap()).unwrap();
        (header, out[HEADER_LEN..].to_vec())
    }

    fn staging(random: u64) -> RemoteName {
        RemoteName::generate(&NewBlob {
            volume_path: VolumePath(3),
            source: NodeNumber::try_from(7).unwrap(),
            time: 1_700_000_000,
            size: None,
            crc: Crc32(0),
            extension: Extension::default(),
            random,
        })
    }

    fn request() -> ArrangeRequest {
        let piece = |offset, len| Piece {
            offset,
            len,
            crc: Crc32(9),
        };
        ArrangeRequest {
            group: "group1".parse().unwrap(),
            name: staging(1),
            extension: Extension::from_bytes(b"jpg").unwrap(),
            pieces: vec![piece(7, 5), piece(0, 7)],
        }
    }

    fn decode_head(body: &[u8]) -> Result<ExtendHead, WireError> {
        let (fixed, name) = body.split_at_checked(ExtendHead::FIXED_LEN).unwrap();
        let len = ExtendHead::name_len(fixed)?;
        ExtendHead::decode(fixed, name.get(..len).unwrap_or_default())
    }

    #[test]
    fn a_server_that_does_not_know_an_extension_sees_one_body_without_end() {
        let ArrangeRequest { group, name, .. } = request();
        let (header, body) = packet(|out| ExtendHead { group, name }.encode(out));
        assert_eq!(header.command, 173);
        assert_eq!(header.body_len, i64::MAX.unsigned_abs());
        assert!(
            body.starts_with(b"group1\0\0\0\0\0\0\0\0\0\0\x2cM03/"),
            "{body:?}"
        );
        assert_eq!(decode_head(&body), Ok(ExtendHead { group, name }));
    }

    #[test]
    fn names_of_other_lengths_and_groups_that_are_none_are_invalid() {
        let ArrangeRequest { group, name, .. } = request();
        let (_, body) = packet(|out| ExtendHead { group, name }.encode(out));
        for (at, byte) in [(0, b'/'), (16, 0), (16, 43), (16, 128), (17, b'X')] {
            let mut bad = body.clone();
            bad[at] = byte;
            let error = decode_head(&bad).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid, "{byte} at {at}");
        }
    }

    #[test]
    fn an_arrangement_has_the_size_and_checksum_of_its_pieces_in_order() {
        let (one, other) = (b"world".as_slice(), b"hello ".as_slice());
        let piece = |offset: u64, bytes: &[u8]| Piece {
            offset,
            len: bytes.len() as u64,
            crc: Crc32::of(bytes),
        };
        let mut request = request();
        request.pieces = vec![piece(5, other), piece(0, one)];
        assert_eq!(request.arranged(), Ok((11, Crc32::of(b"hello world"))));
        request.pieces.clear();
        assert_eq!(request.arranged(), Ok((0, Crc32::of(b""))));
        let huge = Piece {
            offset: 0,
            len: limits::BLOB_LEN_MAX,
            crc: Crc32(0),
        };
        request.pieces = vec![huge, piece(0, one)];
        assert_eq!(request.arranged().unwrap_err().code(), ErrorCode::NoSpace);
    }

    #[test]
    fn pieces_that_are_empty_too_many_or_beyond_any_blob_are_refused_before_anything_is_allocated()
    {
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let (_, mut body) = packet(|out| request().encode(out));
            change(&mut body);
            let error = ArrangeRequest::decode(&body).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid);
        };
        let count = 16 + 1 + 6;
        let pieces = count + 4 + 44;
        refused(&|body| body[count..count + 4].copy_from_slice(&u32::MAX.to_be_bytes()));
        refused(&|body| body[count + 3] = 3);
        refused(&|body| body[count + 3] = 1);
        refused(&|body| body[pieces + 8..pieces + 16].fill(0));
        refused(&|body| body[pieces] = 0x80);
        let end = limits::BLOB_LEN_MAX.to_be_bytes();
        refused(&|body| body[pieces..pieces + 8].copy_from_slice(&end));
        refused(&|body| body.truncate(pieces + 39));
        refused(&|body| body.push(0));
        let (header, body) = packet(|out| request().encode(out));
        assert_eq!((header.command, header.body_len), (174, body.len() as u64));
        assert_eq!(body.len(), pieces + 2 * Piece::LEN);
        assert_eq!(ArrangeRequest::decode(&body), Ok(request()));
    }

    #[test]
    fn as_many_pieces_as_there_can_be_are_a_body_within_its_limit() {
        let mut request = request();
        let piece = request.pieces[0];
        request.pieces = vec![piece; limits::ARRANGED_PIECES_MAX];
        let (_, body) = packet(|out| request.encode(out));
        assert!(body.len() <= ArrangeRequest::BODY_LEN_MAX);
        assert_eq!(ArrangeRequest::decode(&body), Ok(request.clone()));
        request.pieces.push(piece);
        let (_, body) = packet(|out| request.encode(out));
        assert!(ArrangeRequest::decode(&body).is_err());
    }

    proptest! {
        #[test]
        fn messages_round_trip(
            group in arbitrary::group(),
            random in any::<u64>(),
            extension in arbitrary::extension(),
            pieces in proptest::collection::vec(
                (0..limits::BLOB_LEN_MAX / 2, 1..limits::BLOB_LEN_MAX / 2, any::<u32>()), 0..9),
        ) {
            let name = staging(random);
            let head = ExtendHead { group, name };
            prop_assert_eq!(decode_head(&packet(|out| head.encode(out)).1), Ok(head));
            let pieces: Vec<_> = pieces
                .into_iter()
                .map(|(offset, len, crc)| Piece { offset, len, crc: Crc32(crc) })
                .collect();
            for piece in &pieces {
                let (_, body) = packet(|out| piece.encode_response(out));
                prop_assert_eq!(Piece::decode(&body), Ok(*piece));
            }
            let request = ArrangeRequest { group, name, extension, pieces };
            let (_, body) = packet(|out| request.encode(out));
            prop_assert_eq!(ArrangeRequest::decode(&body), Ok(request));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Piece::decode(&bytes);
            let _ = ExtendHead::name_len(&bytes);
            let _ = ExtendHead::decode(&bytes, &bytes);
            if let Ok(request) = ArrangeRequest::decode(&bytes) {
                let _ = request.arranged();
                let (_, body) = packet(|out| request.encode(out));
                prop_assert_eq!(ArrangeRequest::decode(&body), Ok(request));
            }
        }
    }
}
