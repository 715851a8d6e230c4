//! Repairs what is damaged here with the bytes of a peer.
//!
//! A part is replaced alone: its checksum says whether the peer's bytes are the right ones, whatever
//! else of the blob has changed since. Other records are fetched anew in their version.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use common::digest::Crc32;
use tokio::time::timeout;
use tracing::{info, warn};

use super::fetching::Pace;
use super::group::GroupStore;
use super::link::Peer;
use super::message::{Answer as PeerAnswer, Request};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{Extent, IndexKey, PartId, RecordHeader};
use crate::index::Index;
use crate::store::{BlobContent, Change, Condition, MovedRecord, PartState, Shared};

/// Time after which a repair that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

impl<D: Disk, I: Index> GroupStore<D, I> {
    /// Repairs what is damaged of a blob and its metadata. Returns whether all of it is sound, which
    /// it is not if no peer can help now.
    ///
    /// # Errors
    ///
    /// What the own store says.
    ///
    /// # Cancel safety
    ///
    /// What was repaired stays so.
    pub async fn repair(&self, key: &[u8]) -> Result<bool, StoreError> {
        let has_blob = self.is_sound(IndexKey::BLOB, key).await?
            || self.fetch_again(IndexKey::BLOB, key).await?;
        let has_metadata = self.is_sound(IndexKey::METADATA, key).await?
            || self.fetch_again(IndexKey::METADATA, key).await?;
        if !has_blob || !has_metadata {
            return Ok(false);
        }
        let blob = self.shared().open_blob(key).await?;
        let Some(BlobContent::Manifest(manifest)) = blob.map(|blob| blob.content) else {
            return Ok(true);
        };
        let mut at = 0;
        for segment in manifest.segments() {
            let start = at;
            at += u64::from(segment.len);
            if segment.part == PartId::HOLE {
                continue;
            }
            let is_mended = match self.look_at_part(segment.part).await? {
                PartState::Sound => continue,
                PartState::Gone => false,
                PartState::Rotten { header, extent } => {
                    let is_all = segment.start == 0 && segment.len == header.payload_len;
                    // A peer that has not heard of the new name has the bytes under the old one.
                    let mut names = vec![key.to_vec()];
                    names.extend(manifest.replaces.clone());
                    is_all && self.mend_part(&names, start..at, header, extent).await?
                }
            };
            if !is_mended {
                // All of it, then; which is no help where the peer has another version.
                self.fetch_again(IndexKey::BLOB, key).await?;
                return self.is_whole(key).await;
            }
        }
        Ok(true)
    }

    /// Whether all bytes of a blob can be read from the disk.
    async fn is_whole(&self, key: &[u8]) -> Result<bool, StoreError> {
        let blob = self.shared().open_blob(key).await?;
        let Some(BlobContent::Manifest(manifest)) = blob.map(|blob| blob.content) else {
            return Ok(true);
        };
        for segment in manifest.segments() {
            if segment.part != PartId::HOLE
                && self.look_at_part(segment.part).await? != PartState::Sound
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Repairs what was found damaged, as it is found. Never ends by itself.
    ///
    /// # Cancel safety
    ///
    /// What was not repaired is found again by the next scrub.
    pub async fn mend(&self) {
        let mut news = self.shared().damaged_news();
        // What could not be repaired, because no peer answered or none has it sound.
        let mut left = BTreeSet::new();
        loop {
            left.append(&mut self.shared().take_damaged());
            for key in std::mem::take(&mut left) {
                match self.mend_record(&key).await {
                    Ok(true) => {}
                    Ok(false) => {
                        left.insert(key);
                    }
                    Err(error) => {
                        warn!(%error, "a damaged record is not repaired");
                        left.insert(key);
                    }
                }
            }
            if left.is_empty() {
                if news.changed().await.is_err() {
                    return;
                }
            } else {
                // Whichever comes first: more damage, or the time to try again.
                let _ = timeout(RETRY, news.changed()).await;
            }
        }
    }

    async fn mend_record(&self, key: &[u8]) -> Result<bool, StoreError> {
        let decoded = IndexKey::decode(key).map_err(crate::index::IndexError::from)?;
        match decoded {
            IndexKey::Blob(name) | IndexKey::Metadata(name) => self.repair(name).await,
            IndexKey::Part(part) => {
                let owners = self
                    .shared()
                    .blocking(move |shared| shared.owners_of(part))
                    .await?;
                let mut is_sound = true;
                for owner in owners {
                    is_sound &= self.repair(&owner).await?;
                }
                Ok(is_sound)
            }
            // Its record alone would end the name in a rebuild.
            IndexKey::Tombstone(name) => self.bury_again(name).await.map(|()| true),
            // Nobody needs more of these than the index knows.
            IndexKey::OpenPart(_) | IndexKey::Volume(_) | IndexKey::Replay | IndexKey::Log => {
                Ok(true)
            }
        }
    }

    async fn look_at_part(&self, part: PartId) -> Result<PartState, StoreError> {
        self.shared()
            .blocking(move |shared| shared.look_at_part(part))
            .await
    }

    /// Writes a tombstone again that the index shows.
    async fn bury_again(&self, name: &[u8]) -> Result<(), StoreError> {
        match self.tombstone(name).await? {
            Some(version) => self.bury(name.to_vec(), version, Condition::Repair).await,
            None => Ok(()),
        }
    }

    /// Gets the bytes of a part, which are `range` of the blob with one of these names, from a peer.
    /// Whether one helped.
    async fn mend_part(
        &self,
        names: &[Vec<u8>],
        range: Range<u64>,
        header: RecordHeader,
        from: Extent,
    ) -> Result<bool, StoreError> {
        for peer in self.replica.live_peers() {
            for name in names {
                let payload = self.range_of(&peer, name, range.clone()).await;
                let right = payload.filter(|payload| Crc32::of(payload) == header.payload_crc);
                let Some(payload) = right else {
                    continue;
                };
                let record = MovedRecord {
                    header,
                    key: Vec::new(),
                    payload,
                    from,
                };
                self.local.submit(Change::Move(record)).await?;
                info!(peer = %peer.number, "a damaged part was repaired");
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A range of what a peer has under a name, in whatever version.
    async fn range_of(&self, peer: &Peer, key: &[u8], range: Range<u64>) -> Option<Bytes> {
        let find = Request::Find {
            path: self.path,
            key: key.to_vec(),
        };
        let Ok(PeerAnswer::State {
            blob: Some(version),
            ..
        }) = peer.ask(&self.replica.stamps, &find).await
        else {
            return None;
        };
        self.ask_range(peer, key, version, range).await.ok()
    }

    /// Gets a blob or metadata again, in the version that is here or a newer one. Whether its record
    /// is sound now.
    async fn fetch_again(&self, prefix: u8, key: &[u8]) -> Result<bool, StoreError> {
        for peer in self.replica.live_peers() {
            let names = vec![(prefix, key.to_vec())];
            let fetched = self.fetch(&peer, names, Condition::Repair, Pace::Urgent);
            match fetched.await {
                Ok(_) => {}
                Err(StoreError::OutOfReach) => continue,
                Err(error) => return Err(error),
            }
            if self.is_sound(prefix, key).await? {
                info!(peer = %peer.number, "a damaged blob was fetched again");
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a record can be read from the disk, if there is one. What was verified before counts
    /// nothing.
    async fn is_sound(&self, prefix: u8, key: &[u8]) -> Result<bool, StoreError> {
        let key = key.to_vec();
        let read = move |shared: &Shared<D, I>| {
            shared
                .read(match prefix {
                    IndexKey::METADATA => IndexKey::Metadata(&key),
                    _ => IndexKey::Blob(&key),
                })
                .map(drop)
        };
        match self.shared().blocking(read).await {
            Ok(()) => Ok(true),
            Err(StoreError::Read(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
