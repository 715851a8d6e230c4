//! Content of more than one record on its way to this node's volumes and to its peers.

use std::fmt;

use bytes::Bytes;
use common::digest::Crc32;
use common::env::entropy;
use tokio::task::JoinHandle;

use super::group::GroupStore;
use super::link::Peer;
use super::message::{Answer as PeerAnswer, Carried, PeerChange, Request};
use crate::disk::{Disk, OsDisk};
use crate::error::StoreError;
use crate::format::Version;
use crate::index::{Index, RocksIndex};
use crate::store::{Condition, PendingParts};

/// Content that is being received. Dropping it gives its space back, on all nodes.
pub struct Upload<D: Disk = OsDisk, I: Index = RocksIndex> {
    pub(super) store: GroupStore<D, I>,
    pub(super) parts: PendingParts<D, I>,
    pub(super) time: u32,
    id: u64,
    /// Peers that have all parts so far, each with the last one, which may be under way.
    copies: Vec<(Peer, Option<JoinHandle<bool>>)>,
}

impl<D: Disk, I: Index> fmt::Debug for Upload<D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl<D: Disk, I: Index> Upload<D, I> {
    pub(super) fn new(store: GroupStore<D, I>, time: u32) -> Self {
        let peers = store.replica.live_peers();
        Self {
            parts: store.local.parts(time),
            store,
            time,
            id: entropy::random_u64(),
            copies: peers.into_iter().map(|peer| (peer, None)).collect(),
        }
    }

    /// Stores the next part, of at most [`common::limits::RECORD_PAYLOAD_LEN_MAX`] bytes.
    ///
    /// A peer has one part under way at a time, which is what keeps their order; one that fails is
    /// left behind and gets the blob later.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the part may be stored and forgotten.
    pub async fn push(&mut self, payload: Bytes) -> Result<(), StoreError> {
        self.settle().await;
        let request = Request::Part {
            transfer: self.id,
            path: self.store.path,
            time: self.time,
            payload: payload.clone(),
        };
        for (peer, under_way) in &mut self.copies {
            let answer = peer.ask(&self.store.replica.stamps, &request);
            *under_way = Some(tokio::spawn(async move {
                matches!(answer.await, Ok(PeerAnswer::Done))
            }));
        }
        self.parts.push(payload).await
    }

    /// Waits for the parts that are under way, and keeps the peers that have them.
    async fn settle(&mut self) {
        let mut kept = Vec::with_capacity(self.copies.len());
        for (peer, under_way) in std::mem::take(&mut self.copies) {
            let has_all = match under_way {
                Some(part) => part.await.unwrap_or(false),
                None => true,
            };
            if has_all {
                kept.push((peer, None));
            }
        }
        self.copies = kept;
    }

    /// The peers that have all parts.
    pub(super) async fn complete(&mut self) -> Vec<Peer> {
        self.settle().await;
        self.copies.iter().map(|(peer, _)| peer.clone()).collect()
    }

    /// The content for the messages that tell what becomes of it.
    pub(super) fn carried(&self) -> Carried {
        Carried::Transfer {
            id: self.id,
            crc: self.parts.crc(),
        }
    }

    /// Notes that the peers have taken their parts, and need not be told to drop them.
    pub(super) fn taken(&mut self) {
        self.copies.clear();
    }

    /// Bytes stored so far.
    pub fn len(&self) -> u64 {
        self.parts.len()
    }

    /// Whether nothing was stored yet.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Checksum of what was stored so far.
    pub fn crc(&self) -> Crc32 {
        self.parts.crc()
    }

    /// Makes the parts a blob. Can be called again with another name if this one is taken.
    ///
    /// # Errors
    ///
    /// As [`GroupStore::put`].
    ///
    /// # Cancel safety
    ///
    /// What was sent is not taken back.
    pub async fn finish(&mut self, key: Vec<u8>) -> Result<(), StoreError> {
        let store = self.store.clone();
        let _order = store.order(&key).await?;
        let peers = self.complete().await;
        store.replica.check_copies(peers.len())?;
        let version = Version::first(store.replica.stamps.draw());
        let change = PeerChange::Put {
            in_parts: true,
            content: self.carried(),
            crc: self.crc(),
        };
        let request = store.request(&key, self.time, version, change);
        let calls = store.replica.send(peers, &request);
        let name = key.clone();
        let local = self.parts.finish(key, version, Condition::Asked);
        let gathered = store.replica.gather(local, calls).await;
        self.taken();
        store.keep_or_undo(&name, self.time, gathered).await
    }
}

impl<D: Disk, I: Index> Drop for Upload<D, I> {
    fn drop(&mut self) {
        if self.copies.is_empty() || self.parts.is_empty() {
            return;
        }
        // Without a runtime the process is ending, and the peers notice that.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        for (peer, under_way) in std::mem::take(&mut self.copies) {
            let request = Request::Drop { transfer: self.id };
            let stamps = std::sync::Arc::clone(&self.store.replica.stamps);
            runtime.spawn(async move {
                if let Some(part) = under_way {
                    // Whether it came or not, the next message says that it is not needed.
                    let _ = part.await;
                }
                let _ = peer.ask(&stamps, &request).await;
            });
        }
    }
}
