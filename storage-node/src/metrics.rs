//! Counters of a storage node, in Prometheus terms.

use prometheus::{Histogram, HistogramOpts, IntCounter, Opts, Registry};

/// Counters of the store of one volume path.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Records of each committed group.
    pub group_records: Histogram,
    /// Seconds of each sync.
    pub sync_seconds: Histogram,
    /// Bytes appended, headers and padding included.
    pub appended_bytes: IntCounter,
    /// Volumes given up after a failed write or sync.
    pub poisoned_volumes: IntCounter,
    /// Bytes that compaction gave back.
    pub compacted_bytes: IntCounter,
    /// Bytes that scrub verified.
    pub scrubbed_bytes: IntCounter,
    /// Records whose checksum did not match.
    pub damaged_records: IntCounter,
}

impl StoreMetrics {
    /// Counters labelled with the volume path, registered in `registry`.
    pub fn new(volume_path: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let label = |name: &str, help: &str| {
            Opts::new(format!("hayloft_store_{name}"), help).const_label("path", volume_path)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::with_opts(label(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let options = HistogramOpts {
                common_opts: label(name, help),
                buckets,
            };
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        Ok(Self {
            group_records: histogram(
                "group_records",
                "Records of each committed group.",
                prometheus::exponential_buckets(1.0, 2.0, 9)?,
            )?,
            sync_seconds: histogram(
                "sync_seconds",
                "Seconds of each sync of a volume.",
                prometheus::exponential_buckets(0.0001, 2.0, 14)?,
            )?,
            appended_bytes: counter("appended_bytes_total", "Bytes appended to volumes.")?,
            poisoned_volumes: counter(
                "poisoned_volumes_total",
                "Volumes that became read-only after a failed write or sync.",
            )?,
            compacted_bytes: counter("compacted_bytes_total", "Bytes that compaction gave back.")?,
            scrubbed_bytes: counter("scrubbed_bytes_total", "Bytes that scrub verified.")?,
            damaged_records: counter(
                "damaged_records_total",
                "Records whose checksum did not match.",
            )?,
        })
    }

    /// Counters that nobody reads.
    #[cfg(any(test, feature = "testing"))]
    #[expect(clippy::expect_used, reason = "a test double")]
    pub fn unread() -> Self {
        Self::new("M00", &Registry::new()).expect("names are valid and the registry is empty")
    }
}
