//! The short answers of the tracker.

use bytes::BytesMut;

use super::NodeStatus;
use crate::codec::{CodecError, Reader};
use crate::id::GroupName;
use crate::text::Text;
use crate::wire::{AddressText, HostText, NodeText, WireError, field, packet};

/// The answer to 109.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupResponse(pub GroupName);

impl GroupResponse {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let group = field::looked_up_group(&mut reader)?;
        reader.finish()?;
        Ok(Self(group))
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| body.bytes(self.0.as_field()));
    }
}

/// The answer to 95.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderResponse(pub HostText);

impl LeaderResponse {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        Ok(Self(Text::from_bytes(body)?))
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| body.bytes(self.0.as_bytes()));
    }
}

/// The answer to 70.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIdResponse(pub NodeText);

impl NodeIdResponse {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        Ok(Self(Text::from_bytes(body)?))
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| body.bytes(self.0.as_bytes()));
    }
}

/// The answer to 94: the chosen node's id, with its terminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkServerResponse(pub NodeText);

impl TrunkServerResponse {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        match body.split_last() {
            Some((0, id)) => Ok(Self(Text::from_bytes(id)?)),
            _ => Err(CodecError::Field("terminator of a node id").into()),
        }
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.bytes(self.0.as_bytes());
            body.u8(0);
        });
    }
}

/// The answer to 71: 67 bytes at every address width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStatusResponse {
    /// Its state.
    pub status: NodeStatus,
    /// Its storage port.
    pub port: u32,
    /// Its id.
    pub id: NodeText,
    /// Its address.
    pub address: AddressText,
}

impl NodeStatusResponse {
    /// Decodes a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let answer = Self {
            status: reader.u8()?.try_into()?,
            port: reader.u32()?,
            id: field::text(&mut reader, 16)?,
            address: field::text(&mut reader, 46)?,
        };
        reader.finish()?;
        Ok(answer)
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.u8(self.status as u8);
            body.u32(self.port);
            body.padded(self.id.as_bytes(), 16);
            body.padded(self.address.as_bytes(), 46);
        });
    }
}
