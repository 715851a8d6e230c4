//! Uploads that are applied for and then sent in order, at once or block by block, by whoever has the
//! key that the application gave. Source: docs/api/weiyun.md.

use std::ops::Range;

use bytes::Bytes;
use common::code::ErrorCode;
use common::digest::Crc32Hasher;
use common::id::{Extension, FileId};

use super::error::ServiceError;
use super::hashes::{Hashers, InTurns};
use super::sessions::Actor;
use super::sliced::NO_SUBTREE;
use super::upload::Upload;
use super::{Announced, Service, random_bytes};
use crate::backend::{BlobExtension as _, Blobs};
use crate::core::catalog::{Catalog, CatalogError};
use crate::core::error::CoreError;
use crate::core::files::{Conflict, Place};
use crate::core::id::{AccountId, FileNumber, FolderNumber, Md5, Sha1, UploadId, UploadKeyHash};
use crate::core::name::EntryName;
use crate::core::upload_sessions::{
    self, NewBlock, NewUpload, SliceRecord, UploadKind, UploadRecord, UploadState,
};
use crate::core::uploads::Digests;

/// Bytes of one block.
pub(crate) const BLOCK_LEN_MAX: u64 = 16 * 1024 * 1024;

/// A file that somebody wants to send.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    /// Its name in the root.
    pub(crate) name: EntryName,
    /// Its bytes.
    pub(crate) size: u64,
    /// Their MD5.
    pub(crate) md5: Md5,
    /// Their SHA-1.
    pub(crate) sha1: Sha1,
}

/// What became of an application.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    /// An upload began, or goes on; the key is good for it.
    Open(UploadId, UploadRecord),
    /// An unfinished upload of this name is of other bytes.
    Different(UploadId, UploadRecord),
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Begins an upload to the root, or goes on with the one of this name.
    ///
    /// # Errors
    ///
    /// [`CoreError::NameInUse`]; those of [`upload_sessions::open`].
    pub(crate) async fn apply(
        &self,
        actor: &Actor,
        application: Application,
        key: UploadKeyHash,
    ) -> Result<Applied, ServiceError> {
        let account = actor.account;
        let id = UploadId(random_bytes());
        self.change(move |tx, moment| {
            let Application {
                name,
                size,
                md5,
                sha1,
            } = &application;
            let place = Place {
                folder: FolderNumber::ROOT,
                name: name.clone(),
                conflict: Conflict::Refuse,
            };
            crate::core::files::check_place(tx, account, &place)?;
            if let Some((id, record)) = upload_sessions::by_name(tx, account, name, moment.now)? {
                let is_same =
                    record.size == *size && record.md5 == Some(*md5) && record.sha1 == Some(*sha1);
                if !is_same {
                    return Ok(Applied::Different(id, record));
                }
                upload_sessions::add_key(tx, id, key)?;
                return Ok(Applied::Open(id, record));
            }
            let new = NewUpload {
                account,
                kind: UploadKind::InOrder,
                place,
                size: *size,
                slice_size: BLOCK_LEN_MAX,
                md5: Some(*md5),
                sha1: Some(*sha1),
            };
            let record = upload_sessions::open(tx, id, &new, moment.now)?;
            upload_sessions::add_key(tx, id, key)?;
            Ok(Applied::Open(id, record))
        })
        .await
    }

    /// The upload that a key is good for.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoUpload`].
    pub(crate) async fn upload_of_key(
        &self,
        key: UploadKeyHash,
    ) -> Result<(UploadId, UploadRecord), ServiceError> {
        let now = self.now();
        self.look(move |view| upload_sessions::by_key(view, &key, now))
            .await
    }

    /// Begins to receive the whole of an upload at once.
    pub(crate) fn begin_whole(&self, record: &UploadRecord) -> Upload<C, B> {
        self.begin_upload(Extension::of_file_name(record.name.as_str()))
    }

    /// Makes what was received at once the file of an upload.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Mismatch`], and the upload stays open; [`CoreError::UploadDone`] if it was
    /// completed before; [`CoreError::NameInUse`], and the upload ends; [`CoreError::NoUpload`].
    pub(crate) async fn finish_whole(
        &self,
        id: UploadId,
        record: &UploadRecord,
        upload: Upload<C, B>,
    ) -> Result<FileNumber, ServiceError> {
        let announced = Announced {
            md5: record.md5,
            sha1: record.sha1,
            size: Some(record.size),
        };
        let account = record.account;
        let completed = upload
            .finish_with(
                announced,
                move |tx, digests, moment| {
                    upload_sessions::complete(tx, account, id, digests, None, moment)
                },
                move |tx, digests, blob, moment| {
                    let blob = Some(blob);
                    let file = upload_sessions::complete(tx, account, id, digests, blob, moment)?;
                    Ok((file, None))
                },
            )
            .await;
        // A staging blob, or a blob that was not needed, may be left.
        self.shared.garbage.notify_one();
        if let Err(ServiceError::Core(CoreError::NameInUse(_))) = &completed {
            self.end_upload(account, id).await?;
        }
        completed
    }

    /// Adds a block to an upload, whose bytes are all in memory, at most [`BLOCK_LEN_MAX`]. With the
    /// last one the upload becomes a file.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Gap`] if bytes before `offset` are missing; [`ServiceError::Mismatch`] if the
    /// block is too long, or if the whole is not what was announced: then the upload begins anew;
    /// [`CoreError::NameInUse`], and the upload ends; [`CoreError::UploadDone`];
    /// [`CoreError::UploadClosed`] while it is being completed; [`CoreError::UploadChanged`] if somebody
    /// else sends blocks of it, too; [`CoreError::NoUpload`].
    pub(crate) async fn add_block(
        &self,
        id: UploadId,
        record: UploadRecord,
        offset: u64,
        block: Bytes,
    ) -> Result<BlockAdded, ServiceError> {
        let account = record.account;
        let end = offset.saturating_add(block.len() as u64);
        if record.size < end {
            return Err(ServiceError::Mismatch {
                announced: format!("{} bytes", record.size),
                received: format!("{end} bytes"),
            });
        }
        if record.received < offset {
            let received = record.received;
            return Err(ServiceError::Gap { received, offset });
        }
        match record.state {
            UploadState::Open => {}
            UploadState::Done(file) => return Err(CoreError::UploadDone(file).into()),
            // All bytes are there and were right, and an attempt to make a file of them came to no
            // known end. What comes again is nothing new.
            UploadState::Committing(_) => {
                return self.complete_in_order(id).await.map(BlockAdded::File);
            }
        }
        let mut upload = record;
        if !block.is_empty() {
            upload.check_staged(block.len() as u64)?;
            let staging = self.staging(account, id, &upload).await?;
            let cut = self.cut(id, &upload, staging, offset).await?;
            if offset < upload.received {
                while !self
                    .change(move |tx, moment| {
                        let now = moment.now;
                        upload_sessions::take_back(tx, account, id, &staging, offset, now)
                    })
                    .await?
                {}
            }
            upload = self
                .append(id, staging, offset, cut, account, block)
                .await?;
        }
        if upload.received < upload.size {
            return Ok(BlockAdded::Open(Box::new(upload)));
        }
        self.complete_in_order(id).await.map(BlockAdded::File)
    }

    /// Where a client goes on with an upload. Where all bytes are there, that is the beginning of the
    /// last block: a client that has nothing left to send would never hear how it ended.
    ///
    /// # Errors
    ///
    /// Those of the catalog.
    pub(crate) async fn next_offset(
        &self,
        id: UploadId,
        record: &UploadRecord,
    ) -> Result<u64, ServiceError> {
        let received = record.received;
        if received < record.size {
            return Ok(received);
        }
        let last = self
            .look(move |view| upload_sessions::block_at(view, id, received.saturating_sub(1)))
            .await?;
        Ok(last.map_or(0, |(start, _)| start))
    }

    /// What stays of the block that `offset` lies within; nothing if one begins or ends there. Its bytes
    /// are read once more, for the checksum of a part does not follow from that of the whole.
    async fn cut(
        &self,
        id: UploadId,
        record: &UploadRecord,
        staging: FileId,
        offset: u64,
    ) -> Result<Option<(u64, SliceRecord)>, ServiceError> {
        if offset == record.received {
            return Ok(None);
        }
        let before = self
            .look(move |view| upload_sessions::block_at(view, id, offset))
            .await?;
        let (start, before) = before.ok_or(CoreError::UploadChanged)?;
        if start == offset {
            return Ok(None);
        }
        let len = offset - start;
        let (mut crc, mut hashers) = (Crc32Hasher::new(), Hashers::default());
        let range = before.offset..before.offset.saturating_add(len);
        let taker = InTurns::new(|bytes: Bytes| {
            crc.update(&bytes);
            hashers.update(&bytes);
            true
        });
        self.read_staged(&staging, range, taker).await?;
        let rest = SliceRecord {
            len,
            crc: crc.finish().0,
            md5: hashers.digests(len).md5,
            ..before
        };
        Ok(Some((start, rest)))
    }

    async fn append(
        &self,
        id: UploadId,
        staging: FileId,
        offset: u64,
        cut: Option<(u64, SliceRecord)>,
        account: AccountId,
        block: Bytes,
    ) -> Result<UploadRecord, ServiceError> {
        let mut hashers = Hashers::default();
        hashers.update(&block);
        let appended = async {
            let mut extension = self.shared.blobs.extend(&staging).await?;
            extension.write(block).await?;
            extension.finish().await
        };
        let piece = match appended.await {
            Ok(piece) => piece,
            Err(error) if error.code() == ErrorCode::NotFound => {
                return Err(self.lost_staging(account, id, staging).await);
            }
            Err(error) => return Err(error.into()),
        };
        let record = SliceRecord {
            offset: piece.offset,
            len: piece.len,
            crc: piece.crc.0,
            md5: hashers.digests(piece.len).md5,
            chaining: NO_SUBTREE,
        };
        let block = NewBlock {
            offset,
            record,
            cut,
        };
        self.change(move |tx, moment| {
            upload_sessions::add_block(tx, account, id, &staging, &block, moment.now)
        })
        .await
    }

    /// Makes an upload, all of whose bytes are there, a file if they are what was announced. It comes to
    /// its end whether the client waits or not: one that lost its patience and asks again would else
    /// begin it anew each time.
    async fn complete_in_order(&self, id: UploadId) -> Result<FileNumber, ServiceError> {
        let service = self.clone();
        let tasks = &self.shared.tasks;
        let task = tasks.spawn(async move { service.verify_in_order(id).await });
        task.await?
    }

    /// Reads all bytes of an upload once.
    async fn verify_in_order(&self, id: UploadId) -> Result<FileNumber, ServiceError> {
        let Some(_turn) = self.shared.completing.begin(id) else {
            return Err(CoreError::UploadClosed.into());
        };
        let (record, blocks) = self
            .look(move |view| {
                let record = upload_sessions::find(view, id)?.ok_or(CoreError::NoUpload)?;
                Ok((record, upload_sessions::slices(view, id)?))
            })
            .await?;
        if let UploadState::Done(file) = record.state {
            return Err(CoreError::UploadDone(file).into());
        }
        if record.received != record.size {
            // Somebody sent a block once more, and what was behind it is to come again. Nothing is wrong.
            return Err(CoreError::UploadChanged.into());
        }
        if record.size == 0 {
            let upload = self.begin_whole(&record);
            return self.finish_whole(id, &record, upload).await;
        }
        let made = match &record.state {
            UploadState::Committing(blobs) => self.made_before(blobs).await?,
            UploadState::Open | UploadState::Done(_) => None,
        };
        let account = record.account;
        let digests = match (made, record.staging) {
            // Storage made the blob, and the staging blob went with that.
            (Some(blob), _) => {
                let whole = 0..record.size;
                self.digests_of(&blob, std::slice::from_ref(&whole)).await
            }
            (None, Some(staging)) => {
                let ranges = blocks
                    .iter()
                    .map(|(_, block)| block.offset..block.offset.saturating_add(block.len));
                let ranges: Vec<_> = ranges.collect();
                match self.digests_of(&staging, &ranges).await {
                    Err(error) if error.code() == ErrorCode::NotFound => {
                        return Err(self.lost_staging(account, id, staging).await);
                    }
                    read => read,
                }
            }
            (None, None) => return Err(CoreError::UploadChanged.into()),
        };
        self.complete(account, id, &record, &blocks, digests?).await
    }

    /// The digests of ranges of a blob, one behind the other.
    async fn digests_of(
        &self,
        blob: &FileId,
        ranges: &[Range<u64>],
    ) -> Result<Digests, ServiceError> {
        let mut hashers = Hashers::default();
        let mut size = 0_u64;
        for range in ranges {
            let _place = self.hashing_place().await;
            let taker = InTurns::new(|bytes: Bytes| {
                hashers.update(&bytes);
                !self.shared.tasks.is_closed()
            });
            let is_whole = self.read_staged(blob, range.clone(), taker).await?;
            if !is_whole {
                return Err(CatalogError::Closed.into());
            }
            size = size.saturating_add(range.end.saturating_sub(range.start));
        }
        Ok(hashers.digests(size))
    }

    /// Takes an upload back to its beginning.
    pub(super) async fn restart_upload(
        &self,
        account: AccountId,
        id: UploadId,
    ) -> Result<(), ServiceError> {
        self.change(move |tx, moment| upload_sessions::restart(tx, account, id, moment.now))
            .await?;
        self.shared.garbage.notify_one();
        Ok(())
    }
}

/// What became of an upload with a block.
#[derive(Clone, Debug)]
pub(crate) enum BlockAdded {
    /// It takes more.
    Open(Box<UploadRecord>),
    /// It was the last one: the upload is a file.
    File(FileNumber),
}
