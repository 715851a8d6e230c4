//! Values of this dialect's requests that the core does not know: what stands for a password, and
//! the pages of lists. Source: docs/api/image-host.md §2.3, §4.1.
//!
//! Names, digests, links and tokens are the core's: see `crate::core::name` and `crate::core::id`.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// What a client sends in place of a password: the documented ones send its MD5.
///
/// * 1 to [`Self::LEN_MAX`] characters of any kind; it is compared and never shown
/// * 32 hexadecimal digits are the same in upper and lower case, for they are a digest
/// * whoever knows it can log in, so it is never printed, logged or kept
#[derive(Clone)]
pub(crate) struct Secret(Box<str>);

/// Why a text is no [`Secret`]. Says nothing about the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 1 to {} characters", Secret::LEN_MAX)]
pub(crate) struct SecretError;

impl Secret {
    /// Characters it may have.
    pub(crate) const LEN_MAX: usize = 128;
    /// Digits of an MD5.
    const DIGEST_LEN: usize = 32;

    /// What is hashed to be kept or compared.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        // One more than allowed is enough to know.
        let len = text.chars().take(Self::LEN_MAX + 1).count();
        if len == 0 || Self::LEN_MAX < len {
            return Err(SecretError);
        }
        let is_digest =
            len == Self::DIGEST_LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digest {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a number names no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{number} is less than {min}")]
pub(crate) struct PageError {
    /// What came.
    pub(crate) number: i64,
    /// The least that has a meaning.
    pub(crate) min: i64,
}

/// Rows in front of a page, from 0 on. May be beyond all rows: such a page is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Start(u64);

impl Start {
    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<i64> for Start {
    type Error = PageError;

    fn try_from(number: i64) -> Result<Self, PageError> {
        let start = u64::try_from(number).map_err(|_| PageError { number, min: 0 })?;
        Ok(Self(start))
    }
}

/// Rows that a page may have, from 1 on. Clients know no upper limit: some ask for all rows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count(NonZeroU64);

impl Count {
    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0.get()
    }
}

impl TryFrom<i64> for Count {
    type Error = PageError;

    fn try_from(number: i64) -> Result<Self, PageError> {
        let count = u64::try_from(number).ok().and_then(NonZeroU64::new);
        count.map(Self).ok_or(PageError { number, min: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Result<Vec<u8>, SecretError> {
        let secret: Secret = text.parse()?;
        Ok(secret.as_bytes().to_vec())
    }

    #[test]
    fn a_digest_is_the_same_in_any_case_and_other_secrets_are_not() {
        let lower = "e10adc3949ba59abbe56e057f20f883e";
        for text in [lower, "E10ADC3949BA59ABBE56E057F20F883E"] {
            assert_eq!(secret(text).unwrap(), lower.as_bytes());
        }
        for text in [
            "ABCDEF",
            "E10ADC3949BA59ABBE56E057F20F883",
            "E10ADC3949BA59ABBE56E057F20F883EE",
            "X10ADC3949BA59ABBE56E057F20F883E",
            " p\u{7} ",
        ] {
            assert_eq!(secret(text).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn secrets_have_1_to_128_characters() {
        assert_eq!(secret(""), Err(SecretError));
        for letter in ["a", "图", "😀"] {
            let longest = letter.repeat(128);
            assert_eq!(secret(&longest).unwrap(), longest.as_bytes());
            assert_eq!(secret(&letter.repeat(129)), Err(SecretError));
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        let secret: Secret = "hunter2".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn pages_begin_at_0_and_have_a_row() {
        assert_eq!(Start::try_from(0).map(Start::get), Ok(0));
        assert_eq!(
            Start::try_from(i64::MAX).map(Start::get),
            Ok(i64::MAX as u64)
        );
        let (number, min) = (-1, 0);
        assert_eq!(Start::try_from(-1), Err(PageError { number, min }));
        assert_eq!(Count::try_from(1).map(Count::get), Ok(1));
        for number in [0, -1, i64::MIN] {
            let min = 1;
            assert_eq!(Count::try_from(number), Err(PageError { number, min }));
        }
    }
}
