//! Picture shares: links that show one file to whoever has them.

use super::accounts;
use super::catalog::{CatalogError, Direction, Transaction, View};
use super::error::CoreError;
use super::files;
use super::id::{AccountId, FileNumber, Md5, PictureLink};
use super::keys::{self, KeyType, Pictures, PicturesOfAccount, PicturesOfFile, Usages};
use super::moment::Moment;
use super::name::FileName;
use super::page::Page;

pub use super::keys::PictureRecord;

/// Live picture shares of one file: all of them end in the transaction that deletes the file.
pub const PICTURES_PER_FILE_MAX: u64 = 1_000;

/// Makes a link to a file of an account; each call makes another one.
///
/// # Errors
///
/// [`CoreError::NoFile`], [`CoreError::TooManyPictures`].
pub fn share(
    tx: &mut dyn Transaction,
    account: AccountId,
    md5: Md5,
    name: &FileName,
    link: PictureLink,
    moment: Moment,
) -> Result<(), CoreError> {
    let sharer = accounts::get_active(tx, account)?.name;
    let (file_number, mut file) = files::find(tx, account, md5, name)?;
    if PICTURES_PER_FILE_MAX <= file.pictures {
        return Err(CoreError::TooManyPictures(PICTURES_PER_FILE_MAX));
    }
    if keys::get::<Pictures>(tx, &(link,))?.is_some() {
        return Err(CatalogError::Contradiction("a random link came up twice").into());
    }
    let mut usage = accounts::usage(tx, account)?;
    usage.last_number += 1;
    keys::put::<Usages>(tx, &(account,), &usage)?;
    let number = FileNumber(usage.last_number);
    let record = PictureRecord {
        account,
        sharer,
        number,
        file: file_number,
        name: file.name.clone(),
        md5,
        size: file.size,
        blob: file.blob,
        created: moment.now,
        views: 0,
        is_live: true,
    };
    keys::put::<Pictures>(tx, &(link,), &record)?;
    keys::put::<PicturesOfFile>(tx, &(account, file_number, link), &())?;
    PicturesOfAccount::list(account).insert(
        tx,
        &keys::bytes(&number),
        &keys::value::<PicturesOfAccount>(&link),
        moment.chance_for(KeyType::PictureOfAccount),
    )?;
    file.pictures += 1;
    Ok(files::put(tx, account, file_number, &file)?)
}

/// Looks at a picture share, and counts that.
///
/// # Errors
///
/// [`CoreError::NoPicture`], [`CoreError::PictureFileDeleted`].
pub fn browse(tx: &mut dyn Transaction, link: PictureLink) -> Result<PictureRecord, CoreError> {
    let mut record = keys::get::<Pictures>(tx, &(link,))?.ok_or(CoreError::NoPicture)?;
    if !record.is_live {
        return Err(CoreError::PictureFileDeleted);
    }
    record.views = record.views.saturating_add(1);
    keys::put::<Pictures>(tx, &(link,), &record)?;
    Ok(record)
}

/// Withdraws a picture share of an account.
///
/// # Errors
///
/// [`CoreError::NoPicture`], also if it is somebody else's.
pub fn cancel(
    tx: &mut dyn Transaction,
    account: AccountId,
    link: PictureLink,
) -> Result<(), CoreError> {
    let record = keys::get::<Pictures>(tx, &(link,))?.ok_or(CoreError::NoPicture)?;
    if record.account != account {
        return Err(CoreError::NoPicture);
    }
    if record.is_live {
        delist(tx, link, &record)?;
        let mut file = files::get(tx, account, record.file)?;
        file.pictures = file.pictures.saturating_sub(1);
        files::put(tx, account, record.file, &file)?;
    }
    Ok(keys::delete::<Pictures>(tx, &(link,))?)
}

/// A part of the list of an account's live picture shares, by when they were made.
pub fn page(
    view: &dyn View,
    account: AccountId,
    direction: Direction,
    start: u64,
    count: u64,
) -> Result<Page<(PictureLink, PictureRecord)>, CoreError> {
    let list = PicturesOfAccount::list(account);
    let page = Page::read(&list, view, direction, start, count, |sort_key, value| {
        keys::decode::<PicturesOfAccount>(sort_key, value)
    })?;
    page.try_map(|link| Ok((link, keys::get_promised::<Pictures>(view, &(link,))?)))
}

/// Ends the picture shares of a file that is being deleted: their links say so from now on.
pub(super) fn end_all(
    tx: &mut dyn Transaction,
    account: AccountId,
    file: FileNumber,
    expected: u64,
) -> Result<(), CatalogError> {
    if expected == 0 {
        return Ok(());
    }
    for ((_, _, link), ()) in keys::scan::<PicturesOfFile>(tx, &(account, file), usize::MAX)? {
        let mut record = keys::get_promised::<Pictures>(tx, &(link,))?;
        delist(tx, link, &record)?;
        record.is_live = false;
        keys::put::<Pictures>(tx, &(link,), &record)?;
    }
    Ok(())
}

fn delist(
    tx: &mut dyn Transaction,
    link: PictureLink,
    record: &PictureRecord,
) -> Result<(), CatalogError> {
    let PictureRecord {
        account,
        number,
        file,
        ..
    } = record;
    PicturesOfAccount::list(*account).remove(tx, &keys::bytes(number))?;
    keys::delete::<PicturesOfFile>(tx, &(*account, *file, link))
}
