//! Requests whose content follows the head and is not held in memory.

use bytes::BytesMut;

use crate::limits;
use crate::wire::WireError;

/// The head of a streamed request: a fixed part, for most commands a name, then the content.
///
/// A server asks [`Self::fixed_len`], reads that much, asks [`Self::name_len`], reads that much, and
/// decodes. Before a byte of the name is read, all declared lengths were found to add up exactly to
/// the length of the body.
pub trait Streamed: Sized {
    /// Bytes of the fixed part.
    const FIXED_LEN: usize;

    /// Bytes of the name behind the fixed part, 0 for commands without one.
    fn name_len(fixed: &[u8], body_len: u64) -> Result<usize, WireError>;

    /// Decodes the two parts of a head.
    fn decode(fixed: &[u8], name: &[u8]) -> Result<Self, WireError>;

    /// Bytes of content behind the head.
    fn content_len(&self) -> u64;

    /// Appends the header, which counts the content, and the head. The content follows.
    fn encode(&self, out: &mut BytesMut);

    /// [`Self::FIXED_LEN`], if a body of `body_len` bytes has that many.
    fn fixed_len(body_len: u64) -> Result<usize, WireError> {
        let declared = Self::FIXED_LEN as u64;
        if body_len < declared {
            return Err(WireError::Lengths { declared, body_len });
        }
        Ok(Self::FIXED_LEN)
    }
}

/// Checks that fixed part, name and content make the whole body, and that the content is storable.
pub(super) fn check_lengths(
    fixed_len: usize,
    name_len: usize,
    content_len: u64,
    body_len: u64,
) -> Result<(), WireError> {
    let head_len = (fixed_len as u64).saturating_add(name_len as u64);
    let declared = head_len.saturating_add(content_len);
    if declared != body_len {
        return Err(WireError::Lengths { declared, body_len });
    }
    blob_len(content_len)
}

/// Checks the size that a blob would have.
pub(super) fn blob_len(len: u64) -> Result<(), WireError> {
    if limits::BLOB_LEN_MAX < len {
        return Err(WireError::BlobTooLong { len });
    }
    Ok(())
}

/// Largest value of the protocol's signed lengths and offsets.
pub(super) const SIGNED_MAX: u64 = i64::MAX.unsigned_abs();
