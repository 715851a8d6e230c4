//! Prepared uploads: content of a length that nobody knows beforehand, which becomes a blob only when
//! a later packet commits it. Source: docs/wire.md, prepared uploads.

use bytes::BytesMut;

use super::streamed::{SIGNED_MAX, blob_len};
use super::upload::extension;
use super::{NAME, PathChoice, UploadKind};
use crate::codec::{CodecError, Reader};
use crate::digest::Crc32;
use crate::id::{Extension, GroupName, RemoteName};
use crate::limits;
use crate::wire::{Command, WireError, field, packet};

/// The head of a prepared upload (170). Chunks follow, each behind a [`ChunkHead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareHead {
    /// Where the blob goes.
    pub path: PathChoice,
    /// Whether it can be extended later.
    pub kind: UploadKind,
    /// Extension to keep in the name.
    pub extension: Extension,
}

impl PrepareHead {
    /// Bytes of the head behind its header.
    pub const LEN: usize = 2 + limits::EXTENSION_LEN_MAX;

    const NORMAL: u8 = 0;
    const APPENDER: u8 = 1;

    /// What the header gives as the length of the body, for it is not known: the longest that there
    /// can be. A server that does not know the command takes everything for one body, and so never
    /// mistakes content for the header of another request.
    pub const BODY_LEN: u64 = SIGNED_MAX;

    /// Decodes the [`Self::LEN`] bytes of a head.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let path = PathChoice::from_byte(reader.u8()?);
        let kind = match reader.u8()? {
            Self::NORMAL => UploadKind::Normal,
            Self::APPENDER => UploadKind::Appender,
            _ => return Err(CodecError::Field("kind of a blob").into()),
        };
        let extension = extension(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            path,
            kind,
            extension,
        })
    }

    /// Appends the header and the head. The chunks follow.
    pub fn encode(&self, out: &mut BytesMut) {
        let unknown = Self::BODY_LEN - Self::LEN as u64;
        packet::request(out, Command::PrepareUpload, 0, unknown, |body| {
            body.u8(self.path.to_byte());
            body.u8(match self.kind {
                UploadKind::Normal => Self::NORMAL,
                UploadKind::Appender => Self::APPENDER,
            });
            body.bytes(self.extension.as_field());
        });
    }
}

/// What stands in front of each chunk, and behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkHead {
    /// So many bytes of content follow: 1 to [`limits::UPLOAD_CHUNK_LEN_MAX`].
    Content(u32),
    /// The content is complete.
    End,
    /// The content will not be completed; the node forgets what it has.
    Abort,
}

impl ChunkHead {
    /// Bytes of a chunk's head.
    pub const LEN: usize = 4;

    const END: u32 = 0;
    const ABORT: u32 = u32::MAX;

    /// Decodes a head. Behind one that is too long it is not known where the next one stands.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let len = reader.u32()?;
        reader.finish()?;
        match len {
            Self::END => Ok(Self::End),
            Self::ABORT => Ok(Self::Abort),
            len if len <= limits::UPLOAD_CHUNK_LEN_MAX => Ok(Self::Content(len)),
            len => Err(CodecError::Length {
                len: len.into(),
                max: limits::UPLOAD_CHUNK_LEN_MAX.into(),
            }),
        }
    }

    /// The bytes of the head.
    pub fn encode(self) -> [u8; Self::LEN] {
        let len = match self {
            Self::Content(len) => len,
            Self::End => Self::END,
            Self::Abort => Self::ABORT,
        };
        len.to_be_bytes()
    }

    /// Bytes of content when `len` more are added to `received`, if a blob can have that many.
    pub fn grown(received: u64, len: u32) -> Result<u64, WireError> {
        let grown = received.saturating_add(len.into());
        blob_len(grown)?;
        Ok(grown)
    }
}

/// The answer to a prepared upload: the name that the blob will have, and what the node received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreparedResponse {
    /// Group of the node.
    pub group: GroupName,
    /// Bytes of content.
    pub size: u64,
    /// Checksum of the content.
    pub crc: Crc32,
    /// The name.
    pub name: RemoteName,
}

impl PreparedResponse {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let group = field::group(&mut reader)?;
        let size = reader.len(limits::BLOB_LEN_MAX)?;
        let crc = Crc32(reader.u32()?);
        let name = field::blob_name(reader.rest(), NAME)?;
        Ok(Self {
            group,
            size,
            crc,
            name,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.bytes(self.group.as_field());
            body.u64(self.size);
            body.u32(self.crc.0);
            body.bytes(self.name.text().as_bytes());
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::code::ErrorCode;
    use crate::id::VolumePath;
    use crate::testing::arbitrary;
    use crate::wire::{HEADER_LEN, Header};

    /// Header and body of what `encode` appends.
    fn packet(encode: impl FnOnce(&mut BytesMut)) -> (Header, Vec<u8>) {
        let mut out = BytesMut::new();
        encode(&mut out);
        let header = Header::decode(*out.first_chunk().unwrap()).unwrap();
        (header, out[HEADER_LEN..].to_vec())
    }

    #[test]
    fn a_server_that_does_not_know_the_command_sees_one_body_without_end() {
        let head = PrepareHead {
            path: PathChoice::Path(VolumePath(3)),
            kind: UploadKind::Appender,
            extension: Extension::from_bytes(b"jpg").unwrap(),
        };
        let (header, body) = packet(|out| head.encode(out));
        assert_eq!(header.command, 170);
        assert_eq!(header.body_len, i64::MAX.unsigned_abs());
        assert_eq!(body, b"\x03\x01jpg\0\0\0");
    }

    #[test]
    fn heads_of_another_length_or_with_a_bad_kind_or_extension_are_invalid() {
        for bytes in [
            b"".as_slice(),
            b"\xff\0jpg\0\0",
            b"\xff\0jpg\0\0\0\0",
            b"\xff\x02jpg\0\0\0",
            b"\xff\0a/b\0\0\0",
        ] {
            let error = PrepareHead::decode(bytes).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Invalid, "{bytes:?}");
        }
    }

    #[test]
    fn a_chunk_is_content_the_end_or_an_abort_and_never_longer_than_the_limit() {
        let max = limits::UPLOAD_CHUNK_LEN_MAX;
        let decode = |len: u32| ChunkHead::decode(&len.to_be_bytes());
        assert_eq!(decode(0), Ok(ChunkHead::End));
        assert_eq!(decode(1), Ok(ChunkHead::Content(1)));
        assert_eq!(decode(max), Ok(ChunkHead::Content(max)));
        assert_eq!(decode(u32::MAX), Ok(ChunkHead::Abort));
        for len in [max + 1, 1 << 31, u32::MAX - 1] {
            let (len_found, max) = (i64::from(len), u64::from(max));
            assert_eq!(
                decode(len),
                Err(CodecError::Length {
                    len: len_found,
                    max
                })
            );
        }
        assert!(ChunkHead::decode(b"\0\0\0").is_err());
        assert!(ChunkHead::decode(b"\0\0\0\0\0").is_err());
    }

    #[test]
    fn content_grows_up_to_the_largest_blob_and_no_further() {
        let max = limits::BLOB_LEN_MAX;
        assert_eq!(ChunkHead::grown(0, 7), Ok(7));
        assert_eq!(ChunkHead::grown(max - 1, 1), Ok(max));
        for (received, len) in [(max, 1), (max - 1, 2), (u64::MAX, u32::MAX)] {
            let error = ChunkHead::grown(received, len).unwrap_err();
            assert_eq!(error.code(), ErrorCode::NoSpace, "{received} + {len}");
        }
    }

    #[test]
    fn answers_with_sizes_that_no_blob_has_or_without_a_name_are_refused() {
        let name = RemoteName::parse(b"M00/00/00/fwAADWsCX-OACGPVAAAABi0Jo9Y093.jpg").unwrap();
        let response = PreparedResponse {
            group: "group1".parse().unwrap(),
            size: 6,
            crc: Crc32(0x2d09_a3d6),
            name,
        };
        let (_, body) = packet(|out| response.encode(out));
        assert_eq!(PreparedResponse::decode(&body), Ok(response));
        for len in 0..=28 {
            assert!(PreparedResponse::decode(&body[..len]).is_err(), "{len}");
        }
        for size in [limits::BLOB_LEN_MAX + 1, u64::MAX] {
            let mut bad = body.clone();
            bad[16..24].copy_from_slice(&size.to_be_bytes());
            assert!(PreparedResponse::decode(&bad).is_err(), "{size}");
        }
    }

    proptest! {
        #[test]
        fn messages_round_trip(
            path in any::<u8>(),
            is_appender in any::<bool>(),
            extension in arbitrary::extension(),
            len in 1..=limits::UPLOAD_CHUNK_LEN_MAX,
            group in arbitrary::group(),
            size in 0..=limits::BLOB_LEN_MAX,
            crc in any::<u32>().prop_map(Crc32),
            name in arbitrary::generated_name(),
        ) {
            let path = PathChoice::from_byte(path);
            let kind = if is_appender { UploadKind::Appender } else { UploadKind::Normal };
            let head = PrepareHead { path, kind, extension };
            prop_assert_eq!(PrepareHead::decode(&packet(|out| head.encode(out)).1), Ok(head));
            for chunk in [ChunkHead::Content(len), ChunkHead::End, ChunkHead::Abort] {
                prop_assert_eq!(ChunkHead::decode(&chunk.encode()), Ok(chunk));
            }
            let response = PreparedResponse { group, size, crc, name };
            let (_, body) = packet(|out| response.encode(out));
            prop_assert_eq!(PreparedResponse::decode(&body), Ok(response));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = PreparedResponse::decode(&bytes);
            if let Ok(head) = PrepareHead::decode(&bytes) {
                let (_, body) = packet(|out| head.encode(out));
                prop_assert_eq!(PrepareHead::decode(&body), Ok(head));
            }
        }
    }
}
