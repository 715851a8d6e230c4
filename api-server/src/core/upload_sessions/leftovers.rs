//! Slices and blocks that end, of which there may be many: some of them go in the transaction that ends
//! them, and a mark says that the others are nobody's, until they are forgotten, too. While the mark is
//! there the upload has no slices.

use super::get;
use crate::core::catalog::{CatalogError, Transaction, View};
use crate::core::error::CoreError;
use crate::core::id::{AccountId, UploadId};
use crate::core::keys::{self, Slices, SlicesLeft, Uploads};
use common::id::FileId;

/// Slices that one transaction forgets: other changes wait for it.
pub(super) const AT_ONCE: usize = if cfg!(test) { 2 } else { 500 };

/// Whether slices are left that nobody has any more.
pub(super) fn are_there(view: &dyn View, id: UploadId) -> Result<bool, CatalogError> {
    Ok(keys::get::<SlicesLeft>(view, &(id,))?.is_some())
}

/// Ends all slices of an upload.
pub(super) fn end_slices(tx: &mut dyn Transaction, id: UploadId) -> Result<(), CatalogError> {
    let was_marked = are_there(tx, id)?;
    match (forget(tx, id)?, was_marked) {
        (true, true) => keys::delete::<SlicesLeft>(tx, &(id,)),
        (false, false) => keys::put::<SlicesLeft>(tx, &(id,), &()),
        // As a rule there was no mark, and there need be none.
        (true, false) | (false, true) => Ok(()),
    }
}

/// Uploads whose slices are left, at most `max`.
pub fn left(view: &dyn View, max: usize) -> Result<Vec<UploadId>, CoreError> {
    let left = keys::scan::<SlicesLeft>(view, &(), max)?;
    Ok(left.into_iter().map(|((id,), ())| id).collect())
}

/// Whether slices of an upload are left.
pub fn has_left(view: &dyn View, id: UploadId) -> Result<bool, CoreError> {
    Ok(are_there(view, id)?)
}

/// Forgets a part of the slices of an upload that are left. Returns whether none are.
pub fn forget_left(tx: &mut dyn Transaction, id: UploadId) -> Result<bool, CoreError> {
    if !are_there(tx, id)? {
        return Ok(true);
    }
    let is_all = forget(tx, id)?;
    if is_all {
        keys::delete::<SlicesLeft>(tx, &(id,))?;
    }
    Ok(is_all)
}

/// Forgets some slices. Returns whether none are there any more.
fn forget(tx: &mut dyn Transaction, id: UploadId) -> Result<bool, CatalogError> {
    let found = keys::scan::<Slices>(tx, &id, AT_ONCE + 1)?;
    for (key, _) in found.iter().take(AT_ONCE) {
        keys::delete::<Slices>(tx, key)?;
    }
    Ok(found.len() <= AT_ONCE)
}

/// Takes an upload in order back towards `offset`, from its end, so that what is behind it is no more than
/// one transaction replaces. Returns whether that is so: if not, it is to be called again. In between
/// the upload is a shorter one.
///
/// # Errors
///
/// [`CoreError::NoUpload`], [`CoreError::UploadClosed`], [`CoreError::UploadDone`];
/// [`CoreError::UploadChanged`] if the session has another staging blob by now.
pub fn take_back(
    tx: &mut dyn Transaction,
    account: AccountId,
    id: UploadId,
    staging: &FileId,
    offset: u64,
    now: u32,
) -> Result<bool, CoreError> {
    let mut record = get(tx, account, id, now)?;
    record.check_open()?;
    if record.staging != Some(*staging) {
        return Err(CoreError::UploadChanged);
    }
    let last = keys::scan_back::<Slices>(tx, &id, &(id, offset), AT_ONCE + 1)?;
    if last.len() <= AT_ONCE {
        return Ok(true);
    }
    for (key, _) in last.iter().take(AT_ONCE) {
        keys::delete::<Slices>(tx, key)?;
        record.blocks = record.blocks.saturating_sub(1);
        record.received = key.1;
    }
    keys::put::<Uploads>(tx, &(id,), &record)?;
    Ok(false)
}
