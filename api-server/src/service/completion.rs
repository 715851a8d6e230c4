//! The end of an upload session: from bytes in a staging blob to a file.
//!
//! 1. All bytes are there, and their digests are what was announced.
//! 2. If the catalog knows the content, the file is added and the bytes are dropped.
//! 3. Storage names the blob that it will make of the bytes; the session remembers the name.
//! 4. Storage makes it, without copying a byte, and the staging blob ends.
//! 5. The catalog gives it to the file.
//!
//! After a failure between any two of these the next call goes on where this one stopped.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::code::ErrorCode;
use common::digest::Crc32;
use common::id::{Extension, FileId};
use tracing::warn;

use super::error::ServiceError;
use super::hashes::{self, Sequence};
use super::sessions::Actor;
use super::{Announced, Service};
use crate::backend::{Blobs, Piece, PreparedBlob as _};
use crate::core::catalog::{Catalog, View};
use crate::core::error::CoreError;
use crate::core::files;
use crate::core::id::{AccountId, ContentHash, FileNumber, UploadId};
use crate::core::upload_sessions::{self, SliceRecord, UploadKind, UploadRecord, UploadState};
use crate::core::uploads::Digests;

/// Time that a completion gets while bytes are still being read back; then the client asks again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ranges of missing slices that a refusal names.
const MISSING_SHOWN_MAX: usize = 16;

/// How far a completion came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// It is a file.
    File(FileNumber),
    /// The bytes are still being looked at: ask again.
    Verifying,
}

/// Uploads that are being completed by this process. Another one may complete the same upload: then storage
/// makes one blob, and the catalog one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Completing(Arc<Mutex<HashSet<UploadId>>>);

/// An upload is being completed as long as this lives.
#[derive(Debug)]
pub(super) struct Turn {
    id: UploadId,
    completing: Completing,
}

impl Completing {
    /// The turn to complete an upload, unless somebody else has it.
    pub(super) fn begin(&self, id: UploadId) -> Option<Turn> {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let completing = self.clone();
        // Made only if it is had: a turn that is dropped waits for this lock, and ends.
        set.insert(id).then(|| Turn { id, completing })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut set = self
            .completing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        set.remove(&self.id);
    }
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Completes an upload in slices.
    ///
    /// # Errors
    ///
    /// * [`ServiceError::SlicesMissing`]: the upload stays open.
    /// * [`ServiceError::Mismatch`]: the whole is not what was announced. The upload ends.
    /// * [`CoreError::NameInUse`]: somebody else was faster. The upload ends.
    /// * [`CoreError::NoFolder`]: the upload stays until it expires.
    /// * [`CoreError::NoUpload`].
    ///
    /// # Cancel safety
    ///
    /// It comes to its end whether anybody waits or not; the next call tells which.
    pub(crate) async fn complete_sliced(
        &self,
        actor: &Actor,
        id: UploadId,
    ) -> Result<Completion, ServiceError> {
        let account = actor.account;
        let record = self.upload(actor, id).await?;
        if record.kind != UploadKind::Sliced {
            return Err(CoreError::NoUpload.into());
        }
        if let UploadState::Done(file) = record.state {
            return Ok(Completion::File(file));
        }
        let Some(turn) = self.shared.completing.begin(id) else {
            return Ok(Completion::Verifying);
        };
        let service = self.clone();
        let task = self.shared.tasks.spawn(async move {
            let _turn = turn;
            service.complete_in_turn(account, id).await
        });
        task.await?
    }

    async fn complete_in_turn(
        &self,
        account: AccountId,
        id: UploadId,
    ) -> Result<Completion, ServiceError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut hashed_before = None;
        let (record, slices, sequence) = loop {
            let (record, slices) = self.hashed_slices(account, id).await?;
            if let UploadState::Done(file) = record.state {
                return Ok(Completion::File(file));
            }
            if record.received < record.slices() {
                return Err(ServiceError::SlicesMissing(self.missing(id, record).await?));
            }
            if let Some(slices) = slices {
                match Sequence::restore(&record.hashes) {
                    Some(sequence) => break (record, slices, sequence),
                    None => self.forget_hashes(id, record.hashes).await?,
                }
            } else if hashed_before == Some(record.hashed) {
                // It could not be read; the log says why.
                return Ok(Completion::Verifying);
            } else {
                hashed_before = Some(record.hashed);
            }
            let mut ended = self.hash_later(id);
            // An error means that it ended, and so that the catalog knows what there is to know.
            let waited = tokio::time::timeout_at(deadline, ended.changed()).await;
            if waited.is_err() || self.shared.tasks.is_closed() {
                return Ok(Completion::Verifying);
            }
        };
        let chaining: Vec<ContentHash> = slices.iter().map(|(_, slice)| slice.chaining).collect();
        let digests = sequence.digests(hashes::whole(&chaining), record.size);
        match self.complete(account, id, &record, &slices, digests).await {
            // Another server may have been asked, too, and have completed it.
            Ok(file) | Err(ServiceError::Core(CoreError::UploadDone(file))) => {
                Ok(Completion::File(file))
            }
            // A slice came meanwhile, and is looked at when the client asks again; or another server is
            // at it.
            Err(ServiceError::Core(CoreError::UploadChanged | CoreError::UploadClosed)) => {
                Ok(Completion::Verifying)
            }
            Err(error) => Err(error),
        }
    }

    /// A session, and its slices if its hashes have seen all of them. Both are of one moment: with
    /// hashes of before a slice was replaced, content would be known by digests that are not its own.
    async fn hashed_slices(
        &self,
        account: AccountId,
        id: UploadId,
    ) -> Result<(UploadRecord, Option<Vec<(u64, SliceRecord)>>), ServiceError> {
        let now = self.now();
        self.look(move |view| {
            let record = upload_sessions::get(view, account, id, now)?;
            let slices = if record.hashed == record.slices() {
                Some(upload_sessions::slices(view, id)?)
            } else {
                None
            };
            Ok((record, slices))
        })
        .await
    }

    /// Makes a session, whose bytes are all there, a file, if they are what was announced.
    pub(super) async fn complete(
        &self,
        account: AccountId,
        id: UploadId,
        record: &UploadRecord,
        slices: &[(u64, SliceRecord)],
        digests: Digests,
    ) -> Result<FileNumber, ServiceError> {
        let announced = Announced {
            md5: record.md5,
            sha1: record.sha1,
            size: Some(record.size),
        };
        if let Err(mismatch) = announced.check(&digests) {
            // Which slice is to blame cannot be known. An upload in order begins anew.
            match record.kind {
                UploadKind::Sliced => self.end_upload(account, id).await?,
                UploadKind::InOrder => self.restart_upload(account, id).await?,
            }
            return Err(mismatch);
        }
        let completed = self.commit(account, id, record, slices, digests).await;
        if completed.is_err() {
            // Somebody may have ended the session while storage made a blob of it.
            self.shared.garbage.notify_one();
        }
        if let Err(ServiceError::Core(CoreError::NameInUse(_))) = &completed {
            self.end_upload(account, id).await?;
        }
        completed
    }

    async fn commit(
        &self,
        account: AccountId,
        id: UploadId,
        record: &UploadRecord,
        slices: &[(u64, SliceRecord)],
        digests: Digests,
    ) -> Result<FileNumber, ServiceError> {
        match self.give(account, id, digests, None).await {
            Err(ServiceError::Core(CoreError::NoContent)) => {}
            done => return done,
        }
        if let UploadState::Committing(blobs) = &record.state
            && let Some(blob) = self.made_before(blobs).await?
        {
            return self.give(account, id, digests, Some(blob)).await;
        }
        // What would be refused in the end is refused while the session is as it was. Another server may
        // have completed it just now, and then it is its own file that has the name.
        let place = record.place();
        self.look(move |view| {
            let record = upload_sessions::find(view, id)?.ok_or(CoreError::NoUpload)?;
            match record.state {
                UploadState::Done(file) => Err(CoreError::UploadDone(file)),
                UploadState::Open | UploadState::Committing(_) => {
                    files::check_place(view, account, &place).map(drop)
                }
            }
        })
        .await?;
        let Some(staging) = record.staging else {
            return Err(CoreError::NoUpload.into());
        };
        let pieces: Vec<Piece> = slices.iter().map(|(_, slice)| piece(slice)).collect();
        let extension = Extension::of_file_name(record.name.as_str());
        let prepared = match self
            .shared
            .blobs
            .arrange(&staging, extension, &pieces)
            .await
        {
            Ok(prepared) => prepared,
            Err(error) if error.code() == ErrorCode::NotFound => {
                return Err(self.bytes_lost(account, id).await);
            }
            Err(error) => return Err(error.into()),
        };
        let blob = *prepared.file_id();
        let _under_way = self.shared.announced.begin(blob);
        let (seen, seen_slices) = (record.clone(), slices.to_vec());
        let noted = self
            .change(move |tx, moment| {
                check_unchanged(tx, id, &seen, &seen_slices)?;
                upload_sessions::commit_to(tx, account, id, &blob, moment.now)
            })
            .await;
        if let Err(error) = noted {
            prepared.abandon().await;
            return Err(error);
        }
        match prepared.commit().await {
            Ok(blob) => self.give(account, id, digests, Some(blob)).await,
            Err(error) if error.code() == ErrorCode::NotFound => {
                Err(self.bytes_lost(account, id).await)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives content, known or in `blob`, to the file of a session.
    async fn give(
        &self,
        account: AccountId,
        id: UploadId,
        digests: Digests,
        blob: Option<FileId>,
    ) -> Result<FileNumber, ServiceError> {
        let completed = self
            .change(move |tx, moment| {
                let blob = blob.as_ref();
                upload_sessions::complete(tx, account, id, &digests, blob, moment)
            })
            .await;
        match completed {
            Ok(file) | Err(ServiceError::Core(CoreError::UploadDone(file))) => {
                self.shared.garbage.notify_one();
                Ok(file)
            }
            Err(error) => Err(error),
        }
    }

    /// The blob that an attempt before this one made, if one did.
    pub(super) async fn made_before(
        &self,
        blobs: &[FileId],
    ) -> Result<Option<FileId>, ServiceError> {
        for blob in blobs {
            if self.shared.blobs.exists(blob).await? {
                return Ok(Some(*blob));
            }
        }
        Ok(None)
    }

    /// Ends a session whose bytes storage does not have any more, unless another attempt made the blob
    /// of them meanwhile: then the client is to ask again.
    async fn bytes_lost(&self, account: AccountId, id: UploadId) -> ServiceError {
        let now = self.now();
        let record = self
            .look(move |view| upload_sessions::get(view, account, id, now))
            .await;
        let (state, staging) = match record {
            Ok(record) => (record.state, record.staging),
            Err(error) => return error,
        };
        match &state {
            UploadState::Open => {}
            UploadState::Committing(blobs) => match self.made_before(blobs).await {
                Ok(None) => {}
                Ok(Some(_)) => return CoreError::UploadClosed.into(),
                Err(error) => return error,
            },
            UploadState::Done(file) => return CoreError::UploadDone(*file).into(),
        }
        if let Some(staging) = staging
            && let Err(error) = self.check_gone(&staging).await
        {
            return error;
        }
        warn!(%id, "storage has lost the bytes of an upload, which ends");
        match self.end_upload(account, id).await {
            Ok(()) => CoreError::NoUpload.into(),
            Err(error) => error,
        }
    }

    async fn missing(
        &self,
        id: UploadId,
        record: UploadRecord,
    ) -> Result<Vec<RangeInclusive<u64>>, ServiceError> {
        self.look(move |view| upload_sessions::missing(view, id, &record, MISSING_SHOWN_MAX))
            .await
    }
}

/// Whether a session has the bytes that were looked at. Once it is committing it takes no others, and
/// those that came in between would be neither in the blob nor ever be hashed.
fn check_unchanged(
    view: &dyn View,
    id: UploadId,
    seen: &UploadRecord,
    seen_slices: &[(u64, SliceRecord)],
) -> Result<(), CoreError> {
    let record = upload_sessions::find(view, id)?.ok_or(CoreError::NoUpload)?;
    let is_same = record.staging == seen.staging
        && record.received == seen.received
        && match record.kind {
            // A slice of other bytes takes the hashes back.
            UploadKind::Sliced => (record.hashed, &record.hashes) == (seen.hashed, &seen.hashes),
            UploadKind::InOrder => upload_sessions::slices(view, id)? == seen_slices,
        };
    if is_same {
        Ok(())
    } else {
        Err(CoreError::UploadChanged)
    }
}

pub(super) fn piece(slice: &SliceRecord) -> Piece {
    Piece {
        offset: slice.offset,
        len: slice.len,
        crc: Crc32(slice.crc),
    }
}
