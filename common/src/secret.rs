//! The secret that makes a node a member of the cluster (docs/decisions/0018-cluster-secret.md).

use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::env::entropy;
use crate::limits;

/// Random bytes of a secret that the program makes.
const GENERATED_LEN: usize = 32;

/// A text that every node of a cluster knows and nobody else.
///
/// * [`limits::CLUSTER_SECRET_LEN_MIN`] to [`limits::CLUSTER_SECRET_LEN_MAX`] bytes
/// * no white space at its ends, so that a file with a line end holds the same secret
/// * never printed, except by [`Self::reveal`]
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// Why a text is no secret. Does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too few bytes resist no guessing, too many are something else.
    #[error(
        "a cluster secret has {} to {} bytes, this one has {len}; remedy: make one with `hayloft cluster secret`",
        limits::CLUSTER_SECRET_LEN_MIN,
        limits::CLUSTER_SECRET_LEN_MAX
    )]
    Length {
        /// Bytes it has.
        len: usize,
    },
    /// A line end or control character in the middle: probably a file of another kind.
    #[error("a cluster secret is one line of text; remedy: make one with `hayloft cluster secret`")]
    Line,
}

impl Secret {
    /// A secret of 32 random bytes, as 64 hexadecimal digits.
    pub fn generate() -> Self {
        let mut text = String::with_capacity(2 * GENERATED_LEN);
        for byte in entropy::random_bytes::<GENERATED_LEN>() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text.into())
    }

    /// The text itself, for the file that keeps it and for keys derived from it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Secret {
    type Error = SecretError;

    fn try_from(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        match text.len() {
            limits::CLUSTER_SECRET_LEN_MIN..=limits::CLUSTER_SECRET_LEN_MAX => {}
            len => return Err(SecretError::Length { len }),
        }
        if text.chars().any(char::is_control) {
            return Err(SecretError::Line);
        }
        Ok(Self(text.into()))
    }
}

/// Leaves the text out.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets that a node accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// The one in use.
    pub current: Secret,
    /// The one before it, or the one to come, while it is changed node by node.
    pub previous: Option<Secret>,
}

impl Secrets {
    /// One secret and no other.
    pub fn new(current: Secret) -> Self {
        Self {
            current,
            previous: None,
        }
    }
}

/// A secret that nobody else has: with it, a node is a cluster of its own.
impl Default for Secrets {
    fn default() -> Self {
        Self::new(Secret::generate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_of_enough_bytes() {
        let sixteen = "0123456789abcdef";
        assert_eq!(Secret::try_from(sixteen).unwrap().reveal(), sixteen);
        let with_line_end = format!("{sixteen}\r\n");
        assert_eq!(
            Secret::try_from(with_line_end.as_str()),
            Secret::try_from(sixteen)
        );
        for (text, expected) in [
            ("", SecretError::Length { len: 0 }),
            ("0123456789abcde", SecretError::Length { len: 15 }),
            ("0123456789abcde\n", SecretError::Length { len: 15 }),
            ("0123456789\nabcdef", SecretError::Line),
        ] {
            assert_eq!(Secret::try_from(text), Err(expected), "{text:?}");
        }
        let long = "x".repeat(limits::CLUSTER_SECRET_LEN_MAX + 1);
        assert!(Secret::try_from(long.as_str()).is_err());
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let secrets = Secrets {
            current: Secret::generate(),
            previous: Some(Secret::generate()),
        };
        let printed = format!("{secrets:?} {secrets:#?}");
        assert!(!printed.contains(secrets.current.reveal()));
        let refused = Secret::try_from("hunter2").unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }

    #[test]
    fn generated_secrets_differ_and_are_secrets() {
        let (one, other) = (Secret::generate(), Secret::generate());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), 64);
        assert_eq!(Secret::try_from(one.reveal()), Ok(one));
    }
}
