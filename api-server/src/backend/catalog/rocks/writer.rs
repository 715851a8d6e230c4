//! The thread that runs all transactions, one after another.
//!
//! Groups form by themselves: whatever arrives while one group is being written is the next group.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use common::env::clock;
use tracing::error;

use super::super::job::Job;
use super::super::overlay::{Changes, Verdict};
use super::Durability;
use super::metrics::CatalogMetrics;
use crate::core::catalog::{CatalogError, View};

/// Transactions of one group: more do not make the sync cheaper for each.
const GROUP_MAX: usize = 256;
/// Bytes of changes at which a group takes no further transaction.
const GROUP_LEN_MAX: usize = 4 * 1024 * 1024;

/// What is sent to the writer.
pub(super) enum Message {
    /// Run this transaction.
    Run(Box<dyn Job>),
    /// Finish what came before, make it durable and end.
    Close,
}

/// Whether a write reaches the disk before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// It does.
    Now,
    /// It reaches the operating system.
    Later,
}

/// What keeps the changes of the writer: the database, or a double that fails.
pub(super) trait Keeper {
    /// Shows the newest state to `look`. Blocks.
    fn look<R>(&self, look: impl FnOnce(&dyn View) -> R) -> R;

    /// Keeps all changes or, as far as anybody can see, none. Blocks.
    fn keep(&self, changes: &Changes, sync: Sync) -> Result<(), String>;

    /// Makes what was kept so far durable. Blocks.
    fn sync(&self) -> Result<(), String>;

    /// Makes what was kept so far durable, and fast to open. Blocks.
    fn finish(&self) -> Result<(), String>;
}

/// What the writer does after a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Wait for a message.
    Wait,
    /// Finish and end.
    End,
}

/// The state of the thread.
pub(super) struct Writer<K> {
    keeper: K,
    durability: Durability,
    metrics: CatalogMetrics,
    /// When the oldest change that no sync has followed was kept.
    unsynced_since: Option<Instant>,
    /// Why no change is taken any more.
    failure: Option<String>,
}

/// A transaction that ran, and what the overlay says of it.
type Ran = (Box<dyn Job>, Result<Verdict, CatalogError>);

impl<K: Keeper> Writer<K> {
    /// A writer that was not started.
    pub(super) fn new(keeper: K, durability: Durability, metrics: CatalogMetrics) -> Self {
        Self {
            keeper,
            durability,
            metrics,
            unsynced_since: None,
            failure: None,
        }
    }

    /// Serves until it is told to close or nobody can send any more. Blocks.
    pub(super) fn run(mut self, receiver: &Receiver<Message>) {
        let mut next = Next::Wait;
        while next == Next::Wait {
            self.sync_if_due();
            let message = match self.sync_wait() {
                Some(wait) => receiver.recv_timeout(wait),
                None => receiver.recv().map_err(RecvTimeoutError::from),
            };
            next = match message {
                Ok(Message::Run(job)) => self.group(job, receiver),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => Next::End,
                Err(RecvTimeoutError::Timeout) => Next::Wait,
            };
        }
        self.finish();
    }

    /// Runs `first` and what waits behind it, and keeps all in one step.
    fn group(&mut self, first: Box<dyn Job>, receiver: &Receiver<Message>) -> Next {
        if let Some(failure) = &self.failure {
            first.answer(Err(CatalogError::Database(failure.clone())));
            return Next::Wait;
        }
        let mut changes = Changes::default();
        let mut group: Vec<Ran> = Vec::new();
        let mut waiting = Ok(Message::Run(first));
        while let Ok(Message::Run(mut job)) = waiting {
            let verdict = self
                .keeper
                .look(|view| changes.attempt(view, |transaction| job.run(transaction)));
            self.metrics.transactions.inc();
            group.push((job, verdict));
            if GROUP_MAX <= group.len() || GROUP_LEN_MAX <= changes.len() {
                waiting = Err(TryRecvError::Empty);
                break;
            }
            waiting = receiver.try_recv();
        }
        let kept = self.keep(&changes, group.len());
        for (job, verdict) in group {
            job.answer(outcome(verdict, kept.as_ref().err()));
        }
        match waiting {
            Ok(_) | Err(TryRecvError::Disconnected) => Next::End,
            Err(TryRecvError::Empty) => Next::Wait,
        }
    }

    fn keep(&mut self, changes: &Changes, transactions: usize) -> Result<(), String> {
        if changes.is_empty() {
            return Ok(());
        }
        let sync = match self.durability {
            Durability::Always => Sync::Now,
            Durability::Interval(_) | Durability::Os => Sync::Later,
        };
        let started = clock::monotonic();
        let kept = self.keeper.keep(changes, sync);
        let ended = clock::monotonic();
        let seconds = ended.duration_since(started).as_secs_f64();
        self.metrics.write_seconds.observe(seconds);
        #[expect(clippy::cast_precision_loss, reason = "at most GROUP_MAX")]
        self.metrics.group_transactions.observe(transactions as f64);
        if sync == Sync::Later {
            self.unsynced_since.get_or_insert(ended);
        }
        kept.inspect_err(|failure| self.give_up(failure))
    }

    /// How long the next sync may wait, if one is due at all.
    fn sync_wait(&self) -> Option<Duration> {
        let Durability::Interval(interval) = self.durability else {
            return None;
        };
        let since = self.unsynced_since?;
        Some(interval.saturating_sub(clock::monotonic().duration_since(since)))
    }

    fn sync_if_due(&mut self) {
        if self.failure.is_none() && self.sync_wait() == Some(Duration::ZERO) {
            self.unsynced_since = None;
            if let Err(failure) = self.keeper.sync() {
                self.give_up(&failure);
            }
        }
    }

    /// After a failed write or sync nobody knows what the disk holds, and no later sync would tell.
    fn give_up(&mut self, failure: &str) {
        error!(
            failure,
            "the catalog could not keep a change and takes no more until a restart; remedy: look \
             after the disk and its free space, then restart"
        );
        self.unsynced_since = None;
        self.metrics.refuses_changes.set(1);
        self.failure = Some(format!(
            "no change is taken until a restart, because one could not be kept: {failure}"
        ));
    }

    fn finish(&mut self) {
        if self.failure.is_none()
            && let Err(failure) = self.keeper.finish()
        {
            error!(failure, "the catalog was not closed cleanly");
        }
    }
}

/// What a transaction is told: its own fate and that of the group's changes together.
fn outcome(
    verdict: Result<Verdict, CatalogError>,
    failure: Option<&String>,
) -> Result<(), CatalogError> {
    match (verdict, failure) {
        (Err(error), _) => Err(error),
        (Ok(_), None) => Ok(()),
        (Ok(Verdict::Keep), Some(failure)) => Err(CatalogError::Unknown(failure.clone())),
        // It left nothing, but it may have decided so because of what the group could not keep.
        (Ok(Verdict::Forget), Some(failure)) => Err(CatalogError::Database(failure.clone())),
    }
}

#[cfg(test)]
mod tests;
