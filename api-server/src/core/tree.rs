//! The tree of an account's folders and files.
//!
//! Names are unique in a folder. A folder knows how much is below it, so that its size needs no walk,
//! and how many levels of folders, so that a move cannot make the tree deeper than
//! [`DEPTH_MAX`]. Everything here costs at most a few steps per level.

mod by_number;
mod free;
mod search;

use std::ops::ControlFlow;

use super::accounts;
use super::catalog::{CatalogError, Direction, Transaction, View};
use super::error::CoreError;
use super::id::{AccountId, Entry, FileNumber, FolderNumber};
use super::keys::{
    self, Entries, EntriesByNumber, EntryKind, FileRecord, Files, Folders, KeyType, Presence,
    TrashedFiles, Usages,
};
use super::moment::Moment;
use super::name::EntryName;
use super::page::Page;
use super::{files, trash};

pub use super::keys::FolderRecord;
pub use by_number::{by_number, by_number_where};
pub(super) use free::{free_name, free_number};
pub use search::{Found, Match, search};

/// Folders within folders; those in the root are on level 1.
pub const DEPTH_MAX: u64 = 128;

/// A folder or file with its record.
#[expect(
    clippy::large_enum_variant,
    reason = "rows are files as a rule, and few at a time"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryRow {
    /// A folder.
    Folder(FolderNumber, FolderRecord),
    /// A file.
    File(FileNumber, FileRecord),
}

impl EntryRow {
    /// What it is.
    pub fn entry(&self) -> Entry {
        match self {
            Self::Folder(number, _) => Entry::Folder(*number),
            Self::File(number, _) => Entry::File(*number),
        }
    }

    /// Its name in its folder.
    pub fn name(&self) -> &EntryName {
        match self {
            Self::Folder(_, folder) => &folder.name,
            Self::File(_, file) => &file.entry,
        }
    }

    /// The folder that it is in, or was in before it went to the trash.
    pub fn parent(&self) -> FolderNumber {
        match self {
            Self::Folder(_, folder) => folder.parent,
            Self::File(_, file) => file.folder,
        }
    }

    /// Its place in the trash, if it is there by itself.
    pub(super) fn place(&self) -> Option<u64> {
        match self {
            Self::Folder(_, folder) => folder.trashed,
            Self::File(_, file) => file.trashed,
        }
    }

    /// What its folder has more for it.
    pub(super) fn growth(&self) -> Growth {
        match self {
            Self::Folder(_, folder) => Growth::of_folder(folder),
            Self::File(_, file) => Growth::of_file(file.size),
        }
    }
}

/// What is added below a folder, or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Growth {
    files: i64,
    folders: i64,
    bytes: i64,
}

impl Growth {
    pub(super) fn of_file(size: u64) -> Self {
        Self {
            files: 1,
            folders: 0,
            bytes: signed(size),
        }
    }

    /// A folder with all that is below it.
    fn of_folder(folder: &FolderRecord) -> Self {
        Self {
            files: signed(folder.files),
            folders: signed(folder.folders).saturating_add(1),
            bytes: signed(folder.bytes),
        }
    }

    pub(super) fn negative(self) -> Self {
        Self {
            files: -self.files,
            folders: -self.folders,
            bytes: -self.bytes,
        }
    }
}

/// Sums of sizes stay far below the limit: a blob has less than 2⁴⁸ bytes.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A folder that is not the root, wherever it is.
pub fn folder(
    view: &dyn View,
    account: AccountId,
    number: FolderNumber,
) -> Result<FolderRecord, CoreError> {
    keys::get::<Folders>(view, &(account, number))?.ok_or(CoreError::NoFolder)
}

/// A folder and those above it, the highest last; nothing for the root.
///
/// # Errors
///
/// [`CoreError::NoFolder`] if it is not there, or if it or one above it is in the trash.
pub fn ancestors(
    view: &dyn View,
    account: AccountId,
    number: FolderNumber,
) -> Result<Vec<(FolderNumber, FolderRecord)>, CoreError> {
    let chain = chain(view, account, number)?;
    match chain.last() {
        Some((_, top)) if top.trashed.is_some() => Err(CoreError::NoFolder),
        Some(_) | None => Ok(chain),
    }
}

/// Like [`ancestors`], but up to a folder that is in the trash by itself, if there is one.
fn chain(
    view: &dyn View,
    account: AccountId,
    number: FolderNumber,
) -> Result<Vec<(FolderNumber, FolderRecord)>, CoreError> {
    let mut chain = Vec::new();
    let mut next = number;
    while next != FolderNumber::ROOT {
        if DEPTH_MAX <= chain.len() as u64 {
            return Err(CatalogError::Contradiction("folders are in a circle").into());
        }
        let record = folder(view, account, next)?;
        let (parent, is_trashed) = (record.parent, record.trashed.is_some());
        chain.push((next, record));
        if is_trashed {
            break;
        }
        next = parent;
    }
    Ok(chain)
}

/// Like [`chain`], but not for a folder that is being removed.
fn chain_of_kept(
    view: &dyn View,
    account: AccountId,
    number: FolderNumber,
) -> Result<Vec<(FolderNumber, FolderRecord)>, CoreError> {
    let chain = chain(view, account, number)?;
    match chain.last() {
        Some((_, top)) if top.is_being_removed() => Err(CoreError::NoFolder),
        Some(_) | None => Ok(chain),
    }
}

/// Whether a folder is there and not in the trash.
pub(super) fn is_live(
    view: &dyn View,
    account: AccountId,
    number: FolderNumber,
) -> Result<bool, CoreError> {
    match ancestors(view, account, number) {
        Ok(_) => Ok(true),
        Err(CoreError::NoFolder) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an entry is there and neither it nor a folder above it is in the trash.
pub fn is_in_tree(view: &dyn View, account: AccountId, row: &EntryRow) -> Result<bool, CoreError> {
    Ok(row.place().is_none() && is_live(view, account, row.parent())?)
}

/// What a number means, also in the trash.
///
/// # Errors
///
/// [`CoreError::NoEntry`], also for what is being removed.
pub fn find(view: &dyn View, account: AccountId, number: u64) -> Result<EntryRow, CoreError> {
    let row = look_up(view, account, number)?;
    if row.place().is_some() {
        return Ok(row);
    }
    match chain_of_kept(view, account, row.parent()) {
        Ok(_) => Ok(row),
        Err(CoreError::NoFolder) => Err(CoreError::NoEntry),
        Err(error) => Err(error),
    }
}

/// Like [`find`], but nothing that is in the trash, or below something that is.
pub fn find_in_tree(
    view: &dyn View,
    account: AccountId,
    number: u64,
) -> Result<EntryRow, CoreError> {
    let row = look_up(view, account, number)?;
    if is_in_tree(view, account, &row)? {
        Ok(row)
    } else {
        Err(CoreError::NoEntry)
    }
}

/// The record of a number.
fn look_up(view: &dyn View, account: AccountId, number: u64) -> Result<EntryRow, CoreError> {
    match files::get_any(view, account, FileNumber(number)) {
        Ok((file, _)) => return Ok(EntryRow::File(FileNumber(number), file)),
        Err(CoreError::NoFile) => {}
        Err(error) => return Err(error),
    }
    match folder(view, account, FolderNumber(number)) {
        Ok(folder) if folder.is_being_removed() => Err(CoreError::NoEntry),
        Ok(folder) => Ok(EntryRow::Folder(FolderNumber(number), folder)),
        Err(CoreError::NoFolder) => Err(CoreError::NoEntry),
        Err(error) => Err(error),
    }
}

/// The entry of a name in a folder.
pub fn child(
    view: &dyn View,
    account: AccountId,
    folder: FolderNumber,
    name: &EntryName,
) -> Result<Option<Entry>, CatalogError> {
    for kind in [EntryKind::Folder, EntryKind::File] {
        let key = (account, folder, kind, name.clone());
        if let Some(number) = keys::get::<Entries>(view, &key)? {
            return Ok(Some(kind.entry(number)));
        }
    }
    Ok(None)
}

/// Names from the root down to a folder.
pub fn path(
    view: &dyn View,
    account: AccountId,
    number: FolderNumber,
) -> Result<Vec<(FolderNumber, EntryName)>, CoreError> {
    let mut path: Vec<_> = chain_of_kept(view, account, number)?
        .into_iter()
        .map(|(number, folder)| (number, folder.name))
        .collect();
    path.reverse();
    Ok(path)
}

/// Makes a folder.
///
/// # Errors
///
/// [`CoreError::NoFolder`] for the parent, [`CoreError::NameInUse`], [`CoreError::TooDeep`],
/// [`CoreError::TooManyEntries`], [`CoreError::NoAccount`].
pub fn make_folder(
    tx: &mut dyn Transaction,
    account: AccountId,
    parent: FolderNumber,
    name: EntryName,
    moment: Moment,
) -> Result<FolderNumber, CoreError> {
    accounts::get_active(tx, account)?;
    let above = ancestors(tx, account, parent)?;
    check_depth(&above, 1)?;
    if let Some(entry) = child(tx, account, parent, &name)? {
        return Err(CoreError::NameInUse(entry));
    }
    accounts::check_room(tx, account, 0, 0)?;
    let number = FolderNumber(accounts::next_entry(tx, account)?);
    let mut usage = accounts::usage(tx, account)?;
    usage.folders += 1;
    keys::put::<Usages>(tx, &(account,), &usage)?;
    let record = FolderRecord {
        parent,
        name,
        created: moment.now,
        modified: moment.now,
        files: 0,
        folders: 0,
        bytes: 0,
        height: 0,
        trashed: None,
    };
    keys::put::<Folders>(tx, &(account, number), &record)?;
    attach(
        tx,
        account,
        parent,
        Entry::Folder(number),
        &record.name,
        moment,
    )?;
    grow(tx, account, parent, Growth::of_folder(&record))?;
    raise(tx, account, above, 1)?;
    Ok(number)
}

/// The folder at the end of a path of names, made as far as it is not there.
///
/// # Errors
///
/// [`CoreError::NameInUse`] if a name of the path is a file's; those of [`make_folder`].
pub fn make_path(
    tx: &mut dyn Transaction,
    account: AccountId,
    from: FolderNumber,
    names: &[EntryName],
    moment: Moment,
) -> Result<FolderNumber, CoreError> {
    let mut at = from;
    ancestors(tx, account, at)?;
    for name in names {
        at = match child(tx, account, at, name)? {
            Some(Entry::Folder(number)) => number,
            Some(entry @ Entry::File(_)) => return Err(CoreError::NameInUse(entry)),
            None => make_folder(tx, account, at, name.clone(), moment)?,
        };
    }
    Ok(at)
}

/// Where a path of names leads, as far as it is there: the last folder, and whether that is its end.
///
/// # Errors
///
/// [`CoreError::NoFolder`] for `from`; [`CoreError::NameInUse`] if a name of the path is a file's.
pub fn follow(
    view: &dyn View,
    account: AccountId,
    from: FolderNumber,
    names: &[EntryName],
) -> Result<Option<FolderNumber>, CoreError> {
    let mut at = from;
    ancestors(view, account, at)?;
    for name in names {
        at = match child(view, account, at, name)? {
            Some(Entry::Folder(number)) => number,
            Some(entry @ Entry::File(_)) => return Err(CoreError::NameInUse(entry)),
            None => return Ok(None),
        };
    }
    Ok(Some(at))
}

/// Gives an entry another name.
///
/// # Errors
///
/// [`CoreError::NoEntry`], also in the trash; [`CoreError::NameInUse`].
pub fn rename(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    name: EntryName,
    moment: Moment,
) -> Result<(), CoreError> {
    let row = find_in_tree(tx, account, number)?;
    if *row.name() == name {
        return Ok(());
    }
    let parent = row.parent();
    if let Some(taken) = child(tx, account, parent, &name)? {
        return Err(CoreError::NameInUse(taken));
    }
    detach(tx, account, parent, row.entry(), row.name())?;
    attach(tx, account, parent, row.entry(), &name, moment)?;
    match row {
        EntryRow::Folder(number, mut folder) => {
            folder.name = name;
            folder.modified = moment.now;
            keys::put::<Folders>(tx, &(account, number), &folder)?;
        }
        EntryRow::File(number, mut file) => {
            // A share goes by the label, so the label of a shared file stays.
            if file.share.is_none() && file.pictures == 0 {
                files::relabel(tx, account, number, &mut file, &name, moment)?;
            }
            file.entry = name;
            file.modified = moment.now;
            put_file(tx, account, number, &file)?;
        }
    }
    Ok(())
}

/// Moves entries to a folder: all of them or none.
///
/// # Errors
///
/// [`CoreError::NoEntry`], [`CoreError::NoFolder`], [`CoreError::NameInUse`],
/// [`CoreError::IntoItself`], [`CoreError::TooDeep`].
pub fn move_to(
    tx: &mut dyn Transaction,
    account: AccountId,
    numbers: &[u64],
    to: FolderNumber,
    moment: Moment,
) -> Result<(), CoreError> {
    ancestors(tx, account, to)?;
    for number in numbers {
        let row = find_in_tree(tx, account, *number)?;
        if row.parent() == to {
            continue;
        }
        if let Some(taken) = child(tx, account, to, row.name())? {
            return Err(CoreError::NameInUse(taken));
        }
        detach(tx, account, row.parent(), row.entry(), row.name())?;
        grow(tx, account, row.parent(), row.growth().negative())?;
        let entry = row.entry();
        place(tx, account, row, to, moment)?;
        trash::follow_move(tx, account, entry, moment)?;
    }
    Ok(())
}

/// Puts an entry that is in no folder into one, where its name is free.
pub(super) fn place(
    tx: &mut dyn Transaction,
    account: AccountId,
    row: EntryRow,
    to: FolderNumber,
    moment: Moment,
) -> Result<(), CoreError> {
    let above = ancestors(tx, account, to)?;
    attach(tx, account, to, row.entry(), row.name(), moment)?;
    match row {
        EntryRow::Folder(number, mut folder) => {
            if number == to || above.iter().any(|(above, _)| *above == number) {
                return Err(CoreError::IntoItself);
            }
            let height = folder.height + 1;
            check_depth(&above, height)?;
            folder.parent = to;
            folder.modified = moment.now;
            folder.trashed = None;
            keys::put::<Folders>(tx, &(account, number), &folder)?;
            grow(tx, account, to, Growth::of_folder(&folder))?;
            // `above` is as it was before it grew.
            let above = ancestors(tx, account, to)?;
            raise(tx, account, above, height)
        }
        EntryRow::File(number, mut file) => {
            file.folder = to;
            file.modified = moment.now;
            file.trashed = None;
            put_file(tx, account, number, &file)?;
            grow(tx, account, to, Growth::of_file(file.size))
        }
    }
}

/// Whether `levels` more fit below a folder of these ancestors.
fn check_depth(above: &[(FolderNumber, FolderRecord)], levels: u64) -> Result<(), CoreError> {
    if DEPTH_MAX < above.len() as u64 + levels {
        return Err(CoreError::TooDeep(DEPTH_MAX));
    }
    Ok(())
}

/// Notes that there are so many levels below the first of these folders.
fn raise(
    tx: &mut dyn Transaction,
    account: AccountId,
    above: Vec<(FolderNumber, FolderRecord)>,
    levels: u64,
) -> Result<(), CoreError> {
    for (levels, (number, _)) in (levels..).zip(above) {
        let mut record = folder(tx, account, number)?;
        if levels <= record.height {
            break;
        }
        record.height = levels;
        keys::put::<Folders>(tx, &(account, number), &record)?;
    }
    Ok(())
}

/// Enters a name in a folder.
pub(super) fn attach(
    tx: &mut dyn Transaction,
    account: AccountId,
    folder: FolderNumber,
    entry: Entry,
    name: &EntryName,
    moment: Moment,
) -> Result<(), CatalogError> {
    let kind = EntryKind::of(entry);
    let chance = moment.for_change(entry.number());
    Entries::list(account, folder).insert(
        tx,
        &keys::bytes(&(kind, name.clone())),
        &keys::value::<Entries>(&entry.number()),
        chance.chance_for(KeyType::Entry),
    )?;
    let presence = Presence {
        kind,
        is_trashed: false,
    };
    keys::put::<EntriesByNumber>(tx, &(account, folder, entry.number()), &presence)
}

/// Takes a name out of a folder.
pub(super) fn detach(
    tx: &mut dyn Transaction,
    account: AccountId,
    folder: FolderNumber,
    entry: Entry,
    name: &EntryName,
) -> Result<(), CatalogError> {
    let sort_key = keys::bytes(&(EntryKind::of(entry), name.clone()));
    Entries::list(account, folder).remove(tx, &sort_key)?;
    keys::delete::<EntriesByNumber>(tx, &(account, folder, entry.number()))
}

/// Counts what was added below a folder, up to the root or to a folder in the trash.
pub(super) fn grow(
    tx: &mut dyn Transaction,
    account: AccountId,
    folder: FolderNumber,
    by: Growth,
) -> Result<(), CoreError> {
    let mut is_trashed = false;
    for (number, mut record) in chain(tx, account, folder)? {
        record.files = record.files.saturating_add_signed(by.files);
        record.folders = record.folders.saturating_add_signed(by.folders);
        record.bytes = record.bytes.saturating_add_signed(by.bytes);
        is_trashed = record.trashed.is_some();
        keys::put::<Folders>(tx, &(account, number), &record)?;
    }
    if is_trashed {
        let mut usage = accounts::usage(tx, account)?;
        usage.trash_bytes = usage.trash_bytes.saturating_add_signed(by.bytes);
        keys::put::<Usages>(tx, &(account,), &usage)?;
    }
    Ok(())
}

/// A part of a folder: folders first, then files, each by name.
///
/// # Errors
///
/// [`CoreError::NoFolder`], not for one in the trash.
pub fn page(
    view: &dyn View,
    account: AccountId,
    folder: FolderNumber,
    direction: Direction,
    start: u64,
    count: u64,
) -> Result<Page<EntryRow>, CoreError> {
    chain_of_kept(view, account, folder)?;
    let list = Entries::list(account, folder);
    let page = Page::read(&list, view, direction, start, count, |sort_key, value| {
        let (kind, _) = keys::decode_fields::<(EntryKind, EntryName)>(sort_key, 0)?;
        Ok(kind.entry(keys::decode::<Entries>(sort_key, value)?))
    })?;
    page.try_map(|entry| promised(view, account, entry))
}

/// Visits the numbers of a folder's entries behind `after`, until the visitor breaks.
pub(super) fn visit(
    view: &dyn View,
    account: AccountId,
    folder: FolderNumber,
    after: u64,
    max: usize,
    mut visit: impl FnMut(Entry, bool) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let rows = keys::scan_after::<EntriesByNumber>(
        view,
        &(account, folder),
        Some(&(account, folder, after)),
        max,
    )?;
    for ((_, _, number), presence) in rows {
        if visit(presence.kind.entry(number), presence.is_trashed).is_break() {
            break;
        }
    }
    Ok(())
}

/// The record of an entry that another one leads to.
pub(super) fn promised(
    view: &dyn View,
    account: AccountId,
    entry: Entry,
) -> Result<EntryRow, CatalogError> {
    Ok(match entry {
        Entry::Folder(number) => {
            let folder = keys::get_promised::<Folders>(view, &(account, number))?;
            EntryRow::Folder(number, folder)
        }
        Entry::File(number) => {
            let listed = keys::get::<Files>(view, &(account, number))?;
            let file = match listed {
                Some(file) => file,
                None => keys::get_promised::<TrashedFiles>(view, &(account, number))?,
            };
            EntryRow::File(number, file)
        }
    })
}

/// Writes a file's record where it is.
fn put_file(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    file: &FileRecord,
) -> Result<(), CatalogError> {
    let key = (account, number);
    if keys::get::<TrashedFiles>(tx, &key)?.is_some() {
        return keys::put::<TrashedFiles>(tx, &key, file);
    }
    files::put(tx, account, number, file)
}

#[cfg(test)]
mod tests;
