//! The life of a server process, seen from outside: start, ready file, lock, signals, exit codes.
//!
//! The tracker stands for all roles here, because it starts alone and at once.
#![expect(
    clippy::unwrap_used,
    reason = "a failure here fails the test, as it should"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far more than any step takes; only a failure waits so long.
const DEADLINE: Duration = Duration::from_mins(1);

/// `hayloft` without the variables of whoever runs the tests.
fn hayloft(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hayloft"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HAYLOFT_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command.env("HAYLOFT_CLUSTER_SECRET", "the secret of these tests");
    command
}

fn output(args: &[&str]) -> Output {
    hayloft(args).output().unwrap()
}

/// A tracker in a directory of its own, killed when the test ends.
struct Server {
    child: tokio::process::Child,
    dir: TempDir,
}

impl Server {
    /// Starts a tracker and waits for its ready file.
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let ready = dir.path().join("ready.json");
        let mut command = hayloft(&["tracker", "--listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(&data);
        command.arg("--ready-file").arg(&ready);
        command.stderr(Stdio::null());
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let server = Self { child, dir };
        until(|| server.ready_file().exists()).await;
        server
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn ready_file(&self) -> PathBuf {
        self.dir.path().join("ready.json")
    }

    async fn stop(&mut self, signal: Signal) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        tokio::time::timeout(DEADLINE, self.child.wait())
            .await
            .unwrap()
            .unwrap()
    }
}

async fn until(condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, poll).await.unwrap();
}

#[tokio::test]
async fn the_ready_file_names_a_port_that_answers_and_goes_with_the_process() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start().await;
        let text = std::fs::read_to_string(server.ready_file()).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
        let address = ready.get("tracker").unwrap().as_str().unwrap();
        tokio::net::TcpStream::connect(address).await.unwrap();
        assert_eq!(server.stop(signal).await.code(), Some(0), "{signal:?}");
        assert!(!server.ready_file().exists());
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_by_number() {
    let mut server = Server::start().await;
    let data = server.data_dir();
    let args = ["tracker", "--listen", "127.0.0.1:0", "--data-dir"];
    let second = hayloft(&args).arg(&data).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8(second.stderr).unwrap();
    let holder = format!("is used by process {}", server.child.id().unwrap());
    assert!(message.contains(&holder), "{message}");
    assert!(message.contains("--data-dir"), "{message}");

    // Nothing is left to remove after the hardest end.
    server.stop(Signal::KILL).await;
    let child = hayloft(&args)
        .arg(&data)
        .arg("--ready-file")
        .arg(server.ready_file())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut third = Reaped(child);
    // The file of the killed process is gone before the new one is there, so the number tells.
    let lock = data.join("lock");
    let number = third.0.id().to_string();
    until(|| std::fs::read_to_string(&lock).is_ok_and(|text| text.trim() == number)).await;
    assert!(third.0.try_wait().unwrap().is_none());
}

/// A child that does not outlive the test.
struct Reaped(std::process::Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let failed = output(&["tracker", "--listen", &address, "--data-dir", data]);
    assert_eq!(failed.status.code(), Some(1));
    let message = String::from_utf8(failed.stderr).unwrap();
    assert!(message.contains(&address), "{message}");
}

#[test]
fn a_wrong_configuration_ends_with_2_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hayloft.toml");
    std::fs::write(&file, "[tracker]\nlisen = \":0\"\n").unwrap();
    let data = dir.path().join("data");
    let failed = hayloft(&["tracker", "--config"])
        .arg(&file)
        .arg("--data-dir")
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(2));
    let message = String::from_utf8(failed.stderr).unwrap();
    assert!(
        message.contains(":2:1: tracker.lisen: unknown key"),
        "{message}"
    );
    assert!(!data.exists());
}

#[test]
fn a_role_without_a_cluster_secret_refuses_and_a_new_one_can_be_printed() {
    let dir = tempfile::tempdir().unwrap();
    for role in ["tracker", "storage"] {
        let mut command = hayloft(&[role, "--listen", "127.0.0.1:0", "--data-dir"]);
        command.env_remove("HAYLOFT_CLUSTER_SECRET");
        command.env("HAYLOFT_STORAGE_TRACKERS", "127.0.0.1:1");
        let refused = command.arg(dir.path()).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{role}");
        let message = String::from_utf8(refused.stderr).unwrap();
        assert!(message.contains("hayloft cluster secret"), "{message}");
    }
    let secrets = [(); 2].map(|()| output(&["cluster", "secret"]).stdout);
    assert_ne!(secrets[0], secrets[1]);
    assert_eq!(secrets[0].len(), 65);
}

#[test]
fn the_printed_configuration_passes_the_check() {
    let printed = output(&["config", "print-default"]);
    assert_eq!(printed.status.code(), Some(0));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hayloft.toml");
    std::fs::write(&file, printed.stdout).unwrap();
    assert_eq!(check(&file).status.code(), Some(0));
    std::fs::write(&file, "drain = 5\n").unwrap();
    assert_eq!(check(&file).status.code(), Some(2));
}

fn check(file: &Path) -> Output {
    hayloft(&["config", "check"]).arg(file).output().unwrap()
}

#[test]
fn completions_and_man_pages_are_written() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(output(&["completions", shell]).stdout).unwrap();
        assert!(script.contains("tracker-listen"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    assert!(output(&["man", pages.to_str().unwrap()]).status.success());
    assert!(pages.join("hayloft-serve.1").exists());
}
