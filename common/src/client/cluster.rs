//! A whole cluster: the tracker says where, the storage node does it.

use tokio::io::AsyncRead;

use super::error::ClientError;
use super::exchange::Content;
use super::pool::{Lease, Pool, PoolSettings};
use super::{
    Address, Download, ExtensionWriter, FileInfo, Metadata, MetadataMode, Piece, Prepared,
    StorageClient, StoreTarget, TrackerClient, UploadKind, UploadWriter,
};
use crate::code::ErrorCode;
use crate::id::{Extension, FileId, GroupName, SlavePrefix, VolumePath};

/// How often a tracker is asked for another node when the one it named is out of reach.
const STORE_ATTEMPTS: usize = 3;

/// What a new blob shall be.
#[derive(Clone, Copy, Debug)]
pub struct Upload {
    /// The group to write to; `None` lets the tracker choose.
    pub group: Option<GroupName>,
    /// Extension to keep in the id.
    pub extension: Extension,
    /// Normal or appender.
    pub kind: UploadKind,
}

impl Default for Upload {
    /// A normal blob without extension, in the group of the tracker's choice.
    fn default() -> Self {
        Self {
            group: None,
            extension: Extension::default(),
            kind: UploadKind::Normal,
        }
    }
}

/// Speaks to a cluster. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    trackers: TrackerClient,
    storages: StorageClient,
    pool: Pool,
}

impl Client {
    /// A client of the cluster of `trackers`. Connects only when something is asked.
    pub fn new(trackers: Vec<Address>, settings: PoolSettings) -> Result<Self, ClientError> {
        let pool = Pool::new(settings);
        Ok(Self {
            trackers: TrackerClient::new(trackers, pool.clone())?,
            storages: StorageClient::new(pool.clone()),
            pool,
        })
    }

    /// The trackers' commands.
    pub fn trackers(&self) -> &TrackerClient {
        &self.trackers
    }

    /// The storage nodes' commands.
    pub fn storages(&self) -> &StorageClient {
        &self.storages
    }

    /// Says goodbye to all servers. Later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Stores a new blob and returns its id.
    ///
    /// Another node is tried only while no byte of `content` was read.
    pub async fn upload<R: AsyncRead + Unpin>(
        &self,
        upload: &Upload,
        content: Content<R>,
    ) -> Result<FileId, ClientError> {
        self.upload_to(upload, content).await.map(|(id, _)| id)
    }

    /// [`Self::upload`] that also tells which node took the blob.
    pub async fn upload_to<R: AsyncRead + Unpin>(
        &self,
        upload: &Upload,
        content: Content<R>,
    ) -> Result<(FileId, Address), ClientError> {
        let (lease, path) = self.connect_for_store(upload.group).await?;
        let address = lease.address().clone();
        let stored =
            self.storages
                .upload_on(lease, Some(path), upload.kind, upload.extension, content);
        Ok((stored.await?, address))
    }

    /// Begins an upload of unknown length that becomes a blob only when it is committed, in `group`
    /// or where the tracker chooses.
    ///
    /// Another node is tried while one cannot be connected to; nothing is sent yet.
    pub async fn begin_upload(
        &self,
        group: Option<GroupName>,
        kind: UploadKind,
        extension: Extension,
    ) -> Result<UploadWriter, ClientError> {
        let (lease, path) = self.connect_for_store(group).await?;
        let path = Some(path);
        Ok(self.storages.begin_upload_on(lease, path, kind, extension))
    }

    /// Begins to add content at the end of a staging blob, which is an appender that was prepared.
    /// Nothing is sent yet.
    pub async fn extend(&self, staging: &FileId) -> Result<ExtensionWriter, ClientError> {
        let address = self.trackers.update(staging).await?;
        let lease = self.storages.connect(&address).await?;
        Ok(self.storages.extend_on(lease, staging))
    }

    /// Prepares a blob of these pieces of a staging blob, in this order. Its commit also ends the
    /// staging blob.
    pub async fn arrange(
        &self,
        staging: &FileId,
        extension: Extension,
        pieces: &[Piece],
    ) -> Result<Prepared, ClientError> {
        let address = self.trackers.update(staging).await?;
        self.storages
            .arrange(&address, staging, extension, pieces)
            .await
    }

    /// Stores a blob named after `master`, on the node that holds the master.
    pub async fn upload_slave<R: AsyncRead + Unpin>(
        &self,
        master: &FileId,
        prefix: SlavePrefix,
        extension: Extension,
        content: Content<R>,
    ) -> Result<FileId, ClientError> {
        let address = self.trackers.update(master).await?;
        self.storages
            .upload_slave(&address, &master.name, prefix, extension, content)
            .await
    }

    /// Adds `content` at the end of an appender.
    pub async fn append<R: AsyncRead + Unpin>(
        &self,
        id: &FileId,
        content: Content<R>,
    ) -> Result<(), ClientError> {
        let address = self.trackers.update(id).await?;
        self.storages.append(&address, &id.name, content).await
    }

    /// Overwrites an appender from `offset` on; `offset` is at most its size.
    pub async fn modify<R: AsyncRead + Unpin>(
        &self,
        id: &FileId,
        offset: u64,
        content: Content<R>,
    ) -> Result<(), ClientError> {
        let address = self.trackers.update(id).await?;
        self.storages
            .modify(&address, &id.name, offset, content)
            .await
    }

    /// Gives an appender the size `size`.
    pub async fn truncate(&self, id: &FileId, size: u64) -> Result<(), ClientError> {
        let address = self.trackers.update(id).await?;
        self.storages.truncate(&address, &id.name, size).await
    }

    /// Turns an appender into a normal blob, which gets a new id; the old one is gone.
    pub async fn regenerate(&self, id: &FileId) -> Result<FileId, ClientError> {
        let address = self.trackers.update(id).await?;
        self.storages.regenerate(&address, &id.name).await
    }

    /// Deletes a blob and its metadata.
    pub async fn delete(&self, id: &FileId) -> Result<(), ClientError> {
        let address = self.trackers.update(id).await?;
        self.storages.delete(&address, id).await
    }

    /// Opens `len` bytes from `offset` on for reading; 0 means up to the end.
    ///
    /// When the node that the tracker names is out of reach or lacks the blob, the others that
    /// should hold it are asked.
    pub async fn download(
        &self,
        id: &FileId,
        offset: u64,
        len: u64,
    ) -> Result<Download, ClientError> {
        self.read(id, async |address| {
            self.storages.download(&address, id, offset, len).await
        })
        .await
    }

    /// Size, time and checksum of a blob, asked of a node that holds it.
    pub async fn file_info(&self, id: &FileId) -> Result<FileInfo, ClientError> {
        self.read(id, async |address| {
            self.storages.file_info(&address, id).await
        })
        .await
    }

    /// Replaces or merges the metadata of a blob.
    pub async fn set_metadata(
        &self,
        id: &FileId,
        mode: MetadataMode,
        metadata: &Metadata,
    ) -> Result<(), ClientError> {
        let address = self.trackers.update(id).await?;
        self.storages
            .set_metadata(&address, id, mode, metadata)
            .await
    }

    /// The metadata of a blob. A blob without any is "not found", as a missing blob is.
    pub async fn metadata(&self, id: &FileId) -> Result<Metadata, ClientError> {
        // Asked where it is changed, so that a change is seen at once.
        let address = self.trackers.update(id).await?;
        self.storages.metadata(&address, id).await
    }

    /// Asks one node that should hold `id`, then the others while that can help.
    async fn read<T>(
        &self,
        id: &FileId,
        ask: impl AsyncFn(Address) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let first = self.trackers.fetch_one(id).await?;
        let mut error = match ask(first.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) if another_may_have_it(&error) => error,
            Err(error) => return Err(error),
        };
        // Without the list of others the first node's answer is all there is.
        for other in self.trackers.fetch_all(id).await.unwrap_or_default() {
            if other == first {
                continue;
            }
            match ask(other).await {
                Ok(answer) => return Ok(answer),
                // "Not found" is the weakest answer: a node that is away may have the blob.
                Err(other) if other.code() == ErrorCode::NotFound => {}
                Err(other) => error = other,
            }
        }
        Err(error)
    }

    /// A connection to a node that takes writes, and the slot to write to.
    async fn connect_for_store(
        &self,
        group: Option<GroupName>,
    ) -> Result<(Lease, VolumePath), ClientError> {
        let mut attempt = 1;
        loop {
            let StoreTarget { node, path, .. } = self.trackers.store_one(group).await?;
            match self.storages.connect(&node.into()).await {
                Ok(lease) => return Ok((lease, path)),
                Err(error) if error.is_unreachable() && attempt < STORE_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

fn another_may_have_it(error: &ClientError) -> bool {
    error.is_unreachable()
        || matches!(
            error.code(),
            ErrorCode::NotFound | ErrorCode::Unavailable | ErrorCode::Busy | ErrorCode::Storage
        )
}
