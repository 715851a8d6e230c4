//! Counters of the protocol. Handles are made once, so a request touches a few atomics and no map.

use std::time::Duration;

use common::wire::{Command, Status};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

/// Commands that are counted by name; anything else is `other`.
const COMMANDS: [(Command, &str); 18] = [
    (Command::Upload, "upload"),
    (Command::UploadAppender, "upload_appender"),
    (Command::UploadSlave, "upload_slave"),
    (Command::PrepareUpload, "prepare_upload"),
    (Command::ExtendStaging, "extend_staging"),
    (Command::ArrangeStaging, "arrange_staging"),
    (Command::CommitUpload, "commit_upload"),
    (Command::AbandonUpload, "abandon_upload"),
    (Command::Append, "append"),
    (Command::Modify, "modify"),
    (Command::Truncate, "truncate"),
    (Command::RegenerateAppender, "regenerate"),
    (Command::Delete, "delete"),
    (Command::SetMetadata, "set_metadata"),
    (Command::GetMetadata, "get_metadata"),
    (Command::QueryFileInfo, "file_info"),
    (Command::Download, "download"),
    (Command::ActiveTest, "active_test"),
];

/// Counters of the storage protocol.
#[derive(Debug)]
pub(crate) struct ServiceMetrics {
    /// In the order of [`COMMANDS`], then `other`: successes and times.
    by_command: Vec<(IntCounter, Histogram)>,
    requests: IntCounterVec,
    /// Connections refused over the limit.
    pub(crate) refused: IntCounter,
}

impl ServiceMetrics {
    /// Registers the counters.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "hayloft_storage_requests_total",
                "Requests, by command and status.",
            ),
            &["command", "status"],
        )?;
        let options = HistogramOpts::new(
            "hayloft_storage_request_seconds",
            "Time from the request's header until its answer was handed to the socket.",
        );
        let seconds = HistogramVec::new(
            options.buckets(prometheus::exponential_buckets(25e-6, 4.0, 11)?),
            &["command"],
        )?;
        let names = COMMANDS.iter().map(|(_, name)| *name).chain(["other"]);
        let by_command = names
            .map(|name| {
                (
                    requests.with_label_values(&[name, "0"]),
                    seconds.with_label_values(&[name]),
                )
            })
            .collect();
        let refused = IntCounter::new(
            "hayloft_storage_connections_refused_total",
            "Connections refused because the limit was reached.",
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds))?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self {
            by_command,
            requests,
            refused,
        })
    }

    /// Counts a request.
    pub(super) fn observe(&self, command: Option<Command>, status: Status, elapsed: Duration) {
        let place = COMMANDS
            .iter()
            .position(|(known, _)| Some(*known) == command);
        let name = place
            .and_then(|place| COMMANDS.get(place))
            .map_or("other", |(_, name)| name);
        let Some((successes, seconds)) = self.by_command.get(place.unwrap_or(COMMANDS.len()))
        else {
            return;
        };
        seconds.observe(elapsed.as_secs_f64());
        if status.is_ok() {
            successes.inc();
        } else {
            self.requests
                .with_label_values(&[name, &status.0.to_string()])
                .inc();
        }
    }
}
