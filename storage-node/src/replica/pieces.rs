//! The bytes of a blob, piece by piece, with help from a peer where a record is damaged.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use tracing::warn;

use super::group::GroupStore;
use crate::disk::{Disk, OsDisk};
use crate::error::StoreError;
use crate::format::Version;
use crate::index::{Index, RocksIndex};
use crate::store::{OpenBlob, Pieces};

/// The bytes of a range of a blob.
pub struct GroupPieces<D: Disk = OsDisk, I: Index = RocksIndex> {
    store: GroupStore<D, I>,
    key: Vec<u8>,
    version: Version,
    rest: Range<u64>,
    pieces: Pieces<D, I>,
    has_mended: bool,
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
        blob: &OpenBlob<D, I>,
        range: Range<u64>,
    ) -> GroupPieces<D, I> {
        GroupPieces {
            store: self.clone(),
            key,
            version: blob.version,
            rest: range.start..range.end.min(blob.len()),
            pieces: blob.pieces(range),
            has_mended: false,
        }
    }
}

impl<D: Disk, I: Index> GroupPieces<D, I> {
    /// The next piece, or `None` at the end. A damaged one is fetched from a peer first.
    ///
    /// # Errors
    ///
    /// What the store says, if no peer has the same version in a sound copy.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a piece may be skipped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let next = match self.pieces.next().await {
            Err(StoreError::Read(error)) if !self.has_mended => {
                warn!(%error, "a damaged record is fetched from a peer");
                self.has_mended = true;
                self.store.repair(&self.key).await?;
                let blob = self.store.shared().open_blob(&self.key).await?;
                let Some(blob) = blob.filter(|blob| blob.version == self.version) else {
                    return Err(StoreError::Read(error));
                };
                self.pieces = blob.pieces(self.rest.clone());
                self.pieces.next().await?
            }
            next => next?,
        };
        let len = next.as_ref().map_or(0, Bytes::len);
        self.rest.start += len as u64;
        Ok(next)
    }
}
