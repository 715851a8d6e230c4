//! Blobs of a cluster, over the `FastDFS` protocol and Hayloft's commands beside it.

mod change;
mod read;
mod staging;

use std::future::Future;
use std::time::Duration;

use common::client::{Address, Client, ClientError, PoolSettings};
use common::id::{Extension, FileId};
use common::web::operations::Readiness;
use common::web::text;
use tokio::time::timeout;

use super::{Blobs, BlobsError, ClusterState, GroupState, Piece};

/// How long one exchange with the cluster may take, the wait for a pooled connection included.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a readiness check may take.
const READINESS_TIMEOUT: Duration = Duration::from_secs(2);

/// Blobs of a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ClusterBlobs {
    client: Client,
    /// Connections that carry whole ranges to clients, however slow these are. Apart, so that slow
    /// clients keep only one another waiting.
    streams: Client,
    /// Connections that carry uploads from clients. Apart for the same reason.
    uploads: Client,
}

/// Uploads and downloads that may be under way to and from one node, whatever the setting for short
/// exchanges: each may take as long as its client likes, and costs a socket.
const LONG_EXCHANGES_MAX: usize = 1024;

impl ClusterBlobs {
    /// Connects when the first blob is asked for.
    pub(crate) fn new(trackers: Vec<Address>, pool: PoolSettings) -> Result<Self, ClientError> {
        let long = PoolSettings {
            connections_max: pool.connections_max.max(LONG_EXCHANGES_MAX),
            ..pool
        };
        Ok(Self {
            client: Client::new(trackers.clone(), pool)?,
            streams: Client::new(trackers.clone(), long)?,
            uploads: Client::new(trackers, long)?,
        })
    }

    /// Says goodbye to the cluster.
    pub(crate) async fn close(&self) {
        self.client.close().await;
        self.streams.close().await;
        self.uploads.close().await;
    }
}

impl Blobs for ClusterBlobs {
    type Prepared = change::PreparedOnNode;
    type Writer = change::Writer;
    type Extending = staging::Extending;

    async fn begin(&self, extension: Extension) -> Result<change::Writer, BlobsError> {
        change::begin(&self.uploads, extension).await
    }

    async fn stage(&self, extension: Extension) -> Result<change::PreparedOnNode, BlobsError> {
        staging::stage(&self.uploads, extension).await
    }

    async fn extend(&self, staging: &FileId) -> Result<staging::Extending, BlobsError> {
        staging::extend(&self.uploads, staging).await
    }

    async fn arrange(
        &self,
        staging: &FileId,
        extension: Extension,
        pieces: &[Piece],
    ) -> Result<change::PreparedOnNode, BlobsError> {
        staging::arrange(&self.uploads, staging, extension, pieces).await
    }

    async fn delete(&self, id: &FileId) -> Result<(), BlobsError> {
        change::delete(&self.client, id).await
    }

    async fn exists(&self, id: &FileId) -> Result<bool, BlobsError> {
        read::exists(&self.client, id).await
    }

    async fn cluster(&self) -> Result<ClusterState, BlobsError> {
        let trackers = self.client.trackers();
        let mut groups = Vec::new();
        for group in bounded(trackers.groups()).await? {
            let nodes = bounded(trackers.storages(group.name)).await?;
            groups.push(GroupState::new(&group, &nodes));
        }
        // A tracker of the version before does not know the question. The listings are enough then.
        let status = bounded(trackers.status()).await.unwrap_or_default();
        Ok(ClusterState { groups, status })
    }

    async fn readiness(&self) -> Readiness {
        let answer = timeout(READINESS_TIMEOUT, self.client.trackers().active_test()).await;
        let reason = match answer {
            Ok(Ok(())) => return Readiness::Ready,
            Ok(Err(error)) => text::chain(&error),
            Err(_) => format!("no tracker answered within {READINESS_TIMEOUT:?}"),
        };
        Readiness::NotReady(vec![reason])
    }
}

/// The outcome of an exchange, which is an error if there is none in time.
async fn bounded<T>(
    exchange: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, BlobsError> {
    match timeout(EXCHANGE_TIMEOUT, exchange).await {
        Ok(result) => result.map_err(BlobsError::Cluster),
        Err(_) => Err(BlobsError::Late(EXCHANGE_TIMEOUT)),
    }
}

#[cfg(test)]
mod tests;
