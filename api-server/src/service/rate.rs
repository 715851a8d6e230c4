//! How often what may be tried: a bucket of attempts for each who tries, which fills again with time.
//!
//! Buckets that are full are forgotten, and there is a bound on how many are remembered, so that
//! nobody can fill the memory by trying from many addresses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::env::clock;

use crate::core::name::UserName;

/// Buckets of one kind that are remembered.
const BUCKETS_MAX: usize = 100_000;

/// A number of attempts, and the time in which as many come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Attempts at once. 0 means no limit.
    pub(crate) burst: u32,
    /// Time in which an empty bucket fills.
    pub(crate) per: Duration,
}

/// The limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateSettings {
    /// Log-ins that failed, from one address.
    pub(crate) failures_per_address: Rate,
    /// Log-ins that failed, for one account from one address: others can still log in to it.
    pub(crate) failures_per_account: Rate,
    /// Accounts made from one address.
    pub(crate) registrations_per_address: Rate,
    /// MD5s asked for and not found, by one user: guessing digests of other people's files.
    pub(crate) misses_per_user: Rate,
    /// Calls without a token from one address.
    pub(crate) tokenless_per_address: Rate,
}

impl Default for RateSettings {
    fn default() -> Self {
        let per_minute = |burst| Rate {
            burst,
            per: Duration::from_mins(1),
        };
        Self {
            failures_per_address: per_minute(60),
            failures_per_account: per_minute(20),
            registrations_per_address: per_minute(300),
            misses_per_user: per_minute(6_000),
            tokenless_per_address: per_minute(6_000),
        }
    }
}

/// All buckets.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) failures_by_address: Buckets<IpAddr>,
    pub(super) failures_by_account: Buckets<(UserName, IpAddr)>,
    pub(super) registrations: Buckets<IpAddr>,
    pub(super) misses: Buckets<UserName>,
    pub(super) tokenless: Buckets<IpAddr>,
}

impl Rates {
    pub(super) fn new(settings: RateSettings) -> Self {
        Self {
            failures_by_address: Buckets::new(settings.failures_per_address),
            failures_by_account: Buckets::new(settings.failures_per_account),
            registrations: Buckets::new(settings.registrations_per_address),
            misses: Buckets::new(settings.misses_per_user),
            tokenless: Buckets::new(settings.tokenless_per_address),
        }
    }
}

/// Buckets of one kind.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    /// When each bucket will be full again.
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: Mutex::default(),
        }
    }

    /// Whether another attempt is left.
    pub(super) fn is_open(&self, key: &K) -> bool {
        self.is_open_at(key, clock::monotonic())
    }

    /// Takes an attempt; false if none is left.
    pub(super) fn take(&self, key: K) -> bool {
        self.take_at(key, clock::monotonic())
    }

    fn is_open_at(&self, key: &K, now: Instant) -> bool {
        if self.rate.burst == 0 {
            return true;
        }
        let full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        full_at
            .get(key)
            .is_none_or(|full| self.has_room(*full, now))
    }

    fn take_at(&self, key: K, now: Instant) -> bool {
        if self.rate.burst == 0 {
            return true;
        }
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if BUCKETS_MAX <= full_at.len() {
            full_at.retain(|_, full| now < *full);
            // Somebody tries from everywhere. What is forgotten is a limit on each, not a secret.
            if BUCKETS_MAX <= full_at.len() {
                full_at.clear();
            }
        }
        let cost = self.rate.per / self.rate.burst;
        match full_at.entry(key) {
            Entry::Vacant(bucket) => {
                bucket.insert(now + cost);
                true
            }
            Entry::Occupied(mut bucket) => {
                if !self.has_room(*bucket.get(), now) {
                    return false;
                }
                let full = (*bucket.get()).max(now) + cost;
                bucket.insert(full);
                true
            }
        }
    }

    /// Whether a bucket that will be full at `full` has an attempt left.
    fn has_room(&self, full: Instant, now: Instant) -> bool {
        let cost = self.rate.per / self.rate.burst;
        full.saturating_duration_since(now) + cost <= self.rate.per
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        per: Duration::from_secs(30),
    };

    #[test]
    fn a_bucket_empties_and_fills_with_time() {
        let buckets = Buckets::new(RATE);
        let start = clock::monotonic();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!((0..3).all(|_| buckets.take_at("a", start)));
        assert!(!buckets.take_at("a", start));
        assert!(!buckets.is_open_at(&"a", after(9)));
        assert!(buckets.take_at("b", start), "others are not concerned");
        assert!(buckets.is_open_at(&"a", after(10)));
        assert!(buckets.take_at("a", after(10)));
        assert!(!buckets.take_at("a", after(10)));
        assert!((0..3).all(|_| buckets.take_at("a", after(1_000))));
        assert!(!buckets.take_at("a", after(1_000)));
    }

    #[test]
    fn memory_is_bounded_and_no_limit_remembers_nothing() {
        let buckets = Buckets::new(RATE);
        let now = clock::monotonic();
        for number in 0..=BUCKETS_MAX {
            assert!(buckets.take_at(number, now));
        }
        assert!(buckets.full_at.lock().unwrap().len() <= BUCKETS_MAX);
        let unlimited = Buckets::new(Rate { burst: 0, ..RATE });
        assert!((0..100).all(|_| unlimited.take_at(1, now)));
        assert!(unlimited.full_at.lock().unwrap().is_empty());
    }
}
