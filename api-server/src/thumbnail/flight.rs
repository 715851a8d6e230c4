//! One maker for all who want the same at the same time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::Thumbnail;
use super::error::ThumbError;
use super::key::ThumbKey;

type Outcome = Result<Thumbnail, ThumbError>;
type Making = Shared<BoxFuture<'static, Outcome>>;

/// Thumbnails being made.
///
/// A flight has no task of its own: whoever waits for it drives it, and when the last one leaves, it
/// ends. So nothing is made for clients that have gone, and nothing needs to be awaited at the end.
/// There are never more flights than requests.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<ThumbKey, Flight>>>);

struct Flight {
    /// Tells this flight from a later one with the same key.
    number: u64,
    making: WeakShared<BoxFuture<'static, Outcome>>,
}

impl Flights {
    /// The flight of `key`: the one under way, or else the one that `make` begins.
    pub(super) fn join(
        &self,
        key: ThumbKey,
        make: impl FnOnce() -> BoxFuture<'static, Outcome>,
    ) -> Making {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = flights.entry(key);
        let mut number = 0;
        if let Entry::Occupied(occupied) = &entry {
            let flight = occupied.get();
            if let Some(making) = flight.making.upgrade() {
                return making;
            }
            number = flight.number + 1;
        }
        let landing = Landing {
            flights: self.clone(),
            key,
            number,
        };
        let make = make();
        let making = async move {
            let _landing = landing;
            make.await
        }
        .boxed()
        .shared();
        if let Some(weak) = making.downgrade() {
            entry.insert_entry(Flight {
                number,
                making: weak,
            });
        }
        making
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

/// Takes a flight off the list when it ends, whether it arrived or everybody left.
struct Landing {
    flights: Flights,
    key: ThumbKey,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self
            .flights
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(entry) = flights.entry(self.key)
            && entry.get().number == self.number
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::thumbnail::fixture::key;

    #[tokio::test]
    async fn all_who_come_meanwhile_share_one_outcome_and_the_next_begins_anew() {
        let flights = Flights::default();
        let made = Arc::new(AtomicUsize::new(0));
        let (release, released) = oneshot::channel::<()>();
        let begin = |wait: oneshot::Receiver<()>| {
            let made = Arc::clone(&made);
            move || {
                async move {
                    let _ = wait.await;
                    made.fetch_add(1, Ordering::SeqCst);
                    Err(ThumbError::Busy)
                }
                .boxed()
            }
        };
        let first = flights.join(key(1), begin(released));
        let others: Vec<Making> = (0..5)
            .map(|_| flights.join(key(1), || unreachable!("one is under way")))
            .collect();
        release.send(()).unwrap();
        for making in others.into_iter().chain([first]) {
            assert!(matches!(making.await, Err(ThumbError::Busy)));
        }
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!(flights.count(), 0);
        let (_, over) = oneshot::channel();
        let _outcome = flights.join(key(1), begin(over)).await;
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_flight_that_everybody_left_is_gone() {
        let flights = Flights::default();
        let mut making = flights.join(key(1), || futures_util::future::pending().boxed());
        assert!((&mut making).now_or_never().is_none());
        let other = flights.join(key(1), || unreachable!("one is under way"));
        drop(making);
        assert_eq!(flights.count(), 1);
        drop(other);
        assert_eq!(flights.count(), 0);
    }
}
