//! Uploads whose bytes come in order, one block behind the other.

use super::leftovers::AT_ONCE;
use super::{SliceRecord, get, lose_staging, slices};
use crate::core::accounts;
use crate::core::catalog::{Transaction, View};
use crate::core::error::CoreError;
use crate::core::id::{AccountId, UploadId};
use crate::core::keys::{self, Slices, UploadRecord, Uploads};
use common::id::FileId;

/// Blocks of one upload in order: 4 GiB in blocks of 128 KiB, as clients send them.
pub const BLOCKS_MAX: u64 = 1 << 15;

/// A block of an upload in order, whose bytes are safe in the staging blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlock {
    /// Bytes of the upload in front of it.
    pub offset: u64,
    /// Where it is.
    pub record: SliceRecord,
    /// If it begins within another block: where that one begins, and what stays of it.
    pub cut: Option<(u64, SliceRecord)>,
}

/// Adds a block of an upload in order, in place of everything from its offset on, of which
/// [`take_back`](super::take_back) left little enough.
///
/// # Errors
///
/// Those of [`add_slice`](super::add_slice); [`CoreError::UploadChanged`] also if no block begins at the offset, it is
/// not the end, and the block that it lies in is not the one that is cut; or if too much is behind it.
pub fn add_block(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    staging: &FileId,
    block: &NewBlock,
    now: u32,
) -> Result<UploadRecord, CoreError> {
    let mut record = get(tx, account, id, now)?;
    record.check_open()?;
    let offset = block.offset;
    let begins = match &block.cut {
        Some((start, rest)) => {
            let before = keys::get::<Slices>(tx, &(id, *start))?;
            start.saturating_add(rest.len) == offset
                && before
                    .is_some_and(|before| before.offset == rest.offset && rest.len < before.len)
        }
        None => offset == record.received || keys::get::<Slices>(tx, &(id, offset))?.is_some(),
    };
    if record.staging != Some(*staging) || !begins {
        return Err(CoreError::UploadChanged);
    }
    accounts::get_active(tx, account)?;
    if offset < record.received {
        let gone = keys::scan_back::<Slices>(tx, &id, &(id, offset), AT_ONCE + 1)?;
        if AT_ONCE < gone.len() {
            return Err(CoreError::UploadChanged);
        }
        for (key, _) in &gone {
            keys::delete::<Slices>(tx, key)?;
        }
        record.blocks = record.blocks.saturating_sub(gone.len() as u64);
    }
    if BLOCKS_MAX <= record.blocks {
        return Err(CoreError::TooManySlices(BLOCKS_MAX));
    }
    record.blocks += 1;
    record.note_staged(&block.record);
    if let Some((start, rest)) = &block.cut {
        keys::put::<Slices>(tx, &(id, *start), rest)?;
    }
    keys::put::<Slices>(tx, &(id, offset), &block.record)?;
    record.received = offset.saturating_add(block.record.len);
    record.renewed = now;
    keys::put::<Uploads>(tx, &(id,), &record)?;
    Ok(record)
}

/// Takes an upload in order back to its beginning: its bytes were not what was announced.
pub fn restart(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    now: u32,
) -> Result<(), CoreError> {
    let record = get(tx, account, id, now)?;
    match record.staging {
        Some(staging) => lose_staging(tx, account, id, &staging, now),
        None => Ok(()),
    }
}

/// The block of an upload in order that `offset` lies in.
pub fn block_at(
    view: &dyn View,
    id: UploadId,
    offset: u64,
) -> Result<Option<(u64, SliceRecord)>, CoreError> {
    let blocks = slices(view, id)?;
    Ok(blocks
        .into_iter()
        .find(|(start, block)| *start <= offset && offset - start < block.len))
}
