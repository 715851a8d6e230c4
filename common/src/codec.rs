//! Bounded reading and writing of big-endian bytes.
//!
//! Every take is checked, [`Reader::finish`] refuses trailing bytes, and nothing above this file
//! slices by index.

use bytes::{BufMut, BytesMut};

/// A packet or record that does not have the shape it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Fewer bytes than the layout needs.
    #[error("{wanted} bytes wanted, {left} left")]
    Short {
        /// Bytes the next field needs.
        wanted: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes behind the last field.
    #[error("{0} bytes behind the last field")]
    Trailing(usize),
    /// A length field that is negative or above its limit.
    #[error("length {len} is outside 0…{max}")]
    Length {
        /// The announced length.
        len: i64,
        /// The limit it was compared with.
        max: u64,
    },
    /// A field whose value has no meaning; names the field.
    #[error("bad value in field {0}")]
    Field(&'static str),
}

/// Takes fields from the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet taken.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(CodecError::Short {
                wanted: len,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(CodecError::Short {
                wanted: N,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        self.array().map(u8::from_be_bytes)
    }

    /// A 16-bit number.
    pub fn u16(&mut self) -> Result<u16, CodecError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A 32-bit number.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A 64-bit number.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A signed 64-bit number, as the protocol sends lengths.
    pub fn i64(&mut self) -> Result<i64, CodecError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A signed 64-bit length that must lie in `0..=max`.
    pub fn len(&mut self, max: u64) -> Result<u64, CodecError> {
        let len = self.i64()?;
        match u64::try_from(len) {
            Ok(value) if value <= max => Ok(value),
            _ => Err(CodecError::Length { len, max }),
        }
    }

    /// A field of fixed width: the bytes before the first NUL, or all of them.
    pub fn padded(&mut self, width: usize) -> Result<&'a [u8], CodecError> {
        let field = self.take(width)?;
        Ok(field.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Ends reading; trailing bytes are an error.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CodecError::Trailing(self.rest.len()))
        }
    }
}

/// Appends big-endian fields to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut BytesMut) -> Self {
        Self { out }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.out.put_u8(value);
    }

    /// A 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.out.put_u16(value);
    }

    /// A 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.out.put_u32(value);
    }

    /// A 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.out.put_u64(value);
    }

    /// A signed 64-bit number.
    pub fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    /// A field of fixed width, padded with NUL; what does not fit is cut.
    pub fn padded(&mut self, bytes: &[u8], width: usize) {
        let kept = bytes.get(..width).unwrap_or(bytes);
        self.out.put_slice(kept);
        self.out.put_bytes(0, width - kept.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_beyond_the_end_is_an_error_and_takes_nothing() {
        let mut reader = Reader::new(b"ab");
        assert_eq!(
            reader.take(3),
            Err(CodecError::Short { wanted: 3, left: 2 })
        );
        assert_eq!(reader.take(2), Ok(b"ab".as_slice()));
    }

    #[test]
    fn negative_and_oversized_lengths_are_refused() {
        let mut reader = Reader::new(&[0xff; 8]);
        assert_eq!(reader.len(10), Err(CodecError::Length { len: -1, max: 10 }));
        let eleven = 11_i64.to_be_bytes();
        assert!(Reader::new(&eleven).len(10).is_err());
        assert_eq!(Reader::new(&eleven).len(11), Ok(11));
    }

    #[test]
    fn a_full_padded_field_has_no_terminator() {
        assert_eq!(Reader::new(b"abcd").padded(4), Ok(b"abcd".as_slice()));
        assert_eq!(Reader::new(b"ab\0d").padded(4), Ok(b"ab".as_slice()));
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        assert_eq!(Reader::new(b"x").finish(), Err(CodecError::Trailing(1)));
    }
}
