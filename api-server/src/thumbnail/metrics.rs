//! Counters of the maker of thumbnails.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry, exponential_buckets};

/// Counters of the maker of thumbnails.
#[derive(Clone, Debug)]
pub(super) struct ThumbMetrics {
    pub(super) made: IntCounter,
    pub(super) hits: IntCounter,
    pub(super) refused: IntCounter,
    pub(super) failed: IntCounter,
    pub(super) seconds: Histogram,
    pub(super) cache_bytes: IntGauge,
}

impl ThumbMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            made: IntCounter::new("hayloft_thumbnails_made_total", "Thumbnails made.")?,
            hits: IntCounter::new(
                "hayloft_thumbnails_hits_total",
                "Thumbnails answered from the cache.",
            )?,
            refused: IntCounter::new(
                "hayloft_thumbnails_refused_total",
                "Requests refused because the queue was full.",
            )?,
            failed: IntCounter::new(
                "hayloft_thumbnails_failed_total",
                "Pictures of which no thumbnail could be made, each attempt.",
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "hayloft_thumbnails_seconds",
                    "Time of decoding, resizing and encoding one thumbnail.",
                )
                // 1 ms to 16 s.
                .buckets(exponential_buckets(1e-3, 4.0, 8)?),
            )?,
            cache_bytes: IntGauge::new(
                "hayloft_thumbnails_cache_bytes",
                "Bytes of cached thumbnails on disk, in whole blocks.",
            )?,
        };
        for counter in [
            &metrics.made,
            &metrics.hits,
            &metrics.refused,
            &metrics.failed,
        ] {
            registry.register(Box::new(counter.clone()))?;
        }
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.cache_bytes.clone()))?;
        Ok(metrics)
    }
}
