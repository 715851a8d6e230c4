//! Commands on appenders: append, modify, truncate, regenerate. None carries a group.

use bytes::BytesMut;

use super::APPENDER_NAME;
use super::streamed::{SIGNED_MAX, Streamed, blob_len, check_lengths};
use crate::codec::Reader;
use crate::id::RemoteName;
use crate::wire::{Command, WireError, field, packet};

/// The head of an append (24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendHead {
    /// The appender.
    pub name: RemoteName,
    /// Bytes of content.
    pub size: u64,
}

impl Streamed for AppendHead {
    const FIXED_LEN: usize = 16;

    fn name_len(fixed: &[u8], body_len: u64) -> Result<usize, WireError> {
        let mut reader = Reader::new(fixed);
        let name_len = reader.len(SIGNED_MAX)?;
        let size = reader.len(SIGNED_MAX)?;
        let name_len = field::name_len(name_len, APPENDER_NAME)?;
        check_lengths(Self::FIXED_LEN, name_len, size, body_len)?;
        Ok(name_len)
    }

    fn decode(fixed: &[u8], name: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(fixed);
        reader.u64()?;
        let size = reader.len(SIGNED_MAX)?;
        reader.finish()?;
        let name = field::blob_name(name, APPENDER_NAME)?;
        Ok(Self { name, size })
    }

    fn content_len(&self) -> u64 {
        self.size
    }

    fn encode(&self, out: &mut BytesMut) {
        let name = self.name.text();
        packet::request(out, Command::Append, 0, self.size, |body| {
            body.u64(name.as_bytes().len() as u64);
            body.u64(self.size);
            body.bytes(name.as_bytes());
        });
    }
}

/// The head of a modify (34).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModifyHead {
    /// The appender.
    pub name: RemoteName,
    /// Where the content goes; at most the present size.
    pub offset: u64,
    /// Bytes of content.
    pub size: u64,
}

impl Streamed for ModifyHead {
    const FIXED_LEN: usize = 24;

    fn name_len(fixed: &[u8], body_len: u64) -> Result<usize, WireError> {
        let mut reader = Reader::new(fixed);
        let name_len = reader.len(SIGNED_MAX)?;
        reader.len(SIGNED_MAX)?;
        let size = reader.len(SIGNED_MAX)?;
        let name_len = field::name_len(name_len, APPENDER_NAME)?;
        check_lengths(Self::FIXED_LEN, name_len, size, body_len)?;
        Ok(name_len)
    }

    fn decode(fixed: &[u8], name: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(fixed);
        reader.u64()?;
        let offset = reader.len(SIGNED_MAX)?;
        let size = reader.len(SIGNED_MAX)?;
        reader.finish()?;
        let name = field::blob_name(name, APPENDER_NAME)?;
        Ok(Self { name, offset, size })
    }

    fn content_len(&self) -> u64 {
        self.size
    }

    fn encode(&self, out: &mut BytesMut) {
        let name = self.name.text();
        packet::request(out, Command::Modify, 0, self.size, |body| {
            body.u64(name.as_bytes().len() as u64);
            body.u64(self.offset);
            body.u64(self.size);
            body.bytes(name.as_bytes());
        });
    }
}

/// A truncate (36).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncateRequest {
    /// The appender.
    pub name: RemoteName,
    /// Size to have afterwards, in bytes; a larger one extends with zeros.
    pub size: u64,
}

impl TruncateRequest {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let name_len = reader.len(SIGNED_MAX)?;
        let size = reader.len(SIGNED_MAX)?;
        let name_len = field::name_len(name_len, APPENDER_NAME)?;
        let name = reader.take(name_len)?;
        reader.finish()?;
        let name = field::blob_name(name, APPENDER_NAME)?;
        blob_len(size)?;
        Ok(Self { name, size })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        let name = self.name.text();
        packet::request(out, Command::Truncate, 0, 0, |body| {
            body.u64(name.as_bytes().len() as u64);
            body.u64(self.size);
            body.bytes(name.as_bytes());
        });
    }
}

/// A request to turn an appender into a normal blob (38).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegenerateRequest {
    /// The appender.
    pub name: RemoteName,
}

impl RegenerateRequest {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let name = field::blob_name(body, APPENDER_NAME)?;
        Ok(Self { name })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::request(out, Command::RegenerateAppender, 0, 0, |body| {
            body.bytes(self.name.text().as_bytes());
        });
    }
}
