//! Permits for uploads without a token: whoever asked for an MD5 with a token may upload it.
//! Source: docs/api/image-host.md §11, mode `ticket`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::env::clock;

use crate::core::id::{AccountId, Md5};

/// How long a permit lasts.
const LIFE: Duration = Duration::from_hours(1);
/// Permits that are remembered.
const TICKETS_MAX: usize = 100_000;

/// Who asked for what.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    until: Mutex<HashMap<(AccountId, Md5), Instant>>,
}

impl Tickets {
    /// Remembers that an account asked for an MD5.
    pub(super) fn issue(&self, account: AccountId, md5: Md5) {
        let now = clock::monotonic();
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if TICKETS_MAX <= until.len() {
            until.retain(|_, until| now < *until);
            // Clients that lose their permit ask again.
            if TICKETS_MAX <= until.len() {
                until.clear();
            }
        }
        until.insert((account, md5), now + LIFE);
    }

    /// Whether an account asked for an MD5 lately.
    pub(super) fn has(&self, account: AccountId, md5: Md5) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = until.get(&(account, md5));
        until.is_some_and(|until| clock::monotonic() < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_for_one_account_and_one_digest() {
        let tickets = Tickets::default();
        tickets.issue(AccountId(1), Md5([1; 16]));
        assert!(tickets.has(AccountId(1), Md5([1; 16])));
        assert!(!tickets.has(AccountId(2), Md5([1; 16])));
        assert!(!tickets.has(AccountId(1), Md5([2; 16])));
    }
}
