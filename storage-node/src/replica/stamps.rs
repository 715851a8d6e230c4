//! The node's clock for versions: the time of day, but never behind what was seen.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::format::Stamp;

/// Tells the time of day in microseconds since 1970.
pub type WallClock = Box<dyn Fn() -> u64 + Send + Sync>;

/// Draws stamps. A hybrid clock: it follows the time of day and, where that is behind what another
/// node stamped or this one did before a restart, goes on from there. So a clock that jumps back by
/// hours makes nothing older than what it follows.
pub struct Stamps {
    node: u32,
    clock: WallClock,
    last: AtomicU64,
}

impl fmt::Debug for Stamps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamps")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Stamps {
    /// For the node with this number, behind `seen`.
    pub fn new(node: u32, clock: WallClock, seen: Stamp) -> Self {
        Self {
            node,
            clock,
            last: AtomicU64::new(seen.0),
        }
    }

    /// The time of day, in microseconds since 1970.
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// A stamp that is newer than all that were drawn or seen here.
    pub fn draw(&self) -> Stamp {
        let now = (self.clock)();
        let next = |last: u64| {
            let last = Stamp(last);
            Some(Stamp::at(now.max(last.micros() + 1), self.node).0)
        };
        // The function always gives a value, so both arms hold the one before.
        let (Ok(last) | Err(last)) =
            self.last
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        Stamp(next(last).unwrap_or(last))
    }

    /// Makes later stamps newer than `stamp`.
    pub fn see(&self, stamp: Stamp) {
        self.last.fetch_max(stamp.0, Ordering::Relaxed);
    }

    /// The newest stamp that was drawn or seen.
    pub fn last(&self) -> Stamp {
        Stamp(self.last.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_whatever_the_clock_does() {
        let stopped = Stamps::new(3, Box::new(|| 1000), Stamp::at(10, 1));
        let first = stopped.draw();
        assert_eq!(first, Stamp::at(1000, 3));
        let second = stopped.draw();
        assert!(first < second);
        stopped.see(Stamp::at(5000, 2));
        let third = stopped.draw();
        assert_eq!(third, Stamp::at(5001, 3));
        assert_eq!(stopped.last(), third);
    }
}
