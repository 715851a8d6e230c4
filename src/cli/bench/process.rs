//! Processor time and memory of processes, from `/proc`.

use std::io;

use serde::Serialize;

use super::stats::micros;
use crate::cli::output;

/// Clock ticks per second in `/proc/<pid>/stat`: USER_HZ, 100 on every Linux that Rust supports well.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// User and system time of all its threads, also ended ones.
    cpu_seconds: f64,
    /// Memory that is its own.
    anon_kib: u64,
    /// Resident pages of mapped files, shared with the page cache.
    file_kib: u64,
}

impl Sample {
    /// Looks at a process, or at this one.
    pub(super) fn take(pid: Option<u32>) -> io::Result<Self> {
        let name = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let stat = std::fs::read_to_string(format!("/proc/{name}/stat"))?;
        let status = std::fs::read_to_string(format!("/proc/{name}/status"))?;
        Self::parse(&stat, &status).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The second field is the program's name in brackets, which may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        let (user, system) = (ticks()?, ticks()?);
        let kib = |key: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
                .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        };
        Some(Self {
            cpu_seconds: output::to_f64(user + system) / TICKS_PER_SECOND,
            anon_kib: kib("RssAnon")?,
            file_kib: kib("RssFile")?,
        })
    }
}

/// What a process used during a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Usage {
    /// `None` for the generator itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    cpu_seconds: f64,
    cpu_us_per_operation: f64,
    /// Processors kept busy.
    cpu_cores: f64,
    anon_kib_before: u64,
    anon_kib_after: u64,
    file_kib_before: u64,
    file_kib_after: u64,
}

impl Usage {
    /// The difference between two samples over `operations` in `seconds`.
    pub(super) fn between(
        pid: Option<u32>,
        before: Sample,
        after: Sample,
        operations: u64,
        seconds: f64,
    ) -> Self {
        let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
        Self {
            pid,
            cpu_seconds,
            cpu_us_per_operation: cpu_seconds * 1e6 / output::to_f64(operations.max(1)),
            cpu_cores: cpu_seconds / seconds.max(f64::MIN_POSITIVE),
            anon_kib_before: before.anon_kib,
            anon_kib_after: after.anon_kib,
            file_kib_before: before.file_kib,
            file_kib_after: after.file_kib,
        }
    }

    /// Whether `threads` threads had nearly no idle time.
    pub(super) fn is_saturated(&self, threads: usize) -> bool {
        0.9 * output::to_f64(threads as u64) < self.cpu_cores
    }

    /// A line for people.
    pub(super) fn text(&self) -> String {
        let who = match self.pid {
            Some(pid) => format!("pid {pid}"),
            None => "generator".to_owned(),
        };
        let memory = |kib: u64| output::bytes(kib.saturating_mul(1024));
        format!(
            "{who:9} CPU {:.2} s user+system, {} per operation, {:.2} cores busy; memory {} → {} of \
             its own, {} → {} of mapped files",
            self.cpu_seconds,
            micros(self.cpu_us_per_operation),
            self.cpu_cores,
            memory(self.anon_kib_before),
            memory(self.anon_kib_after),
            memory(self.file_kib_before),
            memory(self.file_kib_after),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_blanks_is_skipped() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100 0 0";
        let status = "Name:\tx\nRssAnon:\t    1234 kB\nRssFile:\t      56 kB\n";
        let sample = Sample::parse(stat, status).unwrap();
        assert!((sample.cpu_seconds - 3.0).abs() < 1e-9);
        assert_eq!((sample.anon_kib, sample.file_kib), (1234, 56));
        assert_eq!(Sample::parse("nonsense", status), None);
    }

    #[test]
    fn time_per_operation_is_the_difference_over_the_count() {
        let sample = |cpu_seconds| Sample {
            cpu_seconds,
            anon_kib: 1,
            file_kib: 1,
        };
        let usage = Usage::between(Some(1), sample(1.0), sample(3.0), 1_000, 4.0);
        assert!((usage.cpu_us_per_operation - 2_000.0).abs() < 1e-6);
        assert!((usage.cpu_cores - 0.5).abs() < 1e-9);
    }

    #[test]
    fn this_process_can_be_sampled() {
        assert!(0 < Sample::take(None).unwrap().anon_kib);
        assert!(Sample::take(Some(u32::MAX)).is_err());
    }
}
