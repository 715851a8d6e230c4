//! Counters of the catalog, in Prometheus terms.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

/// Counters of the catalog.
#[derive(Clone, Debug)]
pub(super) struct CatalogMetrics {
    /// Transactions that ran, also those that were refused by their work.
    pub(super) transactions: IntCounter,
    /// Transactions of each group that was kept.
    pub(super) group_transactions: Histogram,
    /// Seconds in which a group was written, and synced if the setting asks for it.
    pub(super) write_seconds: Histogram,
    /// Reads that had to wait for the disk.
    pub(super) reads_waited: IntCounter,
    /// 1 after a failed write or sync, when no change is taken until a restart.
    pub(super) refuses_changes: IntGauge,
}

impl CatalogMetrics {
    /// Counters registered in `registry`.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(format!("hayloft_catalog_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let name = format!("hayloft_catalog_{name}");
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let refuses_changes = IntGauge::new(
            "hayloft_catalog_refuses_changes",
            "1 after a failed write or sync, when no change is taken until a restart.",
        )?;
        registry.register(Box::new(refuses_changes.clone()))?;
        Ok(Self {
            transactions: counter("transactions_total", "Transactions that ran.")?,
            group_transactions: histogram(
                "group_transactions",
                "Transactions of each group that was kept with one sync.",
                prometheus::exponential_buckets(1.0, 2.0, 9)?,
            )?,
            write_seconds: histogram(
                "write_seconds",
                "Seconds of writing a group, its sync included.",
                prometheus::exponential_buckets(0.0001, 2.0, 14)?,
            )?,
            reads_waited: counter("reads_waited_total", "Reads that had to wait for the disk.")?,
            refuses_changes,
        })
    }
}
