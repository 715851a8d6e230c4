//! The rows of the API's benchmark: one server with a data set, and loads on it.

use std::path::PathBuf;

use serde::Serialize;
use tempfile::TempDir;

use super::error::BenchError;
use super::generator::{Figures, Load};
use super::nginx::Nginx;
use super::process::Durability;
use super::server::Server;
use super::verdict::{Goal, Outcome};

/// Connections of every load.
const CONNECTIONS: u32 = 16;
/// Rows of a page.
const ROWS: u64 = 20;
/// Bytes of a static file, which is somewhat less than a page of 20 rows has.
const STATIC_LEN: usize = 4096;
/// Static files that are read.
const STATIC_COUNT: usize = 256;
/// Bytes of an uploaded picture.
const PICTURE_LEN: u64 = 64 * 1024;
/// Seed of the data set; rounds have others.
const SEED: u64 = 1;
/// Seed of the first round.
const FIRST_ROUND: u64 = 1_000;
/// Seconds that a call of the preparation may take while the server is busy with many.
const PATIENCE: &str = "120";

const MANY: &str = "many";
const FEW: &str = "few";

/// How much of everything.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Scale {
    /// Files of the big account.
    pub(crate) files: u64,
    /// Rounds of each row.
    pub(crate) rounds: usize,
    /// Seconds of a round.
    pub(crate) seconds: u64,
}

/// A server with the data set, and what it is compared with.
#[derive(Debug)]
pub(crate) struct Contest {
    scale: Scale,
    /// Where all but one row are measured.
    server: Server,
    /// One that waits for no disk, for the row about that.
    hasty: Server,
    nginx: Option<Nginx>,
    /// A list of nginx's files.
    links: Option<PathBuf>,
    /// Behind the servers, which use them.
    _homes: [TempDir; 2],
}

/// What is measured in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// A page of a list.
    Page(Page),
    /// The API's upload.
    Upload(Durability),
    /// A file of a content that the server has.
    Instant,
    /// A static file of nginx.
    Static,
    /// The upload of the `FastDFS` protocol.
    StorageUpload(Durability),
}

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    account: &'static str,
    list: &'static str,
    order: &'static str,
    /// Rows of the list before it.
    start: u64,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: String,
    work: Work,
    reference: Option<(Work, &'static str)>,
    goal: Goal,
}

impl Row {
    /// What the command line's filter looks at.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it changes what is stored.
    fn writes(&self) -> bool {
        matches!(self.work, Work::Upload(_) | Work::Instant)
    }
}

impl Contest {
    /// Starts the servers and makes the data set.
    pub(crate) fn prepare(scale: Scale) -> Result<Self, BenchError> {
        let folder = || {
            TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))
                .map_err(BenchError::io("cannot make a folder"))
        };
        let homes = [folder()?, folder()?];
        let [home, hasty_home] = &homes;
        let nginx = Nginx::start()?;
        let links = nginx
            .as_ref()
            .map(|nginx| nginx.links(STATIC_LEN, STATIC_COUNT))
            .transpose()?;
        let server = Server::start(home.path(), Durability::Always)?;
        let hasty = Server::start(hasty_home.path(), Durability::Os)?;
        let contest = Self {
            scale,
            server,
            hasty,
            nginx,
            links,
            _homes: homes,
        };
        contest.fill()?;
        Ok(contest)
    }

    fn fill(&self) -> Result<(), BenchError> {
        let files = self.scale.files;
        for (kind, account, list, count) in [
            ("api-instant", MANY, "mine", files),
            ("api-share", MANY, "mine", files),
            ("api-view", MANY, "mine", files / 4),
            ("api-view", MANY, "shared", files / 4),
            ("api-instant", FEW, "mine", ROWS),
        ] {
            Self::call(&self.server, kind, account)?
                .with("--connections", "64")
                .with("--timeout", PATIENCE)
                .with("--seed", SEED.to_string())
                .with("--list", list)
                .with("--among", files.to_string())
                .with("--count", count.to_string())
                .measure(&[])?;
        }
        Ok(())
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let files = self.scale.files;
        let page = |account, list, order, start| Page {
            account,
            list,
            order,
            start,
        };
        let first = page(MANY, "mine", "normal", 0);
        let last = files.saturating_sub(ROWS);
        let mut rows = vec![Row {
            name: format!("myfiles normal, {ROWS} of {files}"),
            work: Work::Page(first),
            reference: Some((Work::Static, "nginx, static 4 KiB")),
            goal: Goal {
                rate: Some(0.5),
                p99_ms: Some(5.0),
                ..Goal::default()
            },
        }];
        for (name, other) in [
            (
                format!("myfiles normal, start {last}"),
                page(MANY, "mine", "normal", last),
            ),
            (
                format!("myfiles normal, {ROWS} of {ROWS}"),
                page(FEW, "mine", "normal", 0),
            ),
            (
                format!("myfiles pvdesc, {ROWS} of {files}"),
                page(MANY, "mine", "pvdesc", 0),
            ),
            (
                format!("myfiles pvdesc, start {last}"),
                page(MANY, "mine", "pvdesc", last),
            ),
            (
                format!("myfiles pvdesc, {ROWS} of {ROWS}"),
                page(FEW, "mine", "pvdesc", 0),
            ),
            (
                format!("ranking, {ROWS} of {files} shares"),
                page(MANY, "shared", "pvdesc", 0),
            ),
            (
                format!("ranking, start {last}"),
                page(MANY, "shared", "pvdesc", last),
            ),
        ] {
            rows.push(Row {
                name,
                work: Work::Page(other),
                reference: Some((Work::Page(first), "myfiles normal, first page")),
                goal: Goal::default(),
            });
        }
        for (name, durability, rate) in [
            ("upload 64 KiB, always", Durability::Always, Some(0.6)),
            ("upload 64 KiB, os", Durability::Os, None),
        ] {
            rows.push(Row {
                name: name.to_owned(),
                work: Work::Upload(durability),
                reference: Some((
                    Work::StorageUpload(durability),
                    "FastDFS protocol, same server",
                )),
                goal: Goal {
                    rate,
                    ..Goal::default()
                },
            });
        }
        rows.push(Row {
            name: "instant upload".to_owned(),
            work: Work::Instant,
            reference: None,
            goal: Goal {
                per_second: Some(5_000.0),
                ..Goal::default()
            },
        });
        rows
    }

    /// Measures a row: both sides, round for round one after the other.
    pub(crate) fn hold(&self, row: &Row) -> Result<Outcome, BenchError> {
        let mut outcome = Outcome {
            load: row.name.clone(),
            beside: row.reference.map_or("", |(_, beside)| beside),
            goal: row.goal,
            reference: Vec::new(),
            hayloft: Vec::new(),
        };
        for round in 0..self.scale.rounds {
            // Neither side always comes first.
            for turn in [round, round + 1] {
                if row.writes() {
                    // So that no side pays for what the other wrote.
                    rustix::fs::sync();
                }
                if turn % 2 == 1 {
                    outcome.hayloft.extend(self.measure(row.work, round)?);
                } else if let Some((work, _)) = row.reference {
                    outcome.reference.extend(self.measure(work, round)?);
                }
            }
        }
        Ok(outcome)
    }

    /// Stops the servers.
    pub(crate) fn end(self) -> Result<(), BenchError> {
        self.server.stop()?;
        self.hasty.stop()
    }

    /// A round; nothing where there is nobody to measure.
    fn measure(&self, work: Work, round: usize) -> Result<Option<Figures>, BenchError> {
        let seed = (FIRST_ROUND + round as u64).to_string();
        let server = match work {
            Work::Upload(Durability::Os) | Work::StorageUpload(Durability::Os) => &self.hasty,
            Work::Page(_)
            | Work::Upload(Durability::Always)
            | Work::Instant
            | Work::Static
            | Work::StorageUpload(Durability::Always) => &self.server,
        };
        let mut pids = vec![server.pid()];
        let load = match work {
            Work::Page(page) => Self::call(server, "api-list", page.account)?
                .with("--list", page.list)
                .with("--order", page.order)
                .with("--start", page.start.to_string())
                .with("--rows", ROWS.to_string()),
            Work::Upload(_) => Self::call(server, "api-upload", MANY)?
                .with("--seed", seed)
                .with("--size", PICTURE_LEN.to_string()),
            Work::Instant => Self::call(server, "api-instant", MANY)?.with("--seed", seed),
            Work::StorageUpload(_) => Load::new("upload")
                .with("--storage", server.address("storage")?)
                .with("--seed", seed)
                .with("--size", PICTURE_LEN.to_string()),
            Work::Static => {
                let (Some(nginx), Some(links)) = (&self.nginx, &self.links) else {
                    return Ok(None);
                };
                pids = nginx.pids();
                Load::new("http-get").with("--urls", links)
            }
        };
        load.with("--connections", CONNECTIONS.to_string())
            .with("--seconds", self.scale.seconds.to_string())
            .measure(&pids)
            .map(Some)
    }

    fn call(server: &Server, kind: &str, account: &str) -> Result<Load, BenchError> {
        let base = format!("http://{}", server.address("api")?);
        Ok(Load::new(kind)
            .with("--api", base)
            .with("--account", account))
    }
}
