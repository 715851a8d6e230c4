//! A `PostgreSQL` of a test's own: made in a folder that vanishes, started, and ended with the value.
//!
//! Debian's package is looked for; whoever may install it gets it installed. Without one a test is
//! skipped with a message, except in CI (variable `CI`), where it fails.
#![expect(
    clippy::disallowed_methods,
    reason = "a start has to be waited for, and not for ever"
)]

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ports;

/// How long a start may take on a machine that is busy.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// The user of the database, and the password.
const USER: &str = "hayloft";
pub(crate) const DATABASE_PASSWORD: &str = "pg-secret-5e3c";
/// Users that a database may run as where tests run as root, which `PostgreSQL` refuses.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// A running `PostgreSQL`.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    run_as: Option<Account>,
    port: u16,
    server: Option<Child>,
}

/// A user of the system.
#[derive(Clone, Copy, Debug)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Starts one, or says why there is none.
    pub(crate) fn start() -> Option<Self> {
        let programs = match find().or_else(|_| install().and_then(|()| find())) {
            Ok(programs) => programs,
            Err(reason) => {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "there is no PostgreSQL: {reason}"
                );
                // What a passing test prints is hidden, so this goes around the harness.
                let _ = writeln!(
                    std::io::stderr(),
                    "SKIPPED: catalogs in PostgreSQL were not tried: {reason}"
                );
                return None;
            }
        };
        let folder = tempfile::Builder::new()
            .prefix("hayloft-pg-")
            .tempdir()
            .unwrap();
        let run_as = rustix::process::geteuid().is_root().then(|| {
            let account = UNPRIVILEGED.iter().find_map(|name| account(name));
            account.expect("there is a user postgres or nobody")
        });
        let this = Self {
            folder,
            programs,
            run_as,
            port: ports::free(Ipv4Addr::LOCALHOST).port(),
            server: None,
        };
        Some(this.initialise())
    }

    fn initialise(mut self) -> Self {
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let password = self.folder.path().join("password");
        fs::write(&password, DATABASE_PASSWORD).unwrap();
        let data = self.data();
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some(Account { uid, gid }) = self.run_as {
            chown(&data, Some(uid), Some(gid)).unwrap();
            chown(self.folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let made = self
            .command("initdb")
            .args([
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ])
            .args(["--username", USER, "--pgdata"])
            .arg(&data)
            .arg("--pwfile")
            .arg(&password)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        self.run();
        self
    }

    /// Starts the server.
    fn run(&mut self) {
        let port = self.port;
        let log = self.folder.path().join("log");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = self
            .command("postgres")
            .args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string()])
            .args(["-c", "fsync=on", "-c", "max_connections=200", "-D"])
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(child);
        let end = Instant::now() + READY_LIMIT;
        while Instant::now() < end {
            let server = self.server.as_mut().unwrap();
            if let Some(status) = server.try_wait().unwrap() {
                panic!("PostgreSQL ended, {status}:\n{}", self.said());
            }
            let ready = self
                .command("pg_isready")
                .args(["--quiet", "--host=127.0.0.1", "--port", &port.to_string()])
                .status()
                .unwrap();
            if ready.success() {
                return;
            }
        }
        panic!(
            "PostgreSQL is not ready within {READY_LIMIT:?}:\n{}",
            self.said()
        );
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        let port = self.port;
        format!("postgres://{USER}:{DATABASE_PASSWORD}@127.0.0.1:{port}/postgres")
    }

    /// What `psql` says to a statement.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let output = self
            .command("psql")
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
            .args(["--set=ON_ERROR_STOP=1", "--command", statement])
            .arg(self.url())
            .output()
            .unwrap();
        assert!(output.status.success(), "{statement}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Ends it, without a word to whoever is connected.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = rustix::process::Pid::from_child(&server);
            // An immediate shutdown: as after kill -9, but no memory segment is left behind.
            rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.run();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.run_as {
            None => Command::new(program),
            Some(Account { uid, gid }) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .arg("--clear-groups")
                    .arg("--")
                    .arg(program);
                command
            }
        };
        command
            .current_dir("/")
            .env("LC_ALL", "C")
            .env_remove("PGOPTIONS");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("PostgreSQL's last words:\n{}", self.said());
        }
    }
}

/// Where the programs are: those in the `PATH` as a rule lack the server.
fn find() -> Result<PathBuf, String> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .filter(|(_, folder)| is_complete(folder))
        .collect();
    found.sort();
    if let Some((_, folder)) = found.pop() {
        return Ok(folder);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .find(|folder| is_complete(folder))
        .ok_or_else(|| "install the package postgresql".to_owned())
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres", "pg_isready", "psql"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

/// Installs Debian's, if whoever runs the tests may.
fn install() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("install the package postgresql".to_owned());
    }
    let _ = writeln!(std::io::stderr(), "installing postgresql");
    for arguments in [
        &["update", "-qq"][..],
        &[
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "postgresql",
        ],
    ] {
        let output = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    Ok(())
}

fn account(name: &str) -> Option<Account> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    for field in fields {
        if let [user, _, uid, gid, ..] = field.as_slice()
            && *user == name
        {
            let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
            return Some(Account { uid, gid });
        }
    }
    None
}
