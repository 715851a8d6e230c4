//! Repairs what is damaged here with the bytes of a peer.
//!
//! A part is replaced alone: its checksum says whether the peer's bytes are the right ones, whatever
//! else of the blob has changed since. Other records are fetched anew in their version.

use std::ops::Range;

use bytes::Bytes;
use common::digest::Crc32;
use tracing::{info, warn};

use super::group::GroupStore;
use super::link::Peer;
use super::message::{Answer as PeerAnswer, Request};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{Extent, IndexKey, PartId, RecordHeader};
use crate::index::Index;
use crate::store::{BlobContent, Change, Condition, MovedRecord};

impl<D: Disk, I: Index> GroupStore<D, I> {
    /// Repairs what is damaged of a blob and its metadata. Changes nothing if no peer can help.
    ///
    /// # Errors
    ///
    /// What the own store says.
    ///
    /// # Cancel safety
    ///
    /// What was repaired stays so.
    pub async fn repair(&self, key: &[u8]) -> Result<(), StoreError> {
        match self.shared().open_blob(key).await {
            Ok(Some(blob)) => {
                if let BlobContent::Manifest(manifest) = &blob.content {
                    let mut at = 0;
                    for segment in manifest.segments() {
                        let start = at;
                        at += u64::from(segment.len);
                        if segment.part == PartId::HOLE {
                            continue;
                        }
                        let Some((header, from)) = self.damage_of(segment.part).await? else {
                            continue;
                        };
                        let is_all = segment.start == 0 && segment.len == header.payload_len;
                        // A peer that has not heard of the new name has the bytes under the old one.
                        let mut names = vec![key.to_vec()];
                        names.extend(manifest.replaces.clone());
                        if !is_all || !self.mend_part(&names, start..at, header, from).await? {
                            self.fetch_again(IndexKey::BLOB, key).await?;
                            break;
                        }
                    }
                }
            }
            Ok(None) => {}
            Err(StoreError::Read(_)) => self.fetch_again(IndexKey::BLOB, key).await?,
            Err(error) => return Err(error),
        }
        match self.shared().metadata(key).await {
            Ok(_) => Ok(()),
            Err(StoreError::Read(_)) => self.fetch_again(IndexKey::METADATA, key).await,
            Err(error) => Err(error),
        }
    }

    /// Repairs what was found damaged, as it is found. Never ends by itself.
    ///
    /// # Cancel safety
    ///
    /// What was not repaired is found again by the next scrub.
    pub async fn mend(&self) {
        let mut news = self.shared().damaged_news();
        loop {
            for key in self.shared().take_damaged() {
                if let Err(error) = self.mend_record(key).await {
                    warn!(%error, "a damaged record is not repaired");
                }
            }
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    async fn mend_record(&self, key: Vec<u8>) -> Result<(), StoreError> {
        let decoded = IndexKey::decode(&key).map_err(crate::index::IndexError::from)?;
        match decoded {
            IndexKey::Blob(name) | IndexKey::Metadata(name) => self.repair(name).await,
            IndexKey::Part(part) => {
                let owners = self
                    .shared()
                    .blocking(move |shared| shared.owners_of(part))
                    .await?;
                for owner in owners {
                    self.repair(&owner).await?;
                }
                Ok(())
            }
            // Nobody needs more of these than the index knows.
            IndexKey::OpenPart(_)
            | IndexKey::Tombstone(_)
            | IndexKey::Volume(_)
            | IndexKey::Replay
            | IndexKey::Log => Ok(()),
        }
    }

    /// Header and place of a part that is damaged; `None` if it is sound, or nothing of it is left.
    async fn damage_of(&self, part: PartId) -> Result<Option<(RecordHeader, Extent)>, StoreError> {
        self.shared()
            .blocking(move |shared| shared.damaged_part(part))
            .await
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
        let stamps = &self.replica.stamps;
        let (path, key) = (self.path, key.to_vec());
        let find = Request::Find {
            path,
            key: key.clone(),
        };
        let Ok(PeerAnswer::State {
            blob: Some(version),
            ..
        }) = peer.ask(stamps, &find).await
        else {
            return None;
        };
        let read = Request::Read {
            path,
            key,
            version,
            range,
        };
        match peer.ask(stamps, &read).await {
            Ok(PeerAnswer::Range(bytes)) => Some(bytes),
            Ok(_) | Err(_) => None,
        }
    }

    /// Gets a blob or metadata again, in the version that is here or a newer one.
    async fn fetch_again(&self, prefix: u8, key: &[u8]) -> Result<(), StoreError> {
        for peer in self.replica.live_peers() {
            let names = vec![(prefix, key.to_vec())];
            match self.fetch(&peer, names, Condition::Repair).await {
                Ok(_) => {}
                Err(StoreError::OutOfReach) => continue,
                Err(error) => return Err(error),
            }
            if self.is_sound(prefix, key).await? {
                info!(peer = %peer.number, "a damaged blob was fetched again");
                return Ok(());
            }
        }
        Ok(())
    }

    async fn is_sound(&self, prefix: u8, key: &[u8]) -> Result<bool, StoreError> {
        let read = if prefix == IndexKey::METADATA {
            self.shared().metadata(key).await.map(drop)
        } else {
            self.shared().open_blob(key).await.map(drop)
        };
        match read {
            Ok(()) => Ok(true),
            Err(StoreError::Read(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
