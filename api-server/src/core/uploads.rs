//! From stored bytes to a file, and what becomes of bytes that nobody owns.
//!
//! A blob is announced before it exists, so that a crash at any moment leaves either an owner or an
//! [`OrphanRecord`], and whoever looks after orphans deletes exactly those. Content and orphan change
//! hands in one transaction: API-2 in ARCHITECTURE.md.

use common::id::FileId;

use super::accounts;
use super::catalog::{CatalogError, Transaction, View};
use super::contents;
use super::error::CoreError;
use super::files::{self, Naming};
use super::id::{AccountId, ContentHash, FileNumber, Md5, Sha1};
use super::keys::{self, Orphans};
use super::moment::Moment;

pub use super::keys::{OrphanRecord, OrphanState};

/// What is known of bytes once all of them were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Their identity.
    pub hash: ContentHash,
    /// Their MD5.
    pub md5: Md5,
    /// Their SHA-1.
    pub sha1: Sha1,
    /// How many they are.
    pub size: u64,
}

/// How a file came to its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is a new file.
    New(FileNumber),
    /// The user had it under this label: nothing changed.
    Before,
}

/// Adds a file of content that is in the catalog, or says that it is not: [`CoreError::NoContent`].
pub fn add_known(
    tx: &mut dyn Transaction,
    account: AccountId,
    naming: &Naming,
    digests: &Digests,
    moment: Moment,
) -> Result<Added, CoreError> {
    accounts::get_active(tx, account)?;
    let content = contents::get(tx, &digests.hash)?.ok_or(CoreError::NoContent)?;
    let hash = digests.hash;
    idempotent(files::add(
        tx, account, naming, None, hash, &content, moment,
    ))
}

/// Remembers that `blob` is about to be made by the process with this random number.
pub fn announce(
    tx: &mut dyn Transaction,
    blob: &FileId,
    process: u64,
    now: u32,
) -> Result<(), CoreError> {
    let orphan = OrphanRecord {
        state: OrphanState::Pending(process),
        since: now,
    };
    Ok(keys::put::<Orphans>(tx, &(*blob,), &orphan)?)
}

/// Gives an announced blob, which exists by now, to a file. If the same content came in by another
/// way meanwhile the file gets that, and the blob, which is returned then, stays an orphan.
pub fn complete(
    tx: &mut dyn Transaction,
    account: AccountId,
    naming: &Naming,
    digests: &Digests,
    blob: &FileId,
    moment: Moment,
) -> Result<(Added, Option<FileId>), CoreError> {
    accounts::get_active(tx, account)?;
    take_announced(tx, blob)?;
    let (content, surplus) = if let Some(content) = contents::get(tx, &digests.hash)? {
        abandon(tx, blob, moment.now)?;
        (content, Some(*blob))
    } else {
        (contents::make(tx, digests, *blob, moment.now)?, None)
    };
    let hash = digests.hash;
    let added = files::add(tx, account, naming, None, hash, &content, moment);
    Ok((idempotent(added)?, surplus))
}

/// Takes a blob from the orphans for somebody who owns it from now on: one that was announced, and that
/// nobody gave up since, for that would be deleted at any moment.
pub(super) fn take_announced(tx: &mut dyn Transaction, blob: &FileId) -> Result<(), CatalogError> {
    let orphan = keys::get::<Orphans>(tx, &(*blob,))?;
    match orphan.map(|orphan| orphan.state) {
        Some(OrphanState::Pending(_)) => keys::delete::<Orphans>(tx, &(*blob,)),
        Some(OrphanState::Garbage) | None => {
            Err(CatalogError::Contradiction("a blob was not announced"))
        }
    }
}

/// Remembers that an announced blob is to be deleted, and from then on nobody can own it. One that
/// has an owner by now stays, and the answer is false: whoever gives an upload up may have missed the
/// news that it succeeded.
pub fn discard(tx: &mut dyn Transaction, blob: &FileId, now: u32) -> Result<bool, CoreError> {
    if keys::get::<Orphans>(tx, &(*blob,))?.is_none() {
        return Ok(false);
    }
    abandon(tx, blob, now)?;
    Ok(true)
}

/// Notes that a blob never got an owner and is to be deleted. Only for whoever alone could have given it
/// one and knows that this failed. Unlike [`discard`] it does so although the blob is not announced any
/// more: another server may have given the announcement up, and the blob may have been made after that.
pub fn disown(tx: &mut dyn Transaction, blob: &FileId, now: u32) -> Result<(), CoreError> {
    Ok(abandon(tx, blob, now)?)
}

/// Notes that a blob has no owner any more although storage may be making it at this moment, asked by a
/// server that does not know yet. It is deleted when that is over: nobody's announcement, and so none
/// that a server goes on with.
pub(super) fn leave(tx: &mut dyn Transaction, blob: &FileId, now: u32) -> Result<(), CatalogError> {
    let orphan = OrphanRecord {
        state: OrphanState::Pending(OrphanState::NOBODY),
        since: now,
    };
    keys::put::<Orphans>(tx, &(*blob,), &orphan)
}

/// Notes that a blob, which may exist, has no owner any more and is to be deleted.
pub(super) fn abandon(
    tx: &mut dyn Transaction,
    blob: &FileId,
    now: u32,
) -> Result<(), CatalogError> {
    let orphan = OrphanRecord {
        state: OrphanState::Garbage,
        since: now,
    };
    keys::put::<Orphans>(tx, &(*blob,), &orphan)
}

/// Forgets an orphan whose blob is gone.
pub fn forget(tx: &mut dyn Transaction, blob: &FileId) -> Result<(), CoreError> {
    Ok(keys::delete::<Orphans>(tx, &(*blob,))?)
}

/// At most `max` orphans, in the order of their ids, those behind `after`.
pub fn orphans(
    view: &dyn View,
    after: Option<&FileId>,
    max: usize,
) -> Result<Vec<(FileId, OrphanRecord)>, CoreError> {
    let after = after.map(|blob| (*blob,));
    let found = keys::scan_after::<Orphans>(view, &(), after.as_ref(), max)?;
    Ok(found
        .into_iter()
        .map(|((blob,), record)| (blob, record))
        .collect())
}

fn idempotent(added: Result<FileNumber, CoreError>) -> Result<Added, CoreError> {
    match added {
        Ok(number) => Ok(Added::New(number)),
        Err(CoreError::FileExists) => Ok(Added::Before),
        Err(error) => Err(error),
    }
}
