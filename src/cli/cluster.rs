//! `hayloft cluster`: what concerns all nodes of a cluster.

use std::io;

use common::secret::Secret;

use super::CliError;

/// Set a cluster up.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ClusterCommand {
    /// Print a new cluster secret.
    ///
    /// Every tracker and storage node of a cluster needs the same one: write it into a file that only
    /// the servers' user may read, copy that to all of them, and name it in [cluster] secret_file:
    ///
    ///     (umask 077; hayloft cluster secret > cluster.secret)
    #[command(verbatim_doc_comment)]
    Secret,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error("cannot write")]
    Write(#[source] io::Error),
}

impl CliError for ClusterError {}

pub(crate) fn run(command: &ClusterCommand) -> Result<(), ClusterError> {
    match command {
        ClusterCommand::Secret => {
            let line = format!("{}\n", Secret::generate().reveal());
            super::print(line.as_bytes()).map_err(ClusterError::Write)
        }
    }
}
