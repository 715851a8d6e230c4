//! `hayloft config`: print the defaults, check a file; and how every server loads its configuration.

use std::io;
use std::path::{Path, PathBuf};

use common::config::{self, Loaded, Problems, Sources};

use super::CliError;

/// Print or check the configuration.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key with its default and meaning, ready to be changed.
    PrintDefault {
        /// Print the page docs/configuration.md instead.
        #[arg(long)]
        markdown: bool,
    },
    /// Check a file, and the environment over it; exit code 2 when there is a problem.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the configuration is wrong; nothing was started or changed\n{0}")]
    Wrong(Problems),
    #[error("cannot write")]
    Write(#[source] io::Error),
}

impl CliError for ConfigError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Read { .. } | Self::Wrong(_) => super::EXIT_USAGE,
            Self::Write(_) => 1,
        }
    }
}

pub(crate) fn run(command: ConfigCommand) -> Result<(), ConfigError> {
    match command {
        ConfigCommand::PrintDefault { markdown } => {
            let text = if markdown {
                config::markdown()
            } else {
                config::print_default()
            };
            super::print(text.as_bytes()).map_err(ConfigError::Write)
        }
        ConfigCommand::Check { file } => {
            let loaded = load(Some(&file), Sources::new())?;
            let mut text = format!("{}: no problem found\n", file.display());
            for suspect in suspects(&loaded) {
                text.push_str(&suspect);
                text.push('\n');
            }
            super::print(text.as_bytes()).map_err(ConfigError::Write)
        }
    }
}

/// Reads `file`, if there is one, and the environment; flags are in `sources` already.
pub(crate) fn load(file: Option<&Path>, mut sources: Sources) -> Result<Loaded, ConfigError> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        sources = sources.file(path.display().to_string(), text);
    }
    sources
        .environment(environment())
        .load()
        .map_err(ConfigError::Wrong)
}

/// What to say about variables that look misspelt.
pub(crate) fn suspects(loaded: &Loaded) -> impl Iterator<Item = String> {
    loaded.suspects.iter().map(|suspect| {
        format!(
            "environment variable {} is not read; did you mean {}?",
            suspect.variable, suspect.nearest
        )
    })
}

/// Variables that are not Unicode cannot name or hold a setting.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
