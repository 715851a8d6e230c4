//! `hayloft append`: changes appender files.

use std::path::PathBuf;
use std::process::ExitCode;

use common::client::{Client, Content};
use common::id::FileId;
use serde::Serialize;
use tokio::fs::File;

use super::client::{Cluster, parse_id, parse_size};
use super::output::{self, Failure, Tally};

const EXAMPLES: &str = "\
Examples:
  hayloft append ID today.log               add the file at the end
  hayloft append ID header.bin --at 0       overwrite from byte 0 on
  hayloft append ID --truncate 1MiB         keep the first MiB
  hayloft append ID last.log --finish       add, then make it a normal file with a new id

Make an appender file with `hayloft upload --appender FILE`.

Exit codes: 0 done, 1 some or all of it failed, 2 wrong usage, 3 no server was reachable.";

/// Append to an appender file, overwrite parts of it, truncate it, or finish it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AppendArgs {
    /// Id or link of an appender file
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: FileId,

    /// File whose bytes are written
    #[arg(value_name = "FILE", required_unless_present_any = ["truncate", "finish"])]
    file: Option<PathBuf>,

    /// Overwrite from this byte on instead of appending
    #[arg(long, value_name = "OFFSET", requires = "file", value_parser = parse_size)]
    at: Option<u64>,

    /// Give the file this size before anything is written; what is added is zero bytes
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    truncate: Option<u64>,

    /// Make it a normal file at the end; prints its new id, the old one is gone
    #[arg(long)]
    finish: bool,

    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Debug, Serialize)]
struct Appended {
    id: String,
    written: u64,
}

impl AppendArgs {
    /// Changes the file.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        tally.check(&self.id.to_string(), self.change().await);
        tally.into()
    }

    async fn change(&self) -> Result<(), Failure> {
        let client = self.cluster.client(1)?;
        if let Some(size) = self.truncate {
            client.truncate(&self.id, size).await?;
        }
        let written = match &self.file {
            Some(path) => self.write(&client, path).await?,
            None => 0,
        };
        let id = if self.finish {
            client.regenerate(&self.id).await?
        } else {
            self.id
        };
        client.close().await;
        let id = id.to_string();
        if self.cluster.json {
            output::json(&Appended { id, written })
        } else {
            output::line(&id)
        }
    }

    async fn write(&self, client: &Client, path: &PathBuf) -> Result<u64, Failure> {
        let failure = || Failure::local(format!("cannot read {}", path.display()));
        let file = File::open(path).await.map_err(failure())?;
        let len = file.metadata().await.map_err(failure())?.len();
        let content = Content::new(file, len);
        match self.at {
            None => client.append(&self.id, content).await?,
            Some(offset) => client.modify(&self.id, offset, content).await?,
        }
        Ok(len)
    }
}
