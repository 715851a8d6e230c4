//! `hayloft catalog`: takes what the API server knows from its directory to a database, or back.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use api_server::backend::catalog::{self, CopyError, CopyPlace, Step};
use common::config::{CatalogPlace, DatabaseUrl, Sources};

use super::config::{self, ConfigError};
use super::data_dir::{DataDirError, DataDirLock};
use super::output::{self, Failure};
use super::{CliError, EXIT_USAGE, progress};

/// Move accounts, files and shares between the embedded catalog and a database
#[derive(Debug, clap::Args)]
pub(crate) struct CatalogArgs {
    #[command(subcommand)]
    command: CatalogCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CatalogCommand {
    /// Copy a catalog to where there is none, and compare the two
    ///
    /// The source stays as it is. Stop all API servers first: what they change while the copy is made is
    /// not in it. Blobs stay where they are.
    Copy(CopyArgs),
}

#[derive(Debug, clap::Args)]
struct CopyArgs {
    /// Where it is: embedded:DATA_DIR, a database's URL (postgres://…), or `configured` for what
    /// api.catalog says, which keeps a password out of the list of processes
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Where it goes; an empty catalog there is no obstacle
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// The configuration that `configured` means, and the environment over it
    #[arg(long, value_name = "FILE", env = "HAYLOFT_CONFIG")]
    config: Option<PathBuf>,
}

/// A place as it is written.
#[derive(Clone, Debug)]
enum PlaceArg {
    /// In a data directory.
    Embedded(PathBuf),
    /// In a database.
    Database(DatabaseUrl),
    /// Where the configuration says.
    Configured,
}

/// A text that means no place. It is not repeated, for it may hold a password.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("write embedded:DATA_DIR, postgres://user:password@host/database or configured")]
pub(crate) struct PlaceArgError;

impl FromStr for PlaceArg {
    type Err = PlaceArgError;

    fn from_str(text: &str) -> Result<Self, PlaceArgError> {
        if text == "configured" {
            return Ok(Self::Configured);
        }
        match text.strip_prefix("embedded:") {
            Some("") => Err(PlaceArgError),
            Some(directory) => Ok(Self::Embedded(directory.into())),
            None => text.parse().map(Self::Database).map_err(|_| PlaceArgError),
        }
    }
}

/// Why a catalog was not copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogCommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{flag} names no place")]
    Place {
        flag: &'static str,
        source: PlaceArgError,
    },
    #[error("source and destination are the same place")]
    Same,
    #[error("cannot start the threads")]
    Runtime(#[source] io::Error),
    #[error("the catalog was not copied")]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Output(#[from] Failure),
}

impl CliError for CatalogCommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Place { .. } | Self::Same => EXIT_USAGE,
            Self::DataDir(_) | Self::Runtime(_) | Self::Copy(_) | Self::Output(_) => 1,
        }
    }
}

impl CatalogArgs {
    pub(crate) fn run(self) -> Result<(), CatalogCommandError> {
        let CatalogCommand::Copy(args) = self.command;
        args.run()
    }
}

/// A place, and the right to use it.
struct Place {
    place: CopyPlace,
    _lock: Option<DataDirLock>,
}

impl CopyArgs {
    fn run(self) -> Result<(), CatalogCommandError> {
        let from = resolve(parse("--from", &self.from)?, self.config.as_deref())?;
        let to = resolve(parse("--to", &self.to)?, self.config.as_deref())?;
        if is_same(&from, &to) {
            return Err(CatalogCommandError::Same);
        }
        let from = lock(from, DataDirLock::of_existing)?;
        let to = lock(to, DataDirLock::take)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(CatalogCommandError::Runtime)?;
        let bar = progress::spinner("copying".to_owned());
        let (mut copied, mut compared) = (0, 0);
        let report = runtime.block_on(catalog::copy(&from.place, &to.place, |step, entries| {
            let done = match step {
                Step::Copy => &mut copied,
                Step::Verify => &mut compared,
            };
            *done += entries;
            bar.set_message(format!("{copied} entries copied, {compared} compared"));
        }));
        bar.finish_and_clear();
        let report = report?;
        output::line(&format!(
            "copied {} entries, {}; read back, the same: BLAKE3 {}",
            report.entries,
            output::bytes(report.bytes),
            report.digest.to_hex()
        ))?;
        Ok(())
    }
}

/// Parsed here and not by clap, which repeats what it does not understand.
fn parse(flag: &'static str, text: &str) -> Result<PlaceArg, CatalogCommandError> {
    let parsed = text.parse();
    parsed.map_err(|source| CatalogCommandError::Place { flag, source })
}

/// Data directories and databases, as far as they are known.
#[derive(Debug, PartialEq, Eq)]
enum Resolved {
    Embedded(PathBuf),
    Database(DatabaseUrl),
}

fn resolve(place: PlaceArg, file: Option<&Path>) -> Result<Resolved, ConfigError> {
    Ok(match place {
        PlaceArg::Embedded(directory) => Resolved::Embedded(directory),
        PlaceArg::Database(url) => Resolved::Database(url),
        PlaceArg::Configured => {
            let config = config::load(file, Sources::new())?.config;
            match config.api.catalog {
                CatalogPlace::Embedded => Resolved::Embedded(config.data_dir),
                CatalogPlace::Database(url) => Resolved::Database(url),
            }
        }
    })
}

fn is_same(from: &Resolved, to: &Resolved) -> bool {
    match (from, to) {
        (Resolved::Embedded(from), Resolved::Embedded(to)) => {
            let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
            real(from) == real(to)
        }
        (from, to) => from == to,
    }
}

/// Makes sure that no server uses a data directory meanwhile.
fn lock(
    place: Resolved,
    take: impl Fn(&Path) -> Result<DataDirLock, DataDirError>,
) -> Result<Place, DataDirError> {
    Ok(match place {
        Resolved::Embedded(data_dir) => Place {
            _lock: Some(take(&data_dir)?),
            place: CopyPlace::Embedded(data_dir.join("api").join("catalog")),
        },
        Resolved::Database(url) => Place {
            _lock: None,
            place: CopyPlace::Database(url),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_directories_databases_or_what_is_configured() {
        let parse = |text: &str| text.parse::<PlaceArg>();
        assert!(
            matches!(parse("embedded:/d"), Ok(PlaceArg::Embedded(path)) if path == Path::new("/d"))
        );
        assert!(matches!(
            parse("postgres://u@h/d"),
            Ok(PlaceArg::Database(_))
        ));
        assert!(matches!(parse("configured"), Ok(PlaceArg::Configured)));
        for text in ["", "embedded:", "/d", "mysql://u:secret@h/d"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn one_place_is_not_copied_onto_itself() {
        let dir = tempfile::tempdir().unwrap();
        let one = || Resolved::Embedded(dir.path().to_owned());
        let same = Resolved::Embedded(dir.path().join("."));
        assert!(is_same(&one(), &same));
        let url = || Resolved::Database("postgres://u@h/d".parse().unwrap());
        assert!(is_same(&url(), &url()) && !is_same(&one(), &url()));
    }
}
