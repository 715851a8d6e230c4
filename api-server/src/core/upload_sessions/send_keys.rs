//! Keys that let their holder send the bytes of a session, and nothing else.

use crate::core::catalog::{CatalogError, Transaction, View};
use crate::core::error::CoreError;
use crate::core::id::{UploadId, UploadKeyHash};
use crate::core::keys::{self, UploadKeys, UploadKeysOfUpload, UploadRecord, Uploads};

/// Keys that one session may have; one more makes another one void.
const KEYS_PER_UPLOAD_MAX: usize = 64;

/// Makes a key good for sending the bytes of a session.
pub fn add_key(
    tx: &mut dyn Transaction,
    id: UploadId,
    key: UploadKeyHash,
) -> Result<(), CoreError> {
    let keys = keys::scan::<UploadKeysOfUpload>(tx, &id, KEYS_PER_UPLOAD_MAX)?;
    if keys.len() == KEYS_PER_UPLOAD_MAX
        && let Some(((_, old), ())) = keys.first()
    {
        keys::delete::<UploadKeysOfUpload>(tx, &(id, *old))?;
        keys::delete::<UploadKeys>(tx, &(*old,))?;
    }
    keys::put::<UploadKeysOfUpload>(tx, &(id, key), &())?;
    Ok(keys::put::<UploadKeys>(tx, &(key,), &id)?)
}

/// The session whose bytes the holder of a key may send.
///
/// # Errors
///
/// [`CoreError::NoUpload`].
pub fn by_key(
    view: &dyn View,
    key: &UploadKeyHash,
    now: u32,
) -> Result<(UploadId, UploadRecord), CoreError> {
    let id = keys::get::<UploadKeys>(view, &(*key,))?.ok_or(CoreError::NoUpload)?;
    let record = keys::get_promised::<Uploads>(view, &(id,))?;
    if record.expires() <= now {
        return Err(CoreError::NoUpload);
    }
    Ok((id, record))
}

/// Makes all keys of a session void.
pub(super) fn forget_all(tx: &mut dyn Transaction, id: UploadId) -> Result<(), CatalogError> {
    for ((_, key), ()) in keys::scan::<UploadKeysOfUpload>(tx, &id, KEYS_PER_UPLOAD_MAX)? {
        keys::delete::<UploadKeysOfUpload>(tx, &(id, key))?;
        keys::delete::<UploadKeys>(tx, &(key,))?;
    }
    Ok(())
}
