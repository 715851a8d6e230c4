//! Processes of the program itself, which say in a ready file when they answer and where.

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
    /// As the configuration calls it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Os => "os",
        }
    }
}

/// A running process; killed with the value.
#[derive(Debug)]
pub(crate) struct Process {
    what: &'static str,
    child: Child,
    said: PathBuf,
    ready: Value,
}

impl Process {
    /// Starts a command that [`hayloft`] made and that is to keep its files in `home`, and waits until
    /// it is ready.
    pub(crate) fn start(
        what: &'static str,
        mut command: Command,
        home: &Path,
    ) -> Result<Self, BenchError> {
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
        command.arg("--ready-file").arg(&ready_file);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command
            .stderr(log)
            .spawn()
            .map_err(BenchError::io("cannot start a server"))?;
        let mut process = Self {
            what,
            child,
            said,
            ready: Value::Null,
        };
        process.ready = wait::until("the server is ready", READY_LIMIT, || {
            let ended = process.child.try_wait();
            if let Some(status) = ended.map_err(BenchError::io("cannot watch the server"))? {
                return Err(process.ended(status));
            }
            let text = fs::read(&ready_file).unwrap_or_default();
            Ok(serde_json::from_slice(&text).ok())
        })?;
        Ok(process)
    }

    /// Its number.
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
        Err(self.ended(status))
    }

    fn ended(&self, status: std::process::ExitStatus) -> BenchError {
        BenchError::Ended {
            what: self.what,
            status,
            said: last_words(&fs::read(&self.said).unwrap_or_default()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the last process in `home` logged.
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
