//! Lines that a stranger could cause by the thousand, written now and then.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Lets one event through, then counts for a while.
#[derive(Debug, Default)]
pub struct Rarely(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Rarely {
    /// One that has seen nothing.
    pub const fn new() -> Self {
        Self(Mutex::new(State {
            last: None,
            held_back: 0,
        }))
    }

    /// Whether an event at `now` is worth a line: how many before it were not, or `None`.
    pub fn note(&self, now: Instant) -> Option<u64> {
        // Both fields are plain numbers, so a poisoned state is whole.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state
            .last
            .is_none_or(|last| EVERY <= now.saturating_duration_since(last));
        if !is_due {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::clock;

    #[test]
    fn of_a_flood_one_line_is_let_through_and_the_next_counts_the_rest() {
        let (rarely, start) = (Rarely::new(), clock::monotonic());
        assert_eq!(rarely.note(start), Some(0));
        assert_eq!(rarely.note(start), None);
        assert_eq!(rarely.note(start + EVERY / 2), None);
        assert_eq!(rarely.note(start + EVERY), Some(2));
        assert_eq!(rarely.note(start + EVERY), None);
    }
}
