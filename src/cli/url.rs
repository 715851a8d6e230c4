//! `hayloft url`: links to files, with tokens where a server asks for them.

use std::process::ExitCode;
use std::time::Duration;

use common::client::Client;
use common::env::clock;
use common::id::FileId;
use common::web::anti_leech::{self, Key};
use serde::Serialize;

use super::client::{Cluster, parse_id};
use super::output::{self, EXIT_CODES, Failure, Tally};

/// Print links to files
///
/// A server with anti-leech keys wants a token, which --key computes. Such a server lets a link live
/// for its own time to live (--server-ttl here) behind the link's time stamp; --ttl moves the time
/// stamp so that the link lives that long from now.
///
/// Example: hayloft url --http-base https://img.example.org ID
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct UrlArgs {
    /// File ids
    #[arg(required = true, value_name = "ID", value_parser = parse_id)]
    ids: Vec<FileId>,

    /// Anti-leech key of the server; better given in the environment than on a command line
    #[arg(long, env = "HAYLOFT_ANTI_LEECH_KEY", hide_env_values = true, value_parser = parse_key)]
    key: Option<Key>,

    /// Seconds from now that a link with a token lives; default: --server-ttl
    #[arg(long, value_name = "SECONDS", requires = "key")]
    ttl: Option<u64>,

    /// The anti-leech ttl that the server is configured with
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    server_ttl: u64,

    /// Base of the links; the same as --http-base
    #[arg(long, value_name = "URL", conflicts_with = "http_base")]
    base: Option<String>,

    #[command(flatten)]
    cluster: Cluster,
}

fn parse_key(text: &str) -> Result<Key, anti_leech::KeyError> {
    Key::try_from(text)
}

#[derive(Debug, Serialize)]
struct Link {
    id: String,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

impl UrlArgs {
    /// Prints a link per id.
    pub(crate) async fn run(mut self) -> ExitCode {
        let mut tally = Tally::default();
        if let Some(base) = self.base.take() {
            self.cluster.http_base = Some(base);
        }
        let Some(client) = tally.check("", self.cluster.client(1).map_err(Into::into)) else {
            return tally.into();
        };
        let now = clock::unix_seconds().into();
        for id in &self.ids {
            let result = self.link(&client, id, now).await;
            let Some(link) = tally.check(&id.to_string(), result) else {
                continue;
            };
            let printed = if self.cluster.json {
                output::json(&link)
            } else {
                output::line(&link.url)
            };
            if tally.check("", printed).is_none() {
                break;
            }
        }
        client.close().await;
        tally.into()
    }

    async fn link(&self, client: &Client, id: &FileId, now: u64) -> Result<Link, Failure> {
        let mut url = self.cluster.find_link(client, id).await?;
        let mut expires = None;
        if let Some(key) = &self.key {
            let ttl = Duration::from_secs(self.ttl.unwrap_or(self.server_ttl));
            let signed = Signature::new(id, key, now, ttl.as_secs(), self.server_ttl);
            url.push_str(&signed.query);
            expires = Some(signed.expires);
        }
        Ok(Link {
            id: id.to_string(),
            url,
            expires,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Signature {
    query: String,
    expires: u64,
}

impl Signature {
    fn new(id: &FileId, key: &Key, now: u64, ttl: u64, server_ttl: u64) -> Self {
        // The server counts its own time to live from `ts`; 0 would mean "never expires".
        let ts = now.saturating_add(ttl).saturating_sub(server_ttl).max(1);
        let token = anti_leech::token(&id.name.to_text(), key, ts);
        let token = String::from_utf8_lossy(&token);
        Self {
            query: format!("?token={token}&ts={ts}"),
            expires: ts.saturating_add(server_ttl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_that_other_clients_compute() {
        // Source: docs/wire.md, HTTP and tokens; computed by the official Java client.
        let id = "group1/M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h";
        let key = Key::try_from("secret").unwrap();
        let signed = Signature::new(&id.parse().unwrap(), &key, 1_594_000_000, 600, 600);
        assert_eq!(
            signed.query,
            "?token=67179fdc53e9fbac391798882a73f565&ts=1594000000"
        );
        assert_eq!(signed.expires, 1_594_000_600);
    }

    #[test]
    fn a_short_life_dates_the_link_back_and_never_to_zero() {
        let id = "group1/M00/02/44/rBAAD18AISGAP6QrAAACRhizVvQ79062.h";
        let id = id.parse().unwrap();
        let key = Key::try_from("secret").unwrap();
        let signed = Signature::new(&id, &key, 10_000, 60, 600);
        assert!(signed.query.ends_with("&ts=9460"));
        assert_eq!(signed.expires, 10_060);
        let early = Signature::new(&id, &key, 0, 0, 600);
        assert!(early.query.ends_with("&ts=1"));
    }
}
