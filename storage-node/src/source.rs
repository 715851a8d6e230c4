//! The local store as a source of HTTP downloads.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use common::code::ErrorCode;
use common::id::{BlobKind, FileId};
use common::web::download::{BlobFacts, Version};

use crate::error::StoreError;
use crate::http::{BlobSource, Content, Opened, ReadPieces, SourceError};
use crate::node::Node;
use crate::replica::{GroupBlob, GroupPieces, GroupStore};

/// The blobs of a node.
#[derive(Clone, Debug)]
pub(crate) struct LocalBlobs(pub Arc<Node>);

/// Reads a blob of many parts.
#[derive(Debug)]
pub(crate) struct BlobReader {
    store: GroupStore,
    key: Vec<u8>,
    blob: GroupBlob,
    /// Where the pieces under way go on, and where they end.
    next: Range<u64>,
    pieces: Option<GroupPieces>,
    /// What the last piece had beyond the range that was asked for.
    rest: Bytes,
}

impl BlobSource for LocalBlobs {
    type Reader = BlobReader;

    async fn open(&self, id: &FileId) -> Result<Opened<BlobReader>, SourceError> {
        let store = self
            .0
            .store_of(&id.name)
            .filter(|_| id.group == self.0.group);
        let store = store.ok_or_else(|| SourceError::from(ErrorCode::NotFound))?;
        let blob = store.open(&id.name.to_key()).await.map_err(failed)?;
        let blob = blob.ok_or_else(|| SourceError::from(ErrorCode::NotFound))?;
        let version = match (id.name.kind(), blob.crc()) {
            (BlobKind::Normal, Some(crc)) => Version::Immutable(crc),
            // What whoever serves this blob over the wire can tell too, so that the tags agree.
            (_, Some(crc)) => Version::Changing(crc.0.into()),
            // The same on every node of the group.
            (_, None) => {
                let version = blob.version();
                Version::Changing(version.stamp.0.wrapping_add(version.edit.into()))
            }
        };
        let facts = BlobFacts {
            size: blob.len(),
            time: blob.time(),
            version,
        };
        let content = match blob.bytes() {
            Some(bytes) => Content::Whole(bytes.clone()),
            None => Content::Pieces(BlobReader {
                store: store.clone(),
                key: id.name.to_key(),
                blob,
                next: 0..0,
                pieces: None,
                rest: Bytes::new(),
            }),
        };
        Ok(Opened { facts, content })
    }
}

impl ReadPieces for BlobReader {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, SourceError> {
        if self.pieces.is_none() || self.next != range {
            let pieces = self
                .store
                .pieces(self.key.clone(), &self.blob, range.clone());
            self.pieces = Some(pieces);
            self.rest = Bytes::new();
        }
        if self.rest.is_empty() {
            let piece = match &mut self.pieces {
                Some(pieces) => pieces.next().await.map_err(failed)?,
                None => None,
            };
            self.rest = piece.ok_or_else(|| SourceError::from(ErrorCode::Storage))?;
        }
        let piece = std::mem::take(&mut self.rest);
        self.next = range.start + piece.len() as u64..range.end;
        Ok(piece)
    }
}

fn failed(error: StoreError) -> SourceError {
    SourceError::new(error.code(), error)
}
