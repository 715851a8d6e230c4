//! One process of a cluster: a tracker, a storage node or an API server, with what it said.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::deadline::{eventually, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hayloft");
/// How long a start may take on a busy machine, recovery included.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// How long an end in good order may take.
const END_LIMIT: Duration = Duration::from_secs(40);
/// Bytes of a log that a failure shows.
const LAST_WORDS_LEN: usize = 3 * 1024;

/// The binary without what the developer has in the environment, which must not change what is
/// tested.
pub(super) fn hayloft() -> Command {
    without_settings(Command::new(PROGRAM))
}

/// The binary with the network of a namespace.
fn hayloft_within(namespace: &Path) -> Command {
    let mut command = without_settings(Command::new("nsenter"));
    command.arg(format!("--net={}", namespace.display()));
    command.arg(PROGRAM);
    command
}

/// The end of a log.
pub(super) fn last_words(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let start = bytes.len().saturating_sub(LAST_WORDS_LEN);
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HAYLOFT_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A process that can be ended and started again; it ends with the value.
#[derive(Debug)]
pub(super) struct Process {
    /// For messages: `node3`, `tracker1`.
    pub(super) name: String,
    role: &'static str,
    folder: PathBuf,
    namespace: Option<PathBuf>,
    child: Option<Child>,
}

impl Process {
    /// A process that is not started, whose files are in `folder`.
    pub(super) fn new(folder: &Path, name: &str, role: &'static str, config: &str) -> Self {
        let process = Self {
            name: name.to_owned(),
            role,
            folder: folder.to_owned(),
            namespace: None,
            child: None,
        };
        let data_dir = process.data_dir();
        let config = format!("data_dir = {data_dir:?}\ndrain = \"10s\"\n{config}");
        fs::write(process.file("toml"), config).unwrap();
        process
    }

    /// Has it run with the network of this namespace from its next start on.
    pub(super) fn enter(&mut self, namespace: PathBuf) {
        self.namespace = Some(namespace);
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    /// Where it keeps what it keeps.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.file("data")
    }

    /// Its configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.file("toml")
    }

    /// Everything that it said, in all its lives.
    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.file("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of that.
    fn last_words(&self) -> String {
        last_words(&self.file("log"))
    }

    /// Starts it and does not wait for anything.
    pub(super) fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        // A file of an earlier life would be taken for this one's.
        let _ = fs::remove_file(self.file("ready"));
        let said = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("log"))
            .unwrap();
        let mut command = match &self.namespace {
            None => hayloft(),
            Some(namespace) => hayloft_within(namespace),
        };
        let child = command
            .arg(self.role)
            .arg("--config")
            .arg(self.config())
            .arg("--ready-file")
            .arg(self.file("ready"))
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Starts it and waits until it answers.
    pub(super) fn start(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    /// Waits until it answers.
    pub(super) fn wait_ready(&mut self) {
        let ready = within(READY_LIMIT, || {
            self.expect_alive();
            self.file("ready").exists().then_some(())
        });
        assert!(
            ready.is_some(),
            "{} is not ready within {READY_LIMIT:?}",
            self.name
        );
    }

    /// Whether it was started and not ended by the test.
    pub(super) fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// Fails the test if the process ended by itself.
    pub(super) fn expect_alive(&mut self) {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait().unwrap()
        {
            panic!(
                "{} ended by itself, {status}:\n{}",
                self.name,
                self.last_words()
            );
        }
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Has it stand still.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once, as `kill -9` does.
    pub(super) fn kill(&mut self) {
        self.expect_alive();
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to end and expects that it does so in good order.
    pub(super) fn terminate(&mut self) {
        self.expect_alive();
        self.signal(Signal::TERM);
        let child = self.child.as_mut().expect("it runs");
        let status = eventually("the end after SIGTERM", END_LIMIT, || {
            child.try_wait().unwrap()
        });
        self.child = None;
        assert!(
            status.success(),
            "{}: {status}\n{}",
            self.name,
            self.last_words()
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail when the process has ended already, which is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
