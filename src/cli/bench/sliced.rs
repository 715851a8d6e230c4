//! Whole uploads in slices over 123pan's API: create, slices over several connections, and completion,
//! which is asked for until it is there.
//!
//! All MD5s are computed before the clock runs, and the bytes of slices differ in their last ones only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::env::clock;
use futures_util::future::join_all;
use md5::{Digest as _, Md5};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::http::HttpLink;
use super::link::OpError;
use super::pan::{Announced, Bytes, Pan, Slice};
use super::payload::scramble;
use super::request::{STAMP_LEN, hex, random_bytes};
use super::run::Outcome;
use super::stats::{Op, Stats};
use crate::cli::output::Failure;

/// Pause before the end of an upload is asked for once more. Real clients wait a second, which would
/// be in what is measured.
const POLL: Duration = Duration::from_millis(5);
/// How long the end of an upload may take.
const COMPLETE_LIMIT: Duration = Duration::from_mins(10);

/// What a run uploads, and how.
#[derive(Debug)]
pub(super) struct SlicedPlan {
    pub(super) pan: Pan,
    pub(super) contents: SlicedContents,
    /// Connections in all.
    pub(super) connections: usize,
    /// Files at the same time.
    pub(super) files_at_once: usize,
    /// Longest time for an answer.
    pub(super) timeout: Duration,
    pub(super) bytes: Bytes,
}

/// Files with their MD5s.
#[derive(Debug)]
pub(super) struct SlicedContents {
    slice_size: u64,
    size: u64,
    shared: Vec<u8>,
    files: Vec<NewFile>,
}

#[derive(Debug)]
struct NewFile {
    name: String,
    md5: String,
    slices: Vec<NewSlice>,
}

#[derive(Debug)]
struct NewSlice {
    md5: String,
    /// Bytes that others have too.
    shared_len: usize,
    /// What comes behind them; the first `own_len` of it.
    stamp: [u8; STAMP_LEN],
    own_len: usize,
}

impl SlicedContents {
    /// `count` files of `size` bytes, none of which has a slice that another one has.
    pub(super) fn new(seed: u64, count: u64, size: u64, slice_size: u64) -> Result<Self, Failure> {
        let Some(shared_len) = usize::try_from(slice_size)
            .ok()
            .and_then(|len| len.checked_sub(STAMP_LEN))
            .filter(|_| 0 < size)
        else {
            return Err(Failure::Usage(
                "files must not be empty, and slices need 8 bytes",
            ));
        };
        let shared = random_bytes(seed, shared_len);
        let full = Md5::new().chain_update(&shared);
        let mut contents = Self {
            slice_size,
            size,
            shared,
            files: Vec::new(),
        };
        for number in 0..count {
            let file = contents.file(seed, number, &full);
            contents.files.push(file);
        }
        Ok(contents)
    }

    /// `full` is the state behind all shared bytes.
    fn file(&self, seed: u64, number: u64, full: &Md5) -> NewFile {
        let mut whole = Md5::new();
        let mut slices = Vec::new();
        let mut left = self.size;
        let mut random = scramble(seed.wrapping_add(number));
        while 0 < left {
            let len = usize::try_from(left.min(self.slice_size)).unwrap_or(0);
            left -= len as u64;
            random = scramble(random);
            let own_len = len.min(STAMP_LEN);
            let mut slice = NewSlice {
                md5: String::new(),
                shared_len: len - own_len,
                stamp: random.to_be_bytes(),
                own_len,
            };
            let (shared, own) = self.bytes(&slice);
            let state = if shared.len() == self.shared.len() {
                full.clone()
            } else {
                Md5::new().chain_update(shared)
            };
            whole.update(shared);
            whole.update(own);
            slice.md5 = hex(state.chain_update(own).finalize().as_slice());
            slices.push(slice);
        }
        NewFile {
            name: format!("{seed:x}-{number}.sliced"),
            md5: hex(whole.finalize().as_slice()),
            slices,
        }
    }

    fn bytes<'a>(&'a self, slice: &'a NewSlice) -> (&'a [u8], &'a [u8]) {
        let shared = self.shared.get(..slice.shared_len).unwrap_or_default();
        let own = slice.stamp.get(..slice.own_len).unwrap_or_default();
        (shared, own)
    }
}

/// What the files that are uploaded at the same time share.
#[derive(Debug)]
struct Progress {
    plan: SlicedPlan,
    next: AtomicUsize,
    stop: AtomicBool,
}

/// A connection and what was seen over it.
#[derive(Debug)]
struct Worker {
    link: HttpLink,
    stats: Stats,
}

/// Connects, calls `started`, and uploads all files, or those that were begun when somebody presses
/// Ctrl-C.
pub(super) async fn run(plan: SlicedPlan, started: impl FnOnce()) -> Result<Outcome, Failure> {
    let lanes = plan.files_at_once.max(1);
    let per_lane = (plan.connections / lanes).max(1);
    let progress = Arc::new(Progress {
        plan,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    });
    let mut opened = Vec::new();
    for _ in 0..lanes {
        let mut workers = Vec::new();
        for _ in 0..per_lane {
            let plan = &progress.plan;
            let mut link = HttpLink::new(plan.timeout, false);
            let connected = link.open(plan.pan.address()).await;
            connected.map_err(|error| Failure::Connections {
                failed: 1,
                first: error.into(),
            })?;
            let stats = Stats::default();
            workers.push(Worker { link, stats });
        }
        opened.push(workers);
    }
    started();
    let begin = clock::monotonic();
    let mut running = JoinSet::new();
    for mut workers in opened {
        let progress = Arc::clone(&progress);
        running.spawn(async move {
            progress.files(&mut workers).await;
            workers.into_iter().map(|worker| worker.stats)
        });
    }
    let mut outcome = Outcome {
        stats: Stats::default(),
        elapsed: Duration::ZERO,
        ids: Vec::new(),
    };
    loop {
        tokio::select! {
            joined = running.join_next() => match joined {
                None => break,
                Some(Ok(all)) => all.for_each(|stats| outcome.stats.add(&stats)),
                Some(Err(_panicked)) => return Err(Failure::Run("a worker of the generator panicked")),
            },
            _ = tokio::signal::ctrl_c() => progress.stop.store(true, Ordering::Relaxed),
        }
    }
    outcome.elapsed = clock::monotonic().saturating_duration_since(begin);
    Ok(outcome)
}

impl Progress {
    /// Uploads one file after the other.
    async fn files(&self, workers: &mut [Worker]) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = self.plan.contents.files.get(number) else {
                return;
            };
            let begin = clock::monotonic();
            let result = self.file(file, workers).await;
            let took = clock::monotonic().saturating_duration_since(begin);
            if let Some(first) = workers.first_mut() {
                first.stats.record(Op::File, took, result.as_ref().copied());
            }
        }
    }

    /// Uploads a file; its bytes.
    async fn file(&self, file: &NewFile, workers: &mut [Worker]) -> Result<u64, OpError> {
        let id = match workers.first_mut() {
            Some(first) => self.create(file, first).await?,
            None => return Err(OpError::Answer),
        };
        let next = AtomicUsize::new(0);
        let each = workers.iter_mut();
        let sent = join_all(each.map(|worker| self.slices(file, &id, &next, worker))).await;
        sent.into_iter().collect::<Result<(), _>>()?;
        if let Some(first) = workers.first_mut() {
            self.complete(&id, first).await?;
        }
        Ok(self.plan.contents.size)
    }

    async fn create(&self, file: &NewFile, worker: &mut Worker) -> Result<String, OpError> {
        let SlicedContents {
            size, slice_size, ..
        } = self.plan.contents;
        let announced = Announced {
            name: &file.name,
            md5: &file.md5,
            size,
        };
        let begin = clock::monotonic();
        let created = self.plan.pan.create(&mut worker.link, announced);
        let created = within(self.plan.timeout, created).await;
        let took = clock::monotonic().saturating_duration_since(begin);
        let id = created.and_then(|created| match created.id {
            Some(_) if created.slice_size != slice_size => Err(OpError::SliceSize),
            Some(id) => Ok(id),
            // The server has the content, which no run before this one can have sent.
            None => Err(OpError::Answer),
        });
        let seen = id.as_ref().map(|_| 0);
        worker.stats.record(Op::Create, took, seen);
        id
    }

    /// Sends slices as long as there are any.
    async fn slices(
        &self,
        file: &NewFile,
        id: &str,
        next: &AtomicUsize,
        worker: &mut Worker,
    ) -> Result<(), OpError> {
        let SlicedPlan {
            pan,
            contents,
            bytes,
            ..
        } = &self.plan;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(slice) = file.slices.get(index) else {
                return Ok(());
            };
            let (shared, own) = contents.bytes(slice);
            let slice = Slice {
                number: index as u64 + 1,
                md5: &slice.md5,
                shared,
                own,
            };
            let begin = clock::monotonic();
            let sent = pan.slice(&mut worker.link, id, slice, *bytes);
            let sent = within(self.plan.timeout, sent).await;
            let took = clock::monotonic().saturating_duration_since(begin);
            let len = (shared.len() + own.len()) as u64;
            let seen = sent.as_ref().map(|()| len);
            worker.stats.record(Op::Slice, took, seen);
            if let Err(error) = sent {
                // The others need not send what is in vain.
                next.store(file.slices.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
    }

    /// Asks for the end until it is there.
    async fn complete(&self, id: &str, worker: &mut Worker) -> Result<(), OpError> {
        let begin = clock::monotonic();
        let completed = within(COMPLETE_LIMIT, async {
            loop {
                let asked = self.plan.pan.complete(&mut worker.link, id);
                if within(self.plan.timeout, asked).await? {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        });
        let completed = completed.await;
        let took = clock::monotonic().saturating_duration_since(begin);
        let seen = completed.as_ref().map(|()| 0);
        worker.stats.record(Op::Complete, took, seen);
        completed
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, OpError>>,
) -> Result<T, OpError> {
    timeout(limit, work).await.unwrap_or(Err(OpError::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_have_the_md5s_of_their_bytes_and_make_the_whole() {
        for (size, lens) in [
            (100, &[32, 32, 32, 4][..]),
            (64, &[32, 32]),
            (5, &[5]),
            (41, &[32, 9]),
        ] {
            let contents = SlicedContents::new(7, 2, size, 32).unwrap();
            let [first, second] = contents.files.as_slice() else {
                panic!("{contents:?}");
            };
            assert_ne!(first.md5, second.md5);
            let mut whole = Vec::new();
            for (slice, len) in first.slices.iter().zip(lens) {
                let (shared, own) = contents.bytes(slice);
                let bytes = [shared, own].concat();
                assert_eq!(bytes.len(), *len);
                assert_eq!(slice.md5, hex(Md5::digest(&bytes).as_slice()));
                whole.extend(bytes);
            }
            assert_eq!(first.slices.len(), lens.len());
            assert_eq!(whole.len() as u64, size);
            assert_eq!(first.md5, hex(Md5::digest(&whole).as_slice()));
        }
        assert!(SlicedContents::new(7, 1, 0, 32).is_err());
        assert!(SlicedContents::new(7, 1, 1, 7).is_err());
    }
}
