//! Content: bytes that files share, counted by their references.
//!
//! Content is identified by its strong hash. Its MD5 and SHA-1 lead to it only while nothing else has
//! the same, so bytes that were made to collide are never given for one another.

use common::id::FileId;

use super::catalog::{CatalogError, Transaction, View};
use super::id::{ContentHash, Md5, Sha1};
use super::keys::{self, Contents, ContentsByMd5, ContentsBySha1};
use super::uploads::{self, Digests};

pub use super::keys::ContentRecord;

/// Content by its hash.
pub fn get(view: &dyn View, hash: &ContentHash) -> Result<Option<ContentRecord>, CatalogError> {
    keys::get::<Contents>(view, &(*hash,))
}

/// Content and what it is known by.
pub type Found = (ContentHash, ContentRecord);

/// The content of an MD5, if there is exactly one.
pub fn by_md5(view: &dyn View, md5: &Md5) -> Result<Option<Found>, CatalogError> {
    only(view, &keys::scan::<ContentsByMd5>(view, md5, 2)?)
}

/// The content of an MD5 and a size, if there is exactly one.
pub fn by_md5_and_size(
    view: &dyn View,
    md5: &Md5,
    size: u64,
) -> Result<Option<Found>, CatalogError> {
    only(view, &keys::scan::<ContentsByMd5>(view, &(*md5, size), 2)?)
}

/// The content of a SHA-1 and a size, if there is exactly one.
pub fn by_sha1_and_size(
    view: &dyn View,
    sha1: &Sha1,
    size: u64,
) -> Result<Option<Found>, CatalogError> {
    only(
        view,
        &keys::scan::<ContentsBySha1>(view, &(*sha1, size), 2)?,
    )
}

/// What is found, if it is one content.
fn only<D>(
    view: &dyn View,
    found: &[((D, u64, ContentHash), ())],
) -> Result<Option<Found>, CatalogError> {
    let [((_, _, hash), ())] = found else {
        return Ok(None);
    };
    let record = keys::get_promised::<Contents>(view, &(*hash,))?;
    Ok(Some((*hash, record)))
}

/// Adds content that nobody refers to yet: the caller does so in the same transaction.
pub(super) fn make(
    tx: &mut dyn Transaction,
    digests: &Digests,
    blob: FileId,
    now: u32,
) -> Result<ContentRecord, CatalogError> {
    let hash = digests.hash;
    let record = ContentRecord {
        size: digests.size,
        md5: digests.md5,
        sha1: digests.sha1,
        blob,
        references: 0,
        created: now,
    };
    keys::put::<ContentsByMd5>(tx, &(record.md5, record.size, hash), &())?;
    keys::put::<ContentsBySha1>(tx, &(record.sha1, record.size, hash), &())?;
    keys::put::<Contents>(tx, &(hash,), &record)?;
    Ok(record)
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
    keys::delete::<ContentsBySha1>(tx, &(record.sha1, record.size, hash))?;
    uploads::abandon(tx, &record.blob, now)?;
    Ok(Some(record.blob))
}
