//! Gets from a peer what this node has not, or has an older version of.

use bytes::Bytes;
use common::digest::Crc32;
use common::id::RemoteName;
use tracing::{debug, warn};

use super::fetching::{Fetching, Pace};
use super::group::GroupStore;
use super::link::Peer;
use super::message::{Answer as PeerAnswer, Found, Request};
use super::remote::{GroupBlob, RemoteBlob};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{IndexKey, Version};
use crate::index::Index;
use crate::store::{Change, Condition, OpenBlob, Shared};

/// A blob or metadata: prefix of the index, and key.
pub(super) type Name = (u8, Vec<u8>);

impl<D: Disk, I: Index> GroupStore<D, I> {
    /// Opens a blob for reading wherever in the group it is. A short one that is not here is fetched
    /// first; a long one is read from the peer that has it.
    ///
    /// # Errors
    ///
    /// [`StoreError::OutOfReach`] if it is not here and not all peers say that they have none; what
    /// the own store says.
    ///
    /// # Cancel safety
    ///
    /// What was fetched is kept.
    pub async fn open(&self, key: &[u8]) -> Result<Option<GroupBlob<D, I>>, StoreError> {
        self.seek(key, self.replica.portions().fetched_first).await
    }

    /// Opens a blob wherever in the group it is: one that is not here is fetched first.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    ///
    /// # Cancel safety
    ///
    /// What was fetched is kept.
    pub async fn open_blob(&self, key: &[u8]) -> Result<Option<OpenBlob<D, I>>, StoreError> {
        match self.seek(key, u64::MAX).await? {
            Some(GroupBlob::Here(blob)) => Ok(Some(blob)),
            // Nothing is longer than that.
            Some(GroupBlob::There(_)) => Err(StoreError::OutOfReach),
            None => Ok(None),
        }
    }

    /// Opens a blob. One that is not here, and longer than `len_max`, stays where it is.
    async fn seek(&self, key: &[u8], len_max: u64) -> Result<Option<GroupBlob<D, I>>, StoreError> {
        match self.shared().open_blob(key).await {
            Ok(Some(blob)) => return Ok(Some(GroupBlob::Here(blob))),
            Ok(None) => {}
            Err(StoreError::Read(error)) => {
                warn!(%error, "a damaged blob is fetched from a peer");
                self.repair(key).await?;
                let blob = self.shared().open_blob(key).await?;
                return Ok(blob.map(GroupBlob::Here));
            }
            Err(error) => return Err(error),
        }
        if self.is_ended(key).await? {
            return Ok(None);
        }
        if !self.replica.knows_peers() {
            return Err(StoreError::OutOfReach);
        }
        if self.replica.peers().is_empty() {
            return Ok(None);
        }
        let left = self.fetch_short(key, len_max).await?;
        if let Some(blob) = self.shared().open_blob(key).await? {
            return Ok(Some(GroupBlob::Here(blob)));
        }
        if self.is_ended(key).await? {
            return Ok(None);
        }
        if let Some(left) = left {
            return Ok(Some(GroupBlob::There(left)));
        }
        // Whoever does not answer may have it.
        for peer in self.replica.peers() {
            let find = Request::Find {
                path: self.path,
                key: key.to_vec(),
            };
            match peer.ask(&self.replica.stamps, &find).await {
                Ok(PeerAnswer::State { blob: None, .. }) => {}
                Ok(_) | Err(_) => return Err(StoreError::OutOfReach),
            }
        }
        Ok(None)
    }

    /// The metadata of a blob, wherever in the group it is; `None` if it has none.
    ///
    /// # Errors
    ///
    /// As [`Self::open_blob`].
    ///
    /// # Cancel safety
    ///
    /// What was fetched is kept.
    pub async fn metadata(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.open(key).await? {
            None => return Ok(None),
            Some(GroupBlob::There(blob)) => return self.metadata_there(&blob).await,
            Some(GroupBlob::Here(_)) => {}
        }
        match self.shared().metadata(key).await {
            Err(StoreError::Read(error)) => {
                warn!(%error, "damaged metadata is fetched from a peer");
                self.repair(key).await?;
                self.shared().metadata(key).await
            }
            read => read,
        }
    }

    /// The metadata of a blob that stays with a peer, where it stays too.
    async fn metadata_there(&self, blob: &RemoteBlob) -> Result<Option<Bytes>, StoreError> {
        let request = Request::Fetch {
            path: self.path,
            names: vec![(IndexKey::METADATA, blob.key.clone())],
        };
        let answer = blob.peer.ask(&self.replica.stamps, &request).await;
        let Ok(PeerAnswer::Fetched { found, payload }) = answer else {
            return Err(StoreError::OutOfReach);
        };
        match found.first() {
            Some(Found::Nothing) => Ok(None),
            Some(Found::Whole { crc, .. }) if Crc32::of(&payload) == *crc => {
                Ok(Some(payload).filter(|payload| !payload.is_empty()))
            }
            _ => Err(StoreError::OutOfReach),
        }
    }

    /// Whether this node knows that the name ended for good. That of a slave may be in use again.
    async fn is_ended(&self, key: &[u8]) -> Result<bool, StoreError> {
        if RemoteName::is_slave_key(key) {
            return Ok(false);
        }
        Ok(self.tombstone(key).await?.is_some())
    }

    /// The version in which a name ended, as far as this node knows.
    pub(super) async fn tombstone(&self, key: &[u8]) -> Result<Option<Version>, StoreError> {
        let key = key.to_vec();
        let look = move |shared: &Shared<D, I>| shared.version_of(IndexKey::Tombstone(&key));
        self.shared().blocking(look).await
    }

    /// Asks the peers for a blob that this node knows nothing of.
    pub(super) async fn fetch_if_missing(&self, key: &[u8]) -> Result<(), StoreError> {
        self.fetch_short(key, u64::MAX).await.map(drop)
    }

    /// Asks the peers for a blob that this node knows nothing of. One that is longer than `len_max` is
    /// not fetched: who has it is the answer.
    async fn fetch_short(
        &self,
        key: &[u8],
        len_max: u64,
    ) -> Result<Option<RemoteBlob>, StoreError> {
        if self.version(key).await?.is_some() || self.is_ended(key).await? {
            return Ok(None);
        }
        for peer in self.replica.live_peers() {
            let mut fetched = self.fetch_some_from(&peer, key, len_max).await;
            if let Err(error) = &fetched
                && !matches!(error, StoreError::OutOfReach)
            {
                // No room, or a disk that fails: readers get it from the peer as it comes.
                debug!(peer = %peer.number, %error, "a blob is not kept here");
                fetched = self.fetch_some_from(&peer, key, 0).await;
            }
            match fetched {
                Ok(None) => {}
                Ok(left) => return Ok(left),
                Err(error) => warn!(peer = %peer.number, %error, "a blob was not fetched"),
            }
            if self.version(key).await?.is_some() {
                break;
            }
        }
        Ok(None)
    }

    /// Gets what a peer has under a name: blob, metadata, or the news that it ended.
    pub(super) async fn fetch_from(&self, peer: &Peer, key: &[u8]) -> Result<(), StoreError> {
        self.fetch_some_from(peer, key, u64::MAX).await.map(drop)
    }

    async fn fetch_some_from(
        &self,
        peer: &Peer,
        key: &[u8],
        len_max: u64,
    ) -> Result<Option<RemoteBlob>, StoreError> {
        let find = Request::Find {
            path: self.path,
            key: key.to_vec(),
        };
        let answer = peer.ask(&self.replica.stamps, &find).await;
        let Ok(PeerAnswer::State { blob, tombstone }) = answer else {
            return Err(StoreError::OutOfReach);
        };
        if let Some(version) = tombstone {
            self.bury(key.to_vec(), version, Condition::Newer).await?;
        }
        if blob.is_none() {
            return Ok(None);
        }
        // The blob first: metadata is refused as long as its blob is not here.
        for prefix in [IndexKey::BLOB, IndexKey::METADATA] {
            let fetching = Fetching::new(self, peer, Condition::Newer, Pace::Urgent);
            let fetched = fetching.run(vec![(prefix, key.to_vec())], len_max).await?;
            let left = fetched.left.into_iter().next();
            if left.is_some() {
                return Ok(left);
            }
        }
        Ok(None)
    }

    /// Keeps the news that a name ended.
    pub(super) async fn bury(
        &self,
        key: Vec<u8>,
        version: Version,
        condition: Condition,
    ) -> Result<(), StoreError> {
        self.replica.stamps.see(version.stamp);
        let seconds = version.stamp.micros() / 1_000_000;
        let change = Change::Delete {
            key,
            time: u32::try_from(seconds).unwrap_or(u32::MAX),
            version,
            condition,
        };
        self.local.submit(change).await.map(drop)
    }

    /// Gets blobs and metadata from a peer. What it has not any more, or not in a sound copy, is left
    /// out: another peer's log or the next comparison tells of it. Returns how many were not sound.
    ///
    /// # Errors
    ///
    /// [`StoreError::OutOfReach`] if the peer does not answer; what the own store says.
    pub(super) async fn fetch(
        &self,
        peer: &Peer,
        names: Vec<Name>,
        condition: Condition,
        pace: Pace<'_>,
    ) -> Result<usize, StoreError> {
        // Metadata is refused as long as its blob is not here, and a blob of parts takes longer.
        let is_metadata = |(prefix, _): &Name| *prefix == IndexKey::METADATA;
        let (metadata, blobs) = names.into_iter().partition(is_metadata);
        let mut damaged = 0;
        for names in [blobs, metadata] {
            let fetching = Fetching::new(self, peer, condition, pace);
            damaged += fetching.run(names, u64::MAX).await?.damaged;
        }
        Ok(damaged)
    }
}
