//! Upload keys: what an application is given and what its upload brings, `csum` and `ukey`.
//! Source: docs/api/weiyun.md §2.3.

use std::fmt;

use common::env::entropy;

use super::hex;
use crate::core::id::UploadKeyHash;

/// Random bytes of a key that we give out.
pub(super) const LEN: usize = 304;
/// Bytes that something may have to be looked up as a key: the document says so much of `csum`.
pub(super) const LEN_MAX: usize = 348;

/// An upload key: the permission to send one file. Its bytes are never printed in logs.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UploadKey(Box<[u8]>);

impl UploadKey {
    /// A key that nobody can guess.
    pub(super) fn random() -> Self {
        const WORDS: usize = LEN / size_of::<u64>();
        const _: () = assert!(WORDS * size_of::<u64>() == LEN);
        let words = (0..WORDS).flat_map(|_| entropy::random_u64().to_be_bytes());
        Self(words.collect())
    }

    /// The key of hexadecimal digits in any case; nothing for what no key can be.
    pub(super) fn of_digits(digits: &str) -> Option<Self> {
        if digits.is_empty() || 2 * LEN_MAX < digits.len() {
            return None;
        }
        hex::decode(digits).map(|bytes| Self(bytes.into()))
    }

    /// The key of its bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Its digits, in lower case.
    pub(super) fn digits(&self) -> String {
        hex::encode(&self.0)
    }

    /// What the catalog knows the key by. Looking a hash up takes a time that says nothing about how
    /// much of a guessed key was right.
    pub(super) fn hash(&self) -> UploadKeyHash {
        UploadKeyHash(*blake3::hash(&self.0).as_bytes())
    }
}

impl fmt::Debug for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_608_digits_that_are_fresh_each_time() {
        let key = UploadKey::random();
        let digits = key.digits();
        assert_eq!(digits.len(), 608);
        assert!(
            digits
                .bytes()
                .all(|byte| b"0123456789abcdef".contains(&byte))
        );
        assert_ne!(key, UploadKey::random());
        assert_eq!(format!("{key:?}"), "UploadKey(…)");
    }

    #[test]
    fn a_key_is_read_in_any_case_and_from_bytes() {
        let key = UploadKey::random();
        let digits = key.digits();
        for text in [digits.clone(), digits.to_uppercase()] {
            assert_eq!(UploadKey::of_digits(&text), Some(key.clone()));
        }
        assert_eq!(UploadKey::of_bytes(&key.0).hash(), key.hash());
        let cut = UploadKey::of_digits(&digits[2..]).unwrap();
        assert_ne!(cut.hash(), key.hash(), "a part of a key is another key");
    }

    #[test]
    fn what_cannot_be_a_key_is_none() {
        let longest = "a".repeat(696);
        assert!(UploadKey::of_digits(&longest).is_some());
        for text in ["", "a", "zz", "a\u{e9}", &format!("{longest}aa")] {
            assert_eq!(UploadKey::of_digits(text), None, "{text}");
        }
        // The document's samples lost or gained a digit.
        for len in [607, 609] {
            assert_eq!(UploadKey::of_digits(&"a".repeat(len)), None);
        }
    }
}
