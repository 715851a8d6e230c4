//! `hayloft delete`: deletes files.

use std::process::ExitCode;

use common::id::FileId;
use serde::Serialize;

use super::client::{Cluster, parse_id};
use super::output::{self, EXIT_CODES, Tally};

/// Delete files and their metadata
///
/// Example: hayloft delete group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DeleteArgs {
    /// File ids or links
    #[arg(required = true, value_name = "ID", value_parser = parse_id)]
    ids: Vec<FileId>,

    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Debug, Serialize)]
struct Deleted {
    id: String,
    deleted: bool,
}

impl DeleteArgs {
    /// Deletes what can be deleted.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        let Some(client) = tally.check("", self.cluster.client(1).map_err(Into::into)) else {
            return tally.into();
        };
        for id in self.ids {
            let text = id.to_string();
            let result = client.delete(&id).await.map_err(Into::into);
            let deleted = tally.check(&text, result).is_some();
            let printed = match (self.cluster.json, deleted) {
                (true, _) => output::json(&Deleted { id: text, deleted }),
                (false, true) => output::line(&text),
                (false, false) => Ok(()),
            };
            if tally.check("", printed).is_none() {
                break;
            }
        }
        client.close().await;
        tally.into()
    }
}
