//! Uploads: from a client's bytes to a file, hashed in the one pass that stores them.
//!
//! Short content waits in memory until it is known whether the catalog has it; longer content streams
//! into storage, where nobody sees it before it is committed. The order at the end is what keeps
//! catalog and storage in step, whatever fails between two steps (API-2):
//!
//! 1. Size and MD5 are compared with what was announced. Nothing is stored yet.
//! 2. If the catalog knows the content, the file is added and the bytes are dropped.
//! 3. Storage names the blob; the catalog remembers the name as an orphan's.
//! 4. Storage commits the blob.
//! 5. The catalog gives it to the file; it is an orphan no more.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use common::id::{Extension, FileId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use super::Service;
use super::error::ServiceError;
use super::hashes::{Hashers, Turn};
use super::sessions::Actor;
use super::sliced::NewSliced;
use crate::backend::{BlobWriter, Blobs, PreparedBlob};
use crate::core::catalog::{Catalog, CatalogError, Transaction};
use crate::core::contents;
use crate::core::error::CoreError;
use crate::core::files::Naming;
use crate::core::id::{FileNumber, Md5, Sha1};
use crate::core::moment::Moment;
use crate::core::tree;
use crate::core::uploads::{self, Added, Digests};

/// Content up to so many bytes waits in memory.
const BUFFERED_LEN_MAX: usize = 256 * 1024;
/// Bytes of all uploads that wait in memory; without room, content streams from its first byte on.
const BUFFERS_LEN_MAX: usize = 64 * 1024 * 1024;

/// Room for content that waits in memory.
#[derive(Debug)]
pub(super) struct Buffers(Arc<Semaphore>);

impl Default for Buffers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUFFERS_LEN_MAX)))
    }
}

/// What a client said about what it sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Announced {
    /// The MD5.
    pub(crate) md5: Option<Md5>,
    /// The SHA-1.
    pub(crate) sha1: Option<Sha1>,
    /// How many bytes.
    pub(crate) size: Option<u64>,
}

/// An upload under way. Dropped, it leaves nothing.
pub(crate) struct Upload<C, B: Blobs> {
    service: Service<C, B>,
    extension: Extension,
    hashers: Hashers,
    turn: Turn,
    size: u64,
    sink: Sink<B::Writer>,
}

enum Sink<W> {
    /// In memory, with room for it. Copied together: a slice of what a connection read keeps all of
    /// its buffer, so a slow sender's bytes could hold thousands of times their number.
    Memory(BytesMut, OwnedSemaphorePermit),
    /// On its way to storage.
    Storage(W),
    /// Nothing came yet.
    Nothing,
    /// A write failed: what came since is lost.
    Broken,
}

/// Content that is complete and for nothing yet.
pub(super) enum Parked<P> {
    /// In memory.
    Memory(Bytes),
    /// In storage, and so long.
    Prepared(P, u64),
}

impl<C: Catalog, B: Blobs> std::fmt::Debug for Upload<C, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Begins an upload of a file, whose blob gets this extension.
    pub(crate) fn begin_upload(&self, extension: Extension) -> Upload<C, B> {
        Upload {
            service: self.clone(),
            extension,
            hashers: Hashers::default(),
            turn: Turn::default(),
            size: 0,
            sink: Sink::Nothing,
        }
    }
}

impl<C: Catalog, B: Blobs> Upload<C, B> {
    /// Adds content.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: drop the upload then.
    pub(crate) async fn write(&mut self, content: Bytes) -> Result<(), ServiceError> {
        if content.is_empty() {
            return Ok(());
        }
        self.hashers.update(&content);
        self.turn.pass(content.len()).await;
        self.size += content.len() as u64;
        self.sink = match std::mem::replace(&mut self.sink, Sink::Broken) {
            Sink::Nothing => {
                // All the room that it may need, so that it never has to wait for more.
                let room = u32::try_from(BUFFERED_LEN_MAX).unwrap_or(u32::MAX);
                match Arc::clone(&self.service.shared.buffers.0).try_acquire_many_owned(room) {
                    Ok(permit) if content.len() <= BUFFERED_LEN_MAX => {
                        Sink::Memory(BytesMut::from(&*content), permit)
                    }
                    _ => Sink::Storage(self.begin_to_store(content).await?),
                }
            }
            Sink::Memory(mut held, permit) if self.size <= BUFFERED_LEN_MAX as u64 => {
                held.extend_from_slice(&content);
                Sink::Memory(held, permit)
            }
            Sink::Memory(held, _room) => {
                let mut writer = self.begin_to_store(held.freeze()).await?;
                writer.write(content).await?;
                Sink::Storage(writer)
            }
            Sink::Storage(mut writer) => {
                writer.write(content).await?;
                Sink::Storage(writer)
            }
            Sink::Broken => return Err(ServiceError::Broken),
        };
        Ok(())
    }

    /// Makes the content a file of `actor`, if it is what was announced. Returns whether the file is
    /// new.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Mismatch`], those of adding a file. Nothing stays behind after an error.
    ///
    /// # Cancel safety
    ///
    /// Once storage was asked to commit, the upload comes to its end whether anybody waits or not.
    pub(crate) async fn finish(
        self,
        actor: &Actor,
        naming: Naming,
        announced: Announced,
    ) -> Result<Added, ServiceError> {
        let account = actor.account;
        let known = naming.clone();
        self.finish_with(
            announced,
            move |tx, digests, moment| uploads::add_known(tx, account, &known, digests, moment),
            move |tx, digests, blob, moment| {
                uploads::complete(tx, account, &naming, digests, blob, moment)
            },
        )
        .await
    }

    /// Makes the content a file of `actor` in a folder, which is made as far as it is not there, if it
    /// is what was announced. All of that happens, or nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::finish`]; those of [`tree::make_path`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::finish`].
    pub(crate) async fn finish_below(
        self,
        actor: &Actor,
        new: NewSliced,
    ) -> Result<FileNumber, ServiceError> {
        let (account, known) = (actor.account, new.clone());
        let announced = Announced {
            md5: new.md5,
            sha1: None,
            size: Some(new.size),
        };
        let place = move |tx: &mut dyn Transaction, new: &NewSliced, moment| {
            let folder = tree::make_path(tx, account, new.folder, &new.path, moment)?;
            Ok::<_, CoreError>(Naming::Place(new.place(folder)))
        };
        let added = self
            .finish_with(
                announced,
                move |tx, digests, moment| {
                    let naming = place(tx, &known, moment)?;
                    uploads::add_known(tx, account, &naming, digests, moment)
                },
                move |tx, digests, blob, moment| {
                    let naming = place(tx, &new, moment)?;
                    uploads::complete(tx, account, &naming, digests, blob, moment)
                },
            )
            .await?;
        match added {
            Added::New(number) => Ok(number),
            // Only files with a label of their own can be there before.
            Added::Before => Err(ServiceError::Broken),
        }
    }

    /// Ends the content without making anything of it yet.
    pub(super) async fn into_parked(
        self,
    ) -> Result<Parked<<B::Writer as BlobWriter>::Prepared>, ServiceError> {
        match self.sink {
            Sink::Nothing => Ok(Parked::Memory(Bytes::new())),
            Sink::Memory(held, _room) => Ok(Parked::Memory(held.freeze())),
            Sink::Storage(writer) => Ok(Parked::Prepared(writer.finish().await?, self.size)),
            Sink::Broken => Err(ServiceError::Broken),
        }
    }

    /// Makes the content what two transactions make of it: the first one of content that the catalog
    /// may know, refusing with [`CoreError::NoContent`] if it does not; the second one of content and
    /// an announced blob, returning a blob that is not needed.
    pub(super) async fn finish_with<T, K, N>(
        mut self,
        announced: Announced,
        known: K,
        new: N,
    ) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        K: Fn(&mut dyn Transaction, &Digests, Moment) -> Result<T, CoreError> + Send + 'static,
        N: Fn(
                &mut dyn Transaction,
                &Digests,
                &FileId,
                Moment,
            ) -> Result<(T, Option<FileId>), CoreError>
            + Send
            + 'static,
    {
        let digests = self.hashers.digests(self.size);
        if let Err(mismatch) = announced.check(&digests) {
            self.abort().await;
            return Err(mismatch);
        }
        if let Some(added) = self.add_known(&digests, known).await? {
            self.abort().await;
            return Ok(added);
        }
        let writer = match std::mem::replace(&mut self.sink, Sink::Nothing) {
            Sink::Storage(writer) => writer,
            Sink::Memory(held, _room) => self.begin_to_store(held.freeze()).await?,
            Sink::Nothing => self.begin_to_store(Bytes::new()).await?,
            Sink::Broken => return Err(ServiceError::Broken),
        };
        let prepared = writer.finish().await?;
        let service = self.service;
        let tasks = service.shared.tasks.clone();
        let task = tasks.spawn(async move {
            let _under_way = service.shared.announced.begin(*prepared.file_id());
            let blob = service.store(prepared).await?;
            let completed = service
                .change(move |tx, moment| new(tx, &digests, &blob, moment))
                .await;
            match completed {
                Ok((added, None)) => Ok(added),
                Ok((added, surplus)) => {
                    service.delete_orphan(surplus).await;
                    Ok(added)
                }
                Err(error) => {
                    service.not_given(blob, &error).await;
                    Err(error)
                }
            }
        });
        task.await?
    }

    /// Gives the upload up. Cheaper than dropping it, which costs a connection to storage.
    pub(crate) async fn abort(self) {
        if let Sink::Storage(writer) = self.sink {
            writer.abort().await;
        }
    }

    /// Adds the file if the catalog has the content.
    async fn add_known<T, K>(
        &mut self,
        digests: &Digests,
        known: K,
    ) -> Result<Option<T>, ServiceError>
    where
        T: Send + 'static,
        K: Fn(&mut dyn Transaction, &Digests, Moment) -> Result<T, CoreError> + Send + 'static,
    {
        let digests = *digests;
        // Most content is new, and a look is cheaper than a transaction.
        let is_known = self
            .service
            .look(move |view| Ok(contents::get(view, &digests.hash)?.is_some()))
            .await?;
        if !is_known {
            return Ok(None);
        }
        let added = self
            .service
            .change(move |tx, moment| known(tx, &digests, moment))
            .await;
        match added {
            Ok(added) => Ok(Some(added)),
            // Its last owner deleted it just now.
            Err(ServiceError::Core(CoreError::NoContent)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins to store what was received so far.
    async fn begin_to_store(&mut self, content: Bytes) -> Result<B::Writer, ServiceError> {
        let mut writer = self.service.shared.blobs.begin(self.extension).await?;
        if !content.is_empty() {
            writer.write(content).await?;
        }
        Ok(writer)
    }
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Announces and commits a blob, which is then an orphan.
    pub(super) async fn store(&self, prepared: impl PreparedBlob) -> Result<FileId, ServiceError> {
        let (blob, process) = (*prepared.file_id(), self.shared.process);
        let announced = self
            .change(move |tx, moment| uploads::announce(tx, &blob, process, moment.now))
            .await;
        if let Err(error) = announced {
            prepared.abandon().await;
            // It may have been kept all the same.
            self.give_up(blob).await;
            return Err(error);
        }
        match prepared.commit().await {
            Ok(blob) => Ok(blob),
            Err(error) => {
                self.disown(blob).await;
                Err(error.into())
            }
        }
    }

    /// Leaves a blob, which exists, to whoever reclaims, after it was not given to its owner, unless that
    /// is uncertain and it was.
    pub(super) async fn not_given(&self, blob: FileId, error: &ServiceError) {
        let is_uncertain = matches!(
            error,
            ServiceError::Core(CoreError::Catalog(CatalogError::Unknown(_)))
        );
        if is_uncertain {
            self.give_up(blob).await;
        } else {
            self.disown(blob).await;
        }
    }

    /// Leaves a blob, which may exist and has no owner for certain, to whoever reclaims.
    async fn disown(&self, blob: FileId) {
        let disowned = self
            .change(move |tx, moment| uploads::disown(tx, &blob, moment.now))
            .await;
        if let Err(error) = disowned {
            warn!(%blob, %error, "a blob without an owner stays until the next start");
        }
        self.shared.garbage.notify_one();
    }

    /// Leaves a blob, which may exist, to whoever reclaims.
    pub(super) async fn give_up(&self, blob: FileId) {
        let discarded = self
            .change(move |tx, moment| uploads::discard(tx, &blob, moment.now))
            .await;
        if let Err(error) = discarded {
            // Its announcement says so, too, once this process is gone.
            warn!(%blob, %error, "a blob without an owner stays until the next start");
        }
        self.shared.garbage.notify_one();
    }
}

impl Announced {
    pub(super) fn check(&self, received: &Digests) -> Result<(), ServiceError> {
        if let Some(size) = self.size
            && size != received.size
        {
            return Err(ServiceError::Mismatch {
                announced: format!("{size} bytes"),
                received: format!("{} bytes", received.size),
            });
        }
        if let Some(sha1) = self.sha1
            && sha1 != received.sha1
        {
            return Err(ServiceError::Mismatch {
                announced: format!("bytes of SHA-1 {sha1}"),
                received: format!("bytes of SHA-1 {}", received.sha1),
            });
        }
        if let Some(md5) = self.md5
            && md5 != received.md5
        {
            return Err(ServiceError::Mismatch {
                announced: format!("bytes of MD5 {md5}"),
                received: format!("bytes of MD5 {}", received.md5),
            });
        }
        Ok(())
    }
}
