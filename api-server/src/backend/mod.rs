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

/// A range of a staging blob, with its checksum.
pub(crate) use common::wire::storage::Piece;

pub(crate) use cluster::ClusterBlobs;
pub(crate) use error::BlobsError;
#[cfg(any(test, feature = "testing"))]
pub(crate) use memory_blobs::{MemoryBlobs, Step};
pub(crate) use state::{ClusterState, GroupState, NodeState};

/// Where the bytes are.
pub(crate) trait Blobs: BlobSource + Clone {
    /// A blob that waits for its commit.
    type Prepared: PreparedBlob;
    /// Takes the content of a new blob.
    type Writer: BlobWriter<Prepared = Self::Prepared>;
    /// Takes more content for a staging blob.
    type Extending: BlobExtension;

    /// Begins an upload. Nothing of it is seen before [`PreparedBlob::commit`].
    fn begin(
        &self,
        extension: Extension,
    ) -> impl Future<Output = Result<Self::Writer, BlobsError>> + Send;

    /// Prepares a staging blob: one without bytes that can be extended, until an arrangement makes
    /// another blob of it.
    fn stage(
        &self,
        extension: Extension,
    ) -> impl Future<Output = Result<Self::Prepared, BlobsError>> + Send;

    /// Begins to add content at the end of a staging blob.
    ///
    /// Any number of extensions may be under way at the same time: each gets a range of its own when
    /// it is finished. Whether the staging blob exists may be said only then.
    fn extend(
        &self,
        staging: &FileId,
    ) -> impl Future<Output = Result<Self::Extending, BlobsError>> + Send;

    /// Prepares a blob of these pieces of a staging blob, in this order. No byte is read or copied.
    ///
    /// The commit makes the blob and ends the staging blob in one step; what none of the pieces
    /// holds is gone then. Abandoned, the staging blob stays as it was. The new blob's checksum is
    /// combined from those of the pieces, which the caller vouches for: they came from
    /// [`BlobExtension::finish`].
    ///
    /// # Errors
    ///
    /// * [`ErrorCode::NotFound`](common::code::ErrorCode::NotFound), here or from the commit: the
    ///   staging blob does not exist, or not any more. This is certain.
    /// * [`ErrorCode::Invalid`](common::code::ErrorCode::Invalid): a piece is empty or ends behind
    ///   the staging blob, or there are more than
    ///   [`limits::ARRANGED_PIECES_MAX`](common::limits::ARRANGED_PIECES_MAX).
    fn arrange(
        &self,
        staging: &FileId,
        extension: Extension,
        pieces: &[Piece],
    ) -> impl Future<Output = Result<Self::Prepared, BlobsError>> + Send;

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

/// Content on its way to the end of a staging blob. Dropped, it leaves nothing.
pub(crate) trait BlobExtension: Send + 'static {
    /// Adds content. After an error the extension is over.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: drop the extension then.
    fn write(&mut self, content: Bytes) -> impl Future<Output = Result<(), BlobsError>> + Send;

    /// Appends the content, all of it or nothing, and tells where it lies. It is durable then.
    ///
    /// [`ErrorCode::NotFound`](common::code::ErrorCode::NotFound) is certain: there is no such
    /// staging blob. Any other error leaves open whether the content was appended. It may simply be
    /// sent again: to what nobody knows the place of, no piece leads.
    fn finish(self) -> impl Future<Output = Result<Piece, BlobsError>> + Send;

    /// Gives the content up. Cheaper than dropping, which costs the connection to the node.
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
