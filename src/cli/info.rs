//! `hayloft info`: what an id says and what the node says.

use std::process::ExitCode;

use common::client::Client;
use common::id::{BlobKind, FileId, Source};
use serde::Serialize;

use super::client::{Cluster, parse_id};
use super::output::{self, EXIT_CODES, Failure, Tally};

/// Show size, time, checksum and source of files
///
/// Example: hayloft info group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct InfoArgs {
    /// File ids or links
    #[arg(required = true, value_name = "ID", value_parser = parse_id)]
    ids: Vec<FileId>,

    /// Only decode the ids, asking no server
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Debug, Serialize)]
struct Info {
    id: String,
    kind: &'static str,
    group: String,
    source: String,
    created: u64,
    /// Of the upload; for a slave, of its master.
    id_size: u64,
    id_crc32: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Stored>,
}

#[derive(Debug, Serialize)]
struct Stored {
    size: u64,
    modified: u64,
    crc32: String,
    source_address: String,
}

impl InfoArgs {
    /// Shows what can be shown.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        let Some(client) = tally.check("", self.cluster.client(1).map_err(Into::into)) else {
            return tally.into();
        };
        for id in &self.ids {
            let Some(info) = tally.check(&id.to_string(), self.info(&client, id).await) else {
                continue;
            };
            let printed = if self.cluster.json {
                output::json(&info)
            } else {
                output::line(&info.text())
            };
            if tally.check("", printed).is_none() {
                break;
            }
        }
        client.close().await;
        tally.into()
    }

    async fn info(&self, client: &Client, id: &FileId) -> Result<Info, Failure> {
        let mut info = Info::of_id(id);
        if !self.offline {
            let stored = client.file_info(id).await?;
            info.stored = Some(Stored {
                size: stored.size,
                modified: stored.time,
                crc32: stored.crc.to_string(),
                source_address: stored.source.to_string(),
            });
        }
        Ok(info)
    }
}

impl Info {
    fn of_id(id: &FileId) -> Self {
        let stem = id.name.stem();
        Self {
            id: id.to_string(),
            kind: match id.name.kind() {
                BlobKind::Normal => "normal",
                BlobKind::Appender => "appender",
                BlobKind::Slave => "slave",
                BlobKind::Trunk => "trunk",
            },
            group: id.group.to_string(),
            source: match stem.source {
                Source::Node(number) => format!("node {number}"),
                Source::Address(address) => address.to_string(),
            },
            created: stem.time.into(),
            id_size: stem.size(),
            id_crc32: stem.crc.to_string(),
            stored: None,
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![
            self.id.clone(),
            format!("  kind      {}", self.kind),
            format!("  source    {}", self.source),
            format!("  created   {}", output::utc(self.created)),
        ];
        match &self.stored {
            None => {
                lines.push(format!("  size      {} (by its id)", self.id_size));
                lines.push(format!("  crc32     {} (by its id)", self.id_crc32));
            }
            Some(stored) => {
                let size = output::bytes(stored.size);
                lines.push(format!("  size      {} ({size})", stored.size));
                lines.push(format!("  crc32     {}", stored.crc32));
                lines.push(format!("  modified  {}", output::utc(stored.modified)));
            }
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_decoded_without_a_server() {
        let id = "group1/M00/00/00/fwAADWsCX-OEBaG8AAAAADYQpoY177.txt";
        let info = Info::of_id(&id.parse().unwrap());
        assert_eq!(info.kind, "appender");
        assert_eq!(info.source, "127.0.0.13");
        assert_eq!(info.created, 1_795_317_731);
        assert_eq!(info.id_crc32, "3610a686");
    }
}
