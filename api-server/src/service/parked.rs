//! Content that comes before it is said what it is for.
//!
//! A form may name the upload that its bytes are a slice of behind these bytes. Until then they are a
//! blob that nobody sees, or in memory if there are few; then they are read back. The blob is an
//! orphan all its life, so it goes whatever happens.

use std::ops::Range;

use bytes::Bytes;
use common::id::{Extension, FileId};
use common::web::source::{Content, Opened, ReadPieces as _};

use super::Service;
use super::error::ServiceError;
use super::sliced::SliceUpload;
use super::upload::{Parked, Upload};
use crate::backend::{Blobs, PreparedBlob as _};
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Begins to take content that is for nothing yet.
    pub(crate) fn park(&self) -> Upload<C, B> {
        self.begin_upload(Extension::of_file_name(""))
    }

    /// Ends content that was taken so, and makes it the content of a slice. The slice is left to be
    /// finished.
    ///
    /// # Errors
    ///
    /// Those of [`SliceUpload::write`]; the slice is to be given up then.
    pub(crate) async fn unpark(
        &self,
        content: Upload<C, B>,
        slice: &mut SliceUpload<C, B>,
    ) -> Result<(), ServiceError> {
        match content.into_parked().await? {
            Parked::Memory(bytes) => slice.write(bytes).await,
            Parked::Prepared(prepared, len) => {
                let service = self.clone();
                // Storage is asked to make it: that comes to its end, though the client may leave.
                let stored = self.shared.tasks.spawn(async move {
                    let under_way = service.shared.announced.begin(*prepared.file_id());
                    Ok::<_, ServiceError>((service.store(prepared).await?, under_way))
                });
                let (blob, _under_way) = stored.await??;
                let copied = self.copy(&blob, 0..len, slice).await;
                self.give_up(blob).await;
                copied
            }
        }
    }

    async fn copy(
        &self,
        blob: &FileId,
        range: Range<u64>,
        slice: &mut SliceUpload<C, B>,
    ) -> Result<(), ServiceError> {
        let Opened { content, .. } = self.shared.blobs.open(blob).await?;
        match content {
            Content::Whole(bytes) => slice.write(Bytes::copy_from_slice(&bytes)).await,
            Content::Pieces(mut reader) => {
                let mut at = range.start;
                while at < range.end {
                    let bytes = reader.read(at..range.end).await?;
                    if bytes.is_empty() {
                        return Err(CoreError::UploadChanged.into());
                    }
                    at = at.saturating_add(bytes.len() as u64);
                    slice.write(bytes).await?;
                }
                Ok(())
            }
        }
    }
}
