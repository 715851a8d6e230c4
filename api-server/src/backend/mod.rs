//! What the API server stands on.

pub mod catalog;
mod cluster;
mod error;
#[cfg(any(test, feature = "testing"))]
mod memory_blobs;
mod state;

use std::future::Future;

use bytes::Bytes;
use common::id::{Extension, FileId};
use common::web::operations::Readiness;
use common::web::source::BlobSource;

pub(crate) use cluster::ClusterBlobs;
pub(crate) use error::BlobsError;
#[cfg(any(test, feature = "testing"))]
pub(crate) use memory_blobs::{MemoryBlobs, Step};
pub(crate) use state::{ClusterState, GroupState, NodeState};

/// Where the bytes are.
pub(crate) trait Blobs: BlobSource + Clone {
    /// Takes the content of a new blob.
    type Writer: BlobWriter;

    /// Begins an upload. Nothing of it is seen before [`PreparedBlob::commit`].
    fn begin(
        &self,
        extension: Extension,
    ) -> impl Future<Output = Result<Self::Writer, BlobsError>> + Send;

    /// Deletes a blob. One that does not exist is deleted already.
    fn delete(&self, id: &FileId) -> impl Future<Output = Result<(), BlobsError>> + Send;

    /// Whether a blob exists. An answer is certain; where none can be, it is an error.
    fn exists(&self, id: &FileId) -> impl Future<Output = Result<bool, BlobsError>> + Send;

    /// Groups and nodes as the trackers see them now.
    fn cluster(&self) -> impl Future<Output = Result<ClusterState, BlobsError>> + Send;

    /// Whether blobs can be reached now. Answers within seconds.
    fn readiness(&self) -> impl Future<Output = Readiness> + Send;
}

/// A blob that is being written. Dropped, it leaves nothing.
pub(crate) trait BlobWriter: Send + 'static {
    /// What the whole content becomes.
    type Prepared: PreparedBlob;

    /// Adds content. After an error the upload is over.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: drop the writer then.
    fn write(&mut self, content: Bytes) -> impl Future<Output = Result<(), BlobsError>> + Send;

    /// Ends the content. It has a name then, but nobody sees it.
    fn finish(self) -> impl Future<Output = Result<Self::Prepared, BlobsError>> + Send;

    /// Gives the upload up. Cheaper than dropping, which costs the connection to the node.
    fn abort(self) -> impl Future<Output = ()> + Send;
}

/// A blob that is complete and not yet seen. Dropped, it leaves nothing; kept for a minute or longer,
/// it may be gone when it is committed.
pub(crate) trait PreparedBlob: Send + 'static {
    /// The id that the blob will have.
    fn file_id(&self) -> &FileId;

    /// Makes it a blob. [`BlobsError::Uncertain`] leaves open whether it became one.
    fn commit(self) -> impl Future<Output = Result<FileId, BlobsError>> + Send;

    /// Forgets it. Cheaper than dropping, which costs the connection to the node.
    fn abandon(self) -> impl Future<Output = ()> + Send;
}
