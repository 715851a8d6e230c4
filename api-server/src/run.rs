//! Starts and stops the API server.
//!
//! Ports first, so that one that is taken is known before anything is opened; then what blocks: the
//! catalog, the thumbnails' cache. It ends the other way round: requests under way finish, then
//! uploads past the point of no return, then the catalog is closed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use common::config;
use common::env::Shutdown;
use common::rpc;
use common::web::front::{Front, FrontSettings, Groups};
use common::web::metrics::HttpMetrics;
use common::web::operations::{Operations, Readiness};
use common::web::origin::Scheme;
use common::web::server::{self, ServerLimits};
use common::web::text;
use common::web::tls::Tls;
use jiff::tz::TimeZone;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tracing::info;

use crate::backend::catalog::{
    AnyCatalog, CatalogSettings as RocksSettings, Durability, PostgresCatalog, RocksCatalog,
};
use crate::backend::{Blobs as _, ClusterBlobs};
use crate::core::files::Reuse;
use crate::core::shares;
use crate::dialect::console::{Console, Operator};
use crate::dialect::image_host::{ImageHost, ImageHostSettings};
use crate::dialect::pan123::{Pan123, Pan123Settings};
use crate::dialect::weiyun::{self, Weiyun};
use crate::error::ApiError;
use crate::http::Routes;
use crate::http::caller::CallerRules;
use crate::http::downloads::Downloads;
use crate::http::pages::Pages;
use crate::http::web_dir::WebDir;
use crate::operator::{OperatorAccess, OperatorFile};
use crate::service::{
    Rate, RateSettings, RegistrationPolicy, Service, ServiceSettings, TokenlessPolicy,
};
use crate::settings::{AccountSettings, ApiSettings, CatalogSettings, RateLimits, WeiyunSettings};
use crate::thumbnail::{ThumbSettings, Thumbnails};

/// Bytes of an upload that a stranger may send before showing a name or a token. Without a bound,
/// strangers could have storage take as much as files may have, to be refused only then.
const UNKNOWN_SENDER_LEN_MAX: u64 = 64 * 1024 * 1024;
/// Connections of the operator's commands at the same time.
const OPERATOR_CONNECTIONS_MAX: usize = 16;

type OurService = Service<AnyCatalog, ClusterBlobs>;
type OurConsole = Console<AnyCatalog, ClusterBlobs>;
type OurImageHost = ImageHost<AnyCatalog, ClusterBlobs>;
type OurPan123 = Pan123<AnyCatalog, ClusterBlobs>;
type OurWeiyun = Weiyun<AnyCatalog, ClusterBlobs>;
type OurRoutes = Routes<ClusterBlobs, OurImageHost, OurPan123, OurWeiyun, Arc<OurConsole>>;

/// A bound API server.
#[derive(Debug)]
pub struct ApiServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    routes: Arc<OurRoutes>,
    tls: Option<Tls>,
    limits: ServerLimits,
    metrics: Arc<HttpMetrics>,
    operator: OperatorPort,
    opened: Opened,
    blobs: ClusterBlobs,
}

/// Where the operator's commands come in.
#[derive(Debug)]
struct OperatorPort {
    listener: TcpListener,
    handler: Arc<Operator<AnyCatalog, ClusterBlobs>>,
    metrics: Arc<HttpMetrics>,
    _file: OperatorFile,
}

/// What is opened from the disk, and closed in the end.
#[derive(Clone, Debug)]
struct Opened {
    catalog: AnyCatalog,
    service: OurService,
    thumbnails: Thumbnails,
}

impl ApiServer {
    /// Binds the address and opens the catalog, within a runtime. The cluster need not be there yet.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may leave a file that the next start writes anew.
    pub async fn bind(settings: ApiSettings, registry: Registry) -> Result<Self, ApiError> {
        let listener = listen(settings.listen)?;
        let local_addr = address_of(&listener, settings.listen)?;
        let own = (Ipv4Addr::LOCALHOST, 0).into();
        let operator_listener = listen(own)?;
        let operator_address = address_of(&operator_listener, own)?;
        let tls = settings.tls.map(Tls::load).transpose();
        let tls = tls.map_err(|error| ApiError::Tls(Box::new(error)))?;
        let web_dir = settings.web_dir.map(WebDir::open).transpose()?;
        let metrics = HttpMetrics::register(&registry, "api")?;
        // Nobody needs figures of a handful of commands.
        let operator_metrics = HttpMetrics::register(&Registry::new(), "operator")?;
        let blobs = ClusterBlobs::new(settings.trackers, settings.pool)?;

        let database = match &settings.catalog.place {
            config::CatalogPlace::Embedded => None,
            config::CatalogPlace::Database(url) => {
                info!(database = %url, "the catalog is in a database");
                Some(PostgresCatalog::open(url, &registry).await?)
            }
        };
        let opening = Opening {
            directory: settings.directory.clone(),
            catalog: settings.catalog,
            database,
            thumbnail_cache_size: settings.thumbnails.cache_size,
            accounts: settings.accounts,
            blobs: blobs.clone(),
            registry: registry.clone(),
        };
        let opened = spawn_blocking(|| opening.open()).await??;

        let upload_size_max = settings.accounts.upload_size_max;
        let image_host = ImageHostSettings {
            upload_size_max,
            unknown_sender_len_max: UNKNOWN_SENDER_LEN_MAX,
            time_zone: TimeZone::system(),
        };
        let image_host = ImageHost::new(opened.service.clone(), image_host);
        let pan123 = Pan123Settings {
            upload_size_max,
            password_tokens: settings.accounts.password_tokens,
        };
        let pan123 = Pan123::new(opened.service.clone(), pan123);
        let weiyun = weiyun_settings(&settings.weiyun)?;
        let weiyun = Weiyun::new(opened.service.clone(), weiyun);
        let console = Console::new(opened.service.clone(), upload_size_max);
        let console = Arc::new(console);
        let operator = Operator::new(Arc::clone(&console));
        let access = OperatorAccess {
            address: operator_address,
            token: operator.token(),
        };
        let file = access.write(&settings.directory);
        let file = file.map_err(|source| ApiError::Directory {
            directory: settings.directory,
            source,
        })?;
        let probed = (blobs.clone(), opened.service.clone());
        let operations = Operations::new(registry, move || {
            let (blobs, service) = probed.clone();
            Box::pin(async move { readiness(&blobs, &service).await })
        });
        let front = FrontSettings {
            groups: Groups::Any,
            default_group: settings.default_group,
            access: settings.access,
        };
        let scheme = if tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let public_url = settings.public_url.as_deref();
        let callers = CallerRules {
            trusted_proxies: settings.trusted_proxies,
            allowed_origins: settings.allowed_origins,
            public_url: public_url.map(|url| url.trim_end_matches('/').into()),
            scheme,
            listening_on: local_addr,
        };
        Ok(Self {
            listener,
            local_addr,
            routes: Arc::new(Routes {
                blobs: Downloads {
                    front: Front::new(blobs.clone(), front, operations),
                    blobs: blobs.clone(),
                    thumbnails: opened.thumbnails.clone(),
                },
                image_host,
                pan123,
                weiyun,
                console,
                pages: Pages::new(web_dir, scheme),
                callers,
            }),
            tls,
            limits: settings.limits,
            metrics,
            operator: OperatorPort {
                listener: operator_listener,
                handler: Arc::new(operator),
                metrics: operator_metrics,
                _file: file,
            },
            opened,
            blobs,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the signal, then finishes the requests under way and closes what was opened.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts all connections off. What was acknowledged is kept all the same.
    pub async fn serve(self, shutdown: Shutdown) {
        let Self {
            listener,
            routes,
            tls,
            limits,
            metrics,
            operator,
            opened,
            blobs,
            ..
        } = self;
        // Requests that are being finished may still begin what the service must end.
        let (stop, stopped) = Shutdown::new();
        let serving = async {
            let public = async {
                let shutdown = shutdown.clone();
                match tls {
                    None => server::serve(listener, routes, limits, metrics, shutdown).await,
                    Some(tls) => {
                        server::serve_tls(listener, tls, routes, limits, metrics, shutdown).await;
                    }
                }
            };
            tokio::join!(public, operator.serve(limits, shutdown.clone()));
            stop.trigger();
        };
        tokio::join!(serving, opened.service.run(stopped));
        opened.thumbnails.close().await;
        opened.catalog.close().await;
        blobs.close().await;
    }
}

impl OperatorPort {
    /// Serves until the signal. The file goes with the port.
    async fn serve(self, limits: ServerLimits, shutdown: Shutdown) {
        let limits = ServerLimits {
            connections_max: OPERATOR_CONNECTIONS_MAX,
            ..limits
        };
        server::serve(self.listener, self.handler, limits, self.metrics, shutdown).await;
    }
}

/// What is to be opened.
struct Opening {
    directory: PathBuf,
    catalog: CatalogSettings,
    /// The catalog, if it is not to be opened in the directory.
    database: Option<PostgresCatalog>,
    thumbnail_cache_size: u64,
    accounts: AccountSettings,
    blobs: ClusterBlobs,
    registry: Registry,
}

impl Opening {
    /// Opens it. Blocks.
    fn open(self) -> Result<Opened, ApiError> {
        let Self {
            directory,
            catalog,
            database,
            thumbnail_cache_size,
            accounts,
            blobs,
            registry,
        } = self;
        let abandoned_after = catalog.abandoned_after;
        let catalog = if let Some(database) = database {
            // The embedded one would make it.
            std::fs::create_dir_all(&directory).map_err(|source| ApiError::Directory {
                directory: directory.clone(),
                source,
            })?;
            AnyCatalog::Database(database)
        } else {
            let settings = rocks_settings(&catalog, &directory);
            AnyCatalog::Embedded(RocksCatalog::open(&settings, &registry)?)
        };
        let thumbnails = ThumbSettings {
            cache_bytes_max: thumbnail_cache_size,
            ..ThumbSettings::default()
        };
        let thumbnails = Thumbnails::new(&thumbnails, directory.join("thumbnails"), &registry)?;
        let service = Service::new(
            catalog.clone(),
            blobs,
            service_settings(&accounts, abandoned_after),
        );
        Ok(Opened {
            service: service.map_err(|error| ApiError::Passwords(error.into()))?,
            catalog,
            thumbnails,
        })
    }
}

fn rocks_settings(catalog: &CatalogSettings, directory: &Path) -> RocksSettings {
    RocksSettings {
        directory: directory.join("catalog"),
        durability: match catalog.durability {
            config::Durability::Always => Durability::Always,
            config::Durability::Interval => Durability::Interval(catalog.sync_interval),
            config::Durability::Os => Durability::Os,
        },
        cache_len: usize::try_from(catalog.cache_size).unwrap_or(usize::MAX),
        ..RocksSettings::new(directory)
    }
}

fn service_settings(accounts: &AccountSettings, abandoned_after: Duration) -> ServiceSettings {
    ServiceSettings {
        session_life: accounts.session_life,
        registration: match accounts.registration {
            config::Registration::Open => RegistrationPolicy::Open,
            config::Registration::Closed => RegistrationPolicy::Closed,
        },
        tokenless: match accounts.tokenless_writes {
            config::TokenlessWrites::Bound => TokenlessPolicy::Bound,
            config::TokenlessWrites::Compat => TokenlessPolicy::Compat,
            config::TokenlessWrites::Ticket => TokenlessPolicy::Ticket,
            config::TokenlessWrites::Strict => TokenlessPolicy::Strict,
        },
        rates: rate_settings(&accounts.rate_limits),
        quota: accounts.quota,
        reuse: match accounts.instant_upload {
            config::InstantUpload::Global => Reuse::Global,
            config::InstantUpload::User => Reuse::Own,
        },
        slice_size: accounts.slice_size,
        abandoned_after,
    }
}

fn weiyun_settings(settings: &WeiyunSettings) -> Result<weiyun::WeiyunSettings, ApiError> {
    fn parse<T: FromStr, S: FromIterator<T>>(
        key: &'static str,
        texts: &[String],
    ) -> Result<S, ApiError> {
        let parse = |text: &String| {
            text.parse().map_err(|_| ApiError::Setting {
                key,
                text: text.clone(),
            })
        };
        texts.iter().map(parse).collect()
    }
    Ok(weiyun::WeiyunSettings {
        size_max: settings.size_max,
        cross_domain: parse("api.weiyun.cross_domain", &settings.cross_domain)?,
        blocked: parse("api.weiyun.blocked_sha1", &settings.blocked_sha1)?,
        users: parse("api.weiyun.users", &settings.users)?,
    })
}

fn rate_settings(limits: &RateLimits) -> RateSettings {
    let rate = |count: Option<u32>| Rate {
        burst: count.unwrap_or(0),
        per: limits.window,
    };
    RateSettings {
        failures_per_address: rate(limits.failed_logins),
        failures_per_account: rate(limits.failed_logins_per_account),
        registrations_per_address: rate(limits.registrations),
        misses_per_user: rate(limits.digest_misses),
        tokenless_per_address: rate(limits.tokenless_writes),
        calls_per_token: rate(limits.calls),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, ApiError> {
    rpc::listen(address).map_err(|source| ApiError::Listen { address, source })
}

fn address_of(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, ApiError> {
    let found = listener.local_addr();
    found.map_err(|source| ApiError::Listen { address, source })
}

/// Whether both the cluster and the catalog answer.
async fn readiness(blobs: &ClusterBlobs, service: &OurService) -> Readiness {
    let mut reasons = match blobs.readiness().await {
        Readiness::Ready => Vec::new(),
        Readiness::NotReady(reasons) => reasons,
    };
    if let Err(error) = service.look(shares::total).await {
        reasons.push(text::chain(&error));
    }
    if reasons.is_empty() {
        Readiness::Ready
    } else {
        Readiness::NotReady(reasons)
    }
}
