//! Starts and stops the API server.

use std::net::SocketAddr;
use std::sync::Arc;

use common::env::Shutdown;
use common::rpc;
use common::web::front::{Front, FrontSettings, Groups};
use common::web::metrics::HttpMetrics;
use common::web::operations::Operations;
use common::web::origin::Scheme;
use common::web::server::{self, ServerLimits};
use common::web::tls::Tls;
use prometheus::Registry;
use tokio::net::TcpListener;

use crate::backend::{Blobs as _, ClusterBlobs};
use crate::error::ApiError;
use crate::http::caller::CallerRules;
use crate::http::pages::Pages;
use crate::http::web_dir::WebDir;
use crate::http::{NoCalls, Routes};
use crate::settings::ApiSettings;

/// A bound API server.
#[derive(Debug)]
pub struct ApiServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    blobs: ClusterBlobs,
    routes: Arc<Routes<ClusterBlobs, NoCalls, NoCalls>>,
    tls: Option<Tls>,
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
        let tls = settings.tls.map(Tls::load).transpose();
        let tls = tls.map_err(|error| ApiError::Tls(Box::new(error)))?;
        let web_dir = settings.web_dir.map(WebDir::open).transpose()?;
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
            blobs,
            routes: Arc::new(Routes {
                blobs: front,
                image_host: NoCalls,
                console: NoCalls,
                pages: Pages::new(web_dir, scheme),
                callers,
            }),
            tls,
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
        let Self {
            listener,
            routes,
            limits,
            metrics,
            ..
        } = self;
        match self.tls {
            None => server::serve(listener, routes, limits, metrics, shutdown).await,
            Some(tls) => {
                server::serve_tls(listener, tls, routes, limits, metrics, shutdown).await;
            }
        }
        self.blobs.close().await;
    }
}
