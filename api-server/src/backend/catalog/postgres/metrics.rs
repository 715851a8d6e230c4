//! Counters of a catalog on a database, in Prometheus terms. Those that the embedded one has, too, have
//! the same names.

use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};

/// Counters of the catalog.
#[derive(Clone, Debug)]
pub(super) struct PostgresMetrics {
    /// Transactions that were answered, also those that were refused by their work.
    pub(super) transactions: IntCounter,
    /// Transactions of each group that was kept.
    pub(super) group_transactions: Histogram,
    /// Seconds from the beginning of a group to its answer.
    pub(super) write_seconds: Histogram,
    /// Groups that ran again because another server changed what they had looked at.
    pub(super) conflicts: IntCounter,
    /// Connections that were made.
    pub(super) connections: IntCounter,
    /// Looks and groups that ran again, or failed, because their connection broke.
    pub(super) broken: IntCounter,
}

impl PostgresMetrics {
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
                prometheus::exponential_buckets(0.0001, 2.0, 18)?,
            )?,
            conflicts: counter(
                "conflicts_total",
                "Groups of transactions that ran again because another server was faster.",
            )?,
            connections: counter(
                "connections_total",
                "Connections that were made to the catalog's database.",
            )?,
            broken: counter(
                "broken_connections_total",
                "Calls whose connection to the catalog's database broke.",
            )?,
        })
    }
}
