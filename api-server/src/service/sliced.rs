//! Uploads in slices: bytes of one file in many requests, in any order, over any time.
//!
//! Each slice is appended to the session's staging blob, and is safe there before the catalog knows
//! it; what the catalog knows is acknowledged. The BLAKE3 of the whole is made of the slices' parts of
//! it. MD5 and SHA-1 need the bytes in their order: a slice that comes in order is hashed on its way,
//! and others are read back when their turn has come ([`super::hashing`]). The end is in
//! [`super::completion`].

use bytes::Bytes;
use common::code::ErrorCode;
use common::id::{Extension, FileId};

use super::error::ServiceError;
use super::hashes::{Sequence, SliceHashers, Turn};
use super::sessions::Actor;
use super::{Service, random_bytes};
use crate::backend::{BlobExtension, Blobs, BlobsError, PreparedBlob as _};
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::files::{self, Claim, Conflict, Place};
use crate::core::id::{AccountId, ContentHash, FileNumber, FolderNumber, Md5, UploadId};
use crate::core::name::EntryName;
use crate::core::tree;
use crate::core::upload_sessions::{
    self, Advance, HashState, NewUpload, SliceRecord, UploadKind, UploadRecord, UploadState,
};

/// Slices of an upload beyond which they get longer: all of them are looked at, and forgotten, at once.
const SLICES_WANTED_MAX: u64 = 8 * 1024;
/// Bytes of the longest slice: clients hold one in memory.
const SLICE_LEN_MAX: u64 = 64 * 1024 * 1024;

/// A file that is to be uploaded.
#[derive(Clone, Debug)]
pub(crate) struct NewSliced {
    /// The folder to begin at.
    pub(crate) folder: FolderNumber,
    /// Folders below it, which are made if they are not there.
    pub(crate) path: Vec<EntryName>,
    /// The name.
    pub(crate) name: EntryName,
    /// What if it is taken.
    pub(crate) conflict: Conflict,
    /// Bytes.
    pub(crate) size: u64,
    /// Their MD5, if it is known.
    pub(crate) md5: Option<Md5>,
}

impl NewSliced {
    /// The place, in this folder at the end of the path.
    pub(super) fn place(&self, folder: FolderNumber) -> Place {
        Place {
            folder,
            name: self.name.clone(),
            conflict: self.conflict,
        }
    }
}

/// How an upload began.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and looked at where it is returned"
)]
pub(crate) enum Begun {
    /// Its content is here already: it is a file.
    File(FileNumber),
    /// Its bytes are awaited.
    Open(UploadId, UploadRecord),
}

/// A slice under way. Dropped, it leaves nothing.
pub(crate) struct SliceUpload<C, B: Blobs> {
    service: Service<C, B>,
    account: AccountId,
    id: UploadId,
    staging: FileId,
    number: u64,
    /// Bytes that the slice must have.
    len: u64,
    received: u64,
    /// Whether it is all of the upload.
    is_only: bool,
    hashers: SliceHashers,
    /// The hashes of all before it, and these with what came of it, if all before it are known.
    sequence: Option<(HashState, Sequence)>,
    turn: Turn,
    sink: Sink<B::Extending>,
}

/// Where the bytes of a slice go.
enum Sink<E> {
    /// To storage.
    Storage(E),
    /// Nowhere: this slice is there already, and its bytes are only compared with it.
    Nowhere(SliceRecord),
}

impl<C, B: Blobs> std::fmt::Debug for SliceUpload<C, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SliceUpload")
            .field("id", &self.id)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Begins an upload. Where the content is here already, and may be had by naming its MD5, the file
    /// is made at once. Missing folders are made if nothing else is in the way.
    ///
    /// # Errors
    ///
    /// Those of [`upload_sessions::open`] and [`tree::make_path`]; [`ServiceError::Mismatch`] if no
    /// bytes are announced with the MD5 of some.
    pub(crate) async fn begin_sliced(
        &self,
        actor: &Actor,
        new: NewSliced,
    ) -> Result<Begun, ServiceError> {
        if new.size == 0 {
            return self.store_nothing(actor, new).await;
        }
        let misses = &self.shared.rates.misses;
        // Counted before it is known, or as many could be tried as fit in the time that one takes.
        let claim = new.md5.filter(|_| misses.take(actor.user.clone()));
        let settings = &self.shared.settings;
        let (account, reuse) = (actor.account, settings.reuse);
        let slice_size = slice_size(new.size, settings.slice_size);
        let id = UploadId(random_bytes());
        let begun = self
            .change(move |tx, moment| {
                let folder = tree::make_path(tx, account, new.folder, &new.path, moment)?;
                let place = new.place(folder);
                if let Some(md5) = claim {
                    let (claim, place) = (Claim::Md5(md5), place.clone());
                    match files::add_claimed(tx, account, claim, new.size, place, reuse, moment) {
                        Ok(number) => return Ok(Begun::File(number)),
                        Err(CoreError::NoContent) => {}
                        Err(error) => return Err(error),
                    }
                }
                let upload = NewUpload {
                    account,
                    kind: UploadKind::Sliced,
                    place,
                    size: new.size,
                    slice_size,
                    md5: new.md5,
                    sha1: None,
                };
                let record = upload_sessions::open(tx, id, &upload, moment.now)?;
                Ok(Begun::Open(id, record))
            })
            .await?;
        if let Begun::File(_) = begun {
            misses.give_back(&actor.user);
            // Of a file that was replaced.
            self.shared.garbage.notify_one();
        }
        Ok(begun)
    }

    /// Adds a file of content that is here already, found by a digest and its size.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoContent`]; those of [`files::add_claimed`].
    pub(crate) async fn add_claimed(
        &self,
        actor: &Actor,
        claim: Claim,
        size: u64,
        place: Place,
    ) -> Result<FileNumber, ServiceError> {
        let misses = &self.shared.rates.misses;
        if !misses.take(actor.user.clone()) {
            return Err(CoreError::NoContent.into());
        }
        let (account, reuse) = (actor.account, self.shared.settings.reuse);
        let added = self
            .change(move |tx, moment| {
                files::add_claimed(tx, account, claim, size, place.clone(), reuse, moment)
            })
            .await;
        if added.is_ok() {
            misses.give_back(&actor.user);
        }
        added
    }

    /// Makes a file without bytes, which no slice could carry.
    async fn store_nothing(&self, actor: &Actor, new: NewSliced) -> Result<Begun, ServiceError> {
        let upload = self.begin_upload(Extension::of_file_name(new.name.as_str()));
        upload.finish_below(actor, new).await.map(Begun::File)
    }

    /// An upload of the actor's.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoUpload`].
    pub(crate) async fn upload(
        &self,
        actor: &Actor,
        id: UploadId,
    ) -> Result<UploadRecord, ServiceError> {
        let (account, now) = (actor.account, self.now());
        self.look(move |view| upload_sessions::get(view, account, id, now))
            .await
    }

    /// Ends an upload of the actor's; its bytes are reclaimed.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoUpload`].
    pub(crate) async fn give_up_upload(
        &self,
        actor: &Actor,
        id: UploadId,
    ) -> Result<(), ServiceError> {
        self.end_upload(actor.account, id).await
    }

    /// Begins to receive a slice whose MD5 will be known in the end.
    ///
    /// # Errors
    ///
    /// Those of [`Self::begin_slice_of`].
    pub(crate) async fn begin_slice(
        &self,
        actor: &Actor,
        id: UploadId,
        number: u64,
    ) -> Result<SliceUpload<C, B>, ServiceError> {
        self.begin_slice_of(actor, id, number, None).await
    }

    /// Begins to receive a slice. If one of this MD5 is there, no second copy is stored.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoUpload`], [`CoreError::UploadClosed`], [`CoreError::UploadDone`];
    /// [`ServiceError::NoSlice`] if the upload has no slice of this number;
    /// [`CoreError::SentTooOften`].
    pub(crate) async fn begin_slice_of(
        &self,
        actor: &Actor,
        id: UploadId,
        number: u64,
        md5: Option<Md5>,
    ) -> Result<SliceUpload<C, B>, ServiceError> {
        let account = actor.account;
        let record = self.upload(actor, id).await?;
        check_open(&record)?;
        if record.kind != UploadKind::Sliced {
            return Err(CoreError::NoUpload.into());
        }
        let slices = record.slices();
        let len = record
            .slice_len(number)
            .ok_or(ServiceError::NoSlice { number, slices })?;
        let known = match md5 {
            Some(_) => {
                self.look(move |view| upload_sessions::slice(view, id, number))
                    .await?
            }
            None => None,
        };
        let known = known.filter(|known| Some(known.md5) == md5);
        let staging = self.staging(account, id, &record).await?;
        let sink = if let Some(known) = known {
            Sink::Nowhere(known)
        } else {
            record.check_staged(len)?;
            match self.shared.blobs.extend(&staging).await {
                Ok(extension) => Sink::Storage(extension),
                Err(error) => return Err(self.not_extended(account, id, staging, error).await),
            }
        };
        let sequence = if record.hashed + 1 == number {
            Sequence::restore(&record.hashes).map(|sequence| (record.hashes, sequence))
        } else {
            None
        };
        Ok(SliceUpload {
            service: self.clone(),
            account,
            id,
            staging,
            number,
            len,
            received: 0,
            is_only: slices == 1,
            hashers: SliceHashers::new(number, record.slice_size),
            sequence,
            turn: Turn::default(),
            sink,
        })
    }

    /// The staging blob of an upload, which is made for the first bytes.
    pub(super) async fn staging(
        &self,
        account: AccountId,
        id: UploadId,
        record: &UploadRecord,
    ) -> Result<FileId, ServiceError> {
        if let Some(staging) = record.staging {
            return Ok(staging);
        }
        // Of a staging blob that was lost.
        self.forget_slices_of(id).await?;
        let extension = Extension::of_file_name(record.name.as_str());
        let prepared = self.shared.blobs.stage(extension).await?;
        let service = self.clone();
        // Storage is asked to make it: that comes to its end, though the client may leave.
        let task = self
            .shared
            .tasks
            .spawn(async move { service.make_staging(account, id, prepared).await });
        task.await?
    }

    async fn make_staging(
        &self,
        account: AccountId,
        id: UploadId,
        prepared: B::Prepared,
    ) -> Result<FileId, ServiceError> {
        let _under_way = self.shared.announced.begin(*prepared.file_id());
        let blob = self.store(prepared).await?;
        let set = self
            .change(move |tx, moment| {
                upload_sessions::set_staging(tx, account, id, &blob, moment.now)
            })
            .await;
        match set {
            Ok(staging) => {
                if staging != blob {
                    self.shared.garbage.notify_one();
                }
                Ok(staging)
            }
            Err(error) => {
                self.not_given(blob, &error).await;
                Err(error)
            }
        }
    }

    /// Notes that storage does not have a staging blob any more, and says what that means for whoever
    /// was about to use it.
    pub(super) async fn lost_staging(
        &self,
        account: AccountId,
        id: UploadId,
        staging: FileId,
    ) -> ServiceError {
        if let Err(error) = self.check_gone(&staging).await {
            return error;
        }
        let noted = self
            .change(move |tx, moment| {
                upload_sessions::lose_staging(tx, account, id, &staging, moment.now)
            })
            .await;
        match noted {
            Ok(()) => CoreError::UploadChanged.into(),
            Err(error) => error,
        }
    }

    /// Makes sure that no node has a staging blob. That one does not, which is all that a refused
    /// request tells, may only mean that another one was asked; and slices hang on it.
    pub(super) async fn check_gone(&self, staging: &FileId) -> Result<(), ServiceError> {
        if self.shared.blobs.exists(staging).await? {
            return Err(BlobsError::SourceUnknown.into());
        }
        Ok(())
    }

    /// Why a staging blob took no bytes.
    async fn not_extended(
        &self,
        account: AccountId,
        id: UploadId,
        staging: FileId,
        error: BlobsError,
    ) -> ServiceError {
        if error.code() == ErrorCode::NotFound {
            self.lost_staging(account, id, staging).await
        } else {
            error.into()
        }
    }

    pub(super) async fn end_upload(
        &self,
        account: AccountId,
        id: UploadId,
    ) -> Result<(), ServiceError> {
        self.change(move |tx, moment| upload_sessions::give_up(tx, account, id, moment.now))
            .await?;
        self.shared.garbage.notify_one();
        Ok(())
    }
}

impl<C: Catalog, B: Blobs> SliceUpload<C, B> {
    /// Bytes that the slice must have.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The MD5 of what came so far.
    pub(crate) fn md5(&self) -> Md5 {
        self.hashers.md5()
    }

    /// Adds content.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Mismatch`] when the slice becomes too long.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: drop the slice then.
    pub(crate) async fn write(&mut self, content: Bytes) -> Result<(), ServiceError> {
        self.received = self.received.saturating_add(content.len() as u64);
        if self.len < self.received {
            return Err(self.wrong_length());
        }
        self.hashers.update(&content);
        if let Some((_, sequence)) = &mut self.sequence {
            sequence.update(&content);
        }
        self.turn.pass(content.len()).await;
        let Sink::Storage(extension) = &mut self.sink else {
            return Ok(());
        };
        match extension.write(content).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let (account, id, staging) = (self.account, self.id, self.staging);
                Err(self.service.not_extended(account, id, staging, error).await)
            }
        }
    }

    /// Ends the slice. When this returns it survives whatever happens.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Mismatch`] if it has another length, or another MD5 than `md5`; then a copy
    /// that was there before stays. Those of [`upload_sessions::add_slice`].
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the slice may be there or not.
    pub(crate) async fn finish(self, md5: Option<Md5>) -> Result<(), ServiceError> {
        let received = self.hashers.md5();
        let mismatch = if self.received == self.len {
            md5.filter(|md5| *md5 != received)
                .map(|md5| ServiceError::Mismatch {
                    announced: format!("a slice of MD5 {md5}"),
                    received: format!("one of MD5 {received}"),
                })
        } else {
            Some(self.wrong_length())
        };
        if let Some(mismatch) = mismatch {
            self.abort().await;
            return Err(mismatch);
        }
        let chaining = self.hashers.chaining(self.is_only);
        let (service, account, id, staging) = (self.service, self.account, self.id, self.staging);
        let slice = match self.sink {
            // Other bytes of the same MD5 were made on purpose, and can be sent without saying so.
            Sink::Nowhere(known) if known.chaining != chaining => {
                return Err(CoreError::UploadChanged.into());
            }
            Sink::Nowhere(known) => known,
            Sink::Storage(extension) => match extension.finish().await {
                Ok(piece) => SliceRecord {
                    offset: piece.offset,
                    len: piece.len,
                    crc: piece.crc.0,
                    md5: received,
                    chaining,
                },
                Err(error) => return Err(service.not_extended(account, id, staging, error).await),
            },
        };
        let advance = self.sequence.map(|(from, sequence)| Advance {
            from,
            to: sequence.save(),
        });
        let (number, was_hashed) = (self.number, advance.is_some());
        service
            .change(move |tx, moment| {
                let (advance, now) = (advance.clone(), moment.now);
                upload_sessions::add_slice(tx, account, id, &staging, number, &slice, advance, now)
            })
            .await?;
        // Slices behind it may have come before.
        if !was_hashed || !self.is_only {
            service.hash_later(id);
        }
        Ok(())
    }

    /// Gives the slice up. Cheaper than dropping it, which costs a connection to storage.
    pub(crate) async fn abort(self) {
        if let Sink::Storage(extension) = self.sink {
            extension.abort().await;
        }
    }

    fn wrong_length(&self) -> ServiceError {
        ServiceError::Mismatch {
            announced: format!("slice {} has {} bytes: they", self.number, self.len),
            received: format!("{} bytes or more", self.received),
        }
    }
}

/// Bytes of the slices of an upload: as the setting says, or more where there would be too many.
fn slice_size(size: u64, setting: u64) -> u64 {
    let needed = size.div_ceil(SLICES_WANTED_MAX).next_power_of_two();
    needed.min(SLICE_LEN_MAX).max(setting)
}

/// Whether an upload takes bytes.
pub(super) fn check_open(record: &UploadRecord) -> Result<(), CoreError> {
    match record.state {
        UploadState::Open => Ok(()),
        UploadState::Committing(_) => Err(CoreError::UploadClosed),
        UploadState::Done(file) => Err(CoreError::UploadDone(file)),
    }
}

/// The part of the whole's hash that blocks in order have: none, for they are no subtrees.
pub(super) const NO_SUBTREE: ContentHash = ContentHash([0; 32]);
