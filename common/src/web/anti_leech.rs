//! Anti-leech tokens: links that work for a while. Source: docs/wire.md, HTTP and tokens.
//!
//! `token = hex(MD5(name without group + key + decimal ts))`, the scheme that `FastDFS` clients
//! compute. MD5 is not what one would choose today, but clients fix the scheme, and its known weakness
//! here, extending a hashed text, would need bytes in `ts` that are no digits: those are refused.

use std::fmt;
use std::time::Duration;

use md5::{Digest as _, Md5};

use super::query;
use crate::id::RemoteName;
use crate::limits;

/// Length of a token in characters.
const TOKEN_LEN: usize = 32;

/// A secret that tokens are made with.
///
/// * 1 to [`limits::ANTI_LEECH_KEY_LEN_MAX`] bytes
/// * never printed
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Box<str>);

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an anti-leech key has 1 to {} bytes, this one has {len}",
    limits::ANTI_LEECH_KEY_LEN_MAX
)]
pub struct KeyError {
    /// Bytes it has.
    pub len: usize,
}

impl TryFrom<&str> for Key {
    type Error = KeyError;

    fn try_from(text: &str) -> Result<Self, KeyError> {
        match text.len() {
            1..=limits::ANTI_LEECH_KEY_LEN_MAX => Ok(Self(text.into())),
            len => Err(KeyError { len }),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The rule that every download needs a token.
#[derive(Clone, Debug)]
pub struct AntiLeech {
    /// Keys that are accepted, so that a key can be replaced while links made with the old one live.
    /// With none, every download is refused.
    pub keys: Vec<Key>,
    /// How long after its `ts` a token is valid. A `ts` of 0 never expires.
    pub ttl: Duration,
}

/// Who may download.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// Everybody who knows the URL.
    #[default]
    Public,
    /// Whoever brings a valid token.
    Token(AntiLeech),
}

/// Why a download is refused. The texts go to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// `token` or `ts` is not in the query.
    #[error("this file needs a token: add ?token=...&ts=... to the URL")]
    Missing,
    /// `ts` is not a decimal number.
    #[error("ts is not a time in Unix seconds")]
    Timestamp,
    /// No key gives this token.
    #[error("the token is wrong for this file and ts")]
    Wrong,
    /// The token was right once.
    #[error("the token has expired: ask for a new link")]
    Expired,
}

impl AntiLeech {
    /// Checks the token in `query` for `name` at `now` (Unix seconds).
    ///
    /// Whether a token has expired is told only to those who hold a right one.
    pub fn check(&self, name: &RemoteName, query: &str, now: u32) -> Result<(), Denied> {
        let given = query::value(query, "token").filter(|token| !token.is_empty());
        let ts = query::value(query, "ts").filter(|ts| !ts.is_empty());
        let (Some(given), Some(ts)) = (given, ts) else {
            return Err(Denied::Missing);
        };
        let ts = parse_ts(&ts).ok_or(Denied::Timestamp)?;
        let name = name.to_text();
        let mut right = false;
        // Every key is tried, so that timing does not tell which one was near.
        for key in &self.keys {
            right |= equal_in_constant_time(given.as_bytes(), &token(&name, key, ts));
        }
        if !right {
            return Err(Denied::Wrong);
        }
        if ts != 0 && self.ttl.as_secs() < u64::from(now).saturating_sub(ts) {
            return Err(Denied::Expired);
        }
        Ok(())
    }
}

/// The token for a name without its group, 32 lower-case hexadecimal digits.
pub fn token(name: &str, key: &Key, ts: u64) -> [u8; TOKEN_LEN] {
    let digest = Md5::new()
        .chain_update(name.as_bytes())
        .chain_update(key.0.as_bytes())
        .chain_update(ts.to_string().as_bytes())
        .finalize();
    let mut hex = [0; TOKEN_LEN];
    let digits = digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| {
            if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            }
        });
    for (target, digit) in hex.iter_mut().zip(digits) {
        *target = digit;
    }
    hex
}

fn parse_ts(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Compares without telling by its timing where the first difference is.
fn equal_in_constant_time(given: &[u8], right: &[u8; TOKEN_LEN]) -> bool {
    let Ok(given) = <&[u8; TOKEN_LEN]>::try_from(given) else {
        return false;
    };
    let difference = given.iter().zip(right).fold(0_u8, |difference, (a, b)| {
        std::hint::black_box(difference | (a ^ b))
    });
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: docs/wire.md, HTTP and tokens; computed by the official Java client as well.
    const GOLDEN: [(&str, &str, u64, &str); 2] = [
        (
            "M00/00/00/eBuDxWCfQHSATopyAAV8AJV_1mw866.dll",
            "FastDFS1234567890",
            1_700_000_000,
            "38bfdf88d6fcec6c3826271f043a9170",
        ),
        (
            "M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h",
            "secret",
            1_594_000_000,
            "67179fdc53e9fbac391798882a73f565",
        ),
    ];

    fn key(text: &str) -> Key {
        Key::try_from(text).unwrap()
    }

    #[test]
    fn tokens_equal_those_of_fastdfs_clients() {
        for (name, secret, ts, expected) in GOLDEN {
            assert_eq!(token(name, &key(secret), ts), expected.as_bytes());
        }
    }

    #[test]
    fn any_key_opens_until_the_time_is_over() {
        let rule = AntiLeech {
            keys: vec![key("old"), key("FastDFS1234567890")],
            ttl: Duration::from_mins(10),
        };
        let (name, _, ts, right) = GOLDEN[0];
        let name = RemoteName::parse(name.as_bytes()).unwrap();
        let made = u32::try_from(ts).unwrap();
        let at = |query: &str, now| rule.check(&name, query, now);
        let query = format!("ts={ts}&token={right}&filename=x");
        assert_eq!(at(&query, made), Ok(()));
        assert_eq!(at(&query, made + 600), Ok(()));
        assert_eq!(at(&query, made + 601), Err(Denied::Expired));
        // Clocks differ: a time in the future is no reason to refuse.
        assert_eq!(at(&query, made - 9_999), Ok(()));

        let upper = format!("ts={ts}&token={}", right.to_uppercase());
        assert_eq!(at(&upper, made), Err(Denied::Wrong));
        let other_ts = format!("ts={}&token={right}", ts + 1);
        assert_eq!(at(&other_ts, made), Err(Denied::Wrong));
        let short = format!("ts={ts}&token={}", &right[1..]);
        assert_eq!(at(&short, made), Err(Denied::Wrong));
        assert_eq!(at("", made), Err(Denied::Missing));
        assert_eq!(at(&format!("ts={ts}"), made), Err(Denied::Missing));
        assert_eq!(
            at(&format!("ts=&token={right}"), made),
            Err(Denied::Missing)
        );
        for bad in ["-1", "1e9", "99999999999999999999", "%2B1"] {
            let query = format!("ts={bad}&token={right}");
            assert_eq!(at(&query, made), Err(Denied::Timestamp), "{bad}");
        }

        let eternal = token(&name.to_text(), &key("old"), 0);
        let eternal = format!("ts=0&token={}", std::str::from_utf8(&eternal).unwrap());
        assert_eq!(at(&eternal, u32::MAX), Ok(()));
        let no_keys = AntiLeech {
            keys: vec![],
            ..rule.clone()
        };
        assert_eq!(no_keys.check(&name, &query, made), Err(Denied::Wrong));
    }

    #[test]
    fn keys_are_bounded_and_never_printed() {
        assert_eq!(Key::try_from(""), Err(KeyError { len: 0 }));
        assert_eq!(
            Key::try_from("k".repeat(129).as_str()),
            Err(KeyError { len: 129 })
        );
        assert!(!format!("{:?}", key("FastDFS1234567890")).contains("Fast"));
    }
}
