//! Reading ahead: several pieces of a staging blob are on their way at the same time, and given out in
//! their order.
//!
//! While slices come in, every task of this process waits for its turn, and a piece passes several of
//! them between the disk and whoever hashes it. Asked for one after the other, the pieces would come
//! slower than the slices that they are of, though there is time enough to hash them.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use common::id::FileId;
use tokio_util::task::AbortOnDropHandle;

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::service::Service;
use crate::service::error::ServiceError;
use crate::service::hashes::TakeBytes;

/// Bytes of a piece.
const PIECE_LEN: u64 = if cfg!(test) { 300 } else { 2 * 1024 * 1024 };
/// Pieces of an upload that are on their way: 8 MiB. With those that wait for a hasher they are what a
/// reader holds in memory.
const AHEAD_MAX: usize = 4;

/// The pieces of a range.
fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let end = start.saturating_add(PIECE_LEN).min(range.end);
        let piece = start..end;
        start = end;
        (!piece.is_empty()).then_some(piece)
    })
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Gives ranges of a staging blob to `taker`, one behind the other, until it returns false. Returns
    /// whether all of them were given.
    pub(super) async fn read_ahead(
        &self,
        staging: FileId,
        ranges: impl Iterator<Item = Range<u64>> + Send,
        mut taker: impl TakeBytes,
    ) -> Result<bool, ServiceError> {
        let mut pieces = ranges.flat_map(pieces);
        let mut ahead = VecDeque::with_capacity(AHEAD_MAX);
        loop {
            while ahead.len() < AHEAD_MAX
                && let Some(piece) = pieces.next()
            {
                let service = self.clone();
                let fetching = async move { service.fetch(staging, piece).await };
                ahead.push_back(AbortOnDropHandle::new(tokio::spawn(fetching)));
            }
            let Some(next) = ahead.pop_front() else {
                return Ok(true);
            };
            if !taker.take(next.await??).await {
                return Ok(false);
            }
        }
    }

    /// All bytes of a piece. They are only copied, which takes less than a turn of a task that hashes: so
    /// it gives way to others only where it waits for storage.
    async fn fetch(&self, staging: FileId, piece: Range<u64>) -> Result<Bytes, ServiceError> {
        let len = piece.end.saturating_sub(piece.start).min(PIECE_LEN);
        let mut all = BytesMut::with_capacity(usize::try_from(len).unwrap_or_default());
        self.read_staged(&staging, piece, |bytes: Bytes| {
            all.extend_from_slice(&bytes);
            true
        })
        .await?;
        Ok(all.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_of_a_range_in_its_order() {
        for (len, count) in [
            (0, 0),
            (1, 1),
            (PIECE_LEN - 1, 1),
            (PIECE_LEN, 1),
            (PIECE_LEN + 1, 2),
            (2 * PIECE_LEN, 2),
            (2 * PIECE_LEN + 1, 3),
        ] {
            let pieces: Vec<Range<u64>> = pieces(7..7 + len).collect();
            assert_eq!(pieces.len(), count, "{len}");
            assert!(
                pieces
                    .iter()
                    .all(|piece| piece.end - piece.start <= PIECE_LEN)
            );
            let mut end = 7;
            for piece in pieces {
                assert!(piece.start == end && !piece.is_empty());
                end = piece.end;
            }
            assert_eq!(end, 7 + len);
        }
    }
}
