//! What all client commands share: how to reach the cluster, and how ids become links.

use std::process::ExitCode;
use std::time::Duration;

use common::client::{Address, Client, ClientError, Metadata, PoolSettings};
use common::id::{FileId, FileIdError};
use common::limits;

/// HTTP port of a storage node unless `--http-base` says otherwise.
const HTTP_PORT: u16 = 8888;

/// Which cluster to speak to, and how to print.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Cluster {
    /// Tracker to ask; repeat it (or separate by commas) for several
    #[arg(
        long = "tracker",
        env = "HAYLOFT_TRACKER",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:22122"
    )]
    pub(crate) trackers: Vec<Address>,

    /// Base of printed links; default http://<storage host>:8888
    #[arg(long, env = "HAYLOFT_HTTP_BASE", value_name = "URL")]
    pub(crate) http_base: Option<String>,

    /// Seconds without progress after which a server counts as unreachable
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,

    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

impl Cluster {
    /// A client with at most `connections` connections per server.
    pub(crate) fn client(&self, connections: usize) -> Result<Client, ClientError> {
        let network_timeout = Duration::from_secs(self.timeout);
        let settings = PoolSettings {
            connections_max: connections,
            connect_timeout: network_timeout.min(Duration::from_secs(5)),
            network_timeout,
            ..PoolSettings::default()
        };
        Client::new(self.trackers.clone(), settings)
    }

    /// The link to `id`, which `storage` holds.
    pub(crate) fn link(&self, id: &FileId, storage: &Address) -> String {
        if let Some(base) = &self.http_base {
            return format!("{}/{id}", base.trim_end_matches('/'));
        }
        let holder = Address::new(storage.host(), HTTP_PORT);
        format!("http://{holder}/{id}")
    }

    /// The link to `id`, asking a tracker for a holder where no base is given.
    pub(crate) async fn find_link(
        &self,
        client: &Client,
        id: &FileId,
    ) -> Result<String, ClientError> {
        let holder = match &self.http_base {
            Some(_) => Address::new("", HTTP_PORT),
            None => client.trackers().fetch_one(id).await?,
        };
        Ok(self.link(id, &holder))
    }
}

/// Runs a client command to its end.
pub(crate) fn run(command: impl Future<Output = ExitCode>) -> ExitCode {
    // One thread: a client waits for servers and disks, and leaves the processors to them.
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            // On the heap, since commands differ much in size.
            let code = runtime.block_on(Box::pin(command));
            // A thread that waits for standard input must not keep the process alive.
            runtime.shutdown_background();
            code
        }
        Err(source) => {
            let mut tally = super::output::Tally::default();
            tally.failed("", &super::output::Failure::local("cannot start")(source));
            tally.into()
        }
    }
}

/// Parses a file id, or a link that ends in one.
pub(crate) fn parse_id(text: &str) -> Result<FileId, FileIdError> {
    let text = match text.split_once("://") {
        Some((_, rest)) => {
            let path = rest.split_once('/').map_or("", |(_, path)| path);
            path.split(['?', '#']).next().unwrap_or_default()
        }
        None => text.trim_start_matches('/'),
    };
    text.parse()
}

/// Parses `name=value` of metadata. What a server would cut or tear apart is refused.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), PairError> {
    let (name, value) = text.split_once('=').ok_or(PairError::Form)?;
    if name.is_empty() {
        return Err(PairError::Form);
    }
    if limits::METADATA_NAME_LEN_MAX < name.len() || limits::METADATA_VALUE_LEN_MAX < value.len() {
        return Err(PairError::TooLong);
    }
    if text.bytes().any(|byte| matches!(byte, 0x01 | 0x02)) {
        return Err(PairError::Separator);
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The metadata of pairs that [`parse_pair`] took.
pub(crate) fn metadata(pairs: &[(String, String)]) -> Metadata {
    Metadata::from_pairs(
        pairs
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    )
}

/// Why a text is not a pair of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PairError {
    /// Without `=` or without a name.
    #[error("write name=value")]
    Form,
    /// Longer than a server keeps.
    #[error(
        "a name has at most {} bytes and a value at most {}",
        limits::METADATA_NAME_LEN_MAX,
        limits::METADATA_VALUE_LEN_MAX
    )]
    TooLong,
    /// The bytes that separate pairs on the wire.
    #[error("the bytes 0x01 and 0x02 cannot be part of metadata")]
    Separator,
}

/// Parses bytes with an optional unit: `4096`, `4KiB`, `1MiB`, `2GiB`; `k`, `m`, `g` mean the same.
pub(crate) fn parse_size(text: &str) -> Result<u64, SizeError> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" | "kb" => 10,
        "m" | "mib" | "mb" => 20,
        "g" | "gib" | "gb" => 30,
        _ => return Err(SizeError),
    };
    let count: u64 = digits.parse().map_err(|_| SizeError)?;
    count.checked_mul(1 << shift).ok_or(SizeError)
}

/// A text that is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a size in bytes, or with a unit such as 4KiB, 1MiB or 2GiB")]
pub(crate) struct SizeError;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";

    #[test]
    fn ids_are_taken_from_links_too() {
        for text in [
            ID.to_owned(),
            format!("/{ID}"),
            format!("http://host:8888/{ID}"),
            format!("https://host/{ID}?token=x&ts=1"),
        ] {
            assert_eq!(parse_id(&text).unwrap().to_string(), ID, "{text}");
        }
        assert!(parse_id("http://host").is_err());
        assert!(parse_id("nonsense").is_err());
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("4KiB"), Ok(4096));
        assert_eq!(parse_size("1m"), Ok(1 << 20));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        for bad in [
            "",
            "x",
            "4XB",
            "-1",
            "99999999999999999999",
            "18446744073709551615k",
        ] {
            assert_eq!(parse_size(bad), Err(SizeError), "{bad}");
        }
    }

    #[test]
    fn pairs_need_a_name_and_may_have_an_empty_value() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_pair("a="), Ok(("a".into(), String::new())));
        assert_eq!(parse_pair("=b"), Err(PairError::Form));
        assert_eq!(parse_pair("a"), Err(PairError::Form));
        assert_eq!(parse_pair("a=b\u{1}"), Err(PairError::Separator));
        let long = format!("{}=x", "n".repeat(65));
        assert_eq!(parse_pair(&long), Err(PairError::TooLong));
    }
}
