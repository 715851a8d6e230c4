//! Staged uploads: extensions of a staging blob, and the arrangement that makes another blob of its
//! pieces. Source: docs/wire.md, staged uploads.

use bytes::{Bytes, BytesMut};

use super::Address;
use super::error::{AnswerError, ClientError};
use super::exchange::{self, Replay, Request};
use super::outgoing::Outgoing;
use super::pool::{Lease, Pool};
use super::prepared::Prepared;
use crate::id::{Extension, FileId};
use crate::limits;
use crate::wire::Command;
use crate::wire::storage::{ArrangeRequest, ExtendHead, Piece, PreparedResponse};

/// Content on its way to the end of a staging blob. Dropped, it closes its connection, upon which the
/// node forgets what it has.
#[derive(Debug)]
pub struct ExtensionWriter(Outgoing);

impl ExtensionWriter {
    pub(super) fn new(lease: Lease, staging: &FileId) -> Self {
        let mut packet = BytesMut::new();
        ExtendHead {
            group: staging.group,
            name: staging.name,
        }
        .encode(&mut packet);
        Self(Outgoing::new(lease, Command::ExtendStaging, packet))
    }

    /// Adds content. It is not copied, and sent when enough has come together.
    ///
    /// After an error the extension is over.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: drop the writer then.
    pub async fn write(&mut self, content: Bytes) -> Result<(), ClientError> {
        self.0.write(content).await
    }

    /// Ends the content. The node has appended all of it, as durably as its setting promises, and
    /// says where.
    ///
    /// An error that is not a refusal leaves open whether it was appended: the answer may have been
    /// lost.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves open whether the content was appended.
    pub async fn finish(self) -> Result<Piece, ClientError> {
        let taken = self.0.finish().await?;
        let piece =
            Piece::decode(&taken.body).map_err(|error| taken.lease.answer_error(error.into()))?;
        taken.check(piece.len, piece.crc)?;
        taken.lease.release();
        Ok(piece)
    }

    /// Gives the extension up and keeps the connection for others. Where that fails the connection
    /// is closed, which comes to the same.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it leaves nothing.
    pub async fn abort(self) {
        self.0.abort().await;
    }
}

/// Has the node at `address` prepare a blob of pieces of a staging blob.
pub(super) async fn arrange(
    pool: &Pool,
    address: &Address,
    staging: &FileId,
    extension: Extension,
    pieces: &[Piece],
) -> Result<Prepared, ClientError> {
    if limits::ARRANGED_PIECES_MAX < pieces.len() {
        return Err(ClientError::TooLong {
            len: pieces.len() as u64,
            max: limits::ARRANGED_PIECES_MAX as u64,
        });
    }
    let arrangement = ArrangeRequest {
        group: staging.group,
        name: staging.name,
        extension,
        pieces: pieces.to_vec(),
    };
    let (sent_size, sent_crc) = arrangement.arranged().map_err(|_| ClientError::TooLong {
        len: pieces
            .iter()
            .fold(0, |len, piece| piece.len.saturating_add(len)),
        max: limits::BLOB_LEN_MAX,
    })?;
    // To prepare an arrangement twice leaves no more than to prepare it once.
    let request = Request::new(Command::ArrangeStaging, Replay::Safe, |out| {
        arrangement.encode(out);
    });
    let (mut lease, header) = exchange::open(pool, address, &request).await?;
    let body = lease.body(&header, limits::PACKET_LEN_MAX).await?;
    let answer =
        PreparedResponse::decode(&body).map_err(|error| lease.answer_error(error.into()))?;
    let (size, crc) = (answer.size, answer.crc);
    if (size, crc) != (sent_size, sent_crc) {
        return Err(lease.answer_error(AnswerError::Content {
            size,
            crc,
            sent_size,
            sent_crc,
        }));
    }
    Ok(Prepared::new(lease, &answer))
}

#[cfg(test)]
mod tests;
