//! The thread that runs all transactions of this server.
//!
//! Whatever waits is one group, which runs as one transaction of the database: so transactions of one
//! server never meet each other there, and share what they look at and the wait for the disk. Those of
//! several servers may meet. The database then takes one of them back, and its whole group runs again,
//! behind a lock that lets one server write at a time; without that, two servers that are always busy
//! could take turns in taking each other back. The lock is politeness: what makes the transactions
//! serial is the isolation that the database is asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use common::env::{clock, entropy};
use tokio::runtime::Handle;
use tracing::{debug, warn};

use super::super::job::Job;
use super::super::overlay::{Changes, Verdict};
use super::QUEUE_MAX;
use super::connection::{CALL_MAX, Connection, Server};
use super::error::{CallError, Trouble};
use super::metrics::PostgresMetrics;
use super::view::{Begin, PostgresView};
use crate::core::catalog::CatalogError;

/// Transactions of one group: more make it likelier that it meets another server's.
const GROUP_MAX: usize = 64;
/// Bytes of changes at which a group takes no further transaction.
const GROUP_LEN_MAX: usize = 4 * 1024 * 1024;
/// Times that a group may be taken back.
const CONFLICTS_MAX: u32 = 24;
/// Connections that may break under a group before it begins to be kept.
const BREAKS_MAX: u32 = 1;
/// The first pause of a group that was taken back, doubled each time.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// Time that a group waits for its turn; then it goes on without.
const TURN_MAX: Duration = Duration::from_secs(5);
/// Changes that are sent in one statement.
const CHANGES_AT_ONCE: usize = 1_000;
/// Bytes of changes that are sent in one statement, unless one change has more.
const CHANGES_LEN_AT_ONCE: usize = 4 * 1024 * 1024;

/// What is sent to the writer.
pub(super) enum Message {
    /// Run this transaction.
    Run(Box<dyn Job>),
    /// Finish what came before and end.
    Close,
}

/// What the overlay says of a transaction that ran.
type Ran = Result<Verdict, CatalogError>;

/// Why a group was not kept.
enum Failed {
    /// Before the database was asked to keep it: it left nothing.
    Before(CallError),
    /// When it was asked to. It may have done so.
    Open(CallError),
}

impl Failed {
    /// Whether the database did not answer in time.
    fn is_late(&self) -> bool {
        let (Self::Before(error) | Self::Open(error)) = self;
        error.is_late()
    }
}

/// The state of the thread.
pub(super) struct Writer {
    server: Arc<Server>,
    runtime: Handle,
    metrics: PostgresMetrics,
    /// The database as messages call it.
    shown: String,
    /// Runs the groups.
    connection: Option<Connection>,
    /// Waits for turns.
    turns: Option<Connection>,
}

impl Writer {
    /// A writer that was not started.
    pub(super) fn new(server: Arc<Server>, runtime: Handle, metrics: PostgresMetrics) -> Self {
        let shown = server.location.to_string();
        Self {
            server,
            runtime,
            metrics,
            shown,
            connection: None,
            turns: None,
        }
    }

    /// Serves until it is told to close or nobody can send any more. Blocks.
    pub(super) fn run(mut self, receiver: &Receiver<Message>) {
        let mut waiting = VecDeque::new();
        let mut is_closing = false;
        while !is_closing || !waiting.is_empty() {
            if waiting.is_empty() {
                match receiver.recv() {
                    Ok(Message::Run(job)) => waiting.push_back(job),
                    Ok(Message::Close) | Err(_) => is_closing = true,
                }
            }
            while !is_closing && waiting.len() < GROUP_MAX {
                match receiver.try_recv() {
                    Ok(Message::Run(job)) => waiting.push_back(job),
                    Ok(Message::Close) => is_closing = true,
                    Err(_) => break,
                }
            }
            if !waiting.is_empty() && !self.serve(&mut waiting) {
                // Whoever waited while the database did not answer is told so now, not in turn: each
                // further group could wait as long.
                while waiting.len() < QUEUE_MAX && !is_closing {
                    match receiver.try_recv() {
                        Ok(Message::Run(job)) => waiting.push_back(job),
                        Ok(Message::Close) => is_closing = true,
                        Err(_) => break,
                    }
                }
                self.refuse(&mut waiting);
            }
        }
    }

    /// Runs as many of the jobs that wait as one group takes, and answers them. Returns whether the
    /// database answered in time.
    fn serve(&mut self, waiting: &mut VecDeque<Box<dyn Job>>) -> bool {
        let started = clock::monotonic();
        let ran = match self.keep(waiting) {
            // One of them may be to blame; the others need not suffer for it.
            Err(Failed::Before(error))
                if error.trouble() == Trouble::Refused && 1 < waiting.len() =>
            {
                debug!(error = error.said(), "a group was refused: one by one");
                self.serve_one_by_one(waiting);
                return true;
            }
            ran => ran,
        };
        match ran {
            Ok(ran) => {
                let seconds = clock::monotonic().duration_since(started).as_secs_f64();
                self.metrics.write_seconds.observe(seconds);
                #[expect(clippy::cast_precision_loss, reason = "at most GROUP_MAX")]
                self.metrics.group_transactions.observe(ran.len() as f64);
                for verdict in ran {
                    self.answer(waiting, verdict.map(drop));
                }
                true
            }
            Err(failed) => {
                let count = waiting.len();
                for _ in 0..count {
                    let told = self.told(&failed);
                    self.answer(waiting, Err(told));
                }
                !failed.is_late()
            }
        }
    }

    /// Answers jobs that were not begun because the database does not answer.
    fn refuse(&self, waiting: &mut VecDeque<Box<dyn Job>>) {
        let count = waiting.len();
        for _ in 0..count {
            let told = CallError::Late(CALL_MAX).told(&self.shown);
            self.answer(waiting, Err(told));
        }
    }

    fn serve_one_by_one(&mut self, waiting: &mut VecDeque<Box<dyn Job>>) {
        let count = waiting.len();
        for _ in 0..count {
            let Some(job) = waiting.pop_front() else {
                return;
            };
            let mut alone = VecDeque::from([job]);
            let answer = match self.keep(&mut alone) {
                Ok(ran) => ran.into_iter().next().map_or(
                    Err(CatalogError::Contradiction("a job that did not run")),
                    |verdict| verdict.map(drop),
                ),
                Err(failed) => Err(self.told(&failed)),
            };
            self.answer(&mut alone, answer);
        }
    }

    fn answer(&self, waiting: &mut VecDeque<Box<dyn Job>>, answer: Result<(), CatalogError>) {
        if let Some(job) = waiting.pop_front() {
            self.metrics.transactions.inc();
            job.answer(answer);
        }
    }

    /// What a transaction is told whose group was not kept. One that refused left nothing, but it may
    /// have refused because of what the group could not keep, so it is told the same.
    fn told(&self, failed: &Failed) -> CatalogError {
        match failed {
            Failed::Before(error) => error.told(&self.shown),
            Failed::Open(error) => CatalogError::Unknown(format!(
                "{} was asked to keep it and gave no certain answer: {}",
                self.shown,
                error.said()
            )),
        }
    }

    /// Runs a group of jobs, again if need be, until its changes are kept. Returns what became of as
    /// many jobs as the group took.
    fn keep(&mut self, jobs: &mut VecDeque<Box<dyn Job>>) -> Result<Vec<Ran>, Failed> {
        let (mut conflicts, mut breaks) = (0, 0);
        loop {
            // The first time without asking: as a rule nobody is in the way.
            let has_turn = 0 < conflicts && self.take_turn();
            let kept = self.try_to_keep(jobs);
            if has_turn {
                self.end_turn();
            }
            let error = match kept {
                Err(Failed::Before(error)) => error,
                kept => return kept,
            };
            match error.trouble() {
                Trouble::Conflict if conflicts < CONFLICTS_MAX => {
                    self.metrics.conflicts.inc();
                    self.pause(conflicts);
                    conflicts += 1;
                }
                // One that does not answer in time does not do so on another connection either.
                Trouble::Lost if breaks < BREAKS_MAX && !error.is_late() => {
                    self.metrics.broken.inc();
                    debug!(
                        error = error.said(),
                        "the connection broke: once more on another"
                    );
                    breaks += 1;
                }
                Trouble::Conflict => {
                    warn!(
                        conflicts,
                        "changes were taken back too often: too much is going on"
                    );
                    return Err(Failed::Before(error));
                }
                Trouble::Lost | Trouble::Refused => return Err(Failed::Before(error)),
            }
        }
    }

    /// Runs a group once. The connection is only kept if all went well or the database said no.
    fn try_to_keep(&mut self, jobs: &mut VecDeque<Box<dyn Job>>) -> Result<Vec<Ran>, Failed> {
        let connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => {
                let connected = self.runtime.block_on(self.server.connect());
                self.metrics.connections.inc();
                connected.map_err(Failed::Before)?
            }
        };
        let view = PostgresView::new(&connection, &self.runtime, Begin::Change, &self.shown);
        let mut changes = Changes::default();
        let mut ran = Vec::new();
        for job in jobs.iter_mut() {
            ran.push(changes.attempt(&view, |transaction| job.run(transaction)));
            if view.has_failed() || GROUP_LEN_MAX <= changes.len() {
                break;
            }
        }
        let has_begun = view.has_begun();
        let kept = match view.into_failure() {
            Some(failure) => Err(Failed::Before(failure)),
            None => self
                .runtime
                .block_on(finish(&connection, &changes, has_begun)),
        };
        let is_sound = match &kept {
            Ok(()) => true,
            Err(Failed::Open(_)) => false,
            Err(Failed::Before(error)) => {
                error.trouble() != Trouble::Lost
                    && self
                        .runtime
                        .block_on(connection.execute("ROLLBACK"))
                        .is_ok()
            }
        };
        if is_sound {
            self.connection = Some(connection);
        }
        kept.map(|()| ran)
    }

    /// Waits until no other server has the turn. Returns whether it has it then.
    fn take_turn(&mut self) -> bool {
        let server = &self.server;
        let turns = self.turns.take().filter(|turns| !turns.is_closed());
        let taken = self.runtime.block_on(async {
            let turns = match turns {
                Some(turns) => turns,
                None => server.connect().await?,
            };
            turns.execute("BEGIN").await?;
            turns.wait_for_turn(TURN_MAX).await?;
            Ok::<_, CallError>(turns)
        });
        match taken {
            Ok(turns) => {
                self.turns = Some(turns);
                true
            }
            Err(error) => {
                debug!(error = error.said(), "goes on without a turn");
                false
            }
        }
    }

    fn end_turn(&mut self) {
        if let Some(turns) = self.turns.take()
            && self.runtime.block_on(turns.execute("ROLLBACK")).is_ok()
        {
            self.turns = Some(turns);
        }
    }

    /// Waits a while, by chance, so that two who met do not meet again.
    fn pause(&self, conflicts: u32) {
        let longest = PAUSE.saturating_mul(1 << conflicts.min(10)).min(PAUSE_MAX);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1);
        let pause = Duration::from_nanos(entropy::random_u64() % nanos);
        self.runtime
            .block_on(async { tokio::time::sleep(pause).await });
    }
}

/// Sends the changes and has them kept.
async fn finish(connection: &Connection, changes: &Changes, has_begun: bool) -> Result<(), Failed> {
    if !has_begun {
        // Nobody looked at anything, and as a rule nothing was changed.
        if changes.is_empty() {
            return Ok(());
        }
        let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE";
        connection.execute(begin).await.map_err(Failed::Before)?;
    }
    send(connection, changes).await.map_err(Failed::Before)?;
    // Also where nothing changed: only then it is certain that what was seen was one state.
    match connection.execute("COMMIT").await {
        Ok(()) => Ok(()),
        Err(error) if error.is_open() => Err(Failed::Open(error)),
        Err(error) => Err(Failed::Before(error)),
    }
}

async fn send(connection: &Connection, changes: &Changes) -> Result<(), CallError> {
    let (mut keys, mut values, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    let mut len = 0;
    for (key, value) in changes.iter() {
        if let Some(value) = value {
            keys.push(key);
            values.push(value);
            len += key.len() + value.len();
        } else {
            removed.push(key);
            len += key.len();
        }
        let count = keys.len() + removed.len();
        if CHANGES_AT_ONCE <= count || CHANGES_LEN_AT_ONCE <= len {
            send_some(connection, &mut keys, &mut values, &mut removed).await?;
            len = 0;
        }
    }
    send_some(connection, &mut keys, &mut values, &mut removed).await
}

/// Sends what was gathered; the two statements are about different keys.
async fn send_some<'c>(
    connection: &Connection,
    keys: &mut Vec<&'c [u8]>,
    values: &mut Vec<&'c [u8]>,
    removed: &mut Vec<&'c [u8]>,
) -> Result<(), CallError> {
    if !keys.is_empty() {
        connection.put(keys, values).await?;
    }
    if !removed.is_empty() {
        connection.delete(removed).await?;
    }
    keys.clear();
    values.clear();
    removed.clear();
    Ok(())
}
