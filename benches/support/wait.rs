//! Waiting for a condition, never for time alone.
#![expect(
    clippy::disallowed_methods,
    reason = "a poll has to pause; the condition decides when it ends"
)]

use std::time::Duration;

use common::env::clock;

use super::error::BenchError;

/// Pause between two looks; also how exact measured start times are.
const POLL: Duration = Duration::from_millis(2);

/// Looks until `probe` answers.
pub(crate) fn until<T>(
    what: &'static str,
    limit: Duration,
    probe: impl FnMut() -> Result<Option<T>, BenchError>,
) -> Result<T, BenchError> {
    until_every(POLL, what, limit, probe)
}

/// Looks at times until `probe` answers, so that looking costs little of what is looked at.
pub(crate) fn until_every<T>(
    pause: Duration,
    what: &'static str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>, BenchError>,
) -> Result<T, BenchError> {
    let begin = clock::monotonic();
    loop {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        if limit < clock::monotonic().saturating_duration_since(begin) {
            return Err(BenchError::TooLate { what, limit });
        }
        std::thread::sleep(pause);
    }
}
