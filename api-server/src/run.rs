//! Starts and stops the API server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use common::client::{Address, PoolSettings, TRACKER_PORT};
use common::env::Shutdown;
use common::id::GroupName;
use common::rpc;
use common::web::anti_leech::Access;
use common::web::front::{Front, FrontSettings, Groups};
use common::web::metrics::HttpMetrics;
use common::web::operations::Operations;
use common::web::origin::Scheme;
use common::web::server::{self, ServerLimits};
use prometheus::Registry;
use tokio::net::TcpListener;

use crate::backend::{Blobs as _, ClusterBlobs};
use crate::error::ApiError;
use crate::http::caller::CallerRules;
use crate::http::pages::Pages;
use crate::http::{NoCalls, Routes};

/// What the API server is told.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
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
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            trackers: vec![Address::new("127.0.0.1", TRACKER_PORT)],
            default_group: None,
            access: Access::Public,
            limits: ServerLimits::default(),
            pool: PoolSettings::default(),
        }
    }
}

/// A bound API server.
#[derive(Debug)]
pub struct ApiServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    blobs: ClusterBlobs,
    routes: Arc<Routes<ClusterBlobs, NoCalls, NoCalls>>,
    limits: ServerLimits,
    metrics: Arc<HttpMetrics>,
}

impl ApiServer {
    /// Binds the address, within a runtime. The cluster need not be there yet.
    pub fn bind(settings: ApiSettings, registry: Registry) -> Result<Self, ApiError> {
        let address = settings.listen;
        let listen_error = |source| ApiError::Listen { address, source };
        let listener = rpc::listen(address).map_err(listen_error)?;
        let local_addr = listener.local_addr().map_err(listen_error)?;
        let metrics = HttpMetrics::register(&registry, "api")?;
        let blobs = ClusterBlobs::new(settings.trackers, settings.pool)?;
        let probed = blobs.clone();
        let operations = Operations::new(registry, move || {
            let probed = probed.clone();
            Box::pin(async move { probed.readiness().await })
        });
        let front = FrontSettings {
            groups: Groups::Any,
            default_group: settings.default_group,
            access: settings.access,
        };
        let front = Front::new(blobs.clone(), front, operations);
        let callers = CallerRules {
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            public_url: None,
            scheme: Scheme::Http,
            listening_on: local_addr,
        };
        Ok(Self {
            listener,
            local_addr,
            blobs,
            routes: Arc::new(Routes {
                blobs: front,
                image_host: NoCalls,
                console: NoCalls,
                pages: Pages,
                callers,
            }),
            limits: settings.limits,
            metrics,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the signal, then finishes the downloads under way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cuts all connections off.
    pub async fn serve(self, shutdown: Shutdown) {
        server::serve(
            self.listener,
            self.routes,
            self.limits,
            self.metrics,
            shutdown,
        )
        .await;
        self.blobs.close().await;
    }
}
