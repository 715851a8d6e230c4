//! A user's files.

use std::ops::ControlFlow;

use common::id::FileId;

use super::accounts;
use super::catalog::{CatalogError, Direction, Transaction, View};
use super::contents::{self, ContentRecord};
use super::error::CoreError;
use super::id::{AccountId, ContentHash, FileNumber, Md5};
use super::keys::{
    self, FileLabels, Files, FilesByName, FilesBySize, FilesByViews, KeyType, Order, UsageRecord,
    Usages,
};
use super::moment::Moment;
use super::name::FileName;
use super::page::Page;
use super::ranked::List;
use super::{pictures, shares};

pub use super::keys::FileRecord;

/// Names that one call of [`search`] looks at, at most.
pub const SEARCH_STEPS_MAX: u64 = 5_000;

/// A file in a list.
pub type FileRow = (FileNumber, FileRecord);

/// How a list of files is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOrder {
    /// By when they were added.
    Created,
    /// By name, in the order of code points.
    Name,
    /// By size.
    Size,
    /// By views; among equals the oldest comes first in both directions.
    Views,
}

/// Adds a file whose content is in the catalog.
///
/// # Errors
///
/// [`CoreError::FileExists`] if the user has it; [`CoreError::Collision`] if the user has a file of
/// this name and MD5 with other bytes.
pub(super) fn add(
    tx: &mut dyn Transaction,
    account: AccountId,
    name: FileName,
    hash: ContentHash,
    content: &ContentRecord,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    let label = (account, content.md5, name);
    if let Some(number) = keys::get::<FileLabels>(tx, &label)? {
        let file = keys::get_promised::<Files>(tx, &(account, number))?;
        return Err(if file.content == hash {
            CoreError::FileExists
        } else {
            CoreError::Collision
        });
    }
    let mut usage = accounts::usage(tx, account)?;
    usage.last_number += 1;
    usage.bytes = usage.bytes.saturating_add(content.size);
    keys::put::<Usages>(tx, &(account,), &usage)?;
    let number = FileNumber(usage.last_number);
    keys::put::<FileLabels>(tx, &label, &number)?;
    contents::retain(tx, hash, content)?;
    let file = FileRecord {
        name: label.2,
        content: hash,
        md5: content.md5,
        size: content.size,
        blob: content.blob,
        created: moment.now,
        views: 0,
        share: None,
        pictures: 0,
    };
    Files::list(account).insert(
        tx,
        &keys::bytes(&number),
        &keys::value::<Files>(&file),
        moment.chance_for(KeyType::File),
    )?;
    enlist::<FilesByName>(tx, account, number, &file, moment)?;
    enlist::<FilesBySize>(tx, account, number, &file, moment)?;
    enlist::<FilesByViews>(tx, account, number, &file, moment)?;
    Ok(number)
}

/// Adds a file of content that somebody uploaded before, found by its MD5.
///
/// # Errors
///
/// [`CoreError::NoContent`], [`CoreError::FileExists`], [`CoreError::NoAccount`].
pub fn add_by_md5(
    tx: &mut dyn Transaction,
    account: AccountId,
    md5: Md5,
    name: FileName,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    accounts::get_active(tx, account)?;
    // With two contents of one MD5 only the file itself tells which one is meant.
    if keys::get::<FileLabels>(tx, &(account, md5, name.clone()))?.is_some() {
        return Err(CoreError::FileExists);
    }
    let (hash, content) = contents::by_md5(tx, &md5)?.ok_or(CoreError::NoContent)?;
    add(tx, account, name, hash, &content, moment)
}

/// The file that an MD5 and a name mean.
pub fn find(
    view: &dyn View,
    account: AccountId,
    md5: Md5,
    name: &FileName,
) -> Result<FileRow, CoreError> {
    let number = keys::get::<FileLabels>(view, &(account, md5, name.clone()))?;
    let number = number.ok_or(CoreError::NoFile)?;
    Ok((
        number,
        keys::get_promised::<Files>(view, &(account, number))?,
    ))
}

/// A file by its number.
pub fn get(
    view: &dyn View,
    account: AccountId,
    number: FileNumber,
) -> Result<FileRecord, CoreError> {
    keys::get::<Files>(view, &(account, number))?.ok_or(CoreError::NoFile)
}

/// Counts a view.
pub fn count_view(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    moment: Moment,
) -> Result<u64, CoreError> {
    let mut file = get(tx, account, number)?;
    delist::<FilesByViews>(tx, account, number, &file)?;
    file.views = file.views.saturating_add(1);
    enlist::<FilesByViews>(tx, account, number, &file, moment)?;
    put(tx, account, number, &file)?;
    Ok(file.views)
}

/// Removes a file. Its share and picture shares end with it. Returns the blob that nobody needs any
/// more, if there is one; it is an orphan until it is deleted.
pub fn remove(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    now: u32,
) -> Result<Option<FileId>, CoreError> {
    let file = get(tx, account, number)?;
    if let Some(share) = file.share {
        shares::withdraw(tx, share)?;
    }
    pictures::end_all(tx, account, number, file.pictures)?;
    // What the share's end changed in the record does not matter: the record goes.
    let usage = accounts::usage(tx, account)?;
    let usage = UsageRecord {
        bytes: usage.bytes.saturating_sub(file.size),
        ..usage
    };
    keys::put::<Usages>(tx, &(account,), &usage)?;
    delist::<FilesByName>(tx, account, number, &file)?;
    delist::<FilesBySize>(tx, account, number, &file)?;
    delist::<FilesByViews>(tx, account, number, &file)?;
    Files::list(account).remove(tx, &keys::bytes(&number))?;
    keys::delete::<FileLabels>(tx, &(account, file.md5, file.name))?;
    Ok(contents::release(tx, file.content, now)?)
}

/// A part of the list of an account's files.
pub fn page(
    view: &dyn View,
    account: AccountId,
    order: FileOrder,
    direction: Direction,
    start: u64,
    count: u64,
) -> Result<Page<FileRow>, CoreError> {
    let referred = |list: List| {
        Page::read(&list, view, direction, start, count, |sort_key, _| {
            number_of(sort_key)
        })
    };
    let numbers = match order {
        FileOrder::Created => {
            let list = Files::list(account);
            return Page::read(&list, view, direction, start, count, |sort_key, value| {
                Ok((
                    number_of(sort_key)?,
                    keys::decode::<Files>(sort_key, value)?,
                ))
            });
        }
        FileOrder::Name => referred(list::<FilesByName>(account)),
        FileOrder::Size => referred(list::<FilesBySize>(account)),
        FileOrder::Views if direction == Direction::Descending => {
            let list = list::<FilesByViews>(account);
            Page::read_groups(
                &list,
                view,
                size_of::<u64>(),
                start,
                count,
                |sort_key, _| number_of(sort_key),
            )
        }
        FileOrder::Views => referred(list::<FilesByViews>(account)),
    };
    numbers?.try_map(|number| {
        Ok((
            number,
            keys::get_promised::<Files>(view, &(account, number))?,
        ))
    })
}

/// Where a search goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// Bytes that mean the place to whoever asks again.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The place of such bytes. Any bytes are a place.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Files whose name contains `text`, whatever the case, in the order of names: at most `count`, and
/// only among the next [`SEARCH_STEPS_MAX`] names. The cursor says where to go on; there is none if
/// all names were looked at.
pub fn search(
    view: &dyn View,
    account: AccountId,
    text: &str,
    after: Option<&Cursor>,
    count: u64,
) -> Result<(Vec<FileRow>, Option<Cursor>), CoreError> {
    let text = text.to_lowercase();
    let (mut steps, mut found, mut next) = (0, Vec::new(), None);
    let mut malformed = None;
    let list = list::<FilesByName>(account);
    let from = after.map_or(&[][..], Cursor::as_bytes);
    list.walk(view, from, &mut |sort_key, _| {
        if steps == SEARCH_STEPS_MAX || count <= found.len() as u64 {
            next = Some(Cursor(sort_key.to_vec()));
            return ControlFlow::Break(());
        }
        steps += 1;
        match keys::decode_fields::<(FileName, FileNumber)>(sort_key, 0) {
            Ok((name, number)) if name.as_str().to_lowercase().contains(&text) => {
                found.push(number);
                ControlFlow::Continue(())
            }
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                malformed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = malformed {
        return Err(error.into());
    }
    let rows = found
        .into_iter()
        .map(|number| {
            Ok((
                number,
                keys::get_promised::<Files>(view, &(account, number))?,
            ))
        })
        .collect::<Result<_, CatalogError>>()?;
    Ok((rows, next))
}

/// Writes a record whose views, name and size are what they were.
pub(super) fn put(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
) -> Result<(), CatalogError> {
    keys::put::<Files>(tx, &(account, number), file)
}

/// The number at the end of a sort key.
fn number_of(sort_key: &[u8]) -> Result<FileNumber, CatalogError> {
    let skip = sort_key.len().saturating_sub(size_of::<u64>());
    keys::decode_fields(sort_key, skip)
}

fn list<O: Order>(account: AccountId) -> List {
    List::new(keys::key(O::TYPE, &account))
}

fn enlist<O: Order>(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
    moment: Moment,
) -> Result<(), CatalogError> {
    let sort_key = keys::bytes(&(O::sorted(file), number));
    list::<O>(account).insert(tx, &sort_key, &[], moment.chance_for(O::TYPE))
}

fn delist<O: Order>(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
) -> Result<(), CatalogError> {
    let sort_key = keys::bytes(&(O::sorted(file), number));
    list::<O>(account).remove(tx, &sort_key)
}
