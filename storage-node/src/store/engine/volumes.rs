//! The life of volume files: made, active, sealed or poisoned, removed.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::{Active, Engine, Purpose, VOLUME_LEN_MIN};
use crate::disk::{Disk, Space, VolumeFile};
use crate::error::{CommitError, StoreError};
use crate::format::{IndexKey, Position, SUPERBLOCK_LEN, Superblock, VolumeNumber, VolumeStats};
use crate::index::Index;
use crate::store::change::Answer;
use crate::store::space::Durability;
use crate::volume::{Volume, VolumeState};

impl<D: Disk, I: Index> Engine<D, I> {
    pub(super) fn remove_volume(&mut self, number: VolumeNumber) -> Result<Answer, StoreError> {
        let is_active = self
            .active
            .as_ref()
            .is_some_and(|a| a.volume.number() == number);
        // Its superblock says where the poisoned volume before it ends.
        let is_witness = (number.0.checked_sub(1))
            .and_then(|before| self.shared.volume(VolumeNumber(before)))
            .is_some_and(|before| before.state() == VolumeState::Poisoned);
        let is_pinned = self
            .open_parts
            .values()
            .any(|extent| extent.volume == number);
        if is_active || is_pinned || is_witness {
            return Err(StoreError::Conflict);
        }
        // What moved out of the volume, and the index that says so, must be durable first.
        self.make_durable()?;
        let failed = StoreError::CreateVolume;
        self.shared.forget_volume(number);
        self.shared.disk.remove(number).map_err(failed)?;
        self.unsynced.retain(|position| position.volume != number);
        self.group.batch.delete(IndexKey::Volume(number).encode());
        self.flush();
        self.refresh_space();
        Ok(Answer::Done)
    }

    /// Syncs all volumes and the index, so that nothing needs to be replayed.
    pub fn make_durable(&mut self) -> Result<Answer, StoreError> {
        self.flush();
        if let Some(error) = &self.stopped {
            return Err(StoreError::Commit(Arc::clone(error)));
        }
        while let Some(position) = self.unsynced.front().copied() {
            if let Some(volume) = self.shared.volume(position.volume) {
                let number = position.volume;
                if volume.state() == VolumeState::Poisoned {
                    // The kernel reports a failed sync once; the next one would say yes.
                    return Err(commit_failed(CommitError::Poisoned { volume: number }));
                }
                if let Err(source) = volume.file().sync() {
                    volume.set_state(VolumeState::Poisoned);
                    self.shared.metrics.poisoned_volumes.inc();
                    let volume = number;
                    return Err(commit_failed(CommitError::Sync { volume, source }));
                }
            }
            self.unsynced.pop_front();
        }
        if let Some(active) = &mut self.active
            && active.synced < active.tail
        {
            if let Err(source) = active.volume.file().sync() {
                let volume = active.volume.number();
                self.poison();
                return Err(commit_failed(CommitError::Sync { volume, source }));
            }
            active.synced = active.tail;
        }
        self.group.batch.put(
            IndexKey::Replay.encode(),
            self.replay_position().encode().to_vec(),
        );
        self.flush();
        self.shared.index.flush()?;
        Ok(Answer::Done)
    }

    pub(super) fn synced_until(&mut self, position: Position) {
        match &mut self.active {
            Some(active) if active.volume.number() == position.volume => {
                active.synced = active.synced.max(position.offset);
            }
            _ => self.unsynced.retain(|unsynced| {
                unsynced.volume != position.volume
                    || self.shared.volume(position.volume).is_some_and(|volume| {
                        position.offset < volume.committed_end()
                            || volume.state() == VolumeState::Poisoned
                    })
            }),
        }
    }

    pub(super) fn sync_failed(&mut self, number: VolumeNumber) {
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.volume.number() == number)
        {
            self.poison();
        } else if let Some(volume) = self.shared.volume(number)
            && volume.state() == VolumeState::Sealed
        {
            volume.set_state(VolumeState::Poisoned);
            self.shared.metrics.poisoned_volumes.inc();
        }
    }

    /// Where a record of `len` bytes goes. Changes the volume when the active one is full.
    pub(super) fn room_for(
        &mut self,
        len: u64,
        purpose: Purpose,
    ) -> Result<(VolumeNumber, u64), StoreError> {
        if let Some(place) = self.active_room(len) {
            self.may_use_active(len, purpose)?;
            return Ok(place);
        }
        self.flush();
        self.seal();
        self.create_volume(len, purpose)?;
        self.active_room(len).ok_or(StoreError::Conflict)
    }

    /// Keeps uploads out of a volume that was made from the reserve until there is space again
    /// (STO-5): else they would eat the reserve one volume after the other.
    pub(super) fn may_use_active(
        &mut self,
        wanted: u64,
        purpose: Purpose,
    ) -> Result<(), StoreError> {
        let Some(active) = &self.active else {
            return Ok(());
        };
        if purpose == Purpose::Relief || !active.is_relief {
            return Ok(());
        }
        let space = self
            .shared
            .refresh_space()
            .map_err(StoreError::CreateVolume)?;
        let (free, reserved) = (space.free, self.reserved(space));
        if free < reserved {
            return Err(StoreError::NoSpace {
                wanted,
                free,
                reserved,
            });
        }
        if let Some(active) = &mut self.active {
            active.is_relief = false;
        }
        Ok(())
    }

    pub(super) fn active_room(&self, len: u64) -> Option<(VolumeNumber, u64)> {
        let active = self.active.as_ref()?;
        let offset = active.tail + self.group.len;
        let fits = offset + len <= active.volume.file().len();
        fits.then(|| (active.volume.number(), offset))
    }

    /// Ends the active volume.
    pub(super) fn seal(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        let number = active.volume.number();
        self.previous_end = active.tail;
        if active.synced < active.tail {
            if self.settings.durability == Durability::Always {
                // Parts whose manifest will be synced in another volume.
                if let Err(source) = active.volume.file().sync() {
                    error!(volume = %number, error = %source, "sync failed; the volume is read-only");
                    let volume = number;
                    self.failed = Some(Arc::new(CommitError::Sync { volume, source }));
                    self.poison();
                    return;
                }
            } else {
                self.unsynced.push_back(Position {
                    volume: number,
                    offset: active.synced,
                });
            }
        }
        active.volume.set_state(VolumeState::Sealed);
        self.active = None;
        self.shared.set_active_room(0);
        info!(volume = %number, "volume sealed");
        // Bounds what a crash makes us replay to about one volume.
        if let Err(error) = self.shared.index.flush_soon() {
            warn!(%error, "index flush not started");
        }
    }

    /// Gives the active volume up after a failed write or sync (VOL-5).
    pub(super) fn poison(&mut self) {
        let Some(active) = self.active.take() else {
            return;
        };
        let number = active.volume.number();
        active.volume.set_state(VolumeState::Poisoned);
        self.previous_end = active.tail;
        if active.synced < active.tail {
            // Never forgotten: nothing may rely on these bytes before the next start read them again.
            self.unsynced.push_back(Position {
                volume: number,
                offset: active.synced,
            });
        }
        // Their bytes may be lost, so no manifest may rely on them.
        self.open_parts
            .retain(|_, extent| extent.volume != number || extent.offset < active.synced);
        self.shared.set_active_room(0);
        self.shared.metrics.poisoned_volumes.inc();
    }

    pub(super) fn create_volume(
        &mut self,
        needed: u64,
        purpose: Purpose,
    ) -> Result<(), StoreError> {
        let space = self
            .shared
            .refresh_space()
            .map_err(StoreError::CreateVolume)?;
        let reserved = match purpose {
            Purpose::Content => self.reserved(space),
            Purpose::Relief => 0,
        };
        let available = space.free.saturating_sub(reserved);
        let block = SUPERBLOCK_LEN as u64;
        let wanted = self.settings.volume_len.min(available) / block * block;
        let least = self
            .settings
            .volume_len
            .min(VOLUME_LEN_MIN)
            .max(needed + block);
        if wanted < least {
            let free = space.free;
            warn!(free, reserved, "no space for another volume");
            return Err(StoreError::NoSpace {
                wanted: least,
                free,
                reserved,
            });
        }
        let superblock = Superblock {
            volume_path: self.shared.volume_path,
            number: self.next_volume,
            len: wanted,
            first_sequence: self.next_sequence,
            created: common::env::clock::unix_seconds(),
            store: self.settings.store,
            previous_end: self.previous_end,
        };
        let file = self
            .shared
            .disk
            .create(superblock.number, wanted, &superblock.encode())
            .map_err(StoreError::CreateVolume)?;
        self.next_volume = self.next_volume.next();
        // The index knows the volume from its birth, so an unknown one is a sign of a lost index.
        let stats = VolumeStats {
            end: block,
            ..VolumeStats::default()
        };
        self.shared.stats().insert(superblock.number, stats);
        let key = IndexKey::Volume(superblock.number).encode();
        self.group.batch.put(key, stats.encode().to_vec());
        let volume = Arc::new(Volume::new(file, superblock, block, VolumeState::Active));
        info!(volume = %volume.number(), len = wanted, "volume created");
        self.shared.add_volume(Arc::clone(&volume));
        self.active = Some(Active {
            volume,
            tail: block,
            synced: block,
            is_relief: purpose == Purpose::Relief && space.free < self.reserved(space) + wanted,
        });
        self.refresh_space();
        Ok(())
    }

    /// Bytes that uploads leave alone: the setting, and a volume for compaction to write to.
    pub(super) fn reserved(&self, space: Space) -> u64 {
        self.settings.reserve.bytes(space) + self.settings.volume_len
    }

    pub(super) fn refresh_space(&self) {
        if let Err(error) = self.shared.refresh_space() {
            warn!(%error, "free space is unknown");
        }
    }
}

fn commit_failed(error: CommitError) -> StoreError {
    error!(error = &error as &dyn std::error::Error, "not durable");
    StoreError::Commit(Arc::new(error))
}
