//! Short printable text of bounded length, kept inline.
//!
//! The protocol is full of small text fields of fixed width. They are copied around on every request,
//! so they own no heap memory.

use std::fmt;
use std::str::FromStr;

/// Printable ASCII text of at most `N` bytes.
///
/// * bytes `0x20` to `0x7e` only, so it needs no escaping in logs and never holds a NUL
/// * may be empty
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const N: usize> {
    /// Padded with NUL, which sorts shorter texts first.
    bytes: [u8; N],
}

/// Why bytes are not a [`Text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// More bytes than the field has room for.
    #[error("a text of {len} bytes where {max} are allowed")]
    TooLong {
        /// Bytes it has.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// A byte that is not printable ASCII.
    #[error("byte {0:#04x} in a text field: printable ASCII only")]
    Byte(u8),
}

impl<const N: usize> Text<N> {
    /// Parses the bytes of a text, without padding.
    pub fn from_bytes(text: &[u8]) -> Result<Self, TextError> {
        Self::from_pieces(&[text])
    }

    /// Joins pieces of a text.
    pub fn from_pieces(pieces: &[&[u8]]) -> Result<Self, TextError> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        if N < len {
            return Err(TextError::TooLong { len, max: N });
        }
        let mut bytes = [0; N];
        for (target, byte) in bytes.iter_mut().zip(pieces.iter().copied().flatten()) {
            if !matches!(byte, b' '..=b'~') {
                return Err(TextError::Byte(*byte));
            }
            *target = *byte;
        }
        Ok(Self { bytes })
    }

    /// The bytes, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self { bytes: [0; N] }
    }
}

impl<const N: usize> FromStr for Text<N> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(text.as_bytes())
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_print_back_and_bad_ones_say_why() {
        assert_eq!("abc".parse::<Text<3>>().unwrap().to_string(), "abc");
        assert!(Text::<3>::default().is_empty());
        assert_eq!(
            "abcd".parse::<Text<3>>(),
            Err(TextError::TooLong { len: 4, max: 3 })
        );
        for byte in [0, b'\n', 0x7f, 0x80] {
            assert_eq!(Text::<3>::from_bytes(&[byte]), Err(TextError::Byte(byte)));
        }
        let joined = Text::<4>::from_pieces(&[b"a", b"", b"bc"]).unwrap();
        assert_eq!(joined.as_bytes(), b"abc");
    }
}
