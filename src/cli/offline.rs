//! What the tools for a stopped node share: configuration, lock, identity, and the volume paths.

use std::io;
use std::path::PathBuf;

use common::config::{Config, Sources};
use prometheus::Registry;
use storage_node::error::{OpenError, StoreError};
use storage_node::index::IndexSettings;
use storage_node::metrics::StoreMetrics;
use storage_node::offline::{CheckError, Place, RebuildError};
use storage_node::store::Durability;
use storage_node::{Identity, IdentityError, StoreOptions};

use super::config::{self, ConfigError};
use super::data_dir::{DataDirError, DataDirLock};
use super::output::Failure;
use super::{CliError, roles, serve};

/// The data cannot be looked at, whatever state it is in.
const EXIT_UNUSABLE: u8 = 3;

/// Which node's data.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// The configuration that the node runs with, which names its store paths
    #[arg(long, value_name = "FILE", env = "HAYLOFT_CONFIG")]
    config: Option<PathBuf>,
    /// Where the node keeps everything [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

/// Why a tool did not get to its work, or could not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfflineError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(
        "{} holds no storage node; is --data-dir right, or was node.json lost? remedy: restore it \
         from a backup",
        dir.display()
    )]
    NoNode { dir: PathBuf },
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("the index of {} was not rebuilt; the volumes are unchanged", root.display())]
    Rebuild {
        root: PathBuf,
        #[source]
        source: RebuildError,
    },
    #[error("cannot open {}; remedy: run `hayloft check`", root.display())]
    Open {
        root: PathBuf,
        #[source]
        source: OpenError,
    },
    #[error("the store failed; what was done so far is kept")]
    Store(#[from] StoreError),
    #[error("cannot list the volumes")]
    Volumes(#[source] io::Error),
    #[error("cannot count")]
    Metrics(#[from] prometheus::Error),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Output(#[from] Failure),
    #[error("a rebuild is not begun without being asked for; say --yes")]
    NotConfirmed,
}

impl CliError for OfflineError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::NotConfirmed => super::EXIT_USAGE,
            Self::Output(_) => 1,
            Self::DataDir(_)
            | Self::Identity(_)
            | Self::NoNode { .. }
            | Self::Check(_)
            | Self::Rebuild { .. }
            | Self::Open { .. }
            | Self::Store(_)
            | Self::Volumes(_)
            | Self::Metrics(_)
            | Self::Thread(_) => EXIT_UNUSABLE,
        }
    }
}

/// A stopped node whose data directory is ours.
pub(crate) struct StoppedNode {
    pub(crate) config: Config,
    pub(crate) places: Vec<Place>,
    identity: Identity,
    _lock: DataDirLock,
}

impl StoppedNode {
    /// Reads the configuration and locks the data directory.
    pub(crate) fn take(args: NodeArgs) -> Result<Self, OfflineError> {
        let sources = Sources::new().flag("--data-dir", "data_dir", args.data_dir);
        let config = config::load(args.config.as_deref(), sources)?.config;
        let lock = DataDirLock::of_existing(&config.data_dir)?;
        let dir = roles::storage_directory(&config);
        let Some(identity) = Identity::existing(&dir)? else {
            return Err(OfflineError::NoNode { dir });
        };
        serve::raise_open_files_limit();
        let places = roles::store_paths(&config).into_iter().flat_map(|path| {
            let directory = path.directory;
            path.volume_paths.into_iter().map(move |volume_path| Place {
                directory: directory.clone(),
                volume_path,
                group: identity.group,
                store: identity.store,
            })
        });
        let places = places.collect();
        Ok(Self {
            config,
            places,
            identity,
            _lock: lock,
        })
    }

    /// Memory for the index, as the node would take.
    pub(crate) fn index_settings(&self) -> IndexSettings {
        let len = self.config.storage.index_cache_size.0;
        IndexSettings::new(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// How the node would open its stores.
    pub(crate) fn options(&self) -> StoreOptions {
        let storage = &self.config.storage;
        let paths = roles::store_paths(&self.config).len();
        StoreOptions {
            store: self.identity.store,
            durability: Durability::Always,
            volume_len: storage.volume_size.0,
            reserve: roles::reserve(storage.reserved_space, paths),
            index: self.index_settings(),
        }
    }
}

/// Counters that nobody reads.
pub(crate) fn metrics(place: &Place) -> Result<StoreMetrics, OfflineError> {
    let path = place.volume_path.to_string();
    Ok(StoreMetrics::new(&path, &Registry::new())?)
}

/// Bytes of the volume files of `place`.
pub(crate) fn volumes_len(place: &Place) -> Result<u64, OfflineError> {
    let files = place.volume_files().map_err(OfflineError::Volumes)?;
    Ok(files.iter().map(|(_, len)| len).sum())
}
