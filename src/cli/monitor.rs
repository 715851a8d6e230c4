//! `hayloft monitor`: the cluster's state and what it does, refreshed.

use std::process::ExitCode;
use std::time::Duration;

use common::client::Client;
use common::env::clock;
use common::wire::cluster::ClusterStatus;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::client::Cluster;
use super::cluster::view::{self, Detail};
use super::output::{self, EXIT_CODES, Failure, Tally};

/// Clears the screen and goes to its corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Watch trackers, groups and storage nodes, with rates and with what is wrong
///
/// LAG is how far a node is behind its peers, MISSING the records with too few copies, UNVERIFIED the
/// age of the oldest byte that nobody verified since, WHY what keeps a node from plain service.
///
/// Examples:
///   hayloft monitor                        a table that refreshes until Ctrl-C
///   hayloft monitor --once --json          one object, for scripts
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, verbatim_doc_comment)]
pub(crate) struct MonitorArgs {
    /// Print once and end
    #[arg(long)]
    once: bool,

    /// Seconds between refreshes
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,

    #[command(flatten)]
    cluster: Cluster,
}

/// Everything the nodes have done since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    uploads: u64,
    downloads: u64,
    deletes: u64,
    upload_bytes: u64,
    download_bytes: u64,
}

/// Work per second between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Rates {
    uploads: f64,
    downloads: f64,
    deletes: f64,
    upload_bytes: f64,
    download_bytes: f64,
}

#[derive(Debug, Serialize)]
struct Look<'a> {
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<Rates>,
    #[serde(flatten)]
    status: &'a ClusterStatus,
}

impl Totals {
    fn of(status: &ClusterStatus) -> Self {
        let mut totals = Self::default();
        for node in status.groups.iter().flat_map(|group| &group.nodes) {
            totals.uploads += node.uploads;
            totals.downloads += node.downloads;
            totals.deletes += node.deletes;
            totals.upload_bytes += node.upload_bytes;
            totals.download_bytes += node.download_bytes;
        }
        totals
    }

    /// A node that restarted counts from 0 again; that is no negative rate.
    fn since(self, earlier: Self, seconds: f64) -> Rates {
        let rate = |now: u64, then: u64| output::to_f64(now.saturating_sub(then)) / seconds;
        Rates {
            uploads: rate(self.uploads, earlier.uploads),
            downloads: rate(self.downloads, earlier.downloads),
            deletes: rate(self.deletes, earlier.deletes),
            upload_bytes: rate(self.upload_bytes, earlier.upload_bytes),
            download_bytes: rate(self.download_bytes, earlier.download_bytes),
        }
    }
}

impl MonitorArgs {
    /// Watches until interrupted.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        let Some(client) = tally.check("", self.cluster.client(1).map_err(Into::into)) else {
            return tally.into();
        };
        if self.once {
            tally.check("", self.look(&client, &mut None).await);
        } else {
            self.watch(&client, &mut tally).await;
        }
        client.close().await;
        tally.into()
    }

    async fn watch(&self, client: &Client, tally: &mut Tally) {
        let mut ticks = interval(Duration::from_secs(self.interval));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return,
                _ = ticks.tick() => {}
            }
            match self.look(client, &mut last).await {
                // An unreachable tracker may come back; who watches wants to see that too.
                Err(failure @ Failure::Client(_)) => Tally::default().failed("", &failure),
                other => {
                    if tally.check("", other).is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Prints the state, with rates since `last` if there was a look before.
    async fn look(
        &self,
        client: &Client,
        last: &mut Option<(std::time::Instant, Totals)>,
    ) -> Result<(), Failure> {
        let status = client.trackers().status().await?;
        let (now, totals) = (clock::monotonic(), Totals::of(&status));
        let per_second = last.map(|(then, earlier)| {
            let seconds = now.saturating_duration_since(then).as_secs_f64();
            totals.since(earlier, seconds.max(f64::MIN_POSITIVE))
        });
        *last = Some((now, totals));
        let time = clock::unix_seconds().into();
        if self.cluster.json {
            return output::json(&Look {
                time,
                per_second,
                status: &status,
            });
        }
        let mut text = String::new();
        if !self.once && output::shown() {
            text.push_str(CLEAR);
        }
        text.push_str(&output::utc(time));
        if let Some(rates) = per_second {
            text.push_str(&rates.text());
        }
        text.push_str("\n\n");
        text.push_str(&view::text(&status, time, Detail::Nodes));
        output::line(&text)
    }
}

impl Rates {
    fn text(&self) -> String {
        format!(
            "   per second: {:.0} uploads ({:.1} MiB), {:.0} downloads ({:.1} MiB), {:.0} deletes",
            self.uploads,
            self.upload_bytes / (1024.0 * 1024.0),
            self.downloads,
            self.download_bytes / (1024.0 * 1024.0),
            self.deletes,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time_and_never_negative() {
        let earlier = Totals {
            uploads: 10,
            deletes: 100,
            ..Totals::default()
        };
        let later = Totals {
            uploads: 30,
            deletes: 5,
            ..Totals::default()
        };
        let rates = later.since(earlier, 4.0);
        assert!((rates.uploads - 5.0).abs() < 1e-9);
        assert!(rates.deletes.abs() < 1e-9);
    }
}
