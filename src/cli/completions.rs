//! `hayloft completions` and `hayloft man`: what shells and `man` know about the commands.

use std::io;
use std::path::PathBuf;

use clap_complete::Shell;

use super::CliError;

/// Example: hayloft completions bash > /etc/bash_completion.d/hayloft
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Example: hayloft man /usr/local/share/man/man1
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The directory, created if it is missing.
    dir: PathBuf,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GenerateError {
    #[error("cannot write completions")]
    Completions(#[source] io::Error),
    #[error("cannot write man pages to {}", dir.display())]
    Man {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl CliError for GenerateError {}

pub(crate) fn run(args: &CompletionsArgs, mut command: clap::Command) -> Result<(), GenerateError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "hayloft", &mut script);
    super::print(&script).map_err(GenerateError::Completions)
}

pub(crate) fn man(args: &ManArgs, command: clap::Command) -> Result<(), GenerateError> {
    std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(command, &args.dir))
        .map_err(|source| GenerateError::Man {
            dir: args.dir.clone(),
            source,
        })
}
