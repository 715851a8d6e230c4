//! Content of a length that need not be known, on its way to a node in chunks. Source: docs/wire.md,
//! prepared uploads.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::Address;
use super::error::{AnswerError, ClientError};
use super::exchange::{refused_early, release_after_refusal, send_piece};
use super::pool::Lease;
use super::slices::Slices;
use crate::digest::{Crc32, Crc32Hasher};
use crate::env::clock;
use crate::limits;
use crate::wire::storage::ChunkHead;
use crate::wire::{Command, Header, Status};

/// Bytes of content that are gathered, as they are, before they are sent. A content up to this size
/// costs one system call.
pub(super) const HELD_LEN_MAX: usize = 256 * 1024;
/// Buffers that are gathered; with the heads of packet and chunk, what one system call takes.
pub(super) const HELD_COUNT_MAX: usize = 60;
/// Content is not held back longer than this if more comes slowly: the node must see progress.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(1);

/// A request whose content is on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) lease: Lease,
    command: Command,
    /// The packet's head, until it was sent.
    head: Option<Bytes>,
    /// Content that was not sent yet.
    held: Slices,
    /// When something was sent last, or the request began.
    pub(super) sent_at: Instant,
    size: u64,
    hasher: Crc32Hasher,
}

/// A content that a node has taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) lease: Lease,
    /// The answer's body.
    pub(super) body: Bytes,
    /// Bytes that were sent.
    sent_size: u64,
    /// Their checksum.
    sent_crc: Crc32,
}

impl Taken {
    /// Compares what the node says it received with what was sent.
    pub(super) fn check(&self, size: u64, crc: Crc32) -> Result<(), ClientError> {
        if (size, crc) == (self.sent_size, self.sent_crc) {
            return Ok(());
        }
        Err(self.lease.answer_error(AnswerError::Content {
            size,
            crc,
            sent_size: self.sent_size,
            sent_crc: self.sent_crc,
        }))
    }
}

impl Outgoing {
    /// A request of `command` on `lease` that begins with `head`. Nothing is sent yet.
    pub(super) fn new(lease: Lease, command: Command, head: BytesMut) -> Self {
        Self {
            lease,
            command,
            head: Some(head.freeze()),
            held: Slices::default(),
            sent_at: clock::monotonic(),
            size: 0,
            hasher: Crc32Hasher::new(),
        }
    }

    /// The node that receives the content.
    pub(super) fn address(&self) -> &Address {
        self.lease.address()
    }

    /// Bytes written so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Adds content. It is not copied, and sent when enough has come together.
    ///
    /// After an error the request is over.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: drop it then.
    pub(super) async fn write(&mut self, content: Bytes) -> Result<(), ClientError> {
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

    /// Ends the content and waits until the node has taken it.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it closes the connection.
    pub(super) async fn finish(mut self) -> Result<Taken, ClientError> {
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
        Ok(Taken {
            lease: self.lease,
            body,
            sent_size: self.size,
            sent_crc: self.hasher.finish(),
        })
    }

    /// Gives the content up and keeps the connection for others. Where that fails the connection is
    /// closed, which comes to the same.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it closes the connection.
    pub(super) async fn abort(mut self) {
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
        // As long as everything is in our hands, a connection that died idle can be replaced: what is
        // prepared, or added, twice is owned once, and the rest is garbage.
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
        let (lease, command) = (&mut self.lease, self.command);
        let sent = async {
            if !is_first && last.is_none() {
                refused_early(lease, command).await?;
            }
            send_piece(lease, command, &mut packet).await
        };
        if let Err(error) = sent.await {
            // Behind half a packet the connection is of no use, whatever the node answered.
            self.lease.cut();
            return Err(error);
        }
        match last {
            Some(_) => self.lease.answer(self.command).await.map(Some),
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
