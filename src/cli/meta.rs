//! `hayloft meta`: names and values that hang on a file.

use std::collections::BTreeMap;
use std::process::ExitCode;

use common::client::MetadataMode;
use common::id::FileId;
use serde::Serialize;

use super::client::{Cluster, metadata, parse_id, parse_pair};
use super::output::{self, EXIT_CODES, Failure, Tally};

/// Show or change the metadata of a file
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct MetaArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show names and values; a file without any is reported as not found
    Get {
        #[command(flatten)]
        file: Target,
    },
    /// Replace all metadata; example: hayloft meta set ID author=me year=2026
    Set {
        #[command(flatten)]
        file: Target,
        #[command(flatten)]
        pairs: Pairs,
    },
    /// Change or add these names and keep the others
    Merge {
        #[command(flatten)]
        file: Target,
        #[command(flatten)]
        pairs: Pairs,
    },
    /// Remove all metadata
    Clear {
        #[command(flatten)]
        file: Target,
    },
}

#[derive(Debug, clap::Args)]
struct Target {
    /// File id or link
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: FileId,

    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Debug, clap::Args)]
struct Pairs {
    /// Names of at most 64 bytes and values of at most 256
    #[arg(required = true, value_name = "NAME=VALUE", value_parser = parse_pair)]
    pairs: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    metadata: BTreeMap<String, String>,
}

impl MetaArgs {
    /// Shows or changes.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        let (target, change) = match self.action {
            Action::Get { file } => (file, None),
            Action::Set { file, pairs } => (file, Some((MetadataMode::Overwrite, pairs.pairs))),
            Action::Merge { file, pairs } => (file, Some((MetadataMode::Merge, pairs.pairs))),
            Action::Clear { file } => (file, Some((MetadataMode::Overwrite, Vec::new()))),
        };
        let result = match change {
            None => target.show().await,
            Some((mode, pairs)) => target.change(mode, &pairs).await,
        };
        tally.check(&target.id.to_string(), result);
        tally.into()
    }
}

impl Target {
    async fn show(&self) -> Result<(), Failure> {
        let client = self.cluster.client(1)?;
        let metadata = client.metadata(&self.id).await?;
        client.close().await;
        // Other clients may have stored bytes that are no text; those print with replacements.
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = metadata
            .iter()
            .map(|(name, value)| (text(name), text(value)));
        if self.cluster.json {
            return output::json(&Shown {
                id: self.id.to_string(),
                metadata: pairs.collect(),
            });
        }
        for (name, value) in pairs {
            output::line(&format!("{name}={value}"))?;
        }
        Ok(())
    }

    async fn change(&self, mode: MetadataMode, pairs: &[(String, String)]) -> Result<(), Failure> {
        let metadata = metadata(pairs);
        let client = self.cluster.client(1)?;
        client.set_metadata(&self.id, mode, &metadata).await?;
        client.close().await;
        Ok(())
    }
}
