//! The bytes of a blob, piece by piece, with help from a peer where a record is damaged.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use tracing::warn;

use super::group::GroupStore;
use super::remote::{GroupBlob, RemotePieces};
use crate::disk::{Disk, OsDisk};
use crate::error::StoreError;
use crate::format::Version;
use crate::index::{Index, RocksIndex};
use crate::store::Pieces;

/// The bytes of a range of a blob.
pub struct GroupPieces<D: Disk = OsDisk, I: Index = RocksIndex> {
    store: GroupStore<D, I>,
    key: Vec<u8>,
    version: Version,
    rest: Range<u64>,
    source: Source<D, I>,
    has_mended: bool,
}

/// Where the bytes come from.
enum Source<D: Disk, I: Index> {
    Here(Pieces<D, I>),
    There(RemotePieces<D, I>),
}

impl<D: Disk, I: Index> fmt::Debug for GroupPieces<D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupPieces")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

impl<D: Disk, I: Index> GroupStore<D, I> {
    /// The bytes of `range` of the blob with this key, which is open.
    pub fn pieces(
        &self,
        key: Vec<u8>,
        blob: &GroupBlob<D, I>,
        range: Range<u64>,
    ) -> GroupPieces<D, I> {
        let rest = range.start..range.end.min(blob.len());
        let source = match blob {
            GroupBlob::Here(blob) => Source::Here(blob.pieces(range)),
            GroupBlob::There(blob) => {
                Source::There(RemotePieces::new(self.clone(), blob.clone(), range))
            }
        };
        GroupPieces {
            store: self.clone(),
            key,
            version: blob.version(),
            rest,
            source,
            has_mended: false,
        }
    }
}

impl<D: Disk, I: Index> GroupPieces<D, I> {
    /// The next piece, or `None` at the end. A damaged one is fetched from a peer first.
    ///
    /// # Errors
    ///
    /// What the store says, if no peer has the same version in a sound copy. Of a blob that a peer has:
    /// [`StoreError::OutOfReach`] if no peer answers any more, [`StoreError::Conflict`] if it was
    /// changed.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a piece may be skipped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let pieces = match &mut self.source {
            Source::Here(pieces) => pieces,
            Source::There(pieces) => return pieces.next().await,
        };
        let next = match pieces.next().await {
            Err(StoreError::Read(error)) if !self.has_mended => {
                warn!(%error, "a damaged record is fetched from a peer");
                self.has_mended = true;
                self.store.repair(&self.key).await?;
                let blob = self.store.shared().open_blob(&self.key).await?;
                let Some(blob) = blob.filter(|blob| blob.version == self.version) else {
                    return Err(StoreError::Read(error));
                };
                *pieces = blob.pieces(self.rest.clone());
                pieces.next().await?
            }
            next => next?,
        };
        let len = next.as_ref().map_or(0, Bytes::len);
        self.rest.start += len as u64;
        Ok(next)
    }
}
