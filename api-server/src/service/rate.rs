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

use crate::core::id::TokenHash;
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
    /// Log-ins that failed, for one account from one place: from elsewhere its user can still log in.
    pub(crate) failures_per_account: Rate,
    /// Accounts made from one address.
    pub(crate) registrations_per_address: Rate,
    /// MD5s asked for and not found, by one user: guessing digests of other people's files.
    pub(crate) misses_per_user: Rate,
    /// Calls without a token from one address.
    pub(crate) tokenless_per_address: Rate,
    /// Calls of one kind with one access token.
    pub(crate) calls_per_token: Rate,
}

impl Default for RateSettings {
    /// No limits.
    fn default() -> Self {
        let unlimited = Rate {
            burst: 0,
            per: Duration::from_mins(1),
        };
        Self {
            failures_per_address: unlimited,
            failures_per_account: unlimited,
            registrations_per_address: unlimited,
            misses_per_user: unlimited,
            tokenless_per_address: unlimited,
            calls_per_token: unlimited,
        }
    }
}

/// Where somebody is: an IPv4 address, or the network of an IPv6 address that one customer is given.
/// Whoever has such a network has more addresses than anybody could remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Neighbourhood(IpAddr);

impl Neighbourhood {
    /// Bits of an IPv6 address that a customer chooses.
    const OWN_BITS: u32 = 64;

    /// Where an address is.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() >> Self::OWN_BITS << Self::OWN_BITS;
                IpAddr::V6(network.into())
            }
        })
    }
}

/// All buckets.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) failures_by_address: Buckets<Neighbourhood>,
    pub(super) failures_by_account: Buckets<(UserName, Neighbourhood)>,
    pub(super) registrations: Buckets<Neighbourhood>,
    pub(super) misses: Buckets<UserName>,
    pub(super) tokenless: Buckets<Neighbourhood>,
    pub(super) calls: Buckets<(TokenHash, String)>,
}

impl Rates {
    pub(super) fn new(settings: RateSettings) -> Self {
        Self {
            failures_by_address: Buckets::new(settings.failures_per_address),
            failures_by_account: Buckets::new(settings.failures_per_account),
            registrations: Buckets::new(settings.registrations_per_address),
            misses: Buckets::new(settings.misses_per_user),
            tokenless: Buckets::new(settings.tokenless_per_address),
            calls: Buckets::new(settings.calls_per_token),
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

    /// Takes back an attempt that should not count.
    pub(super) fn give_back(&self, key: &K) {
        if self.rate.burst == 0 {
            return;
        }
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full) = full_at.get_mut(key) {
            let cost = self.rate.per / self.rate.burst;
            *full = full.checked_sub(cost).unwrap_or(*full);
        }
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
        buckets.give_back(&"a");
        assert!(buckets.take_at("a", after(1_000)));
        assert!(!buckets.take_at("a", after(1_000)));
    }

    #[test]
    fn all_addresses_of_one_network_are_one_place() {
        let of = |text: &str| Neighbourhood::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
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
