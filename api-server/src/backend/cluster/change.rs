//! Changing: uploads in two steps, and deletes.

use bytes::Bytes;
use common::client::{Client, Prepared, UploadKind, UploadWriter};
use common::code::ErrorCode;
use common::id::{Extension, FileId};

use super::bounded;
use crate::backend::{BlobWriter, BlobsError, PreparedBlob};

/// A blob on its way to a node.
#[derive(Debug)]
pub(crate) struct Writer(UploadWriter);

/// A blob that a node keeps until it is committed.
#[derive(Debug)]
pub(crate) struct PreparedOnNode(pub(super) Prepared);

pub(super) async fn begin(client: &Client, extension: Extension) -> Result<Writer, BlobsError> {
    bounded(client.begin_upload(None, UploadKind::Normal, extension))
        .await
        .map(Writer)
}

pub(super) async fn delete(client: &Client, id: &FileId) -> Result<(), BlobsError> {
    match bounded(client.delete(id)).await {
        // A node said so: the tracker's ignorance has another code.
        Err(error) if error.code() == ErrorCode::NotFound => Ok(()),
        deleted => deleted.map_err(BlobsError::of_change),
    }
}

impl BlobWriter for Writer {
    type Prepared = PreparedOnNode;

    async fn write(&mut self, content: Bytes) -> Result<(), BlobsError> {
        bounded(self.0.write(content)).await
    }

    async fn finish(self) -> Result<PreparedOnNode, BlobsError> {
        bounded(self.0.finish()).await.map(PreparedOnNode)
    }

    async fn abort(self) {
        // Dropped by the timeout, it closes the connection, which comes to the same.
        let _ = bounded(async {
            self.0.abort().await;
            Ok(())
        })
        .await;
    }
}

impl PreparedBlob for PreparedOnNode {
    fn file_id(&self) -> &FileId {
        self.0.file_id()
    }

    async fn commit(self) -> Result<FileId, BlobsError> {
        bounded(self.0.commit())
            .await
            .map_err(BlobsError::of_change)
    }

    async fn abandon(self) {
        // As in `abort`.
        let _ = bounded(async {
            self.0.abandon().await;
            Ok(())
        })
        .await;
    }
}
