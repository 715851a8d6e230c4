//! Waiting for a condition, never for time alone.
#![expect(
    clippy::disallowed_methods,
    reason = "a poll has to pause; the condition decides when it ends"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Pause between two looks.
const POLL: Duration = Duration::from_millis(5);

/// Looks until `probe` answers, and fails the test after `limit`.
pub(crate) fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Option<T>,
) -> T {
    match within(limit, &mut probe) {
        Some(answer) => answer,
        None => panic!("not within {limit:?}: {what}"),
    }
}

/// Looks until `probe` answers, at most for `limit`.
pub(crate) fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if end <= Instant::now() {
            return None;
        }
        std::thread::sleep(POLL);
    }
}

/// Tells load to end when it goes, also in a failure, which would wait for the load for ever.
pub(crate) struct StopAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
