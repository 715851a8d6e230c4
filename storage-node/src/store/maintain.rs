//! What a store does by itself: sync at an interval, give space back, look for rot.

use std::collections::BTreeSet;
use std::time::Duration;

use common::env::{Shutdown, clock};
use tracing::{error, warn};

use super::change::Change;
use super::committer::PathStore;
use super::compact::Compaction;
use super::reader::blocking;
use super::scrub::Scrub;
use super::space::Durability;
use crate::disk::{Disk, VolumeFile};
use crate::error::StoreError;
use crate::format::{Position, VolumeNumber};
use crate::index::Index;
use crate::volume::VolumeState;

/// Bytes that compaction or scrub look at before they pause.
const STEP_LEN: u64 = 4 * 1024 * 1024;

/// Settings of the background work of one volume path.
#[derive(Clone, Copy, Debug)]
pub struct MaintenanceSettings {
    /// When changes are acknowledged.
    pub durability: Durability,
    /// Time between two syncs with [`Durability::Interval`], and between two looks at the free
    /// space.
    pub sync_interval: Duration,
    /// Time between two looks for volumes to compact.
    pub compaction_interval: Duration,
    /// Share of garbage, in per cent, from which a volume is compacted; `None` turns it off.
    pub garbage_percent: Option<u32>,
    /// Bytes that compaction carries to other volumes in a second; `None` for all it can.
    pub compaction_rate: Option<u64>,
    /// Time from the end of one scrub to the next; `None` turns it off.
    pub scrub_interval: Option<Duration>,
    /// Bytes that scrub looks at in a second.
    pub scrub_rate: u64,
}

/// The background work of one volume path.
#[derive(Debug)]
pub struct Maintenance<D: Disk, I: Index> {
    store: PathStore<D, I>,
    settings: MaintenanceSettings,
}

impl<D: Disk, I: Index> Maintenance<D, I> {
    /// Background work on `store`.
    pub fn new(store: PathStore<D, I>, settings: MaintenanceSettings) -> Self {
        Self { store, settings }
    }

    /// Works until the signal.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::join!(
            self.sync_loop(&shutdown),
            self.compact_loop(&shutdown),
            async {
                if let Some(interval) = self.settings.scrub_interval {
                    self.scrub_loop(interval, &shutdown).await;
                }
            }
        );
    }

    async fn sync_loop(&self, shutdown: &Shutdown) {
        let mut synced = BTreeSet::new();
        while pause(self.settings.sync_interval, shutdown).await {
            if let Err(error) = self.store.shared().refresh_space() {
                warn!(%error, "free space is unknown");
            }
            if self.settings.durability == Durability::Always {
                continue;
            }
            if let Err(error) = self.sync_all(&mut synced).await {
                error!(
                    error = &error as &dyn std::error::Error,
                    "background sync failed"
                );
            }
        }
    }

    /// Syncs outside the committer what was appended, oldest volume first. With
    /// [`Durability::Os`] only sealed volumes, which bounds what a crash makes us look at again.
    /// `done` remembers volumes that cannot have anything new.
    async fn sync_all(&self, done: &mut BTreeSet<VolumeNumber>) -> Result<(), StoreError> {
        let volumes = self.store.shared().volumes();
        done.retain(|number| volumes.iter().any(|volume| volume.number() == *number));
        for volume in volumes {
            let is_active = volume.state() == VolumeState::Active;
            let number = volume.number();
            if done.contains(&number) || is_active && self.settings.durability == Durability::Os {
                continue;
            }
            let at = Position {
                volume: number,
                offset: volume.committed_end(),
            };
            let outcome = blocking(move || Ok(volume.file().sync())).await?;
            match outcome {
                Ok(()) => self.store.submit(Change::Synced(at)).await.map(drop)?,
                Err(error) => {
                    error!(volume = %number, %error, "sync failed; the volume is read-only");
                    let failed = Change::SyncFailed(number);
                    self.store.submit(failed).await.map(drop)?;
                }
            }
            if !is_active {
                done.insert(number);
            }
        }
        Ok(())
    }

    async fn compact_loop(&self, shutdown: &Shutdown) {
        let Some(percent) = self.settings.garbage_percent else {
            return;
        };
        while pause(self.settings.compaction_interval, shutdown).await {
            // A volume that an upload under way pins must not keep the others from their turn.
            let mut had_turn = BTreeSet::new();
            while let Some(number) = self.worst_volume(percent, &had_turn) {
                if shutdown.is_requested() {
                    return;
                }
                had_turn.insert(number);
                match self.compact(number, shutdown).await {
                    Ok(()) => {}
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        warn!(volume = %number, error, "compaction failed; tried again later");
                        break;
                    }
                }
            }
        }
    }

    /// The sealed volume with the largest share of garbage, if that is at least `percent`, of those
    /// that had no turn yet.
    fn worst_volume(
        &self,
        percent: u32,
        had_turn: &BTreeSet<VolumeNumber>,
    ) -> Option<VolumeNumber> {
        let shared = self.store.shared();
        let share = |number: VolumeNumber, end: u64| {
            let live = shared.volume_stats(number).live_bytes;
            end.saturating_sub(live).saturating_mul(100) / end.max(1)
        };
        shared
            .volumes()
            .iter()
            .filter(|volume| matches!(volume.state(), VolumeState::Sealed | VolumeState::Poisoned))
            .map(|volume| {
                (
                    share(volume.number(), volume.committed_end()),
                    volume.number(),
                )
            })
            .filter(|(share, number)| u64::from(percent) <= *share && !had_turn.contains(number))
            .max()
            .map(|(_, number)| number)
    }

    /// Compacts one volume, or as much of it as the signal allows.
    async fn compact(&self, number: VolumeNumber, shutdown: &Shutdown) -> Result<(), StoreError> {
        let Some(mut compaction) = Compaction::new(&self.store, number) else {
            return Ok(());
        };
        loop {
            let before = compaction.moved_bytes();
            let (next, report) = blocking(move || {
                let report = compaction.step(STEP_LEN)?;
                Ok((compaction, report))
            })
            .await?;
            compaction = next;
            // What is left behind costs a read; what is carried competes with uploads.
            let carried = compaction.moved_bytes() - before;
            let time = time_for(carried, self.settings.compaction_rate);
            if report.is_some() || !pause(time, shutdown).await {
                return Ok(());
            }
        }
    }

    async fn scrub_loop(&self, interval: Duration, shutdown: &Shutdown) {
        while pause(interval, shutdown).await {
            let began = clock::unix_seconds();
            let mut is_complete = true;
            for volume in self.store.shared().volumes() {
                let mut scrub = Scrub::new(self.store.shared(), volume);
                loop {
                    let stepped = blocking(move || {
                        let report = scrub.step(STEP_LEN)?;
                        Ok((scrub, report))
                    });
                    match stepped.await {
                        Ok((_, Some(_))) => break,
                        Ok((next, None)) => scrub = next,
                        Err(error) => {
                            warn!(error = &error as &dyn std::error::Error, "scrub failed");
                            is_complete = false;
                            break;
                        }
                    }
                    if !pause(time_for(STEP_LEN, Some(self.settings.scrub_rate)), shutdown).await {
                        return;
                    }
                }
            }
            if is_complete {
                self.store.shared().note_verified(began);
            }
        }
    }
}

/// Waits; `false` when the signal came first.
async fn pause(time: Duration, shutdown: &Shutdown) -> bool {
    tokio::select! {
        () = shutdown.requested() => false,
        () = tokio::time::sleep(time) => !shutdown.is_requested(),
    }
}

/// The time that `len` bytes take at `rate` bytes a second.
fn time_for(len: u64, rate: Option<u64>) -> Duration {
    rate.map_or(Duration::ZERO, |rate| {
        Duration::from_millis(len.saturating_mul(1000) / rate.max(1))
    })
}
