//! An nginx of the benchmark's own, set up to serve static files as fast as it can.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::error::{BenchError, last_words};
use super::wait;

/// Workers, the same number as a small machine's cores.
const WORKERS: usize = 2;
/// How long it may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running nginx; ended with the value.
#[derive(Debug)]
pub(crate) struct Nginx {
    master: Child,
    home: TempDir,
    port: u16,
    workers: Vec<u32>,
}

impl Nginx {
    /// Starts one, if nginx is installed.
    pub(crate) fn start() -> Result<Option<Self>, BenchError> {
        let Some(program) = program() else {
            return Ok(None);
        };
        // Outside of the project's folders: nginx started by root serves as another user, who must
        // be able to walk there.
        let home = tempfile::Builder::new()
            .prefix("hayloft-bench-nginx-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .map_err(BenchError::io("cannot make a folder for nginx"))?;
        let port = free_port().map_err(BenchError::io("there is no free port"))?;
        let config = home.path().join("nginx.conf");
        fs::write(&config, configuration(home.path(), port))
            .map_err(BenchError::io("cannot write nginx's configuration"))?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.path().join("stderr.log"))
            .map_err(BenchError::io("cannot make nginx's log"))?;
        let master = Command::new(program)
            .arg("-e")
            .arg(home.path().join("error.log"))
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(BenchError::io("cannot start nginx"))?;
        let mut nginx = Self {
            master,
            home,
            port,
            workers: Vec::new(),
        };
        nginx.workers = nginx.wait_for_workers()?;
        Ok(Some(nginx))
    }

    /// All its processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let master = [self.master.id()];
        master.into_iter().chain(self.workers.clone()).collect()
    }

    /// Makes `count` files of `size` bytes and returns a file with a link to each.
    pub(crate) fn links(&self, size: usize, count: usize) -> Result<PathBuf, BenchError> {
        let failed = || BenchError::io("cannot make files for nginx");
        let folder = self.home.path().join(size.to_string());
        fs::create_dir_all(&folder).map_err(failed())?;
        let mut links = String::new();
        let content = vec![0x5a; size];
        for number in 0..count {
            fs::write(folder.join(number.to_string()), &content).map_err(failed())?;
            // Writing to a text cannot fail.
            let _ = writeln!(links, "http://127.0.0.1:{}/{size}/{number}", self.port);
        }
        let list = self.home.path().join(format!("links-{size}"));
        fs::write(&list, links).map_err(failed())?;
        Ok(list)
    }

    fn wait_for_workers(&mut self) -> Result<Vec<u32>, BenchError> {
        let Self {
            master, home, port, ..
        } = self;
        wait::until("nginx listens", START_LIMIT, || {
            let ended = master.try_wait();
            if let Some(status) = ended.map_err(BenchError::io("cannot watch nginx"))? {
                let said = fs::read(home.path().join("stderr.log")).unwrap_or_default();
                return Err(BenchError::Ended {
                    what: "nginx",
                    status,
                    said: last_words(&said),
                });
            }
            let workers = children(master.id());
            let listens = std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok();
            Ok((listens && workers.len() == WORKERS).then_some(workers))
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        // The master ends its workers only if it is asked and not if it is killed. Both calls fail
        // when it has ended already, which is fine.
        let _ = kill_process(Pid::from_child(&self.master), Signal::TERM);
        let _ = self.master.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps it where only root looks.
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders
        .map(|folder: PathBuf| folder.join("nginx"))
        .find(|program| program.is_file())
}

/// A port that was free a moment ago; nginx cannot tell which one it took.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|child| parent(*child) == Some(pid))
        .collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name in brackets come the state and the parent.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn configuration(home: &Path, port: u16) -> String {
    let home = home.display();
    format!(
        "daemon off;
worker_processes {WORKERS};
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=100000 inactive=600s;
  open_file_cache_valid 600s;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    root {home};
  }}
}}
"
    )
}
