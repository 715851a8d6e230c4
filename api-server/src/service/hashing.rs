//! MD5 and SHA-1 of uploads whose slices did not come in order: read back from the staging blob, one
//! slice after the other, in the background.
//!
//! One task per upload, and a few at once. It follows the slices while they come, so that little is
//! left to do behind the last one. What it has it notes after each run of slices that are there, so
//! little is read twice, whenever it is interrupted.

mod ahead;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use common::code::ErrorCode;
use common::id::FileId;
use common::web::source::{Content, Opened, ReadPieces as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Service;
use super::error::ServiceError;
use super::hashes::{Sequence, TakeBytes};
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::{AccountId, UploadId};
use crate::core::upload_sessions::{self, Advance, HashState, SliceRecord};

/// Uploads that are read back at the same time: hashing takes a processor each.
const AT_ONCE_MAX: usize = 2;

/// Bytes that are read back before the catalog notes it and others have their turn, unless one slice
/// has more: a fraction of a second's work. While slices come faster than they are hashed, waiting for the
/// catalog after each of them would let the hashes fall behind further.
const RUN_LEN_MAX: u64 = 128 * 1024 * 1024;
/// Slices that are looked at for that.
const RUN_SLICES_MAX: usize = 64;

/// Slices in their order, from the first one on that the hashes have not seen, as they were at one
/// moment.
#[derive(Debug)]
struct Run {
    account: AccountId,
    staging: FileId,
    /// The number of the first one.
    first: u64,
    slices: Vec<SliceRecord>,
    /// The hashes of all before it.
    from: HashState,
}

impl Run {
    /// Where the slices lie in the staging blob.
    fn ranges(&self) -> impl Iterator<Item = Range<u64>> + Send {
        let slices = self.slices.iter();
        slices.map(|slice| slice.offset..slice.offset.saturating_add(slice.len))
    }
}

/// What is being read back.
#[derive(Debug)]
pub(super) struct Hashing {
    running: Mutex<HashMap<UploadId, Task>>,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct Task {
    /// More slices came since it last looked.
    again: bool,
    /// Tells who waits that it has ended.
    ended: watch::Receiver<()>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            stopping: CancellationToken::new(),
        }
    }
}

impl Hashing {
    /// Lets all tasks end after the bytes they are at.
    pub(super) fn stop(&self) {
        self.stopping.cancel();
    }

    fn running(&self) -> MutexGuard<'_, HashMap<UploadId, Task>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the task of an upload is to look once more; if not, it is forgotten.
    fn goes_on(&self, id: UploadId) -> bool {
        let mut running = self.running();
        if let Some(task) = running.get_mut(&id)
            && task.again
            && !self.stopping.is_cancelled()
        {
            task.again = false;
            return true;
        }
        running.remove(&id);
        false
    }
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Has the hashes follow the slices that are there. Returns what tells that they did.
    pub(super) fn hash_later(&self, id: UploadId) -> watch::Receiver<()> {
        let hashing = &self.shared.hashing;
        let mut running = hashing.running();
        if let Some(task) = running.get_mut(&id) {
            task.again = true;
            return task.ended.clone();
        }
        let (end, ended) = watch::channel(());
        let task = Task {
            again: false,
            ended: ended.clone(),
        };
        running.insert(id, task);
        drop(running);
        let service = self.clone();
        self.shared.tasks.spawn(async move {
            // Dropped in the end, whatever the end is.
            let _end = end;
            loop {
                if let Err(error) = service.hash(id).await {
                    warn!(%id, %error, "an upload was not read back, until more of it comes");
                }
                if !service.shared.hashing.goes_on(id) {
                    break;
                }
            }
        });
        ended
    }

    /// Hashes slices as long as the next one is there.
    async fn hash(&self, id: UploadId) -> Result<(), ServiceError> {
        let mut known: Option<(HashState, Sequence)> = None;
        while !self.shared.hashing.stopping.is_cancelled() {
            // For one run: whoever waits has the next turn, however much another upload has left.
            let _place = self.hashing_place().await;
            let Some(run) = self.next_run(id).await? else {
                return Ok(());
            };
            let sequence = match known.take() {
                Some((hashes, sequence)) if hashes == run.from => Some(sequence),
                Some(_) | None => Sequence::restore(&run.from),
            };
            let Some(sequence) = sequence else {
                self.forget_hashes(id, run.from).await?;
                continue;
            };
            let mut apart = sequence.apart(self.shared.hashing.stopping.clone());
            let read = self.read_ahead(run.staging, run.ranges(), &mut apart).await;
            let Some(sequence) = apart.together().await else {
                return Ok(());
            };
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.code() == ErrorCode::NotFound => {
                    return Err(self.lost_staging(run.account, id, run.staging).await);
                }
                Err(error) => return Err(error),
            }
            let to = sequence.save();
            match self.note_run(id, run, to.clone()).await {
                Ok(()) => known = Some((to, sequence)),
                // Another slice took the place of one of them: once more from what is known.
                Err(ServiceError::Core(CoreError::UploadChanged)) => {}
                Err(ServiceError::Core(CoreError::NoUpload)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Has the catalog know the hashes with all slices of a run, unless one of them is another by now.
    async fn note_run(&self, id: UploadId, run: Run, to: HashState) -> Result<(), ServiceError> {
        let Run {
            first,
            slices,
            from,
            ..
        } = run;
        let advance = Advance { from, to };
        self.change(move |tx, _| {
            upload_sessions::add_hashes(tx, id, first, &slices, advance.clone())
        })
        .await
    }

    /// A turn to read bytes back.
    pub(super) async fn hashing_place(&self) -> Option<OwnedSemaphorePermit> {
        let places = Arc::clone(&self.shared.hashing.places);
        // The semaphore is never closed.
        places.acquire_owned().await.ok()
    }

    /// Has all slices of an upload read once more, if nobody took its hashes on.
    pub(super) async fn forget_hashes(
        &self,
        id: UploadId,
        hashes: HashState,
    ) -> Result<(), ServiceError> {
        warn!(%id, "the hashes of an upload cannot be gone on from: all of it is read back");
        self.change(move |tx, _| upload_sessions::forget_hashes(tx, id, &hashes))
            .await
    }

    /// The first slices that were not hashed, if they are there.
    async fn next_run(&self, id: UploadId) -> Result<Option<Run>, ServiceError> {
        self.look(move |view| {
            let Some(record) = upload_sessions::find(view, id)? else {
                return Ok(None);
            };
            let Some(staging) = record.staging else {
                return Ok(None);
            };
            let slices = upload_sessions::slices_behind(view, id, record.hashed, RUN_SLICES_MAX)?;
            let mut len = 0_u64;
            let slices = slices.into_iter().take_while(|slice| {
                let is_first = len == 0;
                len = len.saturating_add(slice.len);
                is_first || len <= RUN_LEN_MAX
            });
            let slices: Vec<_> = slices.collect();
            Ok((!slices.is_empty()).then_some(Run {
                account: record.account,
                staging,
                first: record.hashed + 1,
                slices,
                from: record.hashes,
            }))
        })
        .await
    }

    /// Gives bytes of a staging blob to `taker`, in their order, until it returns false. Returns
    /// whether all of them were given.
    pub(super) async fn read_staged(
        &self,
        staging: &FileId,
        range: Range<u64>,
        mut taker: impl TakeBytes,
    ) -> Result<bool, ServiceError> {
        let Opened { content, .. } = self.shared.blobs.open(staging).await?;
        let mut at = range.start;
        match content {
            Content::Whole(bytes) => {
                let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                let bytes = bytes.get(index(range.start)..index(range.end));
                let bytes = bytes.ok_or(CoreError::UploadChanged)?;
                Ok(taker.take(Bytes::copy_from_slice(bytes)).await)
            }
            Content::Pieces(mut reader) => {
                while at < range.end {
                    let bytes = reader.read(at..range.end).await?;
                    at = at.saturating_add(bytes.len() as u64);
                    if !taker.take(bytes).await {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}
