//! What the API server is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use common::client::{Address, PoolSettings, TRACKER_PORT};
use common::config::{CatalogPlace, Durability, InstantUpload, Registration, TokenlessWrites};
use common::id::GroupName;
use common::web::anti_leech::Access;
use common::web::network::Network;
use common::web::origin::Origin;
use common::web::server::ServerLimits;
use common::web::tls::TlsFiles;

/// What the API server is told.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate of a port that speaks HTTPS.
    pub tls: Option<TlsFiles>,
    /// What links begin with; `None` for what the client asked for.
    pub public_url: Option<String>,
    /// Proxies whose word about the client counts.
    pub trusted_proxies: Vec<Network>,
    /// Origins besides our own whose pages may use the API.
    pub allowed_origins: Vec<Origin>,
    /// A front end to serve in place of the console.
    pub web_dir: Option<PathBuf>,
    /// Everything that the server keeps; its own.
    pub directory: PathBuf,
    /// The cluster's trackers, at least one.
    pub trackers: Vec<Address>,
    /// The group of URLs without one, `/M00/…`.
    pub default_group: Option<GroupName>,
    /// Who may download.
    pub access: Access,
    /// Connections from clients and their timeouts.
    pub limits: ServerLimits,
    /// Connections to trackers and storage nodes.
    pub pool: PoolSettings,
    /// Accounts, sessions and what may be written.
    pub accounts: AccountSettings,
    /// What is special about the upload API of Weiyun.
    pub weiyun: WeiyunSettings,
    /// How accounts, files and shares are kept.
    pub catalog: CatalogSettings,
    /// How thumbnails are kept.
    pub thumbnails: ThumbnailSettings,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            tls: None,
            public_url: None,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            web_dir: None,
            directory: PathBuf::from("data/api"),
            trackers: vec![Address::new("127.0.0.1", TRACKER_PORT)],
            default_group: None,
            access: Access::Public,
            limits: ServerLimits::default(),
            pool: PoolSettings::default(),
            accounts: AccountSettings::default(),
            weiyun: WeiyunSettings::default(),
            catalog: CatalogSettings::default(),
            thumbnails: ThumbnailSettings::default(),
        }
    }
}

/// Accounts, sessions and what may be written.
#[derive(Clone, Copy, Debug)]
pub struct AccountSettings {
    /// Who may open an account.
    pub registration: Registration,
    /// What becomes of writes without a token.
    pub tokenless_writes: TokenlessWrites,
    /// Whether name and password get an access token as the credentials of an application do.
    pub password_tokens: bool,
    /// Time from a login until its token ends.
    pub session_life: Duration,
    /// Bytes of the largest upload.
    pub upload_size_max: u64,
    /// Bytes that a new account may use, if that is limited.
    pub quota: Option<u64>,
    /// Whose content may be had by naming a digest of it.
    pub instant_upload: InstantUpload,
    /// Bytes of the slices of big uploads: a power of two.
    pub slice_size: u64,
    /// How often something may be tried.
    pub rate_limits: RateLimits,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self {
            registration: Registration::Open,
            tokenless_writes: TokenlessWrites::Bound,
            password_tokens: true,
            session_life: Duration::from_hours(24),
            upload_size_max: 100 << 30,
            quota: None,
            instant_upload: InstantUpload::Global,
            slice_size: 16 << 20,
            rate_limits: RateLimits::default(),
        }
    }
}

/// How often something may be tried within a window; `None` for as often as one likes.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// The time that all of these count in.
    pub window: Duration,
    /// New accounts per client address.
    pub registrations: Option<u32>,
    /// Logins with a wrong password per client address.
    pub failed_logins: Option<u32>,
    /// Logins with a wrong password per account.
    pub failed_logins_per_account: Option<u32>,
    /// Questions per user after contents that are not here.
    pub digest_misses: Option<u32>,
    /// Accepted writes without a token per client address.
    pub tokenless_writes: Option<u32>,
    /// Calls of one kind with one access token.
    pub calls: Option<u32>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(10),
            registrations: Some(1_000),
            failed_logins: Some(300),
            failed_logins_per_account: Some(30),
            digest_misses: Some(100_000),
            tokenless_writes: Some(100_000),
            calls: None,
        }
    }
}

/// What is special about the upload API of Weiyun.
#[derive(Clone, Debug)]
pub struct WeiyunSettings {
    /// Bytes that a file may have.
    pub size_max: u64,
    /// Domains whose Flash may use the API.
    pub cross_domain: Vec<String>,
    /// SHA-1, in hexadecimal digits, of files that nobody may upload by it.
    pub blocked_sha1: Vec<String>,
    /// Users who may use it; all, if there are none.
    pub users: Vec<String>,
}

impl Default for WeiyunSettings {
    fn default() -> Self {
        Self {
            size_max: 10 << 30,
            cross_domain: vec!["*".to_owned()],
            blocked_sha1: Vec::new(),
            users: Vec::new(),
        }
    }
}

/// How accounts, files and shares are kept. All but the first two are about the embedded catalog.
#[derive(Clone, Debug)]
pub struct CatalogSettings {
    /// Where they are kept.
    pub place: CatalogPlace,
    /// Time after which another server's announcement of a blob, in a catalog that several share, is
    /// that of a dead one.
    pub abandoned_after: Duration,
    /// When a change is acknowledged.
    pub durability: Durability,
    /// Time between two syncs where changes do not wait for one.
    pub sync_interval: Duration,
    /// Bytes of memory for what was read.
    pub cache_size: u64,
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self {
            place: CatalogPlace::Embedded,
            abandoned_after: Duration::from_mins(10),
            durability: Durability::Always,
            sync_interval: Duration::from_secs(1),
            cache_size: 32 << 20,
        }
    }
}

/// How thumbnails are kept.
#[derive(Clone, Debug)]
pub struct ThumbnailSettings {
    /// Bytes on the disk.
    pub cache_size: u64,
}

impl Default for ThumbnailSettings {
    fn default() -> Self {
        Self {
            cache_size: 1 << 30,
        }
    }
}
