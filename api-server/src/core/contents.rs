//! Content: bytes that files share, counted by their references.
//!
//! Content is identified by its strong hash. Its MD5 leads to it only while nothing else has the same
//! MD5, so bytes that were made to collide are never given for one another.

use common::id::FileId;

use super::catalog::{CatalogError, Transaction, View};
use super::id::{ContentHash, Md5};
use super::keys::{self, Contents, ContentsByMd5, OrphanRecord, OrphanState, Orphans};

pub use super::keys::ContentRecord;

/// Content by its hash.
pub fn get(view: &dyn View, hash: &ContentHash) -> Result<Option<ContentRecord>, CatalogError> {
    keys::get::<Contents>(view, &(*hash,))
}

/// The content of an MD5, if there is exactly one.
pub fn by_md5(
    view: &dyn View,
    md5: &Md5,
) -> Result<Option<(ContentHash, ContentRecord)>, CatalogError> {
    let found = keys::scan::<ContentsByMd5>(view, md5, 2)?;
    let [((_, _, hash), ())] = found.as_slice() else {
        return Ok(None);
    };
    let record = keys::get_promised::<Contents>(view, &(*hash,))?;
    Ok(Some((*hash, record)))
}

/// Adds content that nobody refers to yet: the caller does so in the same transaction.
pub(super) fn insert(
    tx: &mut dyn Transaction,
    hash: ContentHash,
    record: &ContentRecord,
) -> Result<(), CatalogError> {
    keys::put::<ContentsByMd5>(tx, &(record.md5, record.size, hash), &())?;
    keys::put::<Contents>(tx, &(hash,), record)
}

/// Counts one more reference.
pub(super) fn retain(
    tx: &mut dyn Transaction,
    hash: ContentHash,
    record: &ContentRecord,
) -> Result<(), CatalogError> {
    let mut record = record.clone();
    record.references += 1;
    keys::put::<Contents>(tx, &(hash,), &record)
}

/// Counts one reference less. With the last one the content goes, and its blob, which is returned,
/// becomes an orphan.
pub(super) fn release(
    tx: &mut dyn Transaction,
    hash: ContentHash,
    now: u32,
) -> Result<Option<FileId>, CatalogError> {
    let mut record = keys::get_promised::<Contents>(tx, &(hash,))?;
    record.references = record
        .references
        .checked_sub(1)
        .ok_or(CatalogError::Contradiction(
            "content without references has one",
        ))?;
    if 0 < record.references {
        keys::put::<Contents>(tx, &(hash,), &record)?;
        return Ok(None);
    }
    keys::delete::<Contents>(tx, &(hash,))?;
    keys::delete::<ContentsByMd5>(tx, &(record.md5, record.size, hash))?;
    let orphan = OrphanRecord {
        state: OrphanState::Garbage,
        since: now,
    };
    keys::put::<Orphans>(tx, &(record.blob,), &orphan)?;
    Ok(Some(record.blob))
}
