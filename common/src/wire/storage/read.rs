//! Download, delete, file information, and the answer of an upload.

use std::ops::Range;

use bytes::BytesMut;

use super::NAME;
use super::streamed::SIGNED_MAX;
use crate::codec::{CodecError, Reader};
use crate::digest::Crc32;
use crate::id::{GroupName, RemoteName};
use crate::wire::{AddressText, AddressWidth, Command, WireError, field, packet};

/// A group and a name: the body of delete (12) and get metadata (15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRequest {
    /// Must be the node's own.
    pub group: GroupName,
    /// The blob.
    pub name: RemoteName,
}

impl BlobRequest {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let group = field::group(&mut reader)?;
        let name = field::blob_name(reader.rest(), NAME)?;
        Ok(Self { group, name })
    }

    /// Appends the packet of a delete.
    pub fn encode_delete(&self, out: &mut BytesMut) {
        self.encode(Command::Delete, 0, out);
    }

    /// Appends the packet of a get metadata.
    pub fn encode_get_metadata(&self, out: &mut BytesMut) {
        self.encode(Command::GetMetadata, 0, out);
    }

    fn encode(&self, command: Command, flags: u8, out: &mut BytesMut) {
        packet::request(out, command, flags, 0, |body| {
            body.bytes(self.group.as_field());
            body.bytes(self.name.text().as_bytes());
        });
    }
}

/// A download (14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadRequest {
    /// First byte wanted.
    pub offset: u64,
    /// Bytes wanted, 0 for all to the end. More than there are means to the end, too.
    pub len: u64,
    /// Must be the node's own.
    pub group: GroupName,
    /// The blob.
    pub name: RemoteName,
}

impl DownloadRequest {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let offset = reader.len(SIGNED_MAX)?;
        let len = reader.len(SIGNED_MAX)?;
        let group = field::group(&mut reader)?;
        let name = field::blob_name(reader.rest(), NAME)?;
        Ok(Self {
            offset,
            len,
            group,
            name,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::request(out, Command::Download, 0, 0, |body| {
            body.u64(self.offset);
            body.u64(self.len);
            body.bytes(self.group.as_field());
            body.bytes(self.name.text().as_bytes());
        });
    }

    /// The bytes of a blob of `size` bytes that this asks for, or `None` if they begin beyond the last
    /// one. An empty blob has an empty range, unlike in the original, where it cannot be downloaded
    /// (docs/wire.md, deviations).
    pub fn range(&self, size: u64) -> Option<Range<u64>> {
        if size <= self.offset && (self.offset, size) != (0, 0) {
            return None;
        }
        let end = match self.len {
            0 => size,
            len => self.offset.saturating_add(len).min(size),
        };
        Some(self.offset..end)
    }
}

/// A query for size, time and checksum (22). Its flags ride in the header's status byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryFileInfo {
    /// Must be the node's own.
    pub group: GroupName,
    /// The blob.
    pub name: RemoteName,
    /// Flags as sent; see [`Self::skips_checksum`] and [`Self::is_silent`].
    pub flags: u8,
}

impl QueryFileInfo {
    /// Do not read the blob for its checksum.
    pub const SKIP_CHECKSUM: u8 = 1;
    /// Do not log a missing blob.
    pub const SILENT: u8 = 2;

    /// Decodes a body; `flags` is the header's status byte.
    pub fn decode(body: &[u8], flags: u8) -> Result<Self, WireError> {
        let BlobRequest { group, name } = BlobRequest::decode(body)?;
        Ok(Self { group, name, flags })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        let request = BlobRequest {
            group: self.group,
            name: self.name,
        };
        request.encode(Command::QueryFileInfo, self.flags, out);
    }

    /// Whether a checksum that is not known already is answered as 0.
    pub fn skips_checksum(&self) -> bool {
        self.flags & Self::SKIP_CHECKSUM != 0
    }

    /// Whether a missing blob is not worth a log line.
    pub fn is_silent(&self) -> bool {
        self.flags & Self::SILENT != 0
    }
}

/// The answer to an upload or a regenerate: the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// Group of the node that stored the blob.
    pub group: GroupName,
    /// The new name.
    pub name: RemoteName,
}

impl StoredResponse {
    /// Decodes a body. Clients must take names that this server would not make, such as trunk names.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let group = field::group(&mut reader)?;
        let name = field::name(reader.rest(), NAME)?;
        Ok(Self { group, name })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.bytes(self.group.as_field());
            body.bytes(self.name.text().as_bytes());
        });
    }
}

/// The answer to [`QueryFileInfo`]: 40 or 70 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Bytes of the blob.
    pub size: u64,
    /// Unix seconds of its last change.
    pub time: u64,
    /// Its checksum, sign-extended to 64 bits on the wire.
    pub crc: Crc32,
    /// Address of the node that the name gives as source, empty if unknown.
    pub source: AddressText,
}

impl FileInfo {
    /// Bytes before the address.
    const FIXED_LEN: usize = 24;

    /// Decodes a body of either address width.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let size = reader.len(SIGNED_MAX)?;
        let time = reader.len(SIGNED_MAX)?;
        // Only the low half counts: the high half repeats its sign.
        let [_, _, _, _, crc @ ..] = reader.array::<8>()?;
        let width = [AddressWidth::V4, AddressWidth::V6]
            .into_iter()
            .map(AddressWidth::in_record)
            .find(|width| *width == reader.left())
            .ok_or(CodecError::Field("address of file information"))?;
        let source = field::text(&mut reader, width)?;
        Ok(Self {
            size,
            time,
            crc: Crc32(u32::from_be_bytes(crc)),
            source,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, width: AddressWidth, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.u64(self.size);
            body.u64(self.time);
            body.i64(i64::from(self.crc.0.cast_signed()));
            field::put_address(body, &self.source, width.in_record());
        });
    }
}

const _: () = assert!(FileInfo::FIXED_LEN + 16 == 40 && FileInfo::FIXED_LEN + 46 == 70);
