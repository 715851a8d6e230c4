//! Metadata: small name and value pairs of a blob. Source: docs/wire.md, metadata.

use bytes::{BufMut, Bytes, BytesMut};

use super::NAME;
use crate::codec::{CodecError, Reader};
use crate::id::{GroupName, RemoteName};
use crate::limits;
use crate::wire::{Command, WireError, field, packet};

/// Between pairs.
const PAIR_END: u8 = 0x01;
/// Between name and value.
const NAME_END: u8 = 0x02;

/// Pairs of names and values in their packed form, `name 0x02 value 0x01 name 0x02 value …`.
///
/// * sorted by name, in byte order; no name twice
/// * names of at most [`limits::METADATA_NAME_LEN_MAX`] bytes, values of at most
///   [`limits::METADATA_VALUE_LEN_MAX`]; either may be empty
///
/// Kept packed, because a list of pairs would need many times the memory of a hostile request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    packed: Bytes,
}

impl Metadata {
    /// Parses packed bytes: items without 0x02 are dropped, names and values cut to their limits, of
    /// equal names the last wins. Anything parses.
    pub fn parse(packed: &[u8]) -> Self {
        Self::pack(items(packed).collect())
    }

    /// Packs pairs by the same rules. Separators inside names and values would end them, so those pairs
    /// come out as [`Self::parse`] reads them.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut packed = BytesMut::new();
        for (name, value) in pairs {
            packed.put_slice(name);
            packed.put_u8(NAME_END);
            packed.put_slice(value);
            packed.put_u8(PAIR_END);
        }
        Self::parse(&packed)
    }

    /// These pairs and those of `newer`, whose values win.
    #[must_use]
    pub fn merged(&self, newer: &Self) -> Self {
        Self::pack(self.iter().chain(newer.iter()).collect())
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        items(&self.packed)
    }

    /// The packed form, as it is sent and stored.
    pub fn as_bytes(&self) -> &Bytes {
        &self.packed
    }

    /// Whether there is no pair. The protocol does not tell that from a missing blob.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Appends the answer to a get metadata.
    pub fn encode_response(&self, out: &mut BytesMut) {
        packet::response(out, |body| body.bytes(&self.packed));
    }

    fn pack(mut pairs: Vec<(&[u8], &[u8])>) -> Self {
        // The sort is stable, so the last of equal names is the last of its run.
        pairs.sort_by_key(|(name, _)| *name);
        let mut packed = BytesMut::new();
        let mut pairs = pairs.into_iter().peekable();
        while let Some((name, value)) = pairs.next() {
            if pairs.peek().is_some_and(|(next, _)| *next == name) {
                continue;
            }
            if !packed.is_empty() {
                packed.put_u8(PAIR_END);
            }
            packed.put_slice(name);
            packed.put_u8(NAME_END);
            packed.put_slice(value);
        }
        Self {
            packed: packed.freeze(),
        }
    }
}

fn items(packed: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    packed.split(|byte| *byte == PAIR_END).filter_map(|item| {
        let name_len = item.iter().position(|byte| *byte == NAME_END)?;
        let (name, value) = item.split_at_checked(name_len)?;
        let (_, value) = value.split_first()?;
        Some((
            name.get(..limits::METADATA_NAME_LEN_MAX).unwrap_or(name),
            value.get(..limits::METADATA_VALUE_LEN_MAX).unwrap_or(value),
        ))
    })
}

/// What a set metadata does with the pairs that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MetadataMode {
    /// Replaces all; no pairs removes all.
    Overwrite = b'O',
    /// Keeps the others; no pairs changes nothing.
    Merge = b'M',
}

impl MetadataMode {
    fn from_byte(byte: u8) -> Result<Self, CodecError> {
        match byte {
            b'O' => Ok(Self::Overwrite),
            b'M' => Ok(Self::Merge),
            _ => Err(CodecError::Field("metadata flag")),
        }
    }
}

/// A set metadata (13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetMetadata<'a> {
    /// Replace or merge.
    pub mode: MetadataMode,
    /// Must be the node's own.
    pub group: GroupName,
    /// The blob.
    pub name: RemoteName,
    /// The pairs as they were sent, see [`Self::metadata`].
    pub packed: &'a [u8],
}

impl<'a> SetMetadata<'a> {
    /// Decodes a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let name_len = reader.len(body.len() as u64)?;
        let pairs_len = reader.len(limits::METADATA_LEN_MAX as u64)?;
        let mode = MetadataMode::from_byte(reader.u8()?)?;
        let group = field::group(&mut reader)?;
        let name = reader.take(field::name_len(name_len, NAME)?)?;
        let packed = reader.rest();
        if packed.len() as u64 != pairs_len {
            return Err(WireError::Lengths {
                declared: pairs_len,
                body_len: packed.len() as u64,
            });
        }
        let name = field::blob_name(name, NAME)?;
        Ok(Self {
            mode,
            group,
            name,
            packed,
        })
    }

    /// The pairs, read by the rules of [`Metadata::parse`].
    pub fn metadata(&self) -> Metadata {
        Metadata::parse(self.packed)
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut BytesMut) {
        let name = self.name.text();
        packet::request(out, Command::SetMetadata, 0, 0, |body| {
            body.u64(name.as_bytes().len() as u64);
            body.u64(self.packed.len() as u64);
            body.u8(self.mode as u8);
            body.bytes(self.group.as_field());
            body.bytes(name.as_bytes());
            body.bytes(self.packed);
        });
    }
}
