//! `hayloft cluster`: how the cluster fares, and what an operator orders of it.

mod connection;
mod order;
pub(crate) mod view;

use std::process::ExitCode;

use common::client::{Address, Client, PoolSettings};
use common::config::Sources;
use common::env::clock;
use common::rpc::auth::{Credentials, NO_IDENTITY};
use common::secret::Secret;
use common::wire::cluster::{Order, Target};

use super::config;
use super::output::{self, EXIT_CODES, Failure, Tally};
use super::secret::{self, Missing};
use order::{Orders, Patience};

/// Look after groups and nodes: status, drain, read-only, remove
///
/// The command asks any tracker; what one is told, the others know within a second. TARGET is a node's
/// number, such as 3, or a group's name, such as group1; group:7 is a group whose name is digits.
///
/// Examples:
///   hayloft cluster status                       groups, nodes, and what is wrong with them
///   hayloft cluster drain 3                      node 3 takes no new files
///   hayloft cluster remove 3 --wait              drains it, waits until its peers have everything
///   hayloft cluster remove 3 --release-number    a dead node whose number the next one shall have
///   hayloft cluster read-only group1             nothing changes in group1 until `writable`
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, verbatim_doc_comment)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
    #[command(flatten)]
    trackers: Trackers,
}

/// Which trackers to ask, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Trackers {
    /// Tracker to ask; repeat it (or separate by commas) for several [default: those of the
    /// configuration, else 127.0.0.1:22122]
    #[arg(
        long = "tracker",
        env = "HAYLOFT_TRACKER",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        global = true
    )]
    named: Vec<Address>,

    /// A configuration of the cluster, of any role: its trackers are asked
    #[arg(long, value_name = "FILE", env = "HAYLOFT_CONFIG", global = true)]
    config: Option<std::path::PathBuf>,

    /// File with the cluster secret, which orders need [default: that of the configuration, else
    /// cluster.secret in its data directory]
    #[arg(
        long = "cluster-secret-file",
        value_name = "FILE",
        env = "HAYLOFT_CLUSTER_SECRET_FILE",
        global = true
    )]
    secret_file: Option<std::path::PathBuf>,

    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum ClusterCommand {
    /// Print a new cluster secret
    ///
    /// Every tracker and storage node of a cluster needs the same one: write it into a file that only
    /// the servers' user may read, copy that to all of them, and name it as secret_file of the section cluster:
    ///
    ///     (umask 077; hayloft cluster secret > cluster.secret)
    #[command(verbatim_doc_comment)]
    Secret,
    /// Show trackers, groups, nodes, volume paths, and why something is not in service
    Status,
    /// Give a node or group no new files; it serves what it has
    ///
    /// Deleting and appending go on. With --wait the command ends when the target could be removed:
    /// a node when its peers hold everything, a group when it holds nothing any more.
    /// A group does not empty itself: its name is part of every file's id, so whoever stored the files
    /// has to store them elsewhere and delete them here.
    #[command(verbatim_doc_comment)]
    Drain {
        /// Node number or group name
        #[arg(value_name = "TARGET")]
        target: Target,
        #[command(flatten)]
        patience: Patience,
    },
    /// Take `drain` back
    Undrain {
        /// Node number or group name
        #[arg(value_name = "TARGET")]
        target: Target,
    },
    /// Let nothing change on a node or in a group: no uploads, appends or deletes by way of trackers
    ReadOnly {
        /// Node number or group name
        #[arg(value_name = "TARGET")]
        target: Target,
    },
    /// Take `read-only` back
    Writable {
        /// Node number or group name
        #[arg(value_name = "TARGET")]
        target: Target,
    },
    /// Remove a node or group for good
    ///
    /// A node goes when it is drained, or dead, and its peers hold everything that it holds. A group
    /// goes when it is drained and holds no files. With --wait the command drains and waits for that.
    /// A removed node does not come back, for it may hold what was deleted since: to use its machine
    /// again, empty its data directory and start it as a new node.
    #[command(verbatim_doc_comment)]
    Remove {
        /// Node number or group name
        #[arg(value_name = "TARGET")]
        target: Target,
        /// Let a new node have the number; otherwise nobody gets it. Also for nodes removed before
        #[arg(long)]
        release_number: bool,
        /// Remove it even if files that only it holds are lost
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        patience: Patience,
    },
}

impl ClusterArgs {
    /// Does what is asked.
    pub(crate) async fn run(self) -> ExitCode {
        let mut tally = Tally::default();
        let trackers = match self.trackers.addresses() {
            Ok(trackers) => trackers,
            Err(error) => return super::exit(Err(error)),
        };
        let json = self.trackers.json;
        if matches!(self.command, ClusterCommand::Secret) {
            tally.check("", output::line(Secret::generate().reveal()));
            return tally.into();
        }
        if matches!(self.command, ClusterCommand::Status) {
            tally.check("", status(trackers, json).await);
            return tally.into();
        }
        let credentials = match self.trackers.credentials() {
            Ok(credentials) => credentials,
            Err(code) => return code,
        };
        let orders = Orders {
            trackers,
            credentials,
            json,
        };
        let done = match self.command {
            // Done above: they need no secret.
            ClusterCommand::Secret | ClusterCommand::Status => Ok(()),
            ClusterCommand::Drain { target, patience } => orders.drain(target, patience).await,
            ClusterCommand::Undrain { target } => orders.give(target, Order::Undrain).await,
            ClusterCommand::ReadOnly { target } => orders.give(target, Order::ReadOnly).await,
            ClusterCommand::Writable { target } => orders.give(target, Order::Writable).await,
            ClusterCommand::Remove {
                target,
                release_number: release,
                force,
                patience,
            } => {
                let remove = Order::Remove { force, release };
                orders.remove(target, remove, patience).await
            }
        };
        tally.check("", done);
        tally.into()
    }
}

impl Trackers {
    /// What proves to trackers that the operator may give orders, or the exit code of a command that did
    /// not find it.
    fn credentials(&self) -> Result<Credentials, ExitCode> {
        let mut config = match config::load(self.config.as_deref(), Sources::new()) {
            Ok(loaded) => loaded.config,
            Err(error) => return Err(super::exit(Err(error))),
        };
        if let Some(file) = &self.secret_file {
            config.cluster.secret = None;
            config.cluster.secret_file = Some(file.clone());
        }
        let secrets =
            secret::secrets(&config, Missing::Refuse).map_err(|error| super::exit(Err(error)))?;
        let encryption = secret::encryption(&config);
        Ok(Credentials::new(NO_IDENTITY, &secrets).with_encryption(encryption))
    }

    /// Those named, else those of the configuration, else the one that `hayloft serve` runs here.
    fn addresses(&self) -> Result<Vec<Address>, config::ConfigError> {
        if !self.named.is_empty() {
            return Ok(self.named.clone());
        }
        let Some(file) = &self.config else {
            return Ok(vec![Address::new("127.0.0.1", 22122)]);
        };
        let config = config::load(Some(file), Sources::new())?.config;
        let mut trackers: Vec<Address> = Vec::new();
        let lists = [
            &config.storage.trackers,
            &config.api.trackers,
            &config.tracker.peers,
        ];
        for tracker in lists.into_iter().flatten() {
            if !trackers.contains(tracker) {
                trackers.push(tracker.clone());
            }
        }
        if trackers.is_empty() {
            // A tracker or `hayloft serve` of its own.
            let own = config.tracker.listen;
            let host = if own.ip().is_unspecified() {
                "127.0.0.1".to_owned()
            } else {
                own.ip().to_string()
            };
            trackers.push(Address::new(&host, own.port()));
        }
        Ok(trackers)
    }
}

async fn status(trackers: Vec<Address>, json: bool) -> Result<(), Failure> {
    let client = Client::new(trackers, PoolSettings::default())?;
    let status = client.trackers().status().await;
    client.close().await;
    let status = status?;
    if json {
        return output::json(&status);
    }
    let now = clock::unix_seconds().into();
    output::line(&view::text(&status, now, view::Detail::Paths))
}
