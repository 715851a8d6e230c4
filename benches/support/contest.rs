//! One row: both sides prepared, then round for round one after the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::error::BenchError;
use super::fastdfs::Fastdfs;
use super::generator::{Figures, Load};
use super::nginx::Nginx;
use super::raw_append;
use super::result::Outcome;
use super::rows::{Row, Work};
use super::server::Server;

/// Files that are read again and again.
const FILES_READ: usize = 256;
/// Files that are deleted in a round.
const FILES_DELETED: usize = 10_000;
/// Bytes that are uploaded in a round at most: more would measure how the kernel throttles writers.
const BYTES_UPLOADED_MAX: usize = 1 << 30;

/// What Hayloft is compared with.
#[derive(Debug)]
pub(crate) struct References {
    fastdfs: Option<Fastdfs>,
    nginx: Option<Nginx>,
    /// Lists of what was uploaded to the operator's server.
    litter: TempDir,
}

impl References {
    /// Starts or finds what there is.
    pub(crate) fn find() -> Result<Self, BenchError> {
        Ok(Self {
            fastdfs: Fastdfs::find()?,
            nginx: Nginx::start()?,
            litter: folder_of_ours()?,
        })
    }

    /// Deletes what was uploaded to the operator's server. Only at the end: a file system that just
    /// lost many files may take ten times longer to make new ones (ext4 does not reuse an inode
    /// soon after its deletion, and looks for another one by one), which would flatter Hayloft.
    pub(crate) fn clean_up(&self) -> Result<(), BenchError> {
        let Some(fastdfs) = &self.fastdfs else {
            return Ok(());
        };
        let failed = || BenchError::io("cannot read the lists of uploaded files");
        for entry in std::fs::read_dir(self.litter.path()).map_err(failed())? {
            let list = entry.map_err(failed())?.path();
            Load::new("delete")
                .with("--storage", &fastdfs.storage)
                .with("--ids", list)
                .measure(&[])?;
        }
        Ok(())
    }

    /// A line for people.
    pub(crate) fn text(&self) -> String {
        let fastdfs = match &self.fastdfs {
            Some(fastdfs) => format!(
                "FastDFS: tracker {}, storage {}",
                fastdfs.tracker, fastdfs.storage
            ),
            None => {
                "no FastDFS: rows against it show Hayloft's side only, see benches/README.md".into()
            }
        };
        let nginx = match &self.nginx {
            Some(_) => "nginx: started for this run",
            None => "no nginx: install it to compare HTTP downloads",
        };
        format!("{fastdfs}\n{nginx}")
    }
}

/// One side of a row.
#[derive(Debug)]
enum Side {
    /// A server under the generator's load.
    Served(Served),
    /// The raw loop.
    Raw(PathBuf),
}

/// A server, how to reach it, and where lists of ids go.
#[derive(Clone, Debug)]
struct Served {
    target: Target,
    pids: Vec<u32>,
    /// Beginning of the lists' names.
    ids: PathBuf,
}

/// What the generator is told to find the server.
#[derive(Clone, Debug)]
enum Target {
    Storage(String),
    Tracker(String),
    /// A file of links.
    Links(PathBuf),
    /// A storage node whose files are got from this base.
    Http {
        storage: String,
        base: String,
    },
}

/// Measures a row.
pub(crate) fn hold(
    row: &Row,
    references: &References,
    rounds: usize,
    seconds: u64,
) -> Result<Outcome, BenchError> {
    let home = folder_of_ours()?;
    let server = Server::start(home.path(), row.durability)?;
    let hayloft = Side::Served(hayloft(row, &server, home.path())?);
    let reference = reference(row, references, home.path())?;
    let mut outcome = Outcome::new(row);
    for side in [Some(&hayloft), reference.as_ref()].into_iter().flatten() {
        side.prepare(row, rounds)?;
    }
    for round in 0..rounds {
        // Neither side always comes first.
        for turn in [round, round + 1] {
            if turn % 2 == 1 {
                outcome.hayloft.push(hayloft.measure(row, round, seconds)?);
            } else if let Some(side) = &reference {
                outcome.reference.push(side.measure(row, round, seconds)?);
            }
        }
    }
    server.stop()?;
    Ok(outcome)
}

fn folder_of_ours() -> Result<TempDir, BenchError> {
    TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))
        .map_err(BenchError::io("cannot make a folder"))
}

fn hayloft(row: &Row, server: &Server, home: &Path) -> Result<Served, BenchError> {
    let storage = server.address("storage")?.to_owned();
    let target = match row.work {
        Work::Query | Work::UploadByTracker => {
            Target::Tracker(server.address("tracker")?.to_owned())
        }
        Work::HttpGet => Target::Http {
            storage,
            base: format!("http://{}", server.address("storage_http")?),
        },
        Work::Upload | Work::UploadRaw | Work::Download | Work::Delete => Target::Storage(storage),
    };
    Ok(Served {
        target,
        pids: vec![server.pid()],
        ids: home.join("ids"),
    })
}

fn reference(row: &Row, references: &References, home: &Path) -> Result<Option<Side>, BenchError> {
    if row.work == Work::UploadRaw {
        return Ok(Some(Side::Raw(home.to_owned())));
    }
    if row.work == Work::HttpGet {
        let Some(nginx) = &references.nginx else {
            return Ok(None);
        };
        return Ok(Some(Side::Served(Served {
            target: Target::Links(nginx.links(row.size, FILES_READ)?),
            pids: nginx.pids(),
            // The files are there already.
            ids: PathBuf::new(),
        })));
    }
    let Some(fastdfs) = &references.fastdfs else {
        return Ok(None);
    };
    let (target, pids) = match row.work {
        Work::Query => (
            Target::Tracker(fastdfs.tracker.clone()),
            vec![fastdfs.tracker_pid],
        ),
        Work::UploadByTracker => (
            Target::Tracker(fastdfs.tracker.clone()),
            vec![fastdfs.tracker_pid, fastdfs.storage_pid],
        ),
        Work::Upload | Work::UploadRaw | Work::Download | Work::HttpGet | Work::Delete => (
            Target::Storage(fastdfs.storage.clone()),
            vec![fastdfs.storage_pid],
        ),
    };
    Ok(Some(Side::Served(Served {
        target,
        pids,
        ids: references
            .litter
            .path()
            .join(row.name.replace([' ', ','], "-")),
    })))
}

impl Side {
    fn prepare(&self, row: &Row, rounds: usize) -> Result<(), BenchError> {
        match self {
            Self::Served(served) => served.prepare(row, rounds),
            Self::Raw(_) => Ok(()),
        }
    }

    fn measure(&self, row: &Row, round: usize, seconds: u64) -> Result<Figures, BenchError> {
        if row.writes() {
            settle();
        }
        match self {
            Self::Served(served) => served.measure(row, round, seconds),
            Self::Raw(folder) => {
                raw_append::run(folder, row.connections, Duration::from_secs(seconds))
            }
        }
    }
}

impl Served {
    /// Uploads what will be read or deleted.
    fn prepare(&self, row: &Row, rounds: usize) -> Result<(), BenchError> {
        match row.work {
            Work::Download | Work::HttpGet => self.store(row, 0, FILES_READ),
            Work::Delete => (0..rounds).try_for_each(|round| self.store(row, round, FILES_DELETED)),
            Work::Upload | Work::UploadRaw | Work::UploadByTracker | Work::Query => Ok(()),
        }
    }

    fn measure(&self, row: &Row, round: usize, seconds: u64) -> Result<Figures, BenchError> {
        let seconds = seconds.to_string();
        let load = match row.work {
            Work::Upload | Work::UploadRaw | Work::UploadByTracker => {
                let count = BYTES_UPLOADED_MAX / row.size.max(1);
                self.load("upload", row)
                    .with("--size", row.size.to_string())
                    .with("--seconds", seconds)
                    .with("--count", count.to_string())
                    .with("--save-ids", self.ids(round))
            }
            Work::Query => self.load("query", row).with("--seconds", seconds),
            Work::Download => self
                .load("download", row)
                .with("--ids", self.ids(0))
                .with("--seconds", seconds),
            Work::HttpGet => self.load("http-get", row).with("--seconds", seconds),
            Work::Delete => self.load("delete", row).with("--ids", self.ids(round)),
        };
        let figures = load.measure(&self.pids)?;
        if row.work == Work::Delete {
            // Not to be deleted again.
            let _ = std::fs::remove_file(self.ids(round));
        }
        Ok(figures)
    }

    /// Uploads files and keeps their ids.
    fn store(&self, row: &Row, round: usize, count: usize) -> Result<(), BenchError> {
        let Some((option, address)) = self.target.storing() else {
            return Ok(());
        };
        Load::new("upload")
            .with(option, address)
            .with("--size", row.size.to_string())
            .with("--count", count.to_string())
            .with("--save-ids", self.ids(round))
            .measure(&[])
            .map(drop)
    }

    fn load(&self, kind: &str, row: &Row) -> Load {
        let load = Load::new(kind).with("--connections", row.connections.to_string());
        match &self.target {
            Target::Storage(address) => load.with("--storage", address),
            Target::Tracker(address) => load.with("--tracker", address),
            Target::Links(file) => load.with("--urls", file),
            Target::Http { base, .. } => load.with("--ids", self.ids(0)).with("--http-base", base),
        }
    }

    fn ids(&self, round: usize) -> PathBuf {
        self.ids.with_extension(round.to_string())
    }
}

impl Target {
    /// How to store files there, unless they are there already.
    fn storing(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Storage(storage) | Self::Http { storage, .. } => Some(("--storage", storage)),
            Self::Tracker(tracker) => Some(("--tracker", tracker)),
            Self::Links(_) => None,
        }
    }
}

/// Lets the disk finish what was written before, so that no side pays for the other.
fn settle() {
    rustix::fs::sync();
}
