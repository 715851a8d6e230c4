//! MD5 and SHA-1 of uploads whose slices did not come in order: read back from the staging blob, one
//! slice after the other, in the background.
//!
//! One task per upload, and a few at once. It notes what it has after each slice, so nothing is read
//! twice, whenever it is interrupted.

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
use super::hashes::{Sequence, TakeBytes, Turn};
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::UploadId;
use crate::core::upload_sessions::{self, Advance, HashState, SliceRecord, UploadRecord};

/// Uploads that are read back at the same time: hashing takes a processor each.
const AT_ONCE_MAX: usize = 2;

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
            // For one slice: whoever waits has the next turn, however much another upload has left.
            let _place = self.hashing_place().await;
            let Some((record, slice)) = self.next_slice(id).await? else {
                return Ok(());
            };
            let sequence = match known.take() {
                Some((hashes, sequence)) if hashes == record.hashes => Some(sequence),
                Some(_) | None => Sequence::restore(&record.hashes),
            };
            let Some(staging) = record.staging else {
                return Ok(());
            };
            let from = record.hashes;
            let Some(sequence) = sequence else {
                self.forget_hashes(id, from).await?;
                continue;
            };
            let range = slice.offset..slice.offset.saturating_add(slice.len);
            let mut apart = sequence.apart(self.shared.hashing.stopping.clone());
            let read = self.read_staged(&staging, range, &mut apart).await;
            let Some(sequence) = apart.together().await else {
                return Ok(());
            };
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.code() == ErrorCode::NotFound => {
                    return Err(self.lost_staging(record.account, id, staging).await);
                }
                Err(error) => return Err(error),
            }
            let (number, to) = (record.hashed + 1, sequence.save());
            let advance = Advance {
                from,
                to: to.clone(),
            };
            let noted = self
                .change(move |tx, _| {
                    let advance = advance.clone();
                    upload_sessions::add_hashes(tx, id, number, &slice, advance)
                })
                .await;
            match noted {
                Ok(()) => known = Some((to, sequence)),
                // Another slice took its place: once more from what is known.
                Err(ServiceError::Core(CoreError::UploadChanged)) => {}
                Err(ServiceError::Core(CoreError::NoUpload)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
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

    /// The first slice that was not hashed, if it is there.
    async fn next_slice(
        &self,
        id: UploadId,
    ) -> Result<Option<(UploadRecord, SliceRecord)>, ServiceError> {
        self.look(move |view| {
            let Some(record) = upload_sessions::find(view, id)? else {
                return Ok(None);
            };
            let slice = upload_sessions::slice(view, id, record.hashed + 1)?;
            Ok(slice.map(|slice| (record, slice)))
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
                let mut turn = Turn::default();
                while at < range.end {
                    let bytes = reader.read(at..range.end).await?;
                    let len = bytes.len();
                    at = at.saturating_add(len as u64);
                    if !taker.take(bytes).await {
                        return Ok(false);
                    }
                    // Whoever takes them hashes them.
                    turn.pass(len).await;
                }
                Ok(true)
            }
        }
    }
}
