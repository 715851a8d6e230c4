//! Which signed requests were seen: each may come once. Source: docs/api/weiyun.md §6.6.
//!
//! A signature is good for a window of time around its timestamp, so that only so much has to be
//! remembered. What is remembered here is in memory: after a restart, a request that somebody recorded
//! within the window before could be played once more. Where several servers share a catalog, that
//! remembers requests, too (`login.rs`).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::core::id::TokenHash;

/// Seconds that a client's clock may be wrong, in either direction.
pub(super) const WINDOW_SECONDS: u32 = 5 * 60;
/// Requests of one token within the window that are remembered.
const PER_TOKEN_MAX: usize = 4_096;
/// Requests of all tokens that are remembered, 20 bytes each.
const ALL_MAX: usize = 262_144;
/// Bytes of a nonce.
const NONCE_LEN_MAX: usize = 128;

/// Why a signed request is not believed to be fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stale {
    /// The timestamp is missing or no number.
    #[error("the timestamp is no number of seconds")]
    Timestamp,
    /// The client's clock is wrong, or the request was recorded and played again.
    #[error("the timestamp is {off_by} seconds off")]
    Window {
        /// Seconds between its clock and ours.
        off_by: u32,
    },
    /// There is no nonce, or one that nobody would draw.
    #[error("the nonce is empty or longer than {NONCE_LEN_MAX} bytes")]
    Nonce,
    /// It was here before.
    #[error("the request was here before")]
    Seen,
    /// More requests than can be remembered; later there is room again.
    #[error("too many signed requests within {WINDOW_SECONDS} seconds")]
    Full,
}

/// Timestamp and digest of the nonce, so that the eldest are the first.
type Request = (u32, [u8; 16]);

/// Signed requests within the window.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    by_token: HashMap<TokenHash, BTreeSet<Request>>,
    count: usize,
}

impl Nonces {
    /// Takes note of a request whose signature is right. `now` is Unix seconds.
    ///
    /// # Errors
    ///
    /// [`Stale`].
    pub(super) fn admit(
        &self,
        token: TokenHash,
        timestamp: &str,
        nonce: &str,
        now: u32,
    ) -> Result<(), Stale> {
        let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let timestamp: u32 = timestamp
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or(Stale::Timestamp)?;
        let off_by = now.abs_diff(timestamp);
        if WINDOW_SECONDS < off_by {
            return Err(Stale::Window { off_by });
        }
        if nonce.is_empty() || NONCE_LEN_MAX < nonce.len() {
            return Err(Stale::Nonce);
        }
        let digest = blake3::hash(nonce.as_bytes());
        let digest = digest.as_bytes().first_chunk().copied().unwrap_or_default();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.add(token, (timestamp, digest), now)
    }
}

impl Seen {
    fn add(&mut self, token: TokenHash, request: Request, now: u32) -> Result<(), Stale> {
        let oldest = now.saturating_sub(WINDOW_SECONDS);
        if ALL_MAX <= self.count {
            self.forget_before(oldest);
        }
        let of_token = self.by_token.entry(token).or_default();
        let before = of_token.len();
        *of_token = of_token.split_off(&(oldest, [0; 16]));
        self.count -= before - of_token.len();
        if of_token.contains(&request) {
            return Err(Stale::Seen);
        }
        // Forgetting one to remember another would let the first be played again.
        if PER_TOKEN_MAX <= of_token.len() || ALL_MAX <= self.count {
            return Err(Stale::Full);
        }
        of_token.insert(request);
        self.count += 1;
        Ok(())
    }

    fn forget_before(&mut self, oldest: u32) {
        self.by_token.retain(|_, requests| {
            *requests = requests.split_off(&(oldest, [0; 16]));
            !requests.is_empty()
        });
        self.count = self.by_token.values().map(BTreeSet::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_700_000_000;

    fn token(number: u8) -> TokenHash {
        TokenHash([number; 32])
    }

    #[test]
    fn a_request_is_admitted_once() {
        let nonces = Nonces::default();
        let admit = |token, timestamp: &str, nonce, now| nonces.admit(token, timestamp, nonce, now);
        assert_eq!(admit(token(1), "1700000000", "4072", NOW), Ok(()));
        let again = admit(token(1), "1700000000", "4072", NOW + 300);
        assert_eq!(again, Err(Stale::Seen));
        assert_eq!(admit(token(1), "1700000000", "4073", NOW), Ok(()));
        assert_eq!(admit(token(1), "1700000001", "4072", NOW), Ok(()));
        assert_eq!(admit(token(2), "1700000000", "4072", NOW), Ok(()));
    }

    #[test]
    fn clocks_may_be_wrong_by_so_much_and_no_more() {
        let nonces = Nonces::default();
        let admit = |timestamp: u32| nonces.admit(token(1), &timestamp.to_string(), "1", NOW);
        assert_eq!(admit(NOW - 300), Ok(()));
        assert_eq!(admit(NOW + 300), Ok(()));
        for timestamp in [NOW - 301, NOW + 301] {
            assert_eq!(admit(timestamp), Err(Stale::Window { off_by: 301 }));
        }
        for text in ["", "x", "-1", "+1700000000", "1700000000.0", "17000000000"] {
            let refused = nonces.admit(token(1), text, "1", NOW);
            assert_eq!(refused, Err(Stale::Timestamp), "{text}");
        }
        let long = "x".repeat(NONCE_LEN_MAX + 1);
        for nonce in ["", &long] {
            let refused = nonces.admit(token(1), "1700000000", nonce, NOW);
            assert_eq!(refused, Err(Stale::Nonce));
        }
    }

    #[test]
    fn a_token_that_asks_too_often_waits_and_others_do_not() {
        let nonces = Nonces::default();
        let admit = |token, nonce: usize, now: u32| {
            nonces.admit(token, &now.to_string(), &nonce.to_string(), now)
        };
        for nonce in 0..PER_TOKEN_MAX {
            assert_eq!(admit(token(1), nonce, NOW), Ok(()));
        }
        assert_eq!(admit(token(1), PER_TOKEN_MAX, NOW), Err(Stale::Full));
        assert_eq!(admit(token(1), 0, NOW), Err(Stale::Seen), "not forgotten");
        assert_eq!(admit(token(2), 0, NOW), Ok(()));
        let later = NOW + WINDOW_SECONDS + 1;
        assert_eq!(admit(token(1), 0, later), Ok(()));
        let seen = nonces.seen.lock().unwrap();
        assert_eq!(seen.count, 2);
    }

    #[test]
    fn what_is_remembered_of_all_is_bounded_and_given_back() {
        let mut seen = Seen::default();
        let tokens = ALL_MAX / PER_TOKEN_MAX;
        let of = |number: usize| TokenHash([u8::try_from(number).unwrap(); 32]);
        for number in 0..tokens {
            for nonce in 0..PER_TOKEN_MAX {
                let digest = (nonce as u128).to_be_bytes();
                assert_eq!(seen.add(of(number), (NOW, digest), NOW), Ok(()));
            }
        }
        assert_eq!(seen.add(of(tokens), (NOW, [0; 16]), NOW), Err(Stale::Full));
        let later = NOW + WINDOW_SECONDS + 1;
        assert_eq!(seen.add(of(tokens), (later, [0; 16]), later), Ok(()));
        assert_eq!((seen.count, seen.by_token.len()), (1, 1));
    }
}
