//! One block of a file in a packet. Source: docs/api/weiyun.md §4.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5 as Md5Hasher};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Weiyun;
use super::handler::Opened;
use super::model::Data;
use super::packet::{Decoder, PacketHead};
use super::parameters::Parameters;
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::id::{Md5, UploadId};
use crate::core::upload_sessions::{SLICES_MAX, UploadRecord};
use crate::http::caller::Caller;
use crate::service::{BlockAdded, ServiceError};

/// Bytes of all blocks that are in memory at the same time.
const MEMORY_MAX: usize = 64 * 1024 * 1024;
/// How long a block waits for room before it is refused.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for blocks in memory: a block is stored only after it was seen to be the right one.
#[derive(Debug)]
pub(super) struct Memory {
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(MEMORY_MAX, PATIENCE)
    }
}

impl Memory {
    /// Room for so many bytes, for which a block waits so long.
    pub(super) fn new(max: usize, patience: Duration) -> Self {
        Self {
            room: Arc::new(Semaphore::new(max)),
            patience,
        }
    }

    async fn take(&self, len: u32) -> Result<OwnedSemaphorePermit, Refusal> {
        let room = Arc::clone(&self.room).acquire_many_owned(len);
        match timeout(self.patience, room).await {
            Ok(Ok(room)) => Ok(room),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(Refusal::OutOfMemory),
        }
    }
}

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// Takes a block, and with the last one makes the upload a file.
    pub(super) async fn receive_packet(
        &self,
        caller: &Caller,
        parameters: &Parameters,
        body: &mut Opened,
    ) -> Result<Data, Refusal> {
        let mut decoder = Decoder::new();
        let (head, first) = read_head(&mut decoder, body).await?;
        let (id, upload) = self.upload_of(Some(head.key.clone())).await?;
        self.check_head(&head, id, &upload).await?;
        let _room = self.memory.take(head.block_len).await?;
        let block = read_block(decoder, &head, first, body).await?;
        check_md5(parameters, &block)?;
        let (account, offset) = (upload.account, u64::from(head.offset));
        let added = self
            .service
            .add_block(id, upload.clone(), offset, block)
            .await;
        let entry = match added {
            Ok(BlockAdded::Open(upload)) => self.describe_upload(&upload, upload.received).await?,
            Ok(BlockAdded::File(file)) => self.describe_new(account, file, caller).await?,
            Err(ServiceError::Mismatch { .. }) => return Err(self.content_refusal(&upload).await),
            Err(error) => return Err(self.explained(account, error).await),
        };
        Ok(Data::Entry(Box::new(entry)))
    }

    /// Refuses what can be refused before the block comes.
    async fn check_head(
        &self,
        head: &PacketHead,
        id: UploadId,
        upload: &UploadRecord,
    ) -> Result<(), Refusal> {
        let is_sha1 = upload.sha1.is_some_and(|sha1| sha1.0 == head.file_key);
        // Larger files are beyond what packets can say: they come as forms.
        if !is_sha1 || upload.size != u64::from(head.file_size) {
            return Err(Refusal::OtherFile);
        }
        let (offset, len) = (u64::from(head.offset), u64::from(head.block_len));
        let end = offset.saturating_add(len);
        if upload.size < end {
            return Err(Refusal::OtherFile);
        }
        let is_last = end == upload.size;
        if !is_last && len < upload.size.div_ceil(SLICES_MAX) {
            return Err(Refusal::BlockTooSmall);
        }
        if upload.received < offset {
            let next = self.service.next_offset(id, upload).await?;
            let entry = self.describe_upload(upload, next).await?;
            return Err(Refusal::Gap(Box::new(entry)));
        }
        Ok(())
    }
}

/// Reads the head of a packet, and gives what of the block came with it.
async fn read_head(
    decoder: &mut Decoder,
    body: &mut Opened,
) -> Result<(PacketHead, Bytes), Refusal> {
    while let Some(mut piece) = body.next().await? {
        if let Some(head) = decoder.head(&mut piece)? {
            return Ok((head, piece));
        }
    }
    Err(super::packet::PacketError::Cut.into())
}

/// Reads the rest of a packet. There is room for it.
async fn read_block(
    mut decoder: Decoder,
    head: &PacketHead,
    first: Bytes,
    body: &mut Opened,
) -> Result<Bytes, Refusal> {
    decoder.block(&first)?;
    let len = usize::try_from(head.block_len).unwrap_or_default();
    let mut block = BytesMut::with_capacity(len);
    block.extend_from_slice(&first);
    while let Some(piece) = body.next().await? {
        decoder.block(&piece)?;
        block.extend_from_slice(&piece);
    }
    decoder.finish()?;
    Ok(block.freeze())
}

/// Compares a block with the digest that is announced in `bmd5`, if there is one.
fn check_md5(parameters: &Parameters, block: &[u8]) -> Result<(), Refusal> {
    let announced = match parameters.text("bmd5") {
        Ok(None | Some("")) => return Ok(()),
        Ok(Some(announced)) => announced,
        Err(_) => return Err(Refusal::BlockMd5),
    };
    let found = Md5(Md5Hasher::digest(block).into());
    if announced.parse() == Ok(found) {
        Ok(())
    } else {
        Err(Refusal::BlockMd5)
    }
}
