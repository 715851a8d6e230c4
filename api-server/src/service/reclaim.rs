//! Deletes blobs that nobody owns: those of deleted files, of uploads that failed, and of uploads that
//! a crash interrupted.
//!
//! The catalog lists exactly the blobs that were made, or were about to be made, for it and that no
//! content refers to. So nothing else in storage is ever looked at or deleted here.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::id::FileId;
use tracing::{info, warn};

use super::Service;
use super::error::ServiceError;
use crate::backend::{Blobs, BlobsError};
use crate::core::catalog::Catalog;
use crate::core::uploads::{self, OrphanRecord, OrphanState};

/// Pause after storage did not delete what it should; doubles up to the interval.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Time between two looks without a reason.
const INTERVAL: Duration = Duration::from_mins(1);
/// Orphans of one look, which also bounds one transaction.
const BATCH_MAX: usize = 256;
/// Time that a deletion gets before its client is answered all the same.
const PROMPT: Duration = Duration::from_secs(5);

/// Blobs that were deleted and are still listed as orphans.
#[derive(Debug, Default)]
pub(super) struct Gone(Mutex<Vec<FileId>>);

impl Gone {
    fn push(&self, blob: FileId) {
        let mut gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not remembered is deleted once more.
        if gone.len() < BATCH_MAX {
            gone.push(blob);
        }
    }

    fn take(&self) -> Vec<FileId> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Blobs that this process has announced and whose upload is under way. Others may announce blobs, too:
/// see [`Service::may_be_under_way`].
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<HashSet<FileId>>>);

/// An upload is under way as long as this lives.
#[derive(Debug)]
pub(super) struct Announcement {
    blob: FileId,
    under_way: UnderWay,
}

impl UnderWay {
    /// To be called before the blob is announced.
    pub(super) fn begin(&self, blob: FileId) -> Announcement {
        self.locked().insert(blob);
        Announcement {
            blob,
            under_way: self.clone(),
        }
    }

    fn has(&self, blob: &FileId) -> bool {
        self.locked().contains(blob)
    }

    fn locked(&self) -> MutexGuard<'_, HashSet<FileId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.under_way.locked().remove(&self.blob);
    }
}

/// What became of blobs without an owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reclaimed {
    /// Deleted.
    pub(super) count: usize,
    /// Tried in vain: storage did not do it.
    pub(super) failed: usize,
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Deletes a blob that just lost its last owner. What cannot be done now is done later.
    pub(super) async fn delete_orphan(&self, orphan: Option<FileId>) {
        let Some(blob) = orphan else {
            return;
        };
        match tokio::time::timeout(PROMPT, self.delete_for_certain(&blob)).await {
            Ok(Ok(true)) => self.shared.gone.push(blob),
            Ok(Ok(false)) => warn!(%blob, "a blob without an owner is still there"),
            Ok(Err(error)) => warn!(%blob, %error, "a blob without an owner is deleted later"),
            Err(_) => warn!(%blob, "a blob without an owner is deleted later: storage is slow"),
        }
        // Whoever reclaims forgets it, together with others.
        self.shared.garbage.notify_one();
    }

    pub(super) async fn reclaim_forever(&self) {
        let mut pause = RETRY_MIN;
        loop {
            let is_done = match self.reclaim().await {
                Ok(reclaimed) => {
                    if 0 < reclaimed.count {
                        info!(reclaimed.count, "reclaimed blobs without an owner");
                    }
                    reclaimed.failed == 0
                }
                Err(error) => {
                    warn!(%error, "blobs without an owner were not reclaimed");
                    false
                }
            };
            // Storage that is just starting answers soon.
            let wait = if is_done { INTERVAL } else { pause };
            pause = if is_done {
                RETRY_MIN
            } else {
                (pause * 2).min(INTERVAL)
            };
            // A timeout is the usual end of waiting.
            let _ = tokio::time::timeout(wait, self.shared.garbage.notified()).await;
        }
    }

    /// Deletes what nobody owns and says how many blobs that were.
    pub(super) async fn reclaim(&self) -> Result<Reclaimed, ServiceError> {
        self.forget(self.shared.gone.take()).await?;
        let mut reclaimed = Reclaimed::default();
        let mut after = None;
        loop {
            let from = after.take();
            let orphans = self
                .look(move |view| uploads::orphans(view, from.as_ref(), BATCH_MAX))
                .await?;
            let Some((last, _)) = orphans.last() else {
                return Ok(reclaimed);
            };
            after = Some(*last);
            let mut gone = Vec::new();
            for (blob, orphan) in orphans {
                match self.delete_if_orphan(&blob, &orphan).await {
                    Ok(true) => gone.push(blob),
                    Ok(false) => {}
                    Err(error) => {
                        reclaimed.failed += 1;
                        let since = orphan.since;
                        warn!(%blob, since, %error, "a blob without an owner stays for now");
                    }
                }
            }
            reclaimed.count += gone.len();
            self.forget(gone).await?;
        }
    }

    /// Deletes a blob that was listed as an orphan, unless its upload is under way or has succeeded.
    async fn delete_if_orphan(
        &self,
        blob: &FileId,
        orphan: &OrphanRecord,
    ) -> Result<bool, ServiceError> {
        // Deleted before it is made, a blob would stay for ever. It may be an orphan whatever its state:
        // somebody may have ended an upload that storage is just making a blob of.
        if self.shared.announced.has(blob) {
            return Ok(false);
        }
        if let OrphanState::Pending(process) = orphan.state {
            if self.may_be_under_way(process, orphan.since) {
                return Ok(false);
            }
            // It may have got its owner since it was listed. Once this says no, it gets none any more.
            let blob = *blob;
            let is_orphan = self
                .change(move |tx, moment| uploads::discard(tx, &blob, moment.now))
                .await?;
            if !is_orphan {
                return Ok(false);
            }
        }
        let is_gone = self.delete_for_certain(blob).await?;
        if !is_gone {
            warn!(%blob, "a blob without an owner is still there");
        }
        Ok(is_gone)
    }

    /// Whether another server may be about to make a blob that it announced at a second. Nobody can ask
    /// it, so time decides. Where the catalog is this process's alone there is no other server.
    fn may_be_under_way(&self, process: u64, since: u32) -> bool {
        if !self.shared.catalog.is_shared() || process == self.shared.process {
            return false;
        }
        let age = self.now().saturating_sub(since);
        Duration::from_secs(age.into()) < self.shared.settings.abandoned_after
    }

    /// Deletes a blob and asks all who may have it whether it is gone.
    async fn delete_for_certain(&self, blob: &FileId) -> Result<bool, BlobsError> {
        self.shared.blobs.delete(blob).await?;
        Ok(!self.shared.blobs.exists(blob).await?)
    }

    async fn forget(&self, gone: Vec<FileId>) -> Result<(), ServiceError> {
        if gone.is_empty() {
            return Ok(());
        }
        self.change(move |tx, _| gone.iter().try_for_each(|blob| uploads::forget(tx, blob)))
            .await
    }
}
