//! Staged uploads: a staging blob, extensions of it, and the blob that is arranged of its pieces.

use bytes::Bytes;
use common::client::{Client, ExtensionWriter, UploadKind};
use common::id::{Extension, FileId};

use super::bounded;
use super::change::PreparedOnNode;
use crate::backend::{BlobExtension, BlobsError, Piece};

/// Content on its way to the end of a staging blob.
#[derive(Debug)]
pub(crate) struct Extending(ExtensionWriter);

pub(super) async fn stage(
    client: &Client,
    extension: Extension,
) -> Result<PreparedOnNode, BlobsError> {
    let prepared = bounded(async {
        let writer = client
            .begin_upload(None, UploadKind::Appender, extension)
            .await?;
        writer.finish().await
    });
    prepared.await.map(PreparedOnNode)
}

pub(super) async fn extend(client: &Client, staging: &FileId) -> Result<Extending, BlobsError> {
    bounded(client.extend(staging)).await.map(Extending)
}

pub(super) async fn arrange(
    client: &Client,
    staging: &FileId,
    extension: Extension,
    pieces: &[Piece],
) -> Result<PreparedOnNode, BlobsError> {
    bounded(client.arrange(staging, extension, pieces))
        .await
        .map(PreparedOnNode)
}

impl BlobExtension for Extending {
    async fn write(&mut self, content: Bytes) -> Result<(), BlobsError> {
        bounded(self.0.write(content)).await
    }

    async fn finish(self) -> Result<Piece, BlobsError> {
        bounded(self.0.finish()).await
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
