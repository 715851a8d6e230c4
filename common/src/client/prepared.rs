//! An upload in two steps, on one connection: first the content, then the decision that it becomes a
//! blob. Source: docs/wire.md, prepared uploads.
//!
//! ```text
//! UploadWriter ── finish ──▶ Prepared ── commit ──▶ the blob's id
//!      │ abort                   │ abandon
//!      ▼                         ▼
//!    nothing                  nothing
//! ```
//!
//! Dropping either closes the connection, upon which the node forgets what it has.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::Address;
use super::error::{AnswerError, ClientError};
use super::exchange::{refused_early, release_after_refusal, send_piece};
use super::pool::Lease;
use super::slices::Slices;
use crate::digest::{Crc32, Crc32Hasher};
use crate::env::clock;
use crate::id::FileId;
use crate::limits;
use crate::wire::storage::{ChunkHead, PrepareHead, PreparedResponse};
use crate::wire::{Command, HEADER_LEN, Header, Status, encode_bare_request};

const COMMAND: Command = Command::PrepareUpload;

/// Bytes of content that are gathered, as they are, before they are sent. A content up to this size
/// costs one system call.
const HELD_LEN_MAX: usize = 256 * 1024;
/// Buffers that are gathered; with the heads of packet and chunk, what one system call takes.
const HELD_COUNT_MAX: usize = 60;
/// Content is not held back longer than this if more comes slowly: the node must see progress.
const HOLD_MAX: Duration = Duration::from_secs(1);

/// Content on its way to a node, of a length that need not be known.
///
/// Content may come slowly, but the node gives up when it sees no progress for its network timeout.
#[derive(Debug)]
pub struct UploadWriter {
    lease: Lease,
    /// The packet's head, until it was sent.
    head: Option<Bytes>,
    /// Content that was not sent yet.
    held: Slices,
    /// When something was sent last, or the upload began.
    sent_at: Instant,
    size: u64,
    hasher: Crc32Hasher,
}

impl UploadWriter {
    pub(super) fn new(lease: Lease, head: PrepareHead) -> Self {
        let mut packet = BytesMut::with_capacity(HEADER_LEN + PrepareHead::LEN);
        head.encode(&mut packet);
        Self {
            lease,
            head: Some(packet.freeze()),
            held: Slices::default(),
            sent_at: clock::monotonic(),
            size: 0,
            hasher: Crc32Hasher::new(),
        }
    }

    /// The node that receives the content.
    pub fn address(&self) -> &Address {
        self.lease.address()
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds content. It is not copied, and sent when enough has come together.
    ///
    /// After an error the upload is over.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: drop the writer then.
    pub async fn write(&mut self, content: Bytes) -> Result<(), ClientError> {
        let size = self.size.saturating_add(content.len() as u64);
        if limits::BLOB_LEN_MAX < size {
            return Err(ClientError::TooLong {
                len: size,
                max: limits::BLOB_LEN_MAX,
            });
        }
        self.size = size;
        self.hasher.update(&content);
        self.held.push(content);
        let is_full = HELD_LEN_MAX <= self.held.len() || HELD_COUNT_MAX <= self.held.count();
        if is_full || HOLD_MAX <= clock::monotonic().saturating_duration_since(self.sent_at) {
            self.send(None).await?;
        }
        Ok(())
    }

    /// Ends the content. The node has kept it and chosen its name; nobody else sees it yet.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing.
    pub async fn finish(mut self) -> Result<Prepared, ClientError> {
        let answer = match self.send(Some(ChunkHead::End)).await {
            Ok(header) => header,
            Err(error) => {
                release_after_refusal(self.lease, &error);
                return Err(error);
            }
        };
        // There is one behind the end; without, the body would be malformed.
        let header = answer.unwrap_or(Header::success(0));
        let body = self.lease.body(&header, limits::PACKET_LEN_MAX).await?;
        let PreparedResponse {
            group,
            size,
            crc,
            name,
        } = PreparedResponse::decode(&body)
            .map_err(|error| self.lease.answer_error(error.into()))?;
        let (sent_size, sent_crc) = (self.size, self.hasher.finish());
        if (size, crc) != (sent_size, sent_crc) {
            return Err(self.lease.answer_error(AnswerError::Content {
                size,
                crc,
                sent_size,
                sent_crc,
            }));
        }
        Ok(Prepared {
            lease: self.lease,
            id: FileId { group, name },
            size,
            crc,
        })
    }

    /// Gives the upload up and keeps the connection for others. Where that fails the connection is
    /// closed, which comes to the same.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing.
    pub async fn abort(mut self) {
        if self.head.is_some() {
            // The node knows nothing of it.
            self.lease.release();
            return;
        }
        self.held = Slices::default();
        let answer = self.send(Some(ChunkHead::Abort)).await;
        if answer.is_err_and(|error| error.status() == Some(Status::CANCELED)) {
            self.lease.release();
        }
    }

    /// Sends what is held, and `last` behind it, upon which the node answers.
    async fn send(&mut self, last: Option<ChunkHead>) -> Result<Option<Header>, ClientError> {
        let is_first = self.head.is_some();
        let packet = self.packet(last);
        // As long as everything is in our hands, a connection that died idle can be replaced: to
        // prepare an upload twice leaves no more than to prepare it once.
        let again = (is_first && self.lease.is_reused()).then(|| packet.clone());
        let mut sent = self.exchange(packet, is_first, last).await;
        if let (Err(error), Some(packet)) = (&sent, again)
            && error.is_stale_connection()
        {
            self.lease.reconnect().await?;
            sent = self.exchange(packet, is_first, last).await;
        }
        self.sent_at = clock::monotonic();
        sent
    }

    async fn exchange(
        &mut self,
        mut packet: Slices,
        is_first: bool,
        last: Option<ChunkHead>,
    ) -> Result<Option<Header>, ClientError> {
        let lease = &mut self.lease;
        let sent = async {
            if !is_first && last.is_none() {
                refused_early(lease, COMMAND).await?;
            }
            send_piece(lease, COMMAND, &mut packet).await
        };
        if let Err(error) = sent.await {
            // Behind half a packet the connection is of no use, whatever the node answered.
            self.lease.cut();
            return Err(error);
        }
        match last {
            Some(_) => self.lease.answer(COMMAND).await.map(Some),
            None => Ok(None),
        }
    }

    /// All that is to be sent now: the head if it was not sent, what is held as chunks, and `last`.
    fn packet(&mut self, last: Option<ChunkHead>) -> Slices {
        let mut packet = Slices::default();
        packet.push(self.head.take().unwrap_or_default());
        while 0 < self.held.len() {
            let len = u32::try_from(self.held.len())
                .unwrap_or(u32::MAX)
                .min(limits::UPLOAD_CHUNK_LEN_MAX);
            push_head(&mut packet, ChunkHead::Content(len));
            self.held.move_to(&mut packet, len as usize);
        }
        if let Some(last) = last {
            push_head(&mut packet, last);
        }
        packet
    }
}

fn push_head(packet: &mut Slices, head: ChunkHead) {
    packet.push(Bytes::copy_from_slice(&head.encode()));
}

/// Content that a node keeps under a name of its own until it is committed.
///
/// The node waits as long as its network timeout, a minute by default, and then forgets it.
#[derive(Debug)]
pub struct Prepared {
    lease: Lease,
    id: FileId,
    size: u64,
    crc: Crc32,
}

impl Prepared {
    /// The id that the blob will have.
    pub fn file_id(&self) -> &FileId {
        &self.id
    }

    /// Bytes of content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Checksum of the content.
    pub fn crc(&self) -> Crc32 {
        self.crc
    }

    /// Makes the content a blob, as durable as the node's setting promises.
    ///
    /// An error that is not a refusal leaves open whether the blob exists: the answer may have been
    /// lost.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves open whether the blob exists.
    pub async fn commit(self) -> Result<FileId, ClientError> {
        decide(self.lease, Command::CommitUpload).await?;
        Ok(self.id)
    }

    /// Has the node forget the content and keeps the connection for others. Where that fails the
    /// connection is closed, which comes to the same.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing.
    pub async fn abandon(self) {
        // An error closed the connection, upon which the node forgets the content too.
        let _ = decide(self.lease, Command::AbandonUpload).await;
    }
}

/// Tells the node what becomes of the content.
async fn decide(mut lease: Lease, command: Command) -> Result<(), ClientError> {
    let mut packet = BytesMut::with_capacity(HEADER_LEN);
    encode_bare_request(&mut packet, command);
    lease.send(&packet).await?;
    match lease.answer(command).await {
        Ok(header) => {
            lease.body(&header, 0).await?;
            lease.release();
            Ok(())
        }
        Err(error) => {
            release_after_refusal(lease, &error);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
