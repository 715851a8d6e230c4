//! Staging blobs in the map: an extension is appended when it is finished.

use bytes::{Bytes, BytesMut};
use common::code::ErrorCode;
use common::digest::Crc32;
use common::id::{BlobKind, FileId};
use common::limits;

use super::{MemoryBlobs, Step};
use crate::backend::{BlobExtension, BlobsError, Piece};

/// Content that is being gathered for the end of a staging blob.
#[derive(Debug)]
pub(crate) struct MemoryExtension {
    blobs: MemoryBlobs,
    staging: FileId,
    content: BytesMut,
}

impl MemoryExtension {
    pub(super) fn new(blobs: &MemoryBlobs, staging: &FileId) -> Self {
        Self {
            blobs: blobs.clone(),
            staging: *staging,
            content: BytesMut::new(),
        }
    }
}

impl BlobExtension for MemoryExtension {
    async fn write(&mut self, content: Bytes) -> Result<(), BlobsError> {
        self.blobs.check(Step::ExtendWrite)?;
        self.content.extend_from_slice(&content);
        Ok(())
    }

    async fn finish(self) -> Result<Piece, BlobsError> {
        self.blobs.check(Step::ExtendFinish)?;
        let piece = self.blobs.append(&self.staging, &self.content)?;
        self.blobs.check(Step::ExtendAnswer)?;
        Ok(piece)
    }

    async fn abort(self) {}
}

impl MemoryBlobs {
    fn append(&self, staging: &FileId, content: &[u8]) -> Result<Piece, BlobsError> {
        if staging.name.kind() != BlobKind::Appender {
            return Err(BlobsError::Double(ErrorCode::Invalid));
        }
        let mut state = self.lock();
        let bytes = state
            .blobs
            .get_mut(staging)
            .ok_or(BlobsError::Double(ErrorCode::NotFound))?;
        let piece = Piece {
            offset: bytes.len() as u64,
            len: content.len() as u64,
            crc: Crc32::of(content),
        };
        *bytes = [bytes, content].concat().into();
        Ok(piece)
    }

    /// The bytes of these pieces. Unlike a node, which cannot know, it refuses a wrong checksum too.
    pub(super) fn arranged(&self, staging: &FileId, pieces: &[Piece]) -> Result<Bytes, BlobsError> {
        let invalid = || BlobsError::Double(ErrorCode::Invalid);
        let whole = self
            .bytes(staging)
            .ok_or(BlobsError::Double(ErrorCode::NotFound))?;
        if limits::ARRANGED_PIECES_MAX < pieces.len() {
            return Err(invalid());
        }
        let mut content = BytesMut::new();
        for piece in pieces {
            let start = usize::try_from(piece.offset).map_err(|_| invalid())?;
            let end = usize::try_from(piece.end()).map_err(|_| invalid())?;
            let bytes = whole.get(start..end).ok_or_else(invalid)?;
            if bytes.is_empty() || Crc32::of(bytes) != piece.crc {
                return Err(invalid());
            }
            content.extend_from_slice(bytes);
        }
        Ok(content.freeze())
    }
}
