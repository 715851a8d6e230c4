//! A `hayloft serve` process of the benchmark's own, on free ports of the loopback interface.

use std::path::{Path, PathBuf};

use super::error::BenchError;
use super::process::{Durability, Process, hayloft};

/// A running server; killed with the value.
#[derive(Debug)]
pub(crate) struct Server(Process);

impl Server {
    /// Starts a server whose data is in `home`, and waits until all roles answer.
    pub(crate) fn start(home: &Path, durability: Durability) -> Result<Self, BenchError> {
        let mut command = hayloft();
        command.arg("serve");
        command.arg("--data-dir").arg(data_dir(home));
        command.arg("--durability").arg(durability.text());
        for role in ["tracker", "storage", "storage-http", "api"] {
            command.arg(format!("--{role}-listen")).arg("127.0.0.1:0");
        }
        // Of the API's catalog, to be the same; it has no flag.
        command.env("HAYLOFT_API_DURABILITY", durability.text());
        // For those who read the log.
        command.env("HAYLOFT_LOG_FORMAT", "json");
        Process::start("hayloft serve", command, home).map(Self)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Where a role listens: `tracker`, `storage`, `storage_http` or `api`.
    pub(crate) fn address(&self, role: &'static str) -> Result<&str, BenchError> {
        self.0.address(role)
    }

    /// Asks it to end and waits until it did.
    pub(crate) fn stop(self) -> Result<(), BenchError> {
        self.0.stop()
    }
}

/// Where a server in `home` keeps its data.
pub(crate) fn data_dir(home: &Path) -> PathBuf {
    home.join("data")
}
