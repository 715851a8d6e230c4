//! JSON that is written as it goes, into one buffer: lists are the calls that are made most.

use std::fmt::Display;
use std::io::Write as _;

/// A text in JSON that is being written.
#[derive(Debug, Default)]
pub(super) struct JsonText(Vec<u8>);

impl JsonText {
    /// No text yet, and room for `len` bytes.
    pub(super) fn with_capacity(len: usize) -> Self {
        Self(Vec::with_capacity(len))
    }

    /// The bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Adds what is JSON already.
    pub(super) fn raw(&mut self, json: impl AsRef<[u8]>) -> &mut Self {
        self.0.extend_from_slice(json.as_ref());
        self
    }

    /// Adds a string.
    pub(super) fn string(&mut self, text: &str) -> &mut Self {
        // A string can be written, and a vector takes it.
        let _ = serde_json::to_writer(&mut self.0, text);
        self
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let _ = serde_json::to_writer(&mut self.0, &number);
        self
    }

    /// Adds what prints as letters, digits and punctuation that need no escape in a string.
    pub(super) fn plain(&mut self, value: impl Display) -> &mut Self {
        let _ = write!(self.0, "{value}");
        self
    }
}

/// `text` as a string of JSON without the quotes around it.
pub(super) fn escaped(text: &str) -> Vec<u8> {
    let quoted = JsonText::default().string(text).0.clone();
    let inner = quoted.strip_prefix(b"\"").unwrap_or(&quoted);
    inner.strip_suffix(b"\"").unwrap_or(inner).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_and_numbers_are_digits() {
        let mut text = JsonText::with_capacity(8);
        text.raw("[").string("a\"\\\n\u{1}图😀").raw(",");
        text.number(u64::MAX).raw(",\"").plain(7).raw("\"]");
        let expected = r#"["a\"\\\n\u0001图😀",18446744073709551615,"7"]"#;
        assert_eq!(String::from_utf8(text.into_bytes()).unwrap(), expected);
        assert_eq!(escaped("a\"b"), br#"a\"b"#);
    }
}
