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

use bytes::{Bytes, BytesMut};

use super::Address;
use super::error::ClientError;
use super::exchange::release_after_refusal;
use super::outgoing::Outgoing;
use super::pool::Lease;
use crate::digest::Crc32;
use crate::id::FileId;
use crate::wire::storage::{PrepareHead, PreparedResponse};
use crate::wire::{Command, HEADER_LEN, encode_bare_request};

/// Content on its way to a node, of a length that need not be known.
///
/// Content may come slowly, but the node gives up when it sees no progress for its network timeout.
#[derive(Debug)]
pub struct UploadWriter(Outgoing);

impl UploadWriter {
    pub(super) fn new(lease: Lease, head: PrepareHead) -> Self {
        let mut packet = BytesMut::with_capacity(HEADER_LEN + PrepareHead::LEN);
        head.encode(&mut packet);
        Self(Outgoing::new(lease, Command::PrepareUpload, packet))
    }

    /// The node that receives the content.
    pub fn address(&self) -> &Address {
        self.0.address()
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// Adds content. It is not copied, and sent when enough has come together.
    ///
    /// After an error the upload is over.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: drop the writer then.
    pub async fn write(&mut self, content: Bytes) -> Result<(), ClientError> {
        self.0.write(content).await
    }

    /// Ends the content. The node has kept it and chosen its name; nobody else sees it yet.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing.
    pub async fn finish(self) -> Result<Prepared, ClientError> {
        let taken = self.0.finish().await?;
        let answer = PreparedResponse::decode(&taken.body)
            .map_err(|error| taken.lease.answer_error(error.into()))?;
        taken.check(answer.size, answer.crc)?;
        Ok(Prepared::new(taken.lease, &answer))
    }

    /// Gives the upload up and keeps the connection for others. Where that fails the connection is
    /// closed, which comes to the same.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing.
    pub async fn abort(self) {
        self.0.abort().await;
    }
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
    /// What the node at the other end of `lease` has answered to keep.
    pub(super) fn new(lease: Lease, answer: &PreparedResponse) -> Self {
        let (group, name) = (answer.group, answer.name);
        Self {
            lease,
            id: FileId { group, name },
            size: answer.size,
            crc: answer.crc,
        }
    }

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
