//! The only place that asks the operating system for the time. Pure code takes `now` instead.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the seam that the others are sent to"
)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Wall clock, Unix seconds; 0 if it stands before 1970, the last representable second after 2106.
pub fn unix_seconds() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// Wall clock, microseconds since 1970; 0 if it stands before.
pub fn unix_micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
