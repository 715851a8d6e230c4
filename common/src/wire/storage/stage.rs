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
