//! Counters of one HTTP server. Cheap: a request touches a handful of atomics and no map.

use std::sync::Arc;
use std::time::Instant;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, exponential_buckets,
};

use crate::env::clock;

/// Statuses that are counted by their own; anything else counts as `other`.
const STATUSES: [u16; 20] = [
    200, 204, 206, 302, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 416, 429, 500, 501, 503,
    507,
];

/// Counters of one HTTP server.
#[derive(Debug)]
pub struct HttpMetrics {
    /// In the order of [`STATUSES`].
    by_status: [IntCounter; STATUSES.len()],
    other_status: IntCounter,
    sent_bytes: IntCounter,
    seconds: Histogram,
    pub(super) connections: IntGauge,
    pub(super) refused: IntCounter,
}

impl HttpMetrics {
    /// Registers the counters; `server` (`storage`, `api`, …) is a label of each, so that several
    /// servers of a process can share a registry.
    pub fn register(registry: &Registry, server: &str) -> Result<Arc<Self>, prometheus::Error> {
        let opts = |name: &str, help: &str| {
            Opts::new(format!("hayloft_http_{name}"), help).const_label("server", server)
        };
        let requests = |status: &str| {
            let opts = opts("requests_total", "Requests answered, by status.");
            let counter = IntCounter::with_opts(opts.const_label("status", status))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let mut by_status = Vec::with_capacity(STATUSES.len());
        for status in STATUSES {
            by_status.push(requests(&status.to_string())?);
        }
        let metrics = Self {
            by_status: by_status.try_into().map_err(|_| {
                prometheus::Error::Msg("one counter per status".to_owned())
            })?,
            other_status: requests("other")?,
            sent_bytes: IntCounter::with_opts(opts("sent_bytes_total", "Body bytes handed to sockets."))?,
            seconds: Histogram::with_opts(
                HistogramOpts::from(opts(
                    "request_seconds",
                    "Time from the end of a request's head until the last byte of the answer was handed to the socket.",
                ))
                // 25 µs to 26 s.
                .buckets(exponential_buckets(25e-6, 4.0, 11)?),
            )?,
            connections: IntGauge::with_opts(opts("connections", "Open connections."))?,
            refused: IntCounter::with_opts(opts(
                "connections_refused_total",
                "Connections refused because the limit was reached.",
            ))?,
        };
        registry.register(Box::new(metrics.sent_bytes.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        Ok(Arc::new(metrics))
    }

    /// Body bytes handed to sockets so far.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.get()
    }

    /// Counts an answer; the meter then goes with its body.
    pub(super) fn answered(self: &Arc<Self>, status: u16, started: Instant) -> Meter {
        STATUSES
            .iter()
            .zip(&self.by_status)
            .find(|(counted, _)| **counted == status)
            .map_or(&self.other_status, |(_, counter)| counter)
            .inc();
        Meter {
            metrics: Arc::clone(self),
            started,
        }
    }
}

/// Counts one answer's bytes, and its time when dropped.
#[derive(Debug)]
pub(super) struct Meter {
    metrics: Arc<HttpMetrics>,
    started: Instant,
}

impl Meter {
    pub(super) fn sent(&self, len: usize) {
        self.metrics.sent_bytes.inc_by(len as u64);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let elapsed = clock::monotonic().saturating_duration_since(self.started);
        self.metrics.seconds.observe(elapsed.as_secs_f64());
    }
}
