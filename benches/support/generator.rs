//! The load generator, `hayloft bench`, as a process of its own: its work must not be counted as the
//! server's, nor share its allocator.

use std::ffi::{OsStr, OsString};
use std::process::{Output, Stdio};

use serde::Serialize;
use serde_json::Value;

use super::error::{BenchError, last_words};
use super::process::hayloft;

/// One run of the generator, described by its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Load(Vec<OsString>);

/// What one run gave.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figures {
    /// Operations that succeeded.
    pub(crate) operations: u64,
    /// Operations per second.
    pub(crate) per_second: f64,
    /// User and system time of the server's processes per operation, in microseconds.
    pub(crate) cpu_us: f64,
    /// Median latency in microseconds.
    pub(crate) p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub(crate) p99_us: f64,
}

impl Load {
    /// `hayloft bench KIND`.
    pub(crate) fn new(kind: &str) -> Self {
        Self(vec!["bench".into(), kind.into(), "--json".into()])
    }

    /// Adds an option.
    pub(crate) fn with(mut self, option: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.push(option.into());
        self.0.push(value.as_ref().to_owned());
        self
    }

    /// Makes the load and looks at what it costs the processes `pids`. A failed operation fails the
    /// run: a server that refuses is fast.
    pub(crate) fn measure(&self, pids: &[u32]) -> Result<Figures, BenchError> {
        Figures::read(&self.report(pids)?)
    }

    /// As `measure`, with everything that the generator says.
    pub(crate) fn report(&self, pids: &[u32]) -> Result<Value, BenchError> {
        let mut command = hayloft();
        command.args(&self.0).stdin(Stdio::null());
        for pid in pids {
            command.arg("--server-pid").arg(pid.to_string());
        }
        let output = command
            .output()
            .map_err(BenchError::io("cannot start the load generator"))?;
        if !output.status.success() {
            return Err(failed(&output));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| BenchError::io("the load generator's report is no JSON")(error.into()))
    }
}

impl Figures {
    fn read(report: &Value) -> Result<Self, BenchError> {
        let number = |pointer: &'static str| {
            let value = report.pointer(pointer).and_then(Value::as_f64);
            value.ok_or(BenchError::Lacking {
                what: "the load generator's report",
                field: pointer,
            })
        };
        let servers = report.pointer("/servers").and_then(Value::as_array);
        let cpu_us = servers
            .into_iter()
            .flatten()
            .filter_map(|server| server.get("cpu_us_per_operation")?.as_f64());
        let succeeded = report.pointer("/operations/0/succeeded");
        Ok(Self {
            operations: succeeded.and_then(Value::as_u64).unwrap_or(0),
            per_second: number("/operations/0/per_second")?,
            cpu_us: cpu_us.sum(),
            p50_us: number("/operations/0/latency_us/p50")?,
            p99_us: number("/operations/0/latency_us/p99")?,
        })
    }
}

fn failed(output: &Output) -> BenchError {
    // The report counts the errors by kind; it comes first in what a person should read.
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    BenchError::Ended {
        what: "hayloft bench",
        status: output.status,
        said: last_words(&said),
    }
}
