//! Clusters of processes: a tracker, and storage nodes in groups.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::error::{BenchError, last_words};
use super::finding::folder;
use super::generator::Load;
use super::metrics::{metrics, values};
use super::process::Durability;
use super::process::{Process, hayloft};
use super::wait;

/// How long nodes of a group may take to find each other, or to get what they lack.
const WHOLE_LIMIT: Duration = Duration::from_mins(10);
/// Time between two looks whether they have; all metrics are made for each.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A tracker and the nodes that were started; all end with the value.
#[derive(Debug)]
pub(crate) struct Cluster {
    durability: Durability,
    tracker: Process,
    nodes: Vec<Node>,
    home: TempDir,
}

/// A running storage node.
#[derive(Debug)]
pub(crate) struct Node {
    process: Process,
    group: usize,
}

impl Node {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The values of one metric.
    pub(crate) fn metric(&self, name: &str) -> Result<Vec<f64>, BenchError> {
        let text = metrics(self.process.address("storage_http")?)?;
        Ok(values(&text, name).collect())
    }

    /// Waits until it has everything that this many peers have.
    fn wait_complete(&self, peers: usize) -> Result<(), BenchError> {
        let what = "a node has what its peers have";
        wait::until_every(LOOK_EVERY, what, WHOLE_LIMIT, || {
            let complete = self.metric("hayloft_replication_complete")?;
            let is_whole = complete.len() == peers && complete.iter().all(|one| 0.0 < *one);
            Ok(is_whole.then_some(()))
        })
    }
}

impl Cluster {
    /// Starts a tracker, and groups with `nodes` nodes each that have found each other.
    pub(crate) fn start(
        groups: usize,
        nodes: usize,
        durability: Durability,
    ) -> Result<Self, BenchError> {
        let home = folder()?;
        write_secret(home.path())?;
        let config = format!(
            "{}[tracker]\nlisten = \"127.0.0.1:0\"\nreserved_space = \"1GiB\"\n",
            cluster(&home)
        );
        let tracker = start("hayloft tracker", "tracker", home.path(), &config)?;
        let mut cluster = Self {
            durability,
            tracker,
            nodes: Vec::new(),
            home,
        };
        for group in 1..=groups {
            for _ in 0..nodes {
                cluster.add(group)?;
            }
        }
        for node in &cluster.nodes {
            node.wait_complete(nodes - 1)?;
        }
        for group in 1..=groups {
            cluster.wait_in_service(group)?;
        }
        Ok(cluster)
    }

    /// Starts one more node of a group, which is empty.
    pub(crate) fn add(&mut self, group: usize) -> Result<(), BenchError> {
        let number = self.nodes.len() + 1;
        let config = format!(
            "{}[storage]\nlisten = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\n\
             group = \"group{group}\"\nnode_number = {number}\ntrackers = [\"{}\"]\n\
             reserved_space = \"1GiB\"\ndurability = \"{}\"\n",
            cluster(&self.home),
            self.tracker.address("tracker")?,
            self.durability.text()
        );
        let folder = self.home.path().join(format!("node{number}"));
        let process = start("hayloft storage", "storage", &folder, &config)?;
        self.nodes.push(Node { process, group });
        Ok(())
    }

    /// Waits until the tracker sends uploads to a group.
    fn wait_in_service(&self, group: usize) -> Result<(), BenchError> {
        let question = Load::new("query")
            .with("--tracker", self.tracker.address("tracker")?)
            .with("--group", format!("group{group}"))
            .with("--connections", "1")
            .with("--count", "1");
        wait::until("a group is in service", WHOLE_LIMIT, || {
            // It fails as long as the tracker says no.
            Ok(question.measure(&[]).ok().map(drop))
        })
    }

    /// Waits until the node that was added last has all that the others of its group have.
    pub(crate) fn wait_last_complete(&self) -> Result<(), BenchError> {
        match self.nodes.split_last() {
            Some((last, others)) => {
                let peers = others.iter().filter(|node| node.group == last.group);
                last.wait_complete(peers.count())
            }
            None => Ok(()),
        }
    }

    /// All nodes of a group.
    pub(crate) fn group(&self, group: usize) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.group == group)
    }

    /// Ends all.
    pub(crate) fn stop(self) -> Result<(), BenchError> {
        for node in self.nodes {
            node.process.stop()?;
        }
        self.tracker.stop()
    }

    /// Uploads to a group, through the tracker as any client.
    pub(crate) fn uploads(&self, group: usize, size: &str) -> Result<Load, BenchError> {
        Ok(Load::new("upload")
            .with("--tracker", self.tracker.address("tracker")?)
            .with("--group", format!("group{group}"))
            .with("--size", size)
            .with("--connections", "16"))
    }
}

fn start(
    what: &'static str,
    role: &str,
    folder: &Path,
    config: &str,
) -> Result<Process, BenchError> {
    fs::create_dir_all(folder).map_err(BenchError::io("cannot make a folder"))?;
    let file = folder.join("hayloft.toml");
    fs::write(&file, config).map_err(BenchError::io("cannot write a configuration"))?;
    let mut command = hayloft();
    command.arg(role).arg("--config").arg(&file);
    command.arg("--data-dir").arg(folder.join("data"));
    Process::start(what, command, folder)
}

fn secret_file(home: &Path) -> PathBuf {
    home.join("secret")
}

/// The section that all members have.
fn cluster(home: &TempDir) -> String {
    format!(
        "[cluster]
secret_file = \"{}\"
",
        secret_file(home.path()).display()
    )
}

fn write_secret(home: &Path) -> Result<(), BenchError> {
    let made = hayloft().args(["cluster", "secret"]).output();
    let made = made.map_err(BenchError::io("cannot start hayloft cluster secret"))?;
    if !made.status.success() {
        return Err(BenchError::Ended {
            what: "hayloft cluster secret",
            status: made.status,
            said: last_words(&made.stderr),
        });
    }
    let file = secret_file(home);
    fs::write(&file, made.stdout)
        .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o600)))
        .map_err(BenchError::io("cannot write the cluster secret"))
}
