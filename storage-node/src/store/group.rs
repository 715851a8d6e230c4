//! A group of changes that are appended, synced and indexed together.

use std::collections::HashSet;
use std::io::IoSlice;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use common::codec::Writer;

use super::change::{Answer, Reply};
use super::plan::Plan;
use crate::format::{
    Extent, IndexValue, PartId, RECORD_ALIGN, RecordHeader, RecordKind, VolumeNumber,
};
use crate::index::Batch;

/// A piece of the bytes to append.
#[derive(Debug)]
enum Piece {
    /// A range of the buffer of headers, keys and padding.
    Head(Range<usize>),
    /// A payload, where the connection received it.
    Payload(Bytes),
}

/// Records that wait to be appended, with what happens when they are.
#[derive(Debug, Default)]
pub(super) struct Group {
    heads: BytesMut,
    pieces: Vec<Piece>,
    /// Bytes to append.
    pub len: u64,
    /// What changes in the index.
    pub batch: Batch,
    /// Index keys that the batch changes, which the index does not show yet.
    touched: HashSet<Vec<u8>>,
    /// Who waits for the group, with what they get.
    pub waiting: Vec<(Reply, Answer)>,
    /// Whether something in it must be durable before it is acknowledged.
    pub must_sync: bool,
    /// Records that become needed: volume and length.
    pub live: Vec<(VolumeNumber, u64)>,
    /// Records that are no longer needed.
    pub dead: Vec<(VolumeNumber, u64)>,
    /// Parts that are open once the group is committed.
    pub opened_parts: Vec<(PartId, Extent)>,
    /// Parts that are no longer open then.
    pub closed_parts: Vec<PartId>,
}

impl Group {
    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.batch.is_empty() && self.waiting.is_empty()
    }

    /// Whether there is something to append.
    pub(super) fn has_records(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Pieces of the write.
    pub(super) fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    /// Whether the index does not yet show the latest state of `key`.
    pub(super) fn touches(&self, key: &[u8]) -> bool {
        self.touched.contains(key)
    }

    /// Adds a record that will lie at `extent`.
    pub(super) fn push(
        &mut self,
        header: &RecordHeader,
        key: &[u8],
        payload: Bytes,
        extent: Extent,
        plan: Plan,
    ) {
        let start = self.heads.len();
        header.encode(extent.volume, key, &mut self.heads);
        self.pieces.push(Piece::Head(start..self.heads.len()));
        let unpadded = header.payload_start() + payload.len() as u64;
        if !payload.is_empty() {
            self.pieces.push(Piece::Payload(payload));
        }
        let padding = usize::try_from(unpadded.next_multiple_of(RECORD_ALIGN) - unpadded);
        let padding = padding.unwrap_or_default();
        if 0 < padding {
            let start = self.heads.len();
            let mut writer = Writer::new(&mut self.heads);
            writer.padded(&[], padding);
            self.pieces.push(Piece::Head(start..start + padding));
        }
        self.len += header.record_len();
        if header.kind != RecordKind::Filler {
            self.live.push((extent.volume, header.record_len()));
        }
        // A part alone is not promised to anyone; the manifest's sync covers it.
        self.must_sync |= header.kind != RecordKind::Part || header.moved;
        self.apply(
            plan,
            Some(IndexValue {
                kind: header.kind,
                extent,
                version: header.version,
            }),
        );
    }

    /// Adds changes of the index; `own` is where the record of the plan lies.
    pub(super) fn apply(&mut self, plan: Plan, own: Option<IndexValue>) {
        self.dead.extend(plan.dead);
        for key in plan.deletes {
            self.touched.insert(key.clone());
            self.batch.delete(key);
        }
        for key in plan.marks {
            self.touched.insert(key.clone());
            self.batch.put(key, Vec::new());
        }
        if let Some(own) = own {
            for key in plan.own {
                self.touched.insert(key.clone());
                self.batch.put(key, own.encode().to_vec());
            }
        }
    }

    /// The bytes to append, in order.
    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.pieces
            .iter()
            .map(|piece| IoSlice::new(self.bytes(piece)))
            .collect()
    }

    fn bytes<'a>(&'a self, piece: &'a Piece) -> &'a [u8] {
        match piece {
            Piece::Head(range) => self.heads.get(range.clone()).unwrap_or_default(),
            Piece::Payload(payload) => payload,
        }
    }

    /// Empties the group for the next round and keeps its allocations.
    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.pieces.clear();
        self.len = 0;
        self.batch.clear();
        self.touched.clear();
        self.waiting.clear();
        self.must_sync = false;
        self.live.clear();
        self.dead.clear();
        self.opened_parts.clear();
        self.closed_parts.clear();
    }
}
