//! One `hayloft serve` process of its own, killed with the value.

use std::fs::{self, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::deadline::{eventually, within};
use super::home::Home;

/// How long a start may take, recovery included.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// An address that nobody has.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Bytes of the server's last words that a failure shows.
const LAST_WORDS_LEN: usize = 8 * 1024;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    said: PathBuf,
    /// Where the roles listen.
    pub(crate) addresses: Addresses,
}

/// What the ready file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) tracker: SocketAddr,
    pub(crate) storage: SocketAddr,
    pub(crate) storage_http: SocketAddr,
    pub(crate) api: SocketAddr,
}

impl Server {
    /// Starts a server and waits until all roles answer.
    pub(crate) fn start(home: &Home) -> Self {
        Self::start_with(home, &[])
    }

    /// As [`Server::start`], with these variables in its environment.
    pub(crate) fn start_with(home: &Home, variables: &[(&str, &str)]) -> Self {
        Self::start_at(home, variables, ANY_PORT)
    }

    /// As [`Server::start_with`], with the API at this address.
    pub(crate) fn start_at(home: &Home, variables: &[(&str, &str)], api: SocketAddr) -> Self {
        let ready = home.file("ready.json");
        let mut child = spawn(home, &ready, variables, api);
        let said = home.file("stderr.log");
        let addresses = within(READY_LIMIT, || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!(
                    "the server ended at its start, {status}:\n{}",
                    last_words(&said)
                );
            }
            Addresses::read(&ready)
        });
        let Some(addresses) = addresses else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("not ready within {READY_LIMIT:?}:\n{}", last_words(&said));
        };
        Self {
            child,
            said,
            addresses,
        }
    }

    /// Starts a server and ends it by `kill -9` without waiting for anything but `pause`, which
    /// decides what the server is doing by then.
    pub(crate) fn start_and_kill(home: &Home, pause: Duration) {
        let mut child = spawn(home, &home.file("ready.json"), &[], ANY_PORT);
        let ended = within(pause, || child.try_wait().unwrap());
        assert_eq!(ended, None, "{}", last_words(&home.file("stderr.log")));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs a server that is expected to end by itself; its status and what it said.
    pub(crate) fn run_to_end(home: &Home) -> (ExitStatus, String) {
        let ready = home.file("second-ready.json");
        let mut child = command(home, &ready, ANY_PORT)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let ended = within(READY_LIMIT, || child.try_wait().unwrap());
        if ended.is_none() {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(ended.is_some(), "the server did not end by itself:\n{said}");
        assert!(!ready.exists(), "a refused server was ready:\n{said}");
        (output.status, said)
    }

    /// Ends the process at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to end.
    pub(crate) fn send_terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        eventually("the end of the server", limit, || {
            self.child.try_wait().unwrap()
        })
    }

    /// Asks the process to end and expects that it does so in good order.
    pub(crate) fn terminate(mut self) {
        self.send_terminate();
        let status = self.wait(Duration::from_secs(30));
        assert!(
            status.success(),
            "SIGTERM: {status}\n{}",
            last_words(&self.said)
        );
    }

    /// Whether the process is still there.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory that is not a mapped file, in bytes.
    pub(crate) fn anonymous_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .expect("Linux tells RssAnon");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's last words:\n{}", last_words(&self.said));
        }
    }
}

impl Addresses {
    /// Reads the ready file; `None` while there is none.
    fn read(ready: &std::path::Path) -> Option<Self> {
        let text = fs::read_to_string(ready).ok()?;
        let value: Value = serde_json::from_str(&text).expect("the ready file is written at once");
        let address = |role: &str| -> SocketAddr {
            value
                .get(role)
                .and_then(Value::as_str)
                .and_then(|text| text.parse().ok())
                .unwrap_or_else(|| panic!("no address of {role} in {text}"))
        };
        Some(Self {
            tracker: address("tracker"),
            storage: address("storage"),
            storage_http: address("storage_http"),
            api: address("api"),
        })
    }
}

/// How many blobs a stopped server's storage holds, which must be sound and hold nothing else.
pub(crate) fn blobs_left(home: &Home) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"));
    command.args(["check", "--json", "--data-dir"]);
    command.arg(home.data_dir());
    if let Some(config) = home.config() {
        command.arg("--config").arg(config);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = &report["paths"][0];
    assert_eq!(path["unowned_parts"], 0, "{report}");
    path["blobs"].as_u64().unwrap()
}

fn spawn(
    home: &Home,
    ready: &std::path::Path,
    variables: &[(&str, &str)],
    api: SocketAddr,
) -> Child {
    // A file of an earlier run would be taken for this one's.
    let _ = fs::remove_file(ready);
    let said = OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.file("stderr.log"))
        .unwrap();
    command(home, ready, api)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .unwrap()
}

fn command(home: &Home, ready: &std::path::Path, api: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"));
    // The developer's own settings must not change what is tested.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HAYLOFT_") {
            command.env_remove(name);
        }
    }
    command.arg("serve");
    command.arg("--data-dir").arg(home.data_dir());
    command.arg("--ready-file").arg(ready);
    if let Some(config) = home.config() {
        command.arg("--config").arg(config);
    }
    for role in ["tracker", "storage", "storage-http"] {
        command
            .arg(format!("--{role}-listen"))
            .arg(ANY_PORT.to_string());
    }
    command.arg("--api-listen").arg(api.to_string());
    command
}

fn last_words(said: &std::path::Path) -> String {
    let text = fs::read(said).unwrap_or_default();
    let start = text.len().saturating_sub(LAST_WORDS_LEN);
    String::from_utf8_lossy(&text[start..]).into_owned()
}
