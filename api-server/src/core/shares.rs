//! Shares: files that everybody sees.

use super::accounts;
use super::catalog::{CatalogError, Direction, Transaction, View};
use super::contents;
use super::error::CoreError;
use super::files::{self, Naming};
use super::id::{AccountId, FileNumber, Md5, ShareNumber};
use super::keys::{self, Counter, KeyType, ShareLabels, Shares, SharesByViews, Usages};
use super::moment::Moment;
use super::name::FileName;
use super::page::Page;

pub use super::keys::ShareRecord;

/// How the list of shares is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareOrder {
    /// Oldest first.
    Created,
    /// Newest first.
    Newest,
    /// Most viewed first, among equals the oldest first.
    Views,
}

/// Shares a file of an account.
///
/// # Errors
///
/// [`CoreError::NoFile`]; [`CoreError::AlreadyShared`] if anybody shares a file of this MD5 and name.
pub fn share(
    tx: &mut dyn Transaction,
    account: AccountId,
    md5: Md5,
    name: &FileName,
    moment: Moment,
) -> Result<ShareNumber, CoreError> {
    let sharer = accounts::get_active(tx, account)?.name;
    let (number, mut file) = files::find(tx, account, md5, name)?;
    let label = (md5, name.clone());
    if keys::get::<ShareLabels>(tx, &label)?.is_some() {
        return Err(CoreError::AlreadyShared);
    }
    let share = ShareNumber(accounts::next_number(tx, Counter::Share)?);
    let record = ShareRecord {
        account,
        sharer,
        file: number,
        name: label.1.clone(),
        content: file.content,
        md5,
        size: file.size,
        blob: file.blob,
        created: moment.now,
        views: 0,
    };
    keys::put::<ShareLabels>(tx, &label, &share)?;
    let value = keys::value::<Shares>(&record);
    Shares::list().insert(
        tx,
        &keys::bytes(&share),
        &value,
        moment.chance_for(KeyType::Share),
    )?;
    rank(tx, share, &record, moment)?;
    file.share = Some(share);
    files::put(tx, account, number, &file)?;
    let mut usage = accounts::usage(tx, account)?;
    usage.shares += 1;
    keys::put::<Usages>(tx, &(account,), &usage)?;
    Ok(share)
}

/// Withdraws a share of an account.
///
/// # Errors
///
/// [`CoreError::NoShare`], also if somebody else shares the file.
pub fn cancel(
    tx: &mut dyn Transaction,
    account: AccountId,
    md5: Md5,
    name: &FileName,
) -> Result<(), CoreError> {
    let (number, record) = find(tx, md5, name)?;
    if record.account != account {
        return Err(CoreError::NoShare);
    }
    Ok(withdraw(tx, number)?)
}

/// Adds the shared file to the files of an account.
///
/// # Errors
///
/// [`CoreError::FileExists`] if the account has it; [`CoreError::NoShare`].
pub fn save(
    tx: &mut dyn Transaction,
    account: AccountId,
    md5: Md5,
    name: &FileName,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    accounts::get_active(tx, account)?;
    match files::find(tx, account, md5, name) {
        Ok(_) => return Err(CoreError::FileExists),
        Err(CoreError::NoFile) => {}
        Err(error) => return Err(error),
    }
    let (_, record) = find(tx, md5, name)?;
    let content = contents::get(tx, &record.content)?.ok_or(CatalogError::Contradiction(
        "a share of content that is not there",
    ))?;
    let naming = Naming::Label(name.clone());
    files::add(tx, account, &naming, None, record.content, &content, moment)
}

/// Counts a view.
///
/// # Errors
///
/// [`CoreError::NoShare`].
pub fn count_view(
    tx: &mut dyn Transaction,
    md5: Md5,
    name: &FileName,
    moment: Moment,
) -> Result<u64, CoreError> {
    let (number, mut record) = find(tx, md5, name)?;
    SharesByViews::list().remove(tx, &SharesByViews::sort_key(number, record.views))?;
    record.views = record.views.saturating_add(1);
    rank(tx, number, &record, moment)?;
    keys::put::<Shares>(tx, &(number,), &record)?;
    Ok(record.views)
}

/// The share that an MD5 and a name mean.
pub fn find(
    view: &dyn View,
    md5: Md5,
    name: &FileName,
) -> Result<(ShareNumber, ShareRecord), CoreError> {
    let number = keys::get::<ShareLabels>(view, &(md5, name.clone()))?;
    let number = number.ok_or(CoreError::NoShare)?;
    Ok((number, keys::get_promised::<Shares>(view, &(number,))?))
}

/// How many shares there are.
pub fn total(view: &dyn View) -> Result<u64, CoreError> {
    Ok(Shares::list().total(view)?)
}

/// A part of the list of shares.
pub fn page(
    view: &dyn View,
    order: ShareOrder,
    start: u64,
    count: u64,
) -> Result<Page<ShareRecord>, CoreError> {
    let by_number = |direction| {
        Page::read(
            &Shares::list(),
            view,
            direction,
            start,
            count,
            keys::decode::<Shares>,
        )
    };
    match order {
        ShareOrder::Created => by_number(Direction::Ascending),
        ShareOrder::Newest => by_number(Direction::Descending),
        ShareOrder::Views => {
            let list = SharesByViews::list();
            let page = Page::read(&list, view, Direction::Ascending, start, count, |key, _| {
                keys::decode_fields::<(u64, ShareNumber)>(key, 0)
            })?;
            page.try_map(|(_, number)| keys::get_promised::<Shares>(view, &(number,)))
        }
    }
}

/// Ends a share that is there.
pub(super) fn withdraw(tx: &mut dyn Transaction, number: ShareNumber) -> Result<(), CatalogError> {
    let record = keys::get_promised::<Shares>(tx, &(number,))?;
    SharesByViews::list().remove(tx, &SharesByViews::sort_key(number, record.views))?;
    Shares::list().remove(tx, &keys::bytes(&number))?;
    keys::delete::<ShareLabels>(tx, &(record.md5, record.name))?;
    let mut file = keys::get_promised::<keys::Files>(tx, &(record.account, record.file))?;
    file.share = None;
    files::put(tx, record.account, record.file, &file)?;
    let mut usage = accounts::usage(tx, record.account)?;
    usage.shares = usage.shares.saturating_sub(1);
    keys::put::<Usages>(tx, &(record.account,), &usage)
}

fn rank(
    tx: &mut dyn Transaction,
    number: ShareNumber,
    record: &ShareRecord,
    moment: Moment,
) -> Result<(), CatalogError> {
    let sort_key = SharesByViews::sort_key(number, record.views);
    SharesByViews::list().insert(tx, &sort_key, &[], moment.chance_for(KeyType::ShareByViews))
}
