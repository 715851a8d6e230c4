//! Counts and latencies of one worker, and of all of them together.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::link::OpError;
use crate::cli::output;

/// Latencies are counted in nanoseconds, three digits exact, up to ten minutes.
const LOWEST_NS: u64 = 128;
const HIGHEST_NS: u64 = 600 * 1_000_000_000;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Op {
    Upload,
    Download,
    HttpGet,
    Delete,
    Query,
    Call,
    /// An upload in slices begins.
    Create,
    Slice,
    /// From the first question for the end of an upload to the answer that it is there.
    Complete,
    /// All of an upload in slices.
    File,
}

impl Op {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::HttpGet => "http-get",
            Self::Delete => "delete",
            Self::Query => "query",
            Self::Call => "call",
            Self::Create => "create",
            Self::Slice => "slice",
            Self::Complete => "complete",
            Self::File => "file",
        }
    }
}

/// What a worker saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    by_op: BTreeMap<Op, OpStats>,
}

#[derive(Clone, Debug)]
struct OpStats {
    /// Of successes only: a refusal is often faster than the work.
    latencies: Histogram<u64>,
    bytes: u64,
    errors: BTreeMap<String, u64>,
}

impl OpStats {
    #[expect(
        clippy::expect_used,
        reason = "the bounds are constants, and a test makes one"
    )]
    fn new() -> Self {
        let latencies = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, 3)
            .expect("hdrhistogram takes bounds that are a factor of two apart, and 3 digits");
        Self {
            latencies,
            bytes: 0,
            errors: BTreeMap::new(),
        }
    }
}

impl Stats {
    /// Counts one operation; a success tells the bytes of content that it moved.
    pub(super) fn record(&mut self, op: Op, took: Duration, result: Result<u64, &OpError>) {
        let stats = self.by_op.entry(op).or_insert_with(OpStats::new);
        match result {
            Ok(bytes) => {
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                stats
                    .latencies
                    .saturating_record(nanos.clamp(LOWEST_NS, HIGHEST_NS));
                stats.bytes += bytes;
            }
            Err(error) => *stats.errors.entry(error.to_string()).or_default() += 1,
        }
    }

    /// Adds what another worker saw.
    pub(super) fn add(&mut self, other: &Self) {
        for (op, theirs) in &other.by_op {
            let ours = self.by_op.entry(*op).or_insert_with(OpStats::new);
            // Both have the same bounds, so nothing is refused.
            let _ = ours.latencies.add(&theirs.latencies);
            ours.bytes += theirs.bytes;
            for (error, count) in &theirs.errors {
                *ours.errors.entry(error.clone()).or_default() += count;
            }
        }
    }

    /// Operations that succeeded.
    pub(super) fn succeeded(&self) -> u64 {
        let each = self.by_op.values();
        each.map(|stats| stats.latencies.len()).sum()
    }

    /// Operations that failed.
    pub(super) fn failed(&self) -> u64 {
        let each = self.by_op.values();
        each.flat_map(|stats| stats.errors.values()).sum()
    }

    /// The figures of each operation over a run of `elapsed`.
    pub(super) fn figures(&self, elapsed: Duration) -> Vec<OpFigures> {
        let each = self.by_op.iter();
        each.map(|(op, stats)| OpFigures::new(*op, stats, elapsed))
            .collect()
    }
}

/// What is reported about one kind of operation.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OpFigures {
    op: Op,
    succeeded: u64,
    failed: u64,
    per_second: f64,
    content_bytes: u64,
    content_bytes_per_second: f64,
    latency_us: Latency,
    errors: BTreeMap<String, u64>,
}

/// Latencies of successes in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl OpFigures {
    fn new(op: Op, stats: &OpStats, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let succeeded = stats.latencies.len();
        let micros = |nanos: u64| output::to_f64(nanos) / 1_000.0;
        let at = |quantile: f64| micros(stats.latencies.value_at_quantile(quantile));
        Self {
            op,
            succeeded,
            failed: stats.errors.values().sum(),
            per_second: output::to_f64(succeeded) / seconds,
            content_bytes: stats.bytes,
            content_bytes_per_second: output::to_f64(stats.bytes) / seconds,
            latency_us: Latency {
                mean: stats.latencies.mean() / 1_000.0,
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: micros(stats.latencies.max()),
            },
            errors: stats.errors.clone(),
        }
    }

    /// A few lines for people.
    pub(super) fn text(&self) -> String {
        let latency = &self.latency_us;
        let mut lines = vec![
            format!(
                "{:9} {} succeeded, {} failed",
                self.op.text(),
                self.succeeded,
                self.failed
            ),
            format!(
                "  rate    {:.1} per second, {:.1} MiB of content per second",
                self.per_second,
                self.content_bytes_per_second / (1024.0 * 1024.0)
            ),
            format!(
                "  latency p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
                micros(latency.p50),
                micros(latency.p90),
                micros(latency.p99),
                micros(latency.p999),
                micros(latency.max)
            ),
        ];
        for (error, count) in &self.errors {
            lines.push(format!("  error   {count} × {error}"));
        }
        lines.join("\n")
    }
}

/// Microseconds with a fitting unit.
pub(super) fn micros(value: f64) -> String {
    if value < 1_000.0 {
        format!("{value:.1} µs")
    } else if value < 1_000_000.0 {
        format!("{:.2} ms", value / 1_000.0)
    } else {
        format!("{:.2} s", value / 1_000_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_rates_and_errors_add_up_over_workers() {
        let mut all = Stats::default();
        for worker in 0..4_u64 {
            let mut stats = Stats::default();
            for n in 0..250 {
                let took = Duration::from_micros(1 + worker * 250 + n);
                stats.record(Op::Upload, took, Ok(10));
            }
            let refused = OpError::Status(common::wire::Status::NO_SPACE);
            stats.record(Op::Upload, Duration::from_secs(9), Err(&refused));
            all.add(&stats);
        }
        assert_eq!((all.succeeded(), all.failed()), (1000, 4));
        let figures = all.figures(Duration::from_secs(2));
        let [upload] = figures.as_slice() else {
            panic!("{figures:?}");
        };
        assert!((upload.per_second - 500.0).abs() < 1e-9);
        assert!((upload.content_bytes_per_second - 5_000.0).abs() < 1e-9);
        let close = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.01;
        assert!(close(upload.latency_us.p50, 500.0), "{upload:?}");
        assert!(close(upload.latency_us.p99, 990.0), "{upload:?}");
        // The slow refusals are no latencies of work.
        assert!(close(upload.latency_us.max, 1_000.0), "{upload:?}");
        assert_eq!(upload.errors.values().sum::<u64>(), 4);
    }

    #[test]
    fn a_run_without_operations_has_no_figures() {
        assert!(Stats::default().figures(Duration::ZERO).is_empty());
    }
}
