//! The model of upload sessions: what each of them should have, in maps and lists.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use common::id::FileId;

use super::SLICE_SIZE;
use crate::core::error::CoreError;
use crate::core::files::{Conflict, Place};
use crate::core::id::{AccountId, FileNumber, FolderNumber, UploadId, UploadKeyHash};
use crate::core::upload_sessions::{LIFE, SliceRecord, leftovers};

/// A block of an upload in order.
pub(super) type Block = SliceRecord;

#[derive(Debug, Default)]
pub(super) struct Model {
    /// All that there ever were, in the order of their beginning.
    pub(super) sessions: Vec<Session>,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) account: AccountId,
    pub(super) id: UploadId,
    pub(super) is_in_order: bool,
    pub(super) place: Place,
    pub(super) size: u64,
    /// The number that was reserved for its file.
    pub(super) reserved: Option<FileNumber>,
    pub(super) renewed: u32,
    pub(super) staging: Option<FileId>,
    /// Bytes that the staging blob has.
    pub(super) appended: u64,
    /// Content and place of each slice that is there.
    pub(super) slices: BTreeMap<u64, (u8, SliceRecord)>,
    /// Blocks by what is in front of them.
    pub(super) blocks: BTreeMap<u64, Block>,
    /// Contents of the slices that the hashes have seen.
    pub(super) hashed: Vec<u8>,
    pub(super) committing: Vec<FileId>,
    pub(super) keys: BTreeSet<UploadKeyHash>,
    /// Staging blobs that it had.
    pub(super) owned: BTreeSet<FileId>,
    /// Slices and blocks that it lost and that were too many to be forgotten at once.
    pub(super) left: usize,
    /// What it became.
    pub(super) file: Option<FileNumber>,
    pub(super) is_ended: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            account: AccountId(1),
            id: UploadId([0; 16]),
            is_in_order: false,
            place: Place {
                folder: FolderNumber::ROOT,
                name: "name".parse().unwrap(),
                conflict: Conflict::Refuse,
            },
            size: 0,
            reserved: None,
            renewed: 0,
            staging: None,
            appended: 0,
            slices: BTreeMap::new(),
            blocks: BTreeMap::new(),
            hashed: Vec::new(),
            committing: Vec::new(),
            keys: BTreeSet::new(),
            owned: BTreeSet::new(),
            left: 0,
            file: None,
            is_ended: false,
        }
    }
}

impl Model {
    /// A session that is not over.
    pub(super) fn get(&mut self, at: usize, now: u32) -> Result<&mut Session, CoreError> {
        let session = &mut self.sessions[at];
        if session.is_ended || session.renewed + LIFE <= now {
            return Err(CoreError::NoUpload);
        }
        Ok(session)
    }

    /// A session that takes bytes.
    pub(super) fn open(&mut self, at: usize, now: u32) -> Result<&mut Session, CoreError> {
        let session = self.get(at, now)?;
        session.check_open()?;
        Ok(session)
    }
}

impl Session {
    pub(super) fn check_open(&self) -> Result<(), CoreError> {
        match (self.file, &self.committing[..]) {
            (Some(file), _) => Err(CoreError::UploadDone(file)),
            (None, []) => Ok(()),
            (None, _) => Err(CoreError::UploadClosed),
        }
    }

    pub(super) fn slice_count(&self) -> u64 {
        self.size.div_ceil(SLICE_SIZE)
    }

    /// Whether its bytes are reserved: it did not end, and did not become a file.
    pub(super) fn holds_room(&self) -> bool {
        !self.is_ended && self.file.is_none()
    }

    /// Bytes of an upload in order.
    pub(super) fn received(&self) -> u64 {
        let last = self.blocks.last_key_value();
        last.map_or(0, |(start, block)| start + block.len)
    }

    /// Where the block begins that an offset lies in.
    pub(super) fn block_start(&self, offset: u64) -> Option<u64> {
        let mut blocks = self.blocks.iter();
        let found = blocks.find(|(start, block)| (**start..**start + block.len).contains(&offset));
        found.map(|(start, _)| *start)
    }

    /// Ranges of slices that are missing.
    pub(super) fn missing(&self, max: usize) -> Vec<RangeInclusive<u64>> {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for number in 1..=self.slice_count() {
            if self.slices.contains_key(&number) {
                continue;
            }
            match ranges.last_mut() {
                Some(range) if range.end() + 1 == number => *range = *range.start()..=number,
                Some(_) | None => ranges.push(number..=number),
            }
        }
        ranges.truncate(max);
        ranges
    }

    pub(super) fn lose_staging(&mut self) {
        self.owned.extend(self.staging.take());
        self.appended = 0;
        self.end_slices();
        self.hashed.clear();
    }

    /// Nobody has its slices any more. Some of them go at once.
    fn end_slices(&mut self) {
        self.left += self.slices.len() + self.blocks.len();
        self.slices.clear();
        self.blocks.clear();
        self.forget();
    }

    /// Some of the slices that are left go.
    pub(super) fn forget(&mut self) {
        self.left = self.left.saturating_sub(leftovers::AT_ONCE);
    }

    /// Blocks from an offset on.
    pub(super) fn blocks_behind(&self, offset: u64) -> usize {
        self.blocks.range(offset..).count()
    }

    pub(super) fn finish(&mut self, file: FileNumber, now: u32) {
        self.owned.extend(self.staging.take());
        self.owned.extend(self.committing.drain(..));
        self.end_slices();
        self.file = Some(file);
        self.renewed = now;
    }

    pub(super) fn end(&mut self) {
        self.owned.extend(self.staging.take());
        self.owned.extend(self.committing.drain(..));
        self.keys.clear();
        self.end_slices();
        self.is_ended = true;
    }
}
