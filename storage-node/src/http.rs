//! Downloads on the storage node's HTTP port: the front of `common::web` over the local store.

use std::sync::Arc;

use common::env::Shutdown;
use common::id::GroupName;
use common::web::anti_leech::Access;
use common::web::front::{Front, FrontSettings, Groups};
use common::web::metrics::HttpMetrics;
use common::web::operations::Operations;
use common::web::server::{self, ServerLimits};
pub use common::web::source::{BlobSource, Content, NoReader, Opened, ReadPieces, SourceError};
use tokio::net::TcpListener;

/// What the HTTP port is told.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The node's group: blobs of others are answered 404, and URLs without a group mean this one.
    pub group: GroupName,
    /// Who may download.
    pub access: Access,
    /// Connections and timeouts.
    pub limits: ServerLimits,
}

/// Serves the blobs of `source` on `listener` until the signal, then finishes what is under way.
///
/// # Cancel safety
///
/// Dropping the future cuts all downloads off.
pub async fn serve<S: BlobSource>(
    listener: TcpListener,
    source: S,
    settings: HttpSettings,
    operations: Operations,
    metrics: Arc<HttpMetrics>,
    shutdown: Shutdown,
) {
    let front = FrontSettings {
        groups: Groups::Only(settings.group),
        default_group: Some(settings.group),
        access: settings.access,
    };
    let front = Arc::new(Front::new(source, front, operations));
    server::serve(listener, front, settings.limits, metrics, shutdown).await;
}
