//! `hayloft ls`: groups and storage nodes.

use std::process::ExitCode;

use common::env::clock;

use super::client::Cluster;
use super::listing;
use super::output::{self, EXIT_CODES, Failure, Tally};

/// List groups and storage nodes
///
/// Example: hayloft ls --tracker 10.0.0.1:22122
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    cluster: Cluster,
}

impl LsArgs {
    /// Lists them once.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        tally.check("", self.list().await);
        tally.into()
    }

    async fn list(&self) -> Result<(), Failure> {
        let client = self.cluster.client(1)?;
        let groups = listing::fetch(&client).await?;
        client.close().await;
        if self.cluster.json {
            for group in &groups {
                output::json(group)?;
            }
            return Ok(());
        }
        output::line(&listing::text(&groups, clock::unix_seconds().into()))
    }
}
