//! A `hayloft serve` process of the benchmark's own, on free ports of the loopback interface.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::error::{BenchError, last_words};
use super::wait;

/// How long a start may take; that of ten million files without an index takes longest.
const READY_LIMIT: Duration = Duration::from_mins(10);
/// How long a stop may take.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// When uploads are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// On the disk; Hayloft's default.
    Always,
    /// Written, as the original does.
    Os,
}

impl Durability {
    fn text(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Os => "os",
        }
    }
}

/// A running server; killed with the value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    said: PathBuf,
    ready: Value,
}

impl Server {
    /// Starts a server whose data is in `home`, and waits until all roles answer.
    pub(crate) fn start(home: &Path, durability: Durability) -> Result<Self, BenchError> {
        let ready_file = home.join("ready.json");
        let said = log_file(home);
        // A file of an earlier run would be taken for this one's.
        let _ = fs::remove_file(&ready_file);
        let log = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&said)
            .map_err(BenchError::io("cannot make the server's log"))?;
        let mut command = hayloft();
        command.arg("serve");
        command.arg("--data-dir").arg(data_dir(home));
        command.arg("--ready-file").arg(&ready_file);
        command.arg("--durability").arg(durability.text());
        for role in ["tracker", "storage", "storage-http", "api"] {
            command.arg(format!("--{role}-listen")).arg("127.0.0.1:0");
        }
        // Of the API's catalog, to be the same; it has no flag.
        command.env("HAYLOFT_API_DURABILITY", durability.text());
        // For those who read the log.
        command.env("HAYLOFT_LOG_FORMAT", "json");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command
            .stderr(log)
            .spawn()
            .map_err(BenchError::io("cannot start hayloft serve"))?;
        let mut server = Self {
            child,
            said,
            ready: Value::Null,
        };
        let child = &mut server.child;
        server.ready = wait::until("the server is ready", READY_LIMIT, || {
            let ended = child.try_wait();
            if let Some(status) = ended.map_err(BenchError::io("cannot watch the server"))? {
                return Err(BenchError::Ended {
                    what: "hayloft serve",
                    status,
                    said: last_words(&fs::read(&server.said).unwrap_or_default()),
                });
            }
            let text = fs::read(&ready_file).unwrap_or_default();
            Ok(serde_json::from_slice(&text).ok())
        })?;
        Ok(server)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where a role listens: `tracker`, `storage`, `storage_http` or `api`.
    pub(crate) fn address(&self, role: &'static str) -> Result<&str, BenchError> {
        let address = self.ready.get(role).and_then(Value::as_str);
        address.ok_or(BenchError::Lacking {
            what: "the ready file",
            field: role,
        })
    }

    /// Asks it to end and waits until it did.
    pub(crate) fn stop(mut self) -> Result<(), BenchError> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| BenchError::io("cannot signal the server")(error.into()))?;
        let child = &mut self.child;
        let status = wait::until("the server stops", STOP_LIMIT, || {
            child
                .try_wait()
                .map_err(BenchError::io("cannot watch the server"))
        })?;
        if status.success() {
            return Ok(());
        }
        Err(BenchError::Ended {
            what: "hayloft serve",
            status,
            said: last_words(&fs::read(&self.said).unwrap_or_default()),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a server in `home` keeps its data.
pub(crate) fn data_dir(home: &Path) -> PathBuf {
    home.join("data")
}

/// What the last server in `home` logged.
pub(crate) fn log_file(home: &Path) -> PathBuf {
    home.join("stderr.log")
}

/// The program, without the variables of whoever runs the benchmark: they must not change what is
/// measured.
pub(crate) fn hayloft() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"));
    for (name, _) in std::env::vars_os() {
        if is_ours(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn is_ours(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("HAYLOFT_")
}
