//! Pictures of which no thumbnail can be made, remembered for a while.
//!
//! Otherwise a picture made to cost the most that is allowed would cost it at every request.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::error::PictureError;
use super::key::ContentKey;

/// Contents that are remembered; the oldest makes room.
const COUNT_MAX: usize = 4096;
/// How long a failure is believed: a new release may do better, and slowness may have been the
/// machine's.
const BELIEVED_FOR: Duration = Duration::from_mins(15);

/// Contents that failed. Whether a picture can be decoded does not depend on the size asked for, so
/// one failure answers for all sizes.
#[derive(Debug, Default)]
pub(super) struct Failures {
    errors: HashMap<ContentKey, (PictureError, Instant)>,
    /// In the order of time; each content stands here once.
    order: VecDeque<ContentKey>,
}

impl Failures {
    pub(super) fn get(&self, content: ContentKey, now: Instant) -> Option<PictureError> {
        let (error, since) = self.errors.get(&content)?;
        (now.saturating_duration_since(*since) < BELIEVED_FOR).then_some(*error)
    }

    pub(super) fn insert(&mut self, content: ContentKey, error: PictureError, now: Instant) {
        if self.errors.insert(content, (error, now)).is_some() {
            self.order.retain(|other| *other != content);
        }
        self.order.push_back(content);
        if COUNT_MAX < self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.errors.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use common::env::clock;

    use super::*;
    use crate::thumbnail::fixture::content_key;

    #[test]
    fn a_failure_is_believed_for_a_while() {
        let mut failures = Failures::default();
        let now = clock::monotonic();
        failures.insert(content_key(1), PictureError::Broken, now);
        assert_eq!(
            failures.get(content_key(1), now),
            Some(PictureError::Broken)
        );
        assert_eq!(failures.get(content_key(2), now), None);
        assert_eq!(failures.get(content_key(1), now + BELIEVED_FOR), None);
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes() {
        let mut failures = Failures::default();
        let now = clock::monotonic();
        for number in 0..=u64::try_from(COUNT_MAX).unwrap() {
            failures.insert(content_key(number), PictureError::Broken, now);
            failures.insert(content_key(number), PictureError::Unknown, now);
        }
        assert_eq!(failures.errors.len(), COUNT_MAX);
        assert_eq!(failures.order.len(), COUNT_MAX);
        assert_eq!(failures.get(content_key(0), now), None);
        assert_eq!(
            failures.get(content_key(1), now),
            Some(PictureError::Unknown)
        );
    }
}
