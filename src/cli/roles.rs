//! From the configuration to listening roles. Each role is bound first, so that a port that is taken
//! is known before anything serves, and served by one task that `serve` owns.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;

use api_server::{
    AccountSettings, ApiError, ApiServer, ApiSettings, CatalogSettings, RateLimits,
    ThumbnailSettings, WeiyunSettings,
};
use common::client::{Address, PoolSettings};
use common::config::{self, Config, Listing, RateLimitsConfig, TrackerConfig};
use common::env::Shutdown;
use common::id::VolumePath;
use common::rpc;
use common::rpc::allowed_hosts::AllowedHosts;
use common::secret::Secrets;
use common::web::anti_leech::{Access, AntiLeech};
use common::web::metrics::HttpMetrics;
use common::web::origin::Scheme;
use common::web::server::ServerLimits;
use common::web::tls::TlsFiles;
use common::wire::AddressWidth;
use common::wire::tracker::{ClientDialect, ListingLayout};
use prometheus::Registry;
use storage_node::replica::{CopySettings, Portions, Scarcity};
use storage_node::store::{Durability, MaintenanceSettings, Reserve};
use storage_node::{NodeError, StorageNode, StorePathSettings};
use tracing::info;
use tracker::cluster::{Policy, ReservedSpace, StoreLookup, StorePath, StoreServer};
use tracker::{ListenerSettings, Tracker, TrackerError};

use super::operations;
use super::ready::{self, Addresses};
use super::secret::{self, Missing, SecretFileError};

/// Which roles a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    /// Tracker, storage and API.
    All,
    Tracker,
    Storage,
    Api,
}

/// A role that listens, and what serves it until the signal.
pub(crate) struct Bound {
    /// For messages.
    pub(crate) name: &'static str,
    /// Ends after the signal and the drain.
    pub(crate) serve: Pin<Box<dyn Future<Output = Result<(), RoleError>> + Send>>,
}

/// Why a role could not start or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleError {
    #[error("the tracker failed")]
    Tracker(#[from] TrackerError),
    #[error("the API server failed")]
    Api(#[from] ApiError),
    #[error("no tracker is configured; write {key} = [\"tracker1:22122\"]")]
    NoTracker { key: &'static str },
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the storage node failed")]
    Storage(#[from] NodeError),
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
}

impl RoleError {
    /// Whether the configuration must change before another start can help.
    pub(crate) fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::NoTracker { .. }
                | Self::Secret(_)
                | Self::Api(ApiError::Tls(_) | ApiError::WebDir { .. })
        ) || matches!(self, Self::Api(ApiError::Database(error)) if error.is_configuration())
    }
}

/// Binds the roles in the order in which they need each other. They stop the other way round: the
/// API server's requests may need storage and tracker until the last of them has ended.
pub(crate) async fn bind(
    roles: Roles,
    config: &Config,
    registry: &Registry,
    shutdown: &Shutdown,
) -> Result<(Addresses, Vec<Bound>), RoleError> {
    let mut addresses = Addresses::default();
    let mut bound = Vec::new();
    let (behind_api, api_ended) = Shutdown::new();
    let shutdown_of_others = match roles {
        Roles::All => &api_ended,
        Roles::Tracker | Roles::Storage | Roles::Api => shutdown,
    };
    let secrets = match roles {
        Roles::All => secret::secrets(config, Missing::Make)?,
        Roles::Tracker | Roles::Storage => secret::secrets(config, Missing::Refuse)?,
        // It is a client of the others.
        Roles::Api => Secrets::default(),
    };
    if matches!(roles, Roles::All | Roles::Tracker) {
        let allowed = AllowedHosts::resolve(&config.tracker.allow_hosts).await;
        let settings = tracker_settings(config, &secrets, allowed, registry);
        let (address, role) = bind_tracker(settings, shutdown_of_others)?;
        addresses.tracker = Some(address);
        bound.push(role);
        // In one process with the others, their ports have health and metrics.
        if let Some(address) = config.tracker.http_listen {
            bound.push(bind_tracker_http(
                address,
                config,
                registry,
                shutdown_of_others,
            )?);
        }
    }
    if matches!(roles, Roles::All | Roles::Storage) {
        let trackers = trackers(
            &config.storage.trackers,
            addresses.tracker,
            "storage.trackers",
        )?;
        let allowed = AllowedHosts::resolve(&config.storage.allow_hosts).await;
        let settings = storage_settings(config, roles, &trackers, secrets, allowed);
        let node = StorageNode::bind(settings, registry).await?;
        addresses.storage = Some(ready::reachable(node.local_addr()));
        addresses.storage_http = Some(ready::reachable(node.http_addr()));
        let shutdown = shutdown_of_others.clone();
        let serve = Box::pin(async move { Ok(node.serve(shutdown).await?) });
        bound.push(Bound {
            name: "storage node",
            serve,
        });
    }
    if matches!(roles, Roles::All | Roles::Api) {
        let trackers = trackers(&config.api.trackers, addresses.tracker, "api.trackers")?;
        let (address, role) = bind_api(config, trackers, registry, shutdown).await?;
        addresses.api = Some(address);
        let Bound { name, serve } = role;
        let serve = Box::pin(async move {
            let ended = serve.await;
            behind_api.trigger();
            ended
        });
        bound.push(Bound { name, serve });
    }
    Ok((addresses, bound))
}

fn bind_tracker(
    settings: tracker::Settings,
    shutdown: &Shutdown,
) -> Result<(SocketAddr, Bound), RoleError> {
    let tracker = Tracker::bind(settings)?;
    let address = ready::reachable(tracker.local_addr());
    let shutdown = shutdown.clone();
    let serve = Box::pin(async move { Ok(tracker.serve(shutdown).await?) });
    let name = "tracker";
    Ok((address, Bound { name, serve }))
}

/// What `[tracker]` and the settings of all roles mean to the tracker.
fn tracker_settings(
    config: &Config,
    secrets: &Secrets,
    allowed_hosts: AllowedHosts,
    registry: &Registry,
) -> tracker::Settings {
    let own = &config.tracker;
    let defaults = tracker::Settings::default();
    let first = ListenerSettings {
        address: own.listen,
        dialect: ClientDialect::default(),
    };
    let extra = own.extra_listeners.iter().map(|extra| ListenerSettings {
        address: extra.listen,
        dialect: ClientDialect {
            address: extra.address_width,
            listing: match extra.listing {
                Listing::Current => ListingLayout::Current,
                Listing::Legacy => ListingLayout::V5,
                Listing::LegacyV4 => ListingLayout::V4,
            },
        },
    });
    tracker::Settings {
        listeners: std::iter::once(first).chain(extra).collect(),
        policy: policy(own),
        state_directory: Some(config.data_dir.join("tracker")),
        peers: own.peers.iter().map(ToString::to_string).collect(),
        secrets: secrets.clone(),
        encryption: secret::encryption(config),
        allowed_hosts,
        // Silence shall be noticed soon after it is too long.
        tick: defaults.tick.min(own.check_active / 10),
        network_timeout: own.network_timeout,
        connections_max: count(own.connections_max),
        drain: config.drain,
        registry: registry.clone(),
        ..defaults
    }
}

fn policy(own: &TrackerConfig) -> Policy {
    Policy {
        store_lookup: match (own.store_lookup, own.store_group) {
            (config::StoreLookup::RoundRobin, _) => StoreLookup::RoundRobin,
            (config::StoreLookup::Group, Some(group)) => StoreLookup::Group(group),
            // A rule of the configuration refuses "group" without a group.
            (config::StoreLookup::Group, None) | (config::StoreLookup::LoadBalance, _) => {
                StoreLookup::LoadBalance
            }
        },
        store_server: match own.store_server {
            config::StoreServer::RoundRobin => StoreServer::RoundRobin,
            config::StoreServer::First => StoreServer::First,
            config::StoreServer::Priority => StoreServer::Priority,
        },
        store_path: match own.store_path {
            config::StorePathChoice::RoundRobin => StorePath::RoundRobin,
            config::StorePathChoice::LoadBalance => StorePath::LoadBalance,
        },
        reserved: match own.reserved_space {
            config::ReservedSpace::Bytes(bytes) => ReservedSpace::Bytes(bytes),
            config::ReservedSpace::Percent(percent) => {
                ReservedSpace::HundredthsOfPercent(u16::from(percent) * 100)
            }
        },
        silence_max: own.check_active,
    }
}

/// What `[storage]` and the settings of all roles mean to the storage node.
fn storage_settings(
    config: &Config,
    roles: Roles,
    trackers: &[Address],
    secrets: Secrets,
    allowed_hosts: AllowedHosts,
) -> storage_node::Settings {
    let own = &config.storage;
    let store_paths = store_paths(config);
    let durability = match own.durability {
        config::Durability::Always => Durability::Always,
        config::Durability::Interval => Durability::Interval,
        config::Durability::Os => Durability::Os,
    };
    let compaction = &own.compaction;
    storage_node::Settings {
        listen: own.listen,
        http_listen: own.http_listen,
        address_width: AddressWidth::default(),
        group: own.group,
        node_number: own.node_number,
        advertise: advertised(config, roles),
        state_directory: storage_directory(config),
        reserve: reserve(own.reserved_space, store_paths.len()),
        store_paths,
        trackers: trackers.iter().map(ToString::to_string).collect(),
        secrets,
        encryption: secret::encryption(config),
        allowed_hosts,
        heartbeat: own.heartbeat,
        upload_priority: i32::try_from(own.upload_priority).unwrap_or(i32::MAX),
        copies: CopySettings {
            ack_copies: count(own.replication.ack_copies),
            scarcity: match own.replication.when_too_few {
                config::WhenTooFew::Degrade => Scarcity::Degrade,
                config::WhenTooFew::Refuse => Scarcity::Refuse,
            },
            fetch_rate: Some(own.replication.rebuild_rate.0).filter(|rate| 0 < *rate),
            portions: Portions::default(),
        },
        compare_interval: own.replication.compare_interval,
        durability,
        volume_len: own.volume_size.0,
        index_cache_len: usize::try_from(own.index_cache_size.0).unwrap_or(usize::MAX),
        maintenance: MaintenanceSettings {
            durability,
            sync_interval: own.sync_interval,
            compaction_interval: compaction.interval,
            garbage_percent: compaction.enabled.then_some(compaction.garbage_percent),
            compaction_rate: Some(compaction.rate.0).filter(|rate| 0 < *rate),
            scrub_interval: own.scrub.enabled.then_some(own.scrub.interval),
            scrub_rate: own.scrub.rate.0,
        },
        connections_max: count(own.connections_max),
        network_timeout: own.network_timeout,
        access: access(config),
        http_limits: http_limits(config, own.http_connections_max),
        drain: config.drain,
    }
}

/// Where a storage node keeps its identity, and its blobs unless store paths are configured.
pub(crate) fn storage_directory(config: &Config) -> PathBuf {
    config.data_dir.join("storage")
}

/// The store paths with what they hold.
pub(crate) fn store_paths(config: &Config) -> Vec<StorePathSettings> {
    let configured: Vec<StorePathSettings> = config
        .storage
        .store_path_volumes()
        .map(|(directory, volume_paths)| StorePathSettings {
            directory: directory.to_owned(),
            volume_paths,
        })
        .collect();
    if configured.is_empty() {
        let directory = storage_directory(config);
        return vec![StorePathSettings {
            directory,
            volume_paths: vec![VolumePath(0)],
        }];
    }
    configured
}

/// The reserve of one of `count` store paths.
pub(crate) fn reserve(reserved: config::ReservedSpace, count: usize) -> Reserve {
    match reserved {
        config::ReservedSpace::Bytes(bytes) => Reserve::Bytes(bytes / count.max(1) as u64),
        config::ReservedSpace::Percent(percent) => Reserve::BasisPoints(u32::from(percent) * 100),
    }
}

fn bind_tracker_http(
    address: SocketAddr,
    config: &Config,
    registry: &Registry,
    shutdown: &Shutdown,
) -> Result<Bound, RoleError> {
    let listener = rpc::listen(address).map_err(|source| RoleError::Listen { address, source })?;
    info!(address = %listener.local_addr().unwrap_or(address), "health and metrics of the tracker");
    let metrics = HttpMetrics::register(registry, "tracker")?;
    let limits = http_limits(config, config.tracker.connections_max);
    let (registry, shutdown) = (registry.clone(), shutdown.clone());
    let serve = Box::pin(async move {
        operations::serve_tracker(listener, registry, metrics, limits, shutdown).await;
        Ok(())
    });
    let name = "tracker's HTTP";
    Ok(Bound { name, serve })
}

async fn bind_api(
    config: &Config,
    trackers: Vec<Address>,
    registry: &Registry,
    shutdown: &Shutdown,
) -> Result<(SocketAddr, Bound), RoleError> {
    let settings = api_settings(config, trackers);
    let server = ApiServer::bind(settings, registry.clone()).await?;
    let address = ready::reachable(server.local_addr());
    let shutdown = shutdown.clone();
    let serve = Box::pin(async move {
        Box::pin(server.serve(shutdown)).await;
        Ok(())
    });
    let name = "API server";
    Ok((address, Bound { name, serve }))
}

/// What `[api]` and the settings of all roles mean to the API server.
fn api_settings(config: &Config, trackers: Vec<Address>) -> ApiSettings {
    let api = &config.api;
    let files = api.tls_certificate.clone().zip(api.tls_key.clone());
    ApiSettings {
        listen: api.listen,
        tls: files.map(|(certificate, key)| TlsFiles { certificate, key }),
        public_url: api.public_url.clone(),
        trusted_proxies: api.trusted_proxies.clone(),
        allowed_origins: api.allowed_origins.clone(),
        web_dir: api.web_dir.clone(),
        directory: api_directory(config),
        trackers,
        default_group: None,
        access: access(config),
        limits: http_limits(config, api.connections_max),
        pool: PoolSettings {
            connections_max: count(api.pool_size),
            network_timeout: api.network_timeout,
            ..PoolSettings::default()
        },
        accounts: AccountSettings {
            registration: api.registration,
            tokenless_writes: api.tokenless_writes,
            password_tokens: api.password_tokens,
            session_life: api.session_life,
            upload_size_max: api.upload_size_max.0,
            quota: Some(api.quota.0).filter(|quota| *quota != 0),
            instant_upload: api.instant_upload,
            slice_size: api.slice_size.0,
            rate_limits: rate_limits(&api.rate_limits),
        },
        weiyun: WeiyunSettings {
            size_max: api.weiyun.size_max.0,
            cross_domain: api.weiyun.cross_domain.clone(),
            blocked_sha1: api.weiyun.blocked_sha1.clone(),
            users: api.weiyun.users.clone(),
        },
        catalog: CatalogSettings {
            place: api.catalog.clone(),
            abandoned_after: api.abandoned_after,
            durability: api.durability,
            sync_interval: api.sync_interval,
            cache_size: api.catalog_cache_size.0,
        },
        thumbnails: ThumbnailSettings {
            cache_size: api.thumbnail_cache_size.0,
        },
    }
}

/// What URLs of the API server begin with on its own port.
pub(crate) fn api_scheme(config: &Config) -> Scheme {
    match config.api.tls_certificate {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    }
}

/// Where the API server keeps what it knows.
pub(crate) fn api_directory(config: &Config) -> PathBuf {
    config.data_dir.join("api")
}

fn rate_limits(limits: &RateLimitsConfig) -> RateLimits {
    let limit = |count: u32| Some(count).filter(|count| *count != 0);
    RateLimits {
        window: limits.window,
        registrations: limit(limits.registrations),
        failed_logins: limit(limits.failed_logins),
        failed_logins_per_account: limit(limits.failed_logins_per_account),
        digest_misses: limit(limits.digest_misses),
        tokenless_writes: limit(limits.tokenless_writes),
        calls: limit(limits.calls),
    }
}

/// Who may download, on every HTTP port.
fn access(config: &Config) -> Access {
    let anti_leech = &config.storage.anti_leech;
    if !anti_leech.enabled {
        return Access::Public;
    }
    Access::Token(AntiLeech {
        keys: anti_leech.keys.clone(),
        ttl: anti_leech.ttl,
    })
}

/// Limits of an HTTP port.
fn http_limits(config: &Config, connections_max: u32) -> ServerLimits {
    ServerLimits {
        connections_max: count(connections_max),
        drain: config.drain,
        ..ServerLimits::default()
    }
}

/// The configured trackers and the one of this process.
fn trackers(
    configured: &[Address],
    own: Option<SocketAddr>,
    key: &'static str,
) -> Result<Vec<Address>, RoleError> {
    let mut trackers: Vec<Address> = own.map(Address::from).into_iter().collect();
    for address in configured {
        if !trackers.contains(address) {
            trackers.push(address.clone());
        }
    }
    if trackers.is_empty() {
        return Err(RoleError::NoTracker { key });
    }
    Ok(trackers)
}

/// A count of the configuration, whose bounds fit every machine that Hayloft runs on.
fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The address that trackers give to clients: the configured one, else the one listened on, else
/// what the trackers see; where the tracker is this process it sees loopback, so there it is the
/// address of the default route.
fn advertised(config: &Config, roles: Roles) -> Option<IpAddr> {
    let storage = &config.storage;
    if storage.advertise_address.is_some() {
        return storage.advertise_address;
    }
    if !storage.listen.ip().is_unspecified() {
        return Some(storage.listen.ip());
    }
    match roles {
        Roles::All => ready::outward_address(),
        Roles::Tracker | Roles::Storage | Roles::Api => None,
    }
}

#[cfg(test)]
mod tests {
    use common::config::Sources;

    use super::*;

    fn config(text: &str) -> Config {
        Sources::new().file("test", text).load().unwrap().config
    }

    #[test]
    fn the_api_server_asks_its_own_tracker_first_and_needs_one() {
        let own: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let other: Address = "other:22122".parse().unwrap();
        let found = trackers(&[other.clone(), own.into()], Some(own), "api.trackers").unwrap();
        assert_eq!(found, [own.into(), other]);
        let error = trackers(&[], None, "api.trackers").unwrap_err();
        assert!(error.is_configuration());
        assert!(
            error.to_string().contains("write api.trackers ="),
            "{error}"
        );
    }

    #[test]
    fn settings_of_the_tracker_come_from_the_configuration() {
        let config = config(
            "data_dir = \"/d\"\n[tracker]\nlisten = \":1\"\ncheck_active = \"1200ms\"\npeers = [\"t2:22122\"]\nstore_lookup = \"group\"\nstore_group = \"g\"\nstore_server = \"first\"\nreserved_space = \"10%\"\nextra_listeners = [{ listen = \":2\", address_width = 46, listing = \"legacy\" }]\n[storage]\nheartbeat = \"300ms\"",
        );
        let (secrets, everybody) = (Secrets::default(), AllowedHosts::default());
        let settings = tracker_settings(&config, &secrets, everybody, &Registry::new());
        assert_eq!(settings.secrets, secrets);
        let ports: Vec<u16> = settings
            .listeners
            .iter()
            .map(|listener| listener.address.port())
            .collect();
        assert_eq!(ports, [1, 2]);
        assert_eq!(settings.listeners[1].dialect.listing, ListingLayout::V5);
        assert_eq!(settings.state_directory, Some("/d/tracker".into()));
        assert_eq!(settings.peers, ["t2:22122"]);
        assert_eq!(settings.tick.as_millis(), 120);
        assert_eq!(
            settings.policy,
            Policy {
                store_lookup: StoreLookup::Group("g".parse().unwrap()),
                store_server: StoreServer::First,
                store_path: StorePath::RoundRobin,
                reserved: ReservedSpace::HundredthsOfPercent(1000),
                silence_max: config.tracker.check_active,
            }
        );
    }

    #[test]
    fn a_dead_or_paused_node_is_out_of_rotation_in_less_than_three_seconds_by_default() {
        let config = config("");
        let everybody = AllowedHosts::default();
        let secrets = Secrets::default();
        let settings = tracker_settings(&config, &secrets, everybody, &Registry::new());
        assert!((settings.tick + settings.policy.silence_max).as_millis() < 3000);
        // One late heartbeat is no death.
        assert!(config.storage.heartbeat * 2 < settings.policy.silence_max);
    }

    #[test]
    fn settings_of_the_api_server_come_from_the_configuration() {
        let config = config(
            "drain = \"3s\"\n[api]\nlisten = \"127.0.0.1:0\"\nconnections_max = 7\npool_size = 5\nnetwork_timeout = \"2s\"\n[storage.anti_leech]\nenabled = true\nkeys = [\"k\"]",
        );
        let settings = api_settings(&config, Vec::new());
        assert_eq!(settings.listen, config.api.listen);
        assert_eq!(settings.limits.connections_max, 7);
        assert_eq!(settings.limits.drain.as_secs(), 3);
        assert_eq!(settings.pool.connections_max, 5);
        assert_eq!(settings.pool.network_timeout.as_secs(), 2);
        assert!(matches!(settings.access, Access::Token(rule) if rule.keys.len() == 1));
    }

    #[test]
    fn the_api_server_is_told_of_tls_accounts_and_where_it_keeps_things() {
        let config = config(
            "data_dir = \"/d\"\n[api]\ntls_certificate = \"/c\"\ntls_key = \"/k\"\nsession_life = \"1h\"\nupload_size_max = \"30MiB\"\n[api.rate_limits]\nfailed_logins = 0\nregistrations = 5",
        );
        let settings = api_settings(&config, Vec::new());
        let tls = settings.tls.unwrap();
        assert_eq!((tls.certificate, tls.key), ("/c".into(), "/k".into()));
        assert_eq!(settings.accounts.session_life.as_secs(), 3_600);
        assert_eq!(settings.accounts.upload_size_max, 30 << 20);
        assert_eq!(settings.accounts.rate_limits.failed_logins, None);
        assert_eq!(settings.accounts.rate_limits.registrations, Some(5));
        assert_eq!(settings.directory, PathBuf::from("/d/api"));
        assert_eq!(settings.thumbnails.cache_size, 1 << 30);
        // What a server has that is told nothing is what the configuration says when it is empty.
        let (told, own) = (
            api_settings(&Config::default(), Vec::new()),
            ApiSettings::default(),
        );
        assert_eq!(
            format!("{:?}", told.accounts),
            format!("{:?}", own.accounts)
        );
        assert_eq!(told.catalog.cache_size, own.catalog.cache_size);
    }

    #[test]
    fn the_storage_advertises_what_it_was_told_or_listens_on() {
        let told = config("[storage]\nadvertise_address = \"192.0.2.7\"");
        assert_eq!(
            advertised(&told, Roles::All),
            Some("192.0.2.7".parse().unwrap())
        );
        let bound = config("[storage]\nlisten = \"127.0.0.1:0\"");
        assert_eq!(
            advertised(&bound, Roles::All),
            Some("127.0.0.1".parse().unwrap())
        );
        assert_eq!(advertised(&Config::default(), Roles::Storage), None);
    }
}
