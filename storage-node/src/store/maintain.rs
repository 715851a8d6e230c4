//! What a store does by itself: sync at an interval, give space back, look for rot.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use common::env::{Shutdown, clock};
use tracing::{error, warn};

use super::change::Change;
use super::committer::PathStore;
use super::compact::Compaction;
use super::reader::blocking;
use super::scrub::{Scrub, ScrubPass, ScrubProgress};
use super::space::Durability;
use crate::disk::{Disk, VolumeFile};
use crate::error::StoreError;
use crate::format::{Position, VolumeNumber};
use crate::index::Index;
use crate::volume::VolumeState;

/// Bytes that compaction or scrub look at before they pause.
const STEP_LEN: u64 = 4 * 1024 * 1024;

/// Bytes that a scrub looks at before it keeps how far it is.
const KEEP_LEN: u64 = 64 * STEP_LEN;

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
    /// Where the scrub keeps how far it is.
    scrub_file: Option<PathBuf>,
}

impl<D: Disk, I: Index> Maintenance<D, I> {
    /// Background work on `store`.
    pub fn new(store: PathStore<D, I>, settings: MaintenanceSettings) -> Self {
        Self {
            store,
            settings,
            scrub_file: None,
        }
    }

    /// Has the scrub keep in `file` how far it is. Without one each start begins it anew.
    #[must_use]
    pub fn with_scrub_file(mut self, file: PathBuf) -> Self {
        self.scrub_file = Some(file);
        self
    }

    /// Works until the signal.
    pub async fn run(self, shutdown: Shutdown) {
        let progress = self.load_scrub().await;
        tokio::join!(
            self.sync_loop(&shutdown),
            self.compact_loop(&shutdown),
            async {
                if let Some(interval) = self.settings.scrub_interval {
                    self.scrub_loop(interval, progress, &shutdown).await;
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

    /// What earlier runs verified. From now on the store says how long its oldest byte has waited.
    async fn load_scrub(&self) -> ScrubProgress {
        let progress = match self.scrub_file.clone() {
            Some(file) => {
                let load = blocking(move || Ok(ScrubProgress::load(&file)));
                // An error: the runtime is ending.
                load.await.unwrap_or_default()
            }
            None => ScrubProgress::default(),
        };
        let verified = if progress.verified == 0 {
            self.oldest()
        } else {
            progress.verified
        };
        self.store.shared().note_verified(verified);
        progress
    }

    /// Unix seconds when the oldest volume was made; now if there is none.
    fn oldest(&self) -> u32 {
        let volumes = self.store.shared().volumes();
        let made = volumes.iter().map(|volume| volume.superblock().created);
        // It is 0 where the superblock cannot be read.
        let oldest = made.filter(|created| *created != 0).min();
        oldest.unwrap_or_else(clock::unix_seconds)
    }

    async fn scrub_loop(
        &self,
        interval: Duration,
        mut progress: ScrubProgress,
        shutdown: &Shutdown,
    ) {
        loop {
            let wait = progress.due_in(interval, self.oldest(), clock::unix_seconds());
            if !pause(wait, shutdown).await {
                return;
            }
            let began = progress.pass.map(|pass| pass.began);
            let began = began.unwrap_or_else(clock::unix_seconds);
            let outcome = self.scrub_all(began, &mut progress, shutdown).await;
            match outcome {
                Ok(true) => {
                    progress.verified = began;
                    self.store.shared().note_verified(began);
                }
                // The next run goes on.
                Ok(false) => {
                    self.keep_scrub(progress).await;
                    return;
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "a scrub failed; it begins anew after the interval");
                }
            }
            progress.ended = clock::unix_seconds();
            progress.pass = None;
            self.keep_scrub(progress).await;
        }
    }

    /// Scrubs all volumes from where `progress` is; `false` when the signal came first.
    async fn scrub_all(
        &self,
        began: u32,
        progress: &mut ScrubProgress,
        shutdown: &Shutdown,
    ) -> Result<bool, StoreError> {
        let start = progress.pass.unwrap_or(ScrubPass {
            began,
            volume: VolumeNumber(0),
            offset: 0,
        });
        let mut unkept = 0;
        for volume in self.store.shared().volumes() {
            let number = volume.number();
            if number < start.volume {
                continue;
            }
            let offset = if number == start.volume {
                start.offset
            } else {
                0
            };
            let mut scrub = Scrub::new_at(self.store.shared(), volume, offset);
            let mut is_done = false;
            while !is_done {
                let (next, report) = blocking(move || {
                    let report = scrub.step(STEP_LEN)?;
                    Ok((scrub, report))
                })
                .await?;
                is_done = report.is_some();
                // What was appended meanwhile is younger than this pass.
                let (volume, offset) = if is_done {
                    (number.next(), 0)
                } else {
                    (number, next.offset())
                };
                progress.pass = Some(ScrubPass {
                    began,
                    volume,
                    offset,
                });
                scrub = next;
                unkept += STEP_LEN;
                if KEEP_LEN <= unkept {
                    unkept = 0;
                    self.keep_scrub(*progress).await;
                }
                if !pause(time_for(STEP_LEN, Some(self.settings.scrub_rate)), shutdown).await {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn keep_scrub(&self, progress: ScrubProgress) {
        let Some(file) = self.scrub_file.clone() else {
            return;
        };
        let kept = blocking(move || Ok(progress.save(&file))).await;
        if let Ok(Err(error)) = kept {
            warn!(%error, "how far the scrub is was not kept; a restart begins it anew");
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

#[cfg(test)]
mod tests;
