//! What time it is for the service: the system's, which tests can put forward.

use common::env::{clock, entropy};

use crate::core::moment::Moment;

/// Tells the time. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    /// Seconds ahead of the system.
    #[cfg(test)]
    ahead: std::sync::Arc<std::sync::atomic::AtomicU32>,
}

impl Clock {
    /// Unix seconds.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "what tests put forward is not there")]
    pub(super) fn unix_seconds(&self) -> u32 {
        clock::unix_seconds()
    }

    /// Unix seconds.
    #[cfg(test)]
    pub(super) fn unix_seconds(&self) -> u32 {
        let ahead = self.ahead.load(std::sync::atomic::Ordering::Relaxed);
        clock::unix_seconds().saturating_add(ahead)
    }

    /// Lets time pass at once.
    #[cfg(test)]
    pub(super) fn put_forward(&self, seconds: u32) {
        self.ahead
            .fetch_add(seconds, std::sync::atomic::Ordering::Relaxed);
    }

    /// The time, and chance for what happens now.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            now: self.unix_seconds(),
            chance: entropy::random_u64(),
        }
    }
}
