//! The raw limit of durable appends: no network, no index, no ids. Threads write records at places of
//! their own in a preallocated file; one committer takes whoever waits, syncs once, and wakes them.
#![expect(
    clippy::disallowed_types,
    reason = "the limit is what the operating system's files can do, without the store's seam"
)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use common::env::clock;

use super::cpu;
use super::error::BenchError;
use super::generator::Figures;
use super::raw_file::preallocated;

/// Bytes of a record: a file of 4 KiB with header and key, about as the store writes it.
const RECORD_LEN: usize = 4096 + 96;
/// Bytes that are allocated for each second, more than a disk takes.
const BYTES_PER_SECOND_MAX: u64 = 512 * 1024 * 1024;

/// What the threads share.
#[derive(Debug)]
struct Shared {
    file: File,
    len: u64,
    deadline: Instant,
    tail: AtomicU64,
    queue: Mutex<Queue>,
    arrived: Condvar,
}

/// Who waits for a sync.
#[derive(Debug, Default)]
struct Queue {
    waiters: Vec<Waiter>,
    /// No writer is left.
    is_over: bool,
}

#[derive(Clone, Debug)]
struct Waiter {
    thread: Thread,
    is_durable: Arc<AtomicBool>,
}

/// Runs `writers` threads for `time` over a file in `folder`.
pub(crate) fn run(folder: &Path, writers: usize, time: Duration) -> Result<Figures, BenchError> {
    let len = BYTES_PER_SECOND_MAX * time.as_secs().max(1);
    let path = folder.join("raw-append");
    let file = preallocated(&path, len).map_err(BenchError::io("cannot make the raw file"))?;
    let before = cpu::time(std::process::id())?;
    let begin = clock::monotonic();
    let shared = Shared {
        file,
        len,
        deadline: begin + time,
        tail: AtomicU64::new(0),
        queue: Mutex::default(),
        arrived: Condvar::new(),
    };
    let latencies = thread::scope(|scope| {
        let committer = scope.spawn(|| shared.commit());
        let writers: Vec<_> = (0..writers)
            .map(|_| scope.spawn(|| shared.write()))
            .collect();
        let mut latencies = Ok(Vec::new());
        for writer in writers {
            let more = writer.join().unwrap_or_else(|_| Err(panicked()));
            latencies = latencies.and_then(|mut all: Vec<Duration>| {
                all.extend(more?);
                Ok(all)
            });
        }
        shared.queue().is_over = true;
        shared.arrived.notify_one();
        let committed = committer.join().unwrap_or_else(|_| Err(panicked()));
        committed.and(latencies)
    });
    let elapsed = clock::monotonic().saturating_duration_since(begin);
    let cpu = cpu::time(std::process::id())?.saturating_sub(before);
    let _ = std::fs::remove_file(&path);
    let latencies = latencies.map_err(BenchError::io("the raw loop failed"))?;
    Ok(figures(latencies, elapsed, cpu))
}

fn panicked() -> io::Error {
    io::Error::other("a thread of the raw loop panicked")
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends until the time is over or the file is full; how long each took until it was durable.
    fn write(&self) -> io::Result<Vec<Duration>> {
        let record = [0x5a; RECORD_LEN];
        let waiter = Waiter {
            thread: thread::current(),
            is_durable: Arc::default(),
        };
        let mut latencies = Vec::new();
        loop {
            let begin = clock::monotonic();
            let offset = self.tail.fetch_add(RECORD_LEN as u64, Ordering::Relaxed);
            if self.deadline <= begin || self.len < offset + RECORD_LEN as u64 {
                return Ok(latencies);
            }
            self.file.write_all_at(&record, offset)?;
            waiter.is_durable.store(false, Ordering::Relaxed);
            self.wait(&waiter);
            latencies.push(clock::monotonic().saturating_duration_since(begin));
        }
    }

    fn wait(&self, waiter: &Waiter) {
        let mut queue = self.queue();
        let is_first = queue.waiters.is_empty();
        queue.waiters.push(waiter.clone());
        drop(queue);
        if is_first {
            self.arrived.notify_one();
        }
        while !waiter.is_durable.load(Ordering::Acquire) {
            thread::park();
        }
    }

    /// Syncs for whoever waits until no writer is left. After a failed sync it goes on, so that
    /// nobody waits for ever, and reports the failure at the end.
    fn commit(&self) -> io::Result<()> {
        let mut result = Ok(());
        let mut batch = Vec::new();
        loop {
            let mut queue = self.queue();
            while queue.waiters.is_empty() && !queue.is_over {
                let waited = self.arrived.wait(queue);
                queue = waited.unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut queue.waiters, &mut batch);
            drop(queue);
            if batch.is_empty() {
                return result;
            }
            result = result.and(self.file.sync_data());
            for waiter in batch.drain(..) {
                waiter.is_durable.store(true, Ordering::Release);
                waiter.thread.unpark();
            }
        }
    }
}

fn figures(mut latencies: Vec<Duration>, elapsed: Duration, cpu: Duration) -> Figures {
    latencies.sort_unstable();
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let at = |percent: usize| {
        let index = latencies.len() * percent / 100;
        latencies.get(index).copied().map_or(0.0, micros)
    };
    let operations = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
    let count = f64::from(operations.max(1));
    Figures {
        operations: operations.into(),
        per_second: f64::from(operations) / elapsed.as_secs_f64(),
        cpu_us: micros(cpu) / count,
        p50_us: at(50),
        p99_us: at(99),
    }
}
