//! Reading a long blob that only a peer has: its bytes go to the client as they come. What nobody waits
//! for, a copy here, is left to whoever follows the peer's log.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use common::digest::{Crc32, Crc32Hasher};
use common::id::NodeNumber;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tracing::debug;

use super::group::GroupStore;
use super::link::Peer;
use super::message::{Answer as PeerAnswer, Request};
use crate::disk::{Disk, OsDisk};
use crate::error::StoreError;
use crate::format::Version;
use crate::index::{Index, RocksIndex};
use crate::store::{BlobContent, OpenBlob};

#[cfg(test)]
mod tests;

/// Ranges that are asked for at the same time.
const AHEAD: usize = 3;
/// A blob that a peer has.
#[derive(Clone, Debug)]
pub struct RemoteBlob {
    pub(super) peer: Peer,
    pub(super) key: Vec<u8>,
    pub(super) version: Version,
    /// Unix seconds of the last change.
    pub(super) time: u32,
    /// Checksum of its bytes, if it is known.
    pub(super) crc: Option<Crc32>,
    pub(super) len: u64,
}

/// A blob of the group that is open for reading.
#[derive(Debug)]
pub enum GroupBlob<D: Disk = OsDisk, I: Index = RocksIndex> {
    /// This node has it.
    Here(OpenBlob<D, I>),
    /// It is read from a peer.
    There(RemoteBlob),
}

impl<D: Disk, I: Index> GroupBlob<D, I> {
    /// Bytes of the blob.
    pub fn len(&self) -> u64 {
        match self {
            Self::Here(blob) => blob.len(),
            Self::There(blob) => blob.len,
        }
    }

    /// Whether the blob has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Unix seconds of the last change.
    pub fn time(&self) -> u32 {
        match self {
            Self::Here(blob) => blob.time,
            Self::There(blob) => blob.time,
        }
    }

    /// Its version, the same on all nodes of the group.
    pub fn version(&self) -> Version {
        match self {
            Self::Here(blob) => blob.version,
            Self::There(blob) => blob.version,
        }
    }

    /// Checksum of its bytes, if it is known without reading them.
    pub fn crc(&self) -> Option<Crc32> {
        match self {
            Self::Here(blob) => blob.crc,
            Self::There(blob) => blob.crc,
        }
    }

    /// All of its bytes, if they are at hand.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Here(blob) => match &blob.content {
                BlobContent::Record(bytes) => Some(bytes),
                BlobContent::Manifest(_) => None,
            },
            Self::There(_) => None,
        }
    }
}

impl<D: Disk, I: Index> GroupStore<D, I> {
    /// The checksum of the bytes of a blob; reads all of them where it is not known.
    ///
    /// # Errors
    ///
    /// As [`super::GroupPieces::next`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn checksum(
        &self,
        key: Vec<u8>,
        blob: &GroupBlob<D, I>,
    ) -> Result<Crc32, StoreError> {
        if let Some(crc) = blob.crc() {
            return Ok(crc);
        }
        let mut hasher = Crc32Hasher::new();
        let mut pieces = self.pieces(key, blob, 0..blob.len());
        while let Some(piece) = pieces.next().await? {
            hasher.update(&piece);
        }
        Ok(hasher.finish())
    }

    /// A range of a version of a blob, of at most a record's payload, from a peer.
    pub(super) fn ask_range(
        &self,
        peer: &Peer,
        key: &[u8],
        version: Version,
        range: Range<u64>,
    ) -> BoxFuture<'static, Result<Bytes, RangeError>> {
        let len = range.end.saturating_sub(range.start);
        let read = Request::Read {
            path: self.path,
            key: key.to_vec(),
            version,
            range,
        };
        let answer = peer.ask(&self.replica.stamps, &read);
        Box::pin(async move {
            match answer.await {
                Ok(PeerAnswer::Range(bytes)) if bytes.len() as u64 == len => Ok(bytes),
                Ok(PeerAnswer::Refused(_)) => Err(RangeError::Refused),
                Ok(_) | Err(_) => Err(RangeError::Lost),
            }
        })
    }
}

/// Why a peer did not send a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeError {
    /// It has another version by now, or cannot read it.
    Refused,
    /// It did not answer.
    Lost,
}

/// The ranges of `len` bytes in which `range` is asked for.
pub(super) fn ranges(
    range: Range<u64>,
    len: usize,
) -> impl Iterator<Item = Range<u64>> + Send + Sync {
    let starts = (range.start..range.end).step_by(len.max(1));
    starts.map(move |start| start..range.end.min(start + len as u64))
}

/// The bytes of a range of a blob that a peer has.
pub(super) struct RemotePieces<D: Disk, I: Index> {
    store: GroupStore<D, I>,
    blob: RemoteBlob,
    rest: Box<dyn Iterator<Item = Range<u64>> + Send + Sync>,
    /// What is under way, and who was asked.
    asked: VecDeque<(NodeNumber, Range<u64>)>,
    answers: FuturesOrdered<BoxFuture<'static, Result<Bytes, RangeError>>>,
}

impl<D: Disk, I: Index> fmt::Debug for RemotePieces<D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePieces")
            .field("blob", &self.blob)
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl<D: Disk, I: Index> RemotePieces<D, I> {
    pub(super) fn new(store: GroupStore<D, I>, blob: RemoteBlob, range: Range<u64>) -> Self {
        let end = range.end.min(blob.len);
        let len = store.replica.portions().range_len;
        Self {
            store,
            blob,
            rest: Box::new(ranges(range.start..end, len)),
            asked: VecDeque::new(),
            answers: FuturesOrdered::new(),
        }
    }

    /// The next piece, or `None` at the end; from another peer where the first one fails.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        while self.asked.len() < AHEAD
            && let Some(range) = self.rest.next()
        {
            let RemoteBlob {
                peer, key, version, ..
            } = &self.blob;
            let answer = self.store.ask_range(peer, key, *version, range.clone());
            self.answers.push_back(answer);
            self.asked.push_back((peer.number, range));
        }
        let answer = self.answers.next().await;
        let Some((answer, (asked, range))) = answer.zip(self.asked.pop_front()) else {
            return Ok(None);
        };
        match answer {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => self.ask_others(asked, range, error).await.map(Some),
        }
    }

    async fn ask_others(
        &mut self,
        asked: NodeNumber,
        range: Range<u64>,
        mut error: RangeError,
    ) -> Result<Bytes, StoreError> {
        let (key, version) = (self.blob.key.clone(), self.blob.version);
        for peer in self.store.replica.live_peers() {
            if peer.number == asked {
                continue;
            }
            let answer = self.store.ask_range(&peer, &key, version, range.clone());
            match answer.await {
                Ok(bytes) => {
                    debug!(peer = %peer.number, "the rest of a blob is read from another peer");
                    self.blob.peer = peer;
                    return Ok(bytes);
                }
                // Whoever answered tells more than who did not.
                Err(RangeError::Refused) => error = RangeError::Refused,
                Err(RangeError::Lost) => {}
            }
        }
        Err(match error {
            RangeError::Refused => StoreError::Conflict,
            RangeError::Lost => StoreError::OutOfReach,
        })
    }
}
