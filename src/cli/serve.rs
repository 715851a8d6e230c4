//! `hayloft serve`, `tracker`, `storage` and `api`: the life of a server process.
//!
//! Load the configuration, lock the data directory, bind every role, serve until SIGTERM or Ctrl-C,
//! drain, end with 0. A role that ends by itself ends the process with an error.

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use common::config::{Config, Sources};
use common::env::{Shutdown, ShutdownTrigger};
use common::telemetry::{self, TelemetryError};
use prometheus::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::config::{self, ConfigError};
use super::data_dir::{DataDirError, DataDirLock};
use super::ready::{self, Addresses};
use super::roles::{self, Bound, RoleError, Roles};
use super::{CliError, EXIT_USAGE};

/// Every flag can also be given by environment (HAYLOFT_TRACKER_LISTEN) or in the file.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Where FastDFS clients find the tracker [default: 0.0.0.0:22122]
    #[arg(long, value_name = "IP:PORT")]
    tracker_listen: Option<String>,
    /// Where FastDFS clients find the storage [default: 0.0.0.0:23000]
    #[arg(long, value_name = "IP:PORT")]
    storage_listen: Option<String>,
    /// Where download links point to [default: 0.0.0.0:8888]
    #[arg(long, value_name = "IP:PORT")]
    storage_http_listen: Option<String>,
    /// Where the API server listens [default: 0.0.0.0:8080]
    #[arg(long, value_name = "IP:PORT")]
    api_listen: Option<String>,
    /// Where accounts and files are kept: embedded or a database's URL; a password is better given by
    /// HAYLOFT_API_CATALOG or in the file [default: embedded]
    #[arg(long, value_name = "PLACE")]
    api_catalog: Option<String>,
    /// When an upload is acknowledged: always (on the disk), interval or os [default: always]
    #[arg(long, value_name = "MODE")]
    durability: Option<String>,
}

/// Flags of a role that runs alone.
#[derive(Debug, clap::Args)]
pub(crate) struct RoleArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Where the role listens; wins over the file
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Where it serves HTTP besides; wins over the file (tracker and storage)
    #[arg(long, value_name = "IP:PORT")]
    http_listen: Option<String>,
}

/// Flags of an API server that runs alone.
#[derive(Debug, clap::Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    role: RoleArgs,
    /// Where accounts and files are kept: embedded, or the URL of a database that servers share; a
    /// password is better given by HAYLOFT_API_CATALOG or in the file [default: embedded]
    #[arg(long, value_name = "PLACE")]
    catalog: Option<String>,
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    /// The configuration, TOML; see `hayloft config print-default`
    #[arg(long, value_name = "FILE", env = "HAYLOFT_CONFIG")]
    config: Option<PathBuf>,
    /// Where everything is kept [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The file that holds the cluster secret [default: cluster.secret in the data directory]
    #[arg(long, value_name = "FILE")]
    cluster_secret_file: Option<String>,
    /// Receives one JSON object with all addresses once all roles answer
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// Why a server process did not start, or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("cannot start the threads")]
    Runtime(#[source] io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error("cannot write the ready file {}", path.display())]
    ReadyFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{name} failed")]
    Role {
        name: &'static str,
        #[source]
        source: RoleError,
    },
    #[error("cannot start")]
    Bind(#[source] RoleError),
    #[error("a task of the process failed")]
    Task(#[from] tokio::task::JoinError),
    #[error("stopped at the second signal, before every request was finished")]
    Impatient,
}

impl CliError for ServeError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Telemetry(TelemetryError::Level { .. }) => EXIT_USAGE,
            Self::Bind(error) if error.is_configuration() => EXIT_USAGE,
            Self::Telemetry(_)
            | Self::DataDir(_)
            | Self::Runtime(_)
            | Self::Signals(_)
            | Self::ReadyFile { .. }
            | Self::Role { .. }
            | Self::Bind(_)
            | Self::Task(_)
            | Self::Impatient => 1,
        }
    }
}

pub(crate) fn serve(args: ServeArgs) -> Result<(), ServeError> {
    let sources = Sources::new()
        .flag("--tracker-listen", "tracker.listen", args.tracker_listen)
        .flag("--storage-listen", "storage.listen", args.storage_listen)
        .flag(
            "--storage-http-listen",
            "storage.http_listen",
            args.storage_http_listen,
        )
        .flag("--api-listen", "api.listen", args.api_listen)
        .flag("--api-catalog", "api.catalog", args.api_catalog)
        .flag("--durability", "storage.durability", args.durability);
    run(Roles::All, args.common, sources)
}

pub(crate) fn tracker(args: RoleArgs) -> Result<(), ServeError> {
    let sources = Sources::new()
        .flag("--listen", "tracker.listen", args.listen)
        .flag("--http-listen", "tracker.http_listen", args.http_listen);
    run(Roles::Tracker, args.common, sources)
}

pub(crate) fn storage(args: RoleArgs) -> Result<(), ServeError> {
    let sources = Sources::new()
        .flag("--listen", "storage.listen", args.listen)
        .flag("--http-listen", "storage.http_listen", args.http_listen);
    run(Roles::Storage, args.common, sources)
}

pub(crate) fn api(args: ApiArgs) -> Result<(), ServeError> {
    let ApiArgs { role, catalog } = args;
    let listen = role.listen.or(role.http_listen);
    let sources = Sources::new().flag("--listen", "api.listen", listen).flag(
        "--catalog",
        "api.catalog",
        catalog,
    );
    run(Roles::Api, role.common, sources)
}

fn run(roles: Roles, args: CommonArgs, sources: Sources) -> Result<(), ServeError> {
    let sources = sources.flag("--data-dir", "data_dir", args.data_dir).flag(
        "--cluster-secret-file",
        "cluster.secret_file",
        args.cluster_secret_file,
    );
    let loaded = config::load(args.config.as_deref(), sources)?;
    let level = std::env::var(telemetry::LEVEL_VARIABLE).ok();
    telemetry::init(&loaded.config.log, level.as_deref())?;
    for suspect in config::suspects(&loaded) {
        warn!("{suspect}");
    }
    let config = loaded.config;
    // Held until the process ends.
    let _lock = DataDirLock::take(&config.data_dir)?;
    if let Some(path) = &args.ready_file {
        forget_ready_file(path)?;
    }
    raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads(&config))
        .thread_name("hayloft")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    runtime.block_on(live(roles, &config, args.ready_file.as_deref()))
}

async fn live(roles: Roles, config: &Config, ready_file: Option<&Path>) -> Result<(), ServeError> {
    // Before anything listens: a signal during the start must not be lost.
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let (trigger, shutdown) = Shutdown::new();
    let registry = Registry::new();
    telemetry::register_process_metrics(&registry, env!("CARGO_PKG_VERSION"))?;
    let (addresses, bound) = roles::bind(roles, config, &registry, &shutdown)
        .await
        .map_err(ServeError::Bind)?;
    let mut tasks = spawn(bound);

    let outcome = tokio::select! {
        name = signals.next() => {
            info!(signal = name, drain = ?config.drain, "stopping; requests under way may finish");
            Ok(())
        }
        ended = first_end(&mut tasks) => ended,
        Err(error) = announce(roles, config, addresses, ready_file) => Err(error),
    };
    let drained = drain(&trigger, &mut tasks, &mut signals).await;
    if let Some(path) = ready_file {
        // Whoever reads it after this would find nobody; it may never have been written.
        let _ = std::fs::remove_file(path);
    }
    outcome.and(drained)?;
    info!("stopped");
    Ok(())
}

fn spawn(bound: Vec<Bound>) -> JoinSet<Result<(), ServeError>> {
    let mut tasks = JoinSet::new();
    for Bound { name, serve } in bound {
        tasks.spawn(async move {
            serve
                .await
                .map_err(|source| ServeError::Role { name, source })
        });
    }
    tasks
}

/// The end of the first role; without a signal it means that something is wrong.
async fn first_end(tasks: &mut JoinSet<Result<(), ServeError>>) -> Result<(), ServeError> {
    match tasks.join_next().await {
        None => Ok(()),
        Some(ended) => ended?,
    }
}

/// Tells scripts and people that all roles answer; then waits for ever.
async fn announce(
    roles: Roles,
    config: &Config,
    addresses: Addresses,
    ready_file: Option<&Path>,
) -> Result<std::convert::Infallible, ServeError> {
    ready::wait(addresses).await;
    if let Some(path) = ready_file {
        ready::write_file(path, &addresses).map_err(|source| ServeError::ReadyFile {
            path: path.to_owned(),
            source,
        })?;
    }
    info!(?addresses, "ready");
    if roles == Roles::All && config.log.format == common::config::LogFormat::Text {
        let (scheme, host) = (roles::api_scheme(config), shown_host(config));
        let text = ready::welcome(&addresses, scheme, &config.data_dir, host);
        // A closed terminal is no reason to stop serving.
        let _ = io::stderr().write_all(text.as_bytes());
    }
    std::future::pending().await
}

/// The host that other machines should use, as far as it can be known.
fn shown_host(config: &Config) -> IpAddr {
    let listening = config.tracker.listen;
    if listening.ip().is_unspecified() {
        ready::outward_address().unwrap_or_else(|| ready::reachable(listening).ip())
    } else {
        listening.ip()
    }
}

/// Gives the signal and waits for every role; a second signal ends the wait.
async fn drain(
    trigger: &ShutdownTrigger,
    tasks: &mut JoinSet<Result<(), ServeError>>,
    signals: &mut Signals,
) -> Result<(), ServeError> {
    trigger.trigger();
    let all = async {
        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            outcome = outcome.and(ended.map_err(ServeError::from).flatten());
        }
        outcome
    };
    tokio::select! {
        outcome = all => outcome,
        _ = signals.next() => Err(ServeError::Impatient),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// A file of an earlier run would tell a script that nobody answers yet.
fn forget_ready_file(path: &Path) -> Result<(), ServeError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ServeError::ReadyFile {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn worker_threads(config: &Config) -> usize {
    match usize::try_from(config.worker_threads) {
        Ok(count @ 1..) => count,
        _ => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    }
}

/// Each connection and volume is an open file, and many systems allow 1024 unless asked.
pub(super) fn raise_open_files_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files stays; see ulimit -n");
    }
}
