//! Gets from a peer what this node has not, or has an older version of.

use bytes::{Buf as _, Bytes};
use common::digest::Crc32;
use common::id::RemoteName;
use common::limits;
use tracing::warn;

use super::group::GroupStore;
use super::link::Peer;
use super::message::{Answer as PeerAnswer, Found, Request};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{IndexKey, Version};
use crate::index::Index;
use crate::store::{Change, Condition, OpenBlob};

/// A blob or metadata: prefix of the index, and key.
pub(super) type Name = (u8, Vec<u8>);

impl<D: Disk, I: Index> GroupStore<D, I> {
    /// Opens a blob wherever in the group it is: one that is not here is fetched first.
    ///
    /// # Errors
    ///
    /// [`StoreError::OutOfReach`] if it is not here and not all peers say that they have none; what
    /// the own store says.
    ///
    /// # Cancel safety
    ///
    /// What was fetched is kept.
    pub async fn open_blob(&self, key: &[u8]) -> Result<Option<OpenBlob<D, I>>, StoreError> {
        match self.shared().open_blob(key).await {
            Ok(Some(blob)) => return Ok(Some(blob)),
            Ok(None) => {}
            Err(StoreError::Read(error)) => {
                warn!(%error, "a damaged blob is fetched from a peer");
                self.repair(key).await?;
                return self.shared().open_blob(key).await;
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
        self.fetch_if_missing(key).await?;
        if let Some(blob) = self.shared().open_blob(key).await? {
            return Ok(Some(blob));
        }
        if self.is_ended(key).await? {
            return Ok(None);
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
        if self.open_blob(key).await?.is_none() {
            return Ok(None);
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

    /// Whether this node knows that the name ended for good. That of a slave may be in use again.
    async fn is_ended(&self, key: &[u8]) -> Result<bool, StoreError> {
        if RemoteName::is_slave_key(key) {
            return Ok(false);
        }
        let key = key.to_vec();
        let ended = self
            .shared()
            .blocking(move |shared| shared.version_of(IndexKey::Tombstone(&key)));
        Ok(ended.await?.is_some())
    }

    /// Asks the peers for a blob that this node knows nothing of.
    pub(super) async fn fetch_if_missing(&self, key: &[u8]) -> Result<(), StoreError> {
        if self.version(key).await?.is_some() || self.is_ended(key).await? {
            return Ok(());
        }
        for peer in self.replica.live_peers() {
            if let Err(error) = self.fetch_from(&peer, key).await {
                warn!(peer = %peer.number, %error, "a blob was not fetched");
            }
            if self.version(key).await?.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Gets what a peer has under a name: blob, metadata, or the news that it ended.
    pub(super) async fn fetch_from(&self, peer: &Peer, key: &[u8]) -> Result<(), StoreError> {
        let find = Request::Find {
            path: self.path,
            key: key.to_vec(),
        };
        let answer = peer.ask(&self.replica.stamps, &find).await;
        let Ok(PeerAnswer::State { blob, tombstone }) = answer else {
            return Err(StoreError::OutOfReach);
        };
        if let Some(version) = tombstone {
            self.bury(key.to_vec(), version).await?;
        }
        if blob.is_some() {
            let names = vec![
                (IndexKey::BLOB, key.to_vec()),
                (IndexKey::METADATA, key.to_vec()),
            ];
            self.fetch(peer, names, Condition::Newer).await?;
        }
        Ok(())
    }

    /// Keeps the news that a name ended.
    pub(super) async fn bury(&self, key: Vec<u8>, version: Version) -> Result<(), StoreError> {
        self.replica.stamps.see(version.stamp);
        let seconds = version.stamp.micros() / 1_000_000;
        let change = Change::Delete {
            key,
            time: u32::try_from(seconds).unwrap_or(u32::MAX),
            version,
            condition: Condition::Newer,
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
    ) -> Result<usize, StoreError> {
        // Metadata is refused as long as its blob is not here, and a blob of parts takes longer.
        let is_metadata = |(prefix, _): &Name| *prefix == IndexKey::METADATA;
        let (metadata, blobs) = names.into_iter().partition(is_metadata);
        let damaged = self.fetch_alike(peer, blobs, condition).await?;
        Ok(damaged + self.fetch_alike(peer, metadata, condition).await?)
    }

    async fn fetch_alike(
        &self,
        peer: &Peer,
        mut names: Vec<Name>,
        condition: Condition,
    ) -> Result<usize, StoreError> {
        let mut damaged = 0;
        let most = self.replica.portions().names;
        while !names.is_empty() {
            let rest = names.split_off(names.len().min(most));
            let request = Request::Fetch {
                path: self.path,
                names: names.clone(),
            };
            let answer = peer.ask(&self.replica.stamps, &request).await;
            let Ok(PeerAnswer::Fetched { found, mut payload }) = answer else {
                return Err(StoreError::OutOfReach);
            };
            let mut later = Vec::new();
            let mut has_moved = false;
            // One group for all that came together.
            let mut kept = Vec::new();
            for (name, found) in names.into_iter().zip(found) {
                match found {
                    Found::Later => {
                        later.push(name);
                        continue;
                    }
                    Found::Nothing => {}
                    Found::Damaged => damaged += 1,
                    Found::Whole {
                        version,
                        time,
                        in_parts,
                        crc,
                        len,
                    } => {
                        let len = len as usize;
                        if payload.remaining() < len {
                            return Err(StoreError::OutOfReach);
                        }
                        let bytes = payload.split_to(len);
                        if Crc32::of(&bytes) != crc {
                            return Err(StoreError::OutOfReach);
                        }
                        let dated = (version, time);
                        kept.push(self.keep(name, dated, in_parts, bytes, condition));
                    }
                    Found::Long {
                        version,
                        time,
                        crc,
                        len,
                    } => {
                        let long = (crc, len);
                        self.fetch_long(peer, name.1, (version, time), long, condition)
                            .await?;
                    }
                }
                has_moved = true;
            }
            for outcome in futures_util::future::join_all(kept).await {
                outcome?;
            }
            if !has_moved && !later.is_empty() {
                // It changes faster than it is read. What changes it tells of it again.
                return Ok(damaged);
            }
            later.extend(rest);
            names = later;
        }
        Ok(damaged)
    }

    async fn keep(
        &self,
        (prefix, key): Name,
        (version, time): (Version, u32),
        in_parts: bool,
        bytes: Bytes,
        condition: Condition,
    ) -> Result<(), StoreError> {
        self.replica.stamps.see(version.stamp);
        let kept = if prefix == IndexKey::METADATA {
            let packed = bytes.to_vec();
            let change = Change::Metadata {
                key,
                time,
                version,
                change: Box::new(move |_| Some(packed)),
                condition,
            };
            self.local.submit(change).await
        } else if in_parts {
            let mut parts = self.local.parts(time);
            if !bytes.is_empty() {
                parts.push(bytes).await?;
            }
            parts.finish(key, version, condition).await
        } else {
            let change = Change::Blob {
                key,
                time,
                version,
                crc: Crc32::of(&bytes),
                payload: bytes,
                condition,
            };
            self.local.submit(change).await
        };
        settled(kept.map(drop))
    }

    async fn fetch_long(
        &self,
        peer: &Peer,
        key: Vec<u8>,
        (version, time): (Version, u32),
        (crc, len): (Option<Crc32>, u64),
        condition: Condition,
    ) -> Result<(), StoreError> {
        self.replica.stamps.see(version.stamp);
        let mut parts = self.local.parts(time);
        let piece_len = limits::RECORD_PAYLOAD_LEN_MAX as u64;
        while parts.len() < len {
            let start = parts.len();
            let end = len.min(start + piece_len);
            let read = Request::Read {
                path: self.path,
                key: key.clone(),
                version,
                range: start..end,
            };
            match peer.ask(&self.replica.stamps, &read).await {
                Ok(PeerAnswer::Range(bytes)) if bytes.len() as u64 == end - start => {
                    parts.push(bytes).await?;
                }
                // Changed or deleted meanwhile, or unreadable there: the log or another peer tells.
                Ok(PeerAnswer::Refused(_)) => return Ok(()),
                Ok(_) | Err(_) => return Err(StoreError::OutOfReach),
            }
        }
        if crc.is_some_and(|crc| crc != parts.crc()) {
            warn!(peer = %peer.number, "a blob came with other bytes than its checksum says");
            return Ok(());
        }
        let kept = parts.finish(key, version, condition).await;
        settled(kept.map(drop))
    }
}

/// What came too late, because something newer is here, is settled too.
fn settled(kept: Result<(), StoreError>) -> Result<(), StoreError> {
    match kept {
        // Metadata of a blob that was deleted meanwhile.
        Err(StoreError::Deleted | StoreError::NotFound) => Ok(()),
        kept => kept,
    }
}
