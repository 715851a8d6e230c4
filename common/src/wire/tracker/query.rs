//! Where to write and where to read: the answers every file operation waits for.

use bytes::BytesMut;

use crate::codec::{CodecError, Reader, Writer};
use crate::id::{GroupName, VolumePath};
use crate::limits;
use crate::wire::field::GROUP_LEN;
use crate::wire::{AddressText, AddressWidth, WireError, field, packet};

/// Bytes of a port field.
const PORT_LEN: usize = 8;

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its address. Nodes whose address does not fit the dialect must not be offered
    /// ([`AddressWidth::fits`]).
    pub address: AddressText,
    /// Its storage port.
    pub port: u16,
}

impl NodeAddress {
    fn decode(reader: &mut Reader<'_>, width: AddressWidth) -> Result<Self, WireError> {
        Ok(Self {
            address: field::text(reader, width.in_query())?,
            port: field::port(reader)?,
        })
    }

    fn put(&self, body: &mut Writer<'_>, width: AddressWidth) {
        field::put_address(body, &self.address, width.in_query());
        body.u64(u64::from(self.port));
    }
}

/// The widths that an answer can have, narrow first.
const WIDTHS: [AddressWidth; 2] = [AddressWidth::V4, AddressWidth::V6];

/// The width at which `len` bytes are a whole number of addresses, and how many.
fn addresses(len: usize) -> Result<(AddressWidth, usize), CodecError> {
    WIDTHS
        .into_iter()
        .map(|width| (width, width.in_query() + PORT_LEN))
        .filter(|(_, each)| len.is_multiple_of(*each))
        .map(|(width, each)| (width, len / each))
        .find(|(_, count)| (1..=limits::NODES_PER_GROUP_MAX).contains(count))
        .ok_or(CodecError::Field("addresses"))
}

/// The answer to 101 and 104: 40 or 70 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreTarget {
    /// The group.
    pub group: GroupName,
    /// The node to write to.
    pub node: NodeAddress,
    /// The volume path to name in the upload.
    pub path: VolumePath,
}

impl StoreTarget {
    /// Decodes a body of either address width.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let StoreTargets { group, nodes, path } = StoreTargets::decode(body)?;
        match nodes.as_slice() {
            [node] => Ok(Self {
                group,
                node: *node,
                path,
            }),
            _ => Err(CodecError::Field("addresses").into()),
        }
    }

    /// Appends the packet.
    pub fn encode(&self, width: AddressWidth, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.bytes(self.group.as_field());
            self.node.put(body, width);
            body.u8(self.path.0);
        });
    }
}

/// The answer to 106 and 107.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTargets {
    /// The group.
    pub group: GroupName,
    /// Every writable node of it, ordered by id. Never empty: that is an error.
    pub nodes: Vec<NodeAddress>,
    /// The volume path to name in the upload.
    pub path: VolumePath,
}

impl StoreTargets {
    /// Decodes a body of either address width.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let group = field::looked_up_group(&mut reader)?;
        let (width, count) = addresses(reader.left().saturating_sub(1))?;
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            nodes.push(NodeAddress::decode(&mut reader, width)?);
        }
        let path = VolumePath(reader.u8()?);
        reader.finish()?;
        Ok(Self { group, nodes, path })
    }

    /// Appends the packet.
    pub fn encode(&self, width: AddressWidth, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.bytes(self.group.as_field());
            for node in &self.nodes {
                node.put(body, width);
            }
            body.u8(self.path.0);
        });
    }
}

/// The answer to 102 and 103: 39 or 69 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchTarget {
    /// The group.
    pub group: GroupName,
    /// The node to ask.
    pub node: NodeAddress,
}

impl FetchTarget {
    /// Decodes a body of either address width.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let FetchTargets { group, nodes } = FetchTargets::decode(body)?;
        match nodes.as_slice() {
            [node] => Ok(Self { group, node: *node }),
            _ => Err(CodecError::Field("addresses").into()),
        }
    }

    /// Appends the packet.
    pub fn encode(&self, width: AddressWidth, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.bytes(self.group.as_field());
            self.node.put(body, width);
        });
    }
}

/// The answer to 105.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTargets {
    /// The group.
    pub group: GroupName,
    /// Every node that can be expected to hold the blob. Never empty: that is an error.
    pub nodes: Vec<NodeAddress>,
}

impl FetchTargets {
    /// Decodes a body of either address width.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let group = field::looked_up_group(&mut reader)?;
        let (width, count) = addresses(reader.left())?;
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            nodes.push(NodeAddress::decode(&mut reader, width)?);
        }
        reader.finish()?;
        Ok(Self { group, nodes })
    }

    /// Appends the packet.
    pub fn encode(&self, width: AddressWidth, out: &mut BytesMut) {
        packet::response(out, |body| {
            body.bytes(self.group.as_field());
            for node in &self.nodes {
                node.put(body, width);
            }
        });
    }
}

const _: () = assert!(GROUP_LEN + 15 + PORT_LEN == 39 && GROUP_LEN + 45 + PORT_LEN == 69);
