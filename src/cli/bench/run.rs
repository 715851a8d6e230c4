//! One measured run: workers that share a budget, a list of ids and a clock.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use common::env::clock;
use common::id::FileId;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::calls::Calls;
use super::http::{HttpLink, Url};
use super::link::{Find, Link, OpError, Target};
use super::payload::{Payloads, scramble};
use super::stats::{Op, Stats};
use crate::cli::output::Failure;

/// Ids of its own uploads that a worker of a mixed run keeps to read and delete.
const OWN_IDS_MAX: usize = 4096;

/// Pause after a refused connection, which would otherwise be tried as fast as the machine can.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What a worker does with the operation of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Upload,
    Download,
    HttpGet,
    Delete,
    QueryStore,
    Query(Find),
    Mixed(Mix),
    Call,
}

/// Percentages of a mixed run; the rest are downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mix {
    pub(super) upload: u64,
    pub(super) delete: u64,
}

impl Mix {
    fn op(self, random: u64) -> Op {
        match random % 100 {
            point if point < self.upload => Op::Upload,
            point if point < self.upload + self.delete => Op::Delete,
            _ => Op::Download,
        }
    }
}

/// How long a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Operations at most.
    pub(super) count: u64,
    /// Time at most.
    pub(super) time: Option<Duration>,
    /// Operations per second at most; as many as the connections manage without.
    pub(super) rate: Option<NonZeroU32>,
}

/// Everything that the workers share.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) work: Work,
    pub(super) budget: Budget,
    pub(super) connections: usize,
    pub(super) target: Target,
    pub(super) payloads: Payloads,
    pub(super) ids: Vec<FileId>,
    pub(super) urls: Vec<Url>,
    /// The calls of a run of calls.
    pub(super) calls: Option<Calls>,
    pub(super) seed: u64,
    pub(super) verify: bool,
    /// Whether the ids of uploads are wanted afterwards.
    pub(super) keep_ids: bool,
}

/// What a run gave.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) stats: Stats,
    pub(super) elapsed: Duration,
    pub(super) ids: Vec<FileId>,
}

/// The state that the workers share while they run.
#[derive(Debug)]
struct Progress {
    plan: Plan,
    next: AtomicU64,
    stop: AtomicBool,
    /// Set before the first worker starts.
    begin: OnceLock<Instant>,
}

impl Progress {
    /// The next operation's number, or `None` when the budget is used up.
    fn next(&self) -> Option<u64> {
        let over = self
            .begin
            .get()
            .zip(self.plan.budget.time)
            .is_some_and(|(begin, time)| *begin + time <= clock::monotonic());
        if over || self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        (n < self.plan.budget.count).then_some(n)
    }

    /// Waits until an operation of a run with a rate is due, and says when that was. Its latency counts
    /// from there: otherwise a server that is late would delay the questions as well, and look fast.
    async fn due(&self, n: u64) -> Instant {
        let Some((begin, rate)) = self.begin.get().zip(self.plan.budget.rate) else {
            return clock::monotonic();
        };
        let nanos = u128::from(n) * 1_000_000_000 / u128::from(rate.get());
        let due = *begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        tokio::time::sleep_until(due.into()).await;
        due
    }
}

/// Connects all workers, calls `started`, and lets them work until the budget is used up, the work runs
/// out, or somebody presses Ctrl-C.
pub(super) async fn run(plan: Plan, started: impl FnOnce()) -> Result<Outcome, Failure> {
    let progress = Arc::new(Progress {
        plan,
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        begin: OnceLock::new(),
    });
    let connections = progress.plan.connections;
    let (go, _) = tokio::sync::watch::channel(false);
    let (ready, mut readies) = tokio::sync::mpsc::channel(connections.max(1));
    let mut workers = JoinSet::new();
    for number in 0..connections {
        let progress = Arc::clone(&progress);
        let ready = ready.clone();
        let mut start = go.subscribe();
        workers.spawn(async move {
            let mut worker = Worker::new(&progress, number);
            let opened = worker.open().await;
            // Nobody listens any more if another worker failed to connect.
            let _ = ready.send(opened).await;
            if start.wait_for(|go| *go).await.is_ok() {
                worker.work().await;
            }
            (worker.stats, worker.kept)
        });
    }
    let (mut failed, mut first) = (0, None);
    // The workers keep their senders, so what ends the wait is their number.
    for _ in 0..connections {
        if let Some(Err(error)) = readies.recv().await {
            failed += 1;
            first.get_or_insert(error);
        }
    }
    drop(ready);
    if let Some(error) = first {
        // Dropping the workers ends them.
        return Err(Failure::Connections {
            failed,
            first: error.into(),
        });
    }
    started();
    let begin = clock::monotonic();
    // Set once, here.
    let _ = progress.begin.set(begin);
    go.send_replace(true);
    let mut outcome = Outcome {
        stats: Stats::default(),
        elapsed: Duration::ZERO,
        ids: Vec::new(),
    };
    loop {
        tokio::select! {
            joined = workers.join_next() => match joined {
                None => break,
                Some(Ok((stats, ids))) => {
                    outcome.stats.add(&stats);
                    outcome.ids.extend(ids);
                }
                Some(Err(_panicked)) => return Err(Failure::Run("a worker of the generator panicked")),
            },
            _ = tokio::signal::ctrl_c() => progress.stop.store(true, Ordering::Relaxed),
        }
    }
    outcome.elapsed = clock::monotonic().saturating_duration_since(begin);
    Ok(outcome)
}

/// One connection's worth of load.
struct Worker<'a> {
    progress: &'a Progress,
    plan: &'a Plan,
    number: usize,
    link: Link<'a>,
    http: HttpLink,
    stats: Stats,
    /// Ids of uploads for `--save-ids`.
    kept: Vec<FileId>,
    /// Ids of this worker's uploads in a mixed run, oldest first.
    own: VecDeque<FileId>,
}

impl<'a> Worker<'a> {
    fn new(progress: &'a Progress, number: usize) -> Self {
        let plan = &progress.plan;
        Self {
            progress,
            plan,
            number,
            link: Link::new(&plan.target, number, plan.verify),
            http: HttpLink::new(plan.target.timeout, plan.verify),
            stats: Stats::default(),
            kept: Vec::new(),
            own: VecDeque::new(),
        }
    }

    async fn open(&mut self) -> Result<(), OpError> {
        if let Some(calls) = &self.plan.calls {
            return self.http.open(calls.address()).await;
        }
        match (self.plan.work, self.plan.urls.as_slice()) {
            (Work::HttpGet, [first, ..]) => {
                let count = self.plan.urls.len();
                let url = self.plan.urls.get(self.number % count).unwrap_or(first);
                self.http.open(url.host()).await
            }
            _ => self.link.open().await,
        }
    }

    async fn work(&mut self) {
        while let Some(n) = self.progress.next() {
            let random = scramble(self.plan.seed ^ n);
            let op = self.choose(random);
            let begin = self.progress.due(n).await;
            let limit = self.plan.target.timeout;
            let result = timeout(limit, self.perform(op, n, random)).await;
            let took = clock::monotonic().saturating_duration_since(begin);
            let result = result.unwrap_or(Err(OpError::Timeout));
            self.stats.record(op, took, result.as_ref().copied());
            if let Err(error) = &result {
                if !error.leaves_connections_in_step() {
                    self.link.reset();
                    self.http.reset();
                }
                if matches!(error, OpError::Connect(_)) {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
            }
        }
    }

    fn choose(&self, random: u64) -> Op {
        let op = match self.plan.work {
            Work::Upload => Op::Upload,
            Work::Download => Op::Download,
            Work::HttpGet => Op::HttpGet,
            Work::Delete => Op::Delete,
            Work::QueryStore | Work::Query(_) => Op::Query,
            Work::Mixed(mix) => mix.op(random),
            Work::Call => Op::Call,
        };
        let mixed = matches!(self.plan.work, Work::Mixed(_));
        let nothing_to_delete = op == Op::Delete && self.own.is_empty();
        let nothing_to_read = op == Op::Download && self.own.is_empty() && self.plan.ids.is_empty();
        if mixed && (nothing_to_delete || nothing_to_read) {
            return Op::Upload;
        }
        op
    }

    /// Does one operation; the bytes of content that it moved.
    async fn perform(&mut self, op: Op, n: u64, random: u64) -> Result<u64, OpError> {
        match op {
            Op::Upload => {
                let content = self.plan.payloads.content(n);
                let id = self.link.upload(&content).await?;
                if self.plan.keep_ids {
                    self.kept.push(id);
                }
                if matches!(self.plan.work, Work::Mixed(_)) {
                    if OWN_IDS_MAX <= self.own.len() {
                        self.own.pop_front();
                    }
                    self.own.push_back(id);
                }
                Ok(content.len())
            }
            Op::Download => {
                let id = self.readable(random);
                self.link.download(&id.ok_or(OpError::Content)?).await
            }
            Op::HttpGet => {
                let url = pick(&self.plan.urls, random);
                self.http.get(url.ok_or(OpError::Answer)?).await
            }
            Op::Delete => {
                let id = if let Work::Mixed(_) = self.plan.work {
                    self.own.pop_front()
                } else {
                    // Each one once.
                    let index = usize::try_from(n).ok();
                    index.and_then(|index| self.plan.ids.get(index).copied())
                };
                self.link.delete(&id.ok_or(OpError::Content)?).await?;
                Ok(0)
            }
            Op::Call => {
                let calls = self.plan.calls.as_ref().ok_or(OpError::Answer)?;
                calls.call(&mut self.http, n).await
            }
            // Steps of an upload in slices, which has a run of its own and no worker here.
            Op::Create | Op::Slice | Op::Complete | Op::File => Err(OpError::Answer),
            Op::Query => {
                if let Work::Query(find) = self.plan.work {
                    let id = pick(&self.plan.ids, random).ok_or(OpError::Content)?;
                    self.link.query(id, find).await?;
                } else {
                    self.link.query_store().await?;
                }
                Ok(0)
            }
        }
    }

    /// A blob to read: one of the given ones or, in a mixed run, of its own that live.
    fn readable(&self, random: u64) -> Option<FileId> {
        let own = self.own.len();
        let all = own + self.plan.ids.len();
        let index = usize::try_from(random >> 8).unwrap_or(0).checked_rem(all)?;
        match self.own.get(index) {
            Some(id) => Some(*id),
            None => self.plan.ids.get(index - own).copied(),
        }
    }
}

fn pick<T>(list: &[T], random: u64) -> Option<&T> {
    let index = usize::try_from(random >> 8).unwrap_or(0);
    list.get(index.checked_rem(list.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_gives_its_percentages() {
        let mix = Mix {
            upload: 20,
            delete: 5,
        };
        let mut counts = [0_u32; 3];
        for n in 0..100_000 {
            match mix.op(scramble(n)) {
                Op::Upload => counts[0] += 1,
                Op::Delete => counts[1] += 1,
                Op::Download
                | Op::HttpGet
                | Op::Query
                | Op::Call
                | Op::Create
                | Op::Slice
                | Op::Complete
                | Op::File => counts[2] += 1,
            }
        }
        assert!((19_000..21_000).contains(&counts[0]), "{counts:?}");
        assert!((4_500..5_500).contains(&counts[1]), "{counts:?}");
        assert!((74_000..76_000).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn picks_reach_the_whole_list_and_an_empty_one_gives_nothing() {
        let list = [0, 1, 2, 3];
        let mut seen = [false; 4];
        for n in 0..100 {
            seen[*pick(&list, scramble(n)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(pick::<u8>(&[], 7), None);
    }
}
