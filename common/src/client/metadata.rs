//! Metadata: names and values that hang on a blob.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::ClientError;
use crate::codec::CodecError;
use crate::limits;

const NAME_END: u8 = 0x02;
const VALUE_END: u8 = 0x01;

/// Whether new metadata replaces the old one or is merged into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMode {
    /// What was there is gone.
    Overwrite,
    /// Names that are not given keep their values.
    Merge,
}

/// Names and values, sorted by name. Bytes by protocol, UTF-8 by habit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    pairs: BTreeMap<Bytes, Bytes>,
}

impl Metadata {
    /// No pair.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a pair. What a server would cut or tear apart is refused.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), ClientError> {
        let len_error = |len: usize, max: usize| {
            ClientError::Request(CodecError::Length {
                len: i64::try_from(len).unwrap_or(i64::MAX),
                max: max as u64,
            })
        };
        if limits::METADATA_NAME_LEN_MAX < name.len() {
            return Err(len_error(name.len(), limits::METADATA_NAME_LEN_MAX));
        }
        if limits::METADATA_VALUE_LEN_MAX < value.len() {
            return Err(len_error(value.len(), limits::METADATA_VALUE_LEN_MAX));
        }
        let separator = |byte: u8| byte == NAME_END || byte == VALUE_END;
        if name.is_empty() || name.bytes().any(separator) || value.bytes().any(separator) {
            return Err(ClientError::Request(CodecError::Field("metadata")));
        }
        self.pairs.insert(
            Bytes::copy_from_slice(name.as_bytes()),
            Bytes::copy_from_slice(value.as_bytes()),
        );
        Ok(())
    }

    /// Names and values in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn pack(&self) -> Bytes {
        let mut out = BytesMut::new();
        for (name, value) in &self.pairs {
            if !out.is_empty() {
                out.put_u8(VALUE_END);
            }
            out.put_slice(name);
            out.put_u8(NAME_END);
            out.put_slice(value);
        }
        out.freeze()
    }

    pub(super) fn unpack(body: &Bytes) -> Self {
        let pairs = body
            .split(|byte| *byte == VALUE_END)
            .filter_map(|pair| {
                let end = pair.iter().position(|byte| *byte == NAME_END)?;
                Some((
                    body.slice_ref(pair.get(..end)?),
                    body.slice_ref(pair.get(end + 1..)?),
                ))
            })
            .collect();
        Self { pairs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_packed_sorted_and_unpacked_again() {
        let mut metadata = Metadata::new();
        metadata.insert("width", "160").unwrap();
        metadata.insert("author", "me").unwrap();
        let packed = metadata.pack();
        assert_eq!(&packed[..], b"author\x02me\x01width\x02160");
        assert_eq!(Metadata::unpack(&packed), metadata);
    }

    #[test]
    fn what_the_server_would_cut_or_tear_is_refused() {
        let mut metadata = Metadata::new();
        assert!(metadata.insert("", "x").is_err());
        assert!(metadata.insert("a\u{2}b", "x").is_err());
        assert!(metadata.insert("a", "x\u{1}").is_err());
        assert!(metadata.insert(&"n".repeat(65), "x").is_err());
        assert!(metadata.insert("n", &"v".repeat(257)).is_err());
        assert!(metadata.is_empty());
    }
}
