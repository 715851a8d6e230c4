//! Committing a group: append, sync, index, publish, acknowledge, in this order (STO-1).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tracing::error;

use super::Engine;
use crate::disk::{Disk, VolumeFile};
use crate::error::{CommitError, StoreError};
use crate::format::{IndexKey, Position, ReplayPosition, VolumeNumber, VolumeStats};
use crate::index::Index;
use crate::store::space::Durability;

impl<D: Disk, I: Index> Engine<D, I> {
    /// Commits what was staged and answers who waits.
    pub(in crate::store) fn flush(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let outcome = match &self.stopped {
            Some(error) => Err(Arc::clone(error)),
            None => self.write_group().map_err(Arc::new),
        };
        let group = &mut self.group;
        let mut waiting = std::mem::take(&mut group.waiting);
        if outcome.is_ok() {
            self.open_parts.extend(group.opened_parts.drain(..));
            for part in group.closed_parts.drain(..) {
                self.open_parts.remove(&part);
            }
        }
        // Before the answers: who gets one may want to receive into the same buffer again.
        group.clear();
        match outcome {
            Ok(()) => {
                self.tell_log_end();
                for (reply, answer) in waiting.drain(..) {
                    // Nobody may listen any more, which changes nothing.
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(error) => {
                error!(
                    error = &*error as &dyn std::error::Error,
                    "a group was not committed"
                );
                if matches!(*error, CommitError::Index(_)) {
                    self.stopped = Some(Arc::clone(&error));
                }
                self.failed = Some(Arc::clone(&error));
                for (reply, _) in waiting.drain(..) {
                    let _ = reply.send(Err(StoreError::Commit(Arc::clone(&error))));
                }
            }
        }
        self.group.waiting = waiting;
    }

    pub(super) fn write_group(&mut self) -> Result<(), CommitError> {
        if self.group.has_records()
            && let Err(error) = self.append_group()
        {
            self.poison();
            return Err(error);
        }
        let changed = self.count(1);
        for (number, stats) in &changed {
            self.group
                .batch
                .put(IndexKey::Volume(*number).encode(), stats.encode().to_vec());
        }
        let position = self.replay_position().encode().to_vec();
        self.group.batch.put(IndexKey::Replay.encode(), position);
        // Before the index leads readers there.
        if let Some(active) = &self.active {
            active.volume.commit(active.tail);
            self.shared
                .set_active_room(active.volume.file().len() - active.tail);
        }
        if let Err(error) = self.shared.index.apply(&self.group.batch) {
            self.count(-1);
            return Err(error.into());
        }
        Ok(())
    }

    pub(super) fn append_group(&mut self) -> Result<(), CommitError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let volume = active.volume.number();
        let metrics = &self.shared.metrics;
        // A group has at most a few hundred records.
        let records = u32::try_from(self.group.live.len()).unwrap_or(u32::MAX);
        metrics.group_records.observe(f64::from(records));
        let failed = |source: io::Error| CommitError::Write { volume, source };
        active
            .volume
            .file()
            .write_at(&self.group.slices(), active.tail)
            .map_err(failed)?;
        metrics.appended_bytes.inc_by(self.group.len);
        let end = active.tail + self.group.len;
        if self.group.must_sync && self.settings.durability == Durability::Always {
            let timer = metrics.sync_seconds.start_timer();
            let synced = active.volume.file().sync();
            timer.observe_duration();
            synced.map_err(|source| CommitError::Sync { volume, source })?;
            active.synced = end;
        }
        active.tail = end;
        Ok(())
    }

    /// Counts the group's records in (`sign` 1) or out (-1), and gives what changed.
    pub(super) fn count(&self, sign: i64) -> BTreeMap<VolumeNumber, VolumeStats> {
        let mut stats = self.shared.stats();
        let mut changed = BTreeMap::new();
        let add = |value: u64, by: u64, up: bool| {
            if up {
                value.saturating_add(by)
            } else {
                value.saturating_sub(by)
            }
        };
        let live = self.group.live.iter().map(|entry| (entry, 0 < sign));
        let dead = self.group.dead.iter().map(|entry| (entry, sign < 0));
        for ((volume, len), up) in live.chain(dead) {
            // Records of removed volumes count nowhere.
            if self.shared.volume(*volume).is_none() {
                continue;
            }
            let entry = stats.entry(*volume).or_default();
            entry.live_bytes = add(entry.live_bytes, *len, up);
            entry.live_records = add(entry.live_records, 1, up);
            changed.insert(*volume, *entry);
        }
        if let Some(active) = &self.active {
            let number = active.volume.number();
            if let Some(entry) = changed.get_mut(&number) {
                entry.end = active.tail;
                stats.insert(number, *entry);
            }
        }
        changed
    }

    /// Tells the peers how far they can follow. With durability `always`, as far as a power cut takes
    /// nothing; otherwise to the end, and after a crash the log gets another number.
    pub(in crate::store) fn tell_log_end(&self) {
        let position = self.replay_position();
        self.shared.set_log_end(match self.settings.durability {
            Durability::Always => position.synced,
            Durability::Interval | Durability::Os => position.applied,
        });
    }

    pub(super) fn replay_position(&self) -> ReplayPosition {
        if let Some(position) = self.replaying {
            return position;
        }
        let active = self.active.as_ref().map(|active| {
            let volume = active.volume.number();
            let at = |offset| Position { volume, offset };
            (at(active.tail), at(active.synced))
        });
        let none = Position {
            volume: self.next_volume,
            offset: 0,
        };
        let (applied, synced) = active.unwrap_or((none, none));
        let synced = self.unsynced.front().copied().unwrap_or(synced).min(synced);
        ReplayPosition {
            applied,
            synced,
            next_sequence: self.next_sequence,
            stamp: self.stamp,
        }
    }
}
