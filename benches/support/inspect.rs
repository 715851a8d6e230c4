//! What a server says about itself: its metrics and its log.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::error::BenchError;
use super::metrics::{metrics, values};
use super::process::log_file;
use super::server::Server;

/// What a start had to read again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovered {
    /// Bytes of volumes that were walked.
    pub(crate) bytes: u64,
    /// Records that were indexed.
    pub(crate) records: u64,
}

/// A metric of the storage node; the first of that name.
pub(crate) fn metric(server: &Server, name: &'static str) -> Result<f64, BenchError> {
    let text = metrics(server.address("storage_http")?)?;
    let first = values(&text, name).next();
    first.ok_or(BenchError::Lacking {
        what: "/metrics",
        field: name,
    })
}

/// What the last start in `home` had to do; `None` after a clean stop.
pub(crate) fn recovered(home: &Path) -> Result<Option<Recovered>, BenchError> {
    let log = fs::read_to_string(log_file(home)).map_err(BenchError::io("cannot read the log"))?;
    let event = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|event| event.get("message").and_then(Value::as_str) == Some("recovered"));
    let number = |name: &str| event.as_ref()?.get(name)?.as_u64();
    let both = number("bytes").zip(number("records"));
    Ok(both.map(|(bytes, records)| Recovered { bytes, records }))
}
