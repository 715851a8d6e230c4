//! The threads that decode, and the queue before them.
//!
//! Decoders are foreign code that runs for as long as it likes on input of strangers. So it runs on
//! a few threads of its own, and a job holds its slot until its thread is really done with it: a
//! decoder that hangs makes the pool smaller for that time, and never the process larger.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

type Job = Box<dyn FnOnce() + Send>;

/// The threads that decode.
#[derive(Debug)]
pub(super) struct Pool {
    /// Everybody inside, waiting or working.
    admission: Arc<Semaphore>,
    /// As many as there are threads.
    slots: Arc<Semaphore>,
    /// `None` once closed.
    sender: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all threads are at work and the queue is full, or the pool is closed")]
pub(super) struct Full;

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfinished {
    /// It is still at work. It keeps its thread, and its result is lost.
    #[error("not done in time")]
    Late,
    /// It panicked.
    #[error("it panicked")]
    Panicked,
    /// The pool was closed before its turn.
    #[error("the pool is closed")]
    Closed,
}

/// The right to run one job now.
#[derive(Debug)]
pub(super) struct Slot {
    _admission: OwnedSemaphorePermit,
    _slot: OwnedSemaphorePermit,
}

impl Pool {
    /// Starts `threads` threads, at least one; `queue_len` more jobs may wait for them. A thread
    /// that the operating system refuses is done without; if it refuses all, every slot is refused.
    pub(super) fn new(threads: usize, queue_len: usize) -> Self {
        let wanted = threads.max(1);
        let (sender, receiver) = sync_channel(wanted);
        let receiver = Arc::new(Mutex::new(receiver));
        let threads: Vec<JoinHandle<()>> = (0..wanted)
            .filter_map(|number| {
                let receiver = Arc::clone(&receiver);
                Builder::new()
                    .name(format!("thumbnail-{number}"))
                    .spawn(move || work(&receiver))
                    .inspect_err(|error| tracing::error!(%error, "cannot start a thumbnail thread"))
                    .ok()
            })
            .collect();
        let admitted = if threads.is_empty() {
            0
        } else {
            threads.len().saturating_add(queue_len)
        };
        Self {
            admission: Arc::new(Semaphore::new(admitted.min(Semaphore::MAX_PERMITS))),
            slots: Arc::new(Semaphore::new(threads.len())),
            sender: Mutex::new(Some(sender)),
            threads: Mutex::new(threads),
        }
    }

    /// Waits in the queue for a slot, at most `patience`. Whoever has one may gather a job's input:
    /// input exists in memory only for as many jobs as there are slots.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a cancelled wait leaves the queue.
    pub(super) async fn slot(&self, patience: Duration) -> Result<Slot, Full> {
        let admission = Arc::clone(&self.admission)
            .try_acquire_owned()
            .map_err(|_| Full)?;
        let slot = timeout(patience, Arc::clone(&self.slots).acquire_owned())
            .await
            .map_err(|_| Full)?
            .map_err(|_| Full)?;
        Ok(Slot {
            _admission: admission,
            _slot: slot,
        })
    }

    /// Runs `job` on a thread and waits for it, at most `limit`.
    ///
    /// # Cancel safety
    ///
    /// A job whose waiter has gone is skipped if it has not begun, and else runs to its end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        slot: Slot,
        limit: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            if answer.is_closed() {
                return;
            }
            // The job owns all that it touches; nothing half-changed survives its panic.
            let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(|_| Unfinished::Panicked);
            // First, so that whoever is answered finds the slot free.
            drop(slot);
            let _nobody_waits_any_more = answer.send(outcome);
        };
        {
            let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
            let sender = sender.as_ref().ok_or(Unfinished::Closed)?;
            // There are as many slots as places in the channel, so it is never full.
            sender
                .try_send(Box::new(job))
                .map_err(|_| Unfinished::Closed)?;
        }
        match timeout(limit, answered).await {
            Err(_) => Err(Unfinished::Late),
            Ok(Err(_)) => Err(Unfinished::Closed),
            Ok(Ok(outcome)) => outcome,
        }
    }

    /// Takes no more jobs and waits until the threads have ended. Blocks for as long as a decoder
    /// is at work.
    pub(super) fn close(&self) {
        self.admission.close();
        self.slots.close();
        let sender = self
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(sender);
        let threads: Vec<JoinHandle<()>> = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        for thread in threads {
            // Panics are caught inside.
            let _ended = thread.join();
        }
    }
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = {
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
            receiver.recv()
        };
        match job {
            Ok(job) => job(),
            Err(_the_pool_is_gone) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use futures_util::FutureExt as _;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_job_is_answered_and_a_panic_is_its_own_matter() {
        let pool = Pool::new(1, 0);
        let slot = pool.slot(LONG).await.unwrap();
        let outcome: Result<(), _> = pool.run(slot, LONG, || panic!("a decoder's bug")).await;
        assert_eq!(outcome, Err(Unfinished::Panicked));
        let slot = pool.slot(LONG).await.unwrap();
        assert_eq!(pool.run(slot, LONG, || 7).await, Ok(7));
        pool.close();
    }

    #[tokio::test]
    async fn a_late_job_frees_its_waiter_and_keeps_its_slot() {
        let pool = Pool::new(1, 1);
        let (release, blocked) = channel::<()>();
        let slot = pool.slot(LONG).await.unwrap();
        let late = pool
            .run(slot, Duration::from_millis(300), move || blocked.recv())
            .await;
        assert_eq!(late.unwrap_err(), Unfinished::Late);
        // The thread is still at work, so nobody gets a slot in the meantime.
        assert_eq!(pool.slot(Duration::from_millis(1)).await.unwrap_err(), Full);
        release.send(()).unwrap();
        let slot = pool.slot(LONG).await.unwrap();
        assert_eq!(pool.run(slot, LONG, || 1).await, Ok(1));
        pool.close();
    }

    #[tokio::test]
    async fn beyond_the_queue_there_is_no_waiting() {
        let pool = Pool::new(1, 1);
        let working = pool.slot(LONG).await.unwrap();
        let mut waiting = std::pin::pin!(pool.slot(LONG));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(pool.slot(LONG).await.unwrap_err(), Full);
        drop(working);
        drop(waiting.await.unwrap());
        pool.slot(LONG).await.unwrap();
    }

    #[tokio::test]
    async fn a_closed_pool_refuses() {
        let pool = Pool::new(2, 2);
        let slot = pool.slot(LONG).await.unwrap();
        pool.close();
        assert_eq!(pool.run(slot, LONG, || ()).await, Err(Unfinished::Closed));
        assert_eq!(pool.slot(LONG).await.unwrap_err(), Full);
    }

    #[tokio::test]
    async fn a_job_that_nobody_waits_for_is_skipped() {
        let pool = Pool::new(1, 0);
        let (begun, beginning) = channel();
        let (release, blocked) = channel::<()>();
        let slot = pool.slot(LONG).await.unwrap();
        let mut busy = Box::pin(pool.run(slot, LONG, move || {
            begun.send(()).unwrap();
            blocked.recv().is_ok()
        }));
        assert!(busy.as_mut().now_or_never().is_none());
        beginning.recv().unwrap();
        let (ran, runs) = channel();
        {
            // Through a slot of another pool, for the only one of this is taken.
            let slot = Pool::new(1, 0).slot(LONG).await.unwrap();
            let mut left = Box::pin(pool.run(slot, LONG, move || ran.send(())));
            assert!(left.as_mut().now_or_never().is_none());
        }
        release.send(()).unwrap();
        assert!(busy.await.unwrap());
        pool.close();
        assert!(
            runs.recv().is_err(),
            "its sender was dropped without a send"
        );
    }
}
