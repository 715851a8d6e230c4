//! The trash: what users deleted and may have back.
//!
//! Putting a folder into the trash is one step, however much is below it: whatever is below a folder
//! in the trash is there, too. Only the lists of all files, which know no folders, have to follow;
//! where that is too much for one transaction it is left as tasks, see [`work`].

use std::ops::ControlFlow;

use super::accounts;
use super::catalog::{CatalogError, Direction, Transaction, View};
use super::error::CoreError;
use super::files;
use super::id::{AccountId, Entry, FileNumber, FolderNumber};
use super::keys::{
    self, EntriesByNumber, EntryKind, Files, Folders, KeyType, Presence, Trash, TrashRecord,
    TrashedFiles, TreeTask, TreeTaskKind, TreeTasks, Usages,
};
use super::moment::Moment;
use super::page::Page;
use super::tree::{self, EntryRow};

/// Entries below a folder that are dealt with in the transaction that concerns the folder. One
/// transaction may concern a hundred folders, so there are few.
const STEPS_AT_ONCE: usize = 20;

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashRow {
    /// What.
    pub row: EntryRow,
    /// Unix seconds since when.
    pub since: u32,
}

/// How something was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// It has another name, because its own is taken.
    pub is_renamed: bool,
}

/// Puts an entry into the trash, with everything below it. Shares of it end.
///
/// # Errors
///
/// [`CoreError::NoEntry`], also if it is there already.
pub fn put(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    moment: Moment,
) -> Result<(), CoreError> {
    put_in_steps(tx, account, number, STEPS_AT_ONCE, moment)
}

fn put_in_steps(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    steps: usize,
    moment: Moment,
) -> Result<(), CoreError> {
    let row = tree::find_in_tree(tx, account, number)?;
    let (entry, parent) = (row.entry(), row.parent());
    tree::detach(tx, account, parent, entry, row.name())?;
    tree::grow(tx, account, parent, row.growth().negative())?;
    let presence = Presence {
        kind: EntryKind::of(entry),
        is_trashed: true,
    };
    keys::put::<EntriesByNumber>(tx, &(account, parent, number), &presence)?;
    let place = accounts::next_entry(tx, account)?;
    let record = TrashRecord {
        entry,
        since: moment.now,
    };
    Trash::list(account).insert(
        tx,
        &keys::bytes(&place),
        &keys::value::<Trash>(&record),
        moment.for_change(place).chance_for(KeyType::Trash),
    )?;
    match row {
        EntryRow::File(number, mut file) => {
            count(tx, account, file.size, true)?;
            unlist(tx, account, number)?;
            file.trashed = Some(place);
            // The shares ended with the listing.
            file.share = None;
            file.pictures = 0;
            Ok(keys::put::<TrashedFiles>(tx, &(account, number), &file)?)
        }
        EntryRow::Folder(number, mut folder) => {
            count(tx, account, folder.bytes, true)?;
            folder.trashed = Some(place);
            keys::put::<Folders>(tx, &(account, number), &folder)?;
            begin(tx, account, number, TreeTaskKind::List)?;
            work(tx, account, steps, moment)?;
            Ok(())
        }
    }
}

/// Takes an entry out of the trash into a folder; into the one that it was in, if none is given.
///
/// # Errors
///
/// [`CoreError::NotInTrash`], [`CoreError::NoEntry`]; [`CoreError::NoFolder`] if the folder is gone;
/// [`CoreError::TooDeep`].
pub fn restore(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    to: Option<FolderNumber>,
    moment: Moment,
) -> Result<Restored, CoreError> {
    restore_in_steps(tx, account, number, to, STEPS_AT_ONCE, moment)
}

fn restore_in_steps(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    to: Option<FolderNumber>,
    steps: usize,
    moment: Moment,
) -> Result<Restored, CoreError> {
    let mut row = tree::find(tx, account, number)?;
    let place = row.place().ok_or(CoreError::NotInTrash)?;
    let to = to.unwrap_or(row.parent());
    tree::ancestors(tx, account, to)?;
    let (EntryRow::File(_, super::files::FileRecord { size: bytes, .. })
    | EntryRow::Folder(_, tree::FolderRecord { bytes, .. })) = row;
    take_out(tx, account, place, row.entry(), row.parent(), bytes)?;
    let name = tree::free_name(tx, account, to, row.name().clone())?;
    let is_renamed = name != *row.name();
    match &mut row {
        EntryRow::File(_, file) => file.entry = name,
        EntryRow::Folder(_, folder) => folder.name = name,
    }
    let entry = row.entry();
    tree::place(tx, account, row, to, moment)?;
    match entry {
        Entry::File(number) => relist(tx, account, number, moment)?,
        Entry::Folder(number) => {
            begin(tx, account, number, TreeTaskKind::List)?;
            work(tx, account, steps, moment)?;
        }
    }
    Ok(Restored { is_renamed })
}

/// Removes something in the trash for good, with everything below it.
///
/// # Errors
///
/// [`CoreError::NotInTrash`], [`CoreError::NoEntry`].
pub fn purge(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    moment: Moment,
) -> Result<(), CoreError> {
    purge_in_steps(tx, account, number, STEPS_AT_ONCE, moment)
}

fn purge_in_steps(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    steps: usize,
    moment: Moment,
) -> Result<(), CoreError> {
    match tree::find(tx, account, number)? {
        EntryRow::File(number, file) => {
            file.trashed.ok_or(CoreError::NotInTrash)?;
            files::remove(tx, account, number, moment.now)?;
        }
        EntryRow::Folder(number, folder) => {
            let place = folder.trashed.ok_or(CoreError::NotInTrash)?;
            // Its bytes are used until they are gone, so they are not counted off here.
            take_out(tx, account, place, Entry::Folder(number), folder.parent, 0)?;
            begin_to_remove(tx, account, number, folder)?;
            work(tx, account, steps, moment)?;
        }
    }
    Ok(())
}

/// What is in the trash, as it was put there; what was put there with a folder is in the folder.
pub fn page(
    view: &dyn View,
    account: AccountId,
    direction: Direction,
    start: u64,
    count: u64,
) -> Result<Page<TrashRow>, CoreError> {
    let list = Trash::list(account);
    let page = Page::read(&list, view, direction, start, count, |sort_key, value| {
        keys::decode::<Trash>(sort_key, value)
    })?;
    page.try_map(|record| {
        Ok(TrashRow {
            row: tree::promised(view, account, record.entry)?,
            since: record.since,
        })
    })
}

/// Takes an entry out of the list of the trash, and out of what its old folder knows of it.
pub(super) fn take_out(
    tx: &mut dyn Transaction,
    account: AccountId,
    place: u64,
    entry: Entry,
    parent: FolderNumber,
    bytes: u64,
) -> Result<(), CoreError> {
    Trash::list(account).remove(tx, &keys::bytes(&place))?;
    keys::delete::<EntriesByNumber>(tx, &(account, parent, entry.number()))?;
    Ok(count(tx, account, bytes, false)?)
}

/// Accounts with work that is left, at most `max` of those behind `after`.
pub fn accounts_with_work(
    view: &dyn View,
    after: Option<AccountId>,
    max: usize,
) -> Result<Vec<AccountId>, CoreError> {
    let end = |account| (account, FolderNumber(u64::MAX));
    Ok(keys::owners::<TreeTasks>(
        view,
        after,
        max,
        end,
        |(account, _)| *account,
    )?)
}

/// Does work that is left for an account, at most `steps` entries of it. Returns whether nothing is
/// left.
pub fn work(
    tx: &mut dyn Transaction,
    account: AccountId,
    steps: usize,
    moment: Moment,
) -> Result<bool, CoreError> {
    let mut left = steps;
    loop {
        let next = keys::scan::<TreeTasks>(tx, &account, 1)?.pop();
        let Some(((_, folder), mut task)) = next else {
            return Ok(true);
        };
        let mut entries = Vec::new();
        tree::visit(
            tx,
            account,
            folder,
            task.after,
            left + 1,
            |entry, trashed| {
                entries.push((entry, trashed));
                ControlFlow::Continue(())
            },
        )?;
        let is_last = entries.len() <= left;
        let is_live = tree::is_live(tx, account, folder)?;
        for (entry, is_trashed) in entries.into_iter().take(left) {
            left -= 1;
            task.after = entry.number();
            match task.kind {
                TreeTaskKind::List if is_trashed => {}
                TreeTaskKind::List => follow(tx, account, entry, is_live, moment)?,
                TreeTaskKind::Purge => {
                    purge_entry(tx, account, folder, entry, is_trashed, moment)?;
                }
            }
        }
        if !is_last {
            keys::put::<TreeTasks>(tx, &(account, folder), &task)?;
            return Ok(false);
        }
        keys::delete::<TreeTasks>(tx, &(account, folder))?;
        if task.kind == TreeTaskKind::Purge {
            keys::delete::<Folders>(tx, &(account, folder))?;
            let mut usage = accounts::usage(tx, account)?;
            usage.folders = usage.folders.saturating_sub(1);
            keys::put::<Usages>(tx, &(account,), &usage)?;
        }
        // A folder is a step, too, however little is in it.
        left = left.saturating_sub(1);
        if left == 0 {
            return Ok(keys::scan::<TreeTasks>(tx, &account, 1)?.is_empty());
        }
    }
}

/// Makes the lists of all files follow an entry that was moved in the tree. Work that is left on a
/// folder that it was in would not find it any more.
pub(super) fn follow_move(
    tx: &mut dyn Transaction,
    account: AccountId,
    entry: Entry,
    moment: Moment,
) -> Result<(), CoreError> {
    match entry {
        Entry::File(number) => relist(tx, account, number, moment),
        Entry::Folder(number) => {
            if keys::scan::<TreeTasks>(tx, &account, 1)?.is_empty() {
                return Ok(());
            }
            begin(tx, account, number, TreeTaskKind::List)
        }
    }
}

/// Makes the lists of all files agree with where an entry is.
fn follow(
    tx: &mut dyn Transaction,
    account: AccountId,
    entry: Entry,
    is_live: bool,
    moment: Moment,
) -> Result<(), CoreError> {
    match entry {
        Entry::Folder(number) => begin(tx, account, number, TreeTaskKind::List),
        Entry::File(number) if is_live => relist(tx, account, number, moment),
        Entry::File(number) => unlist(tx, account, number),
    }
}

/// Removes an entry of a folder that is being removed.
fn purge_entry(
    tx: &mut dyn Transaction,
    account: AccountId,
    folder: FolderNumber,
    entry: Entry,
    is_trashed: bool,
    moment: Moment,
) -> Result<(), CoreError> {
    if is_trashed {
        // It is in the trash by itself and stays there.
        return Ok(keys::delete::<EntriesByNumber>(
            tx,
            &(account, folder, entry.number()),
        )?);
    }
    let row = tree::promised(tx, account, entry)?;
    tree::detach(tx, account, folder, entry, row.name())?;
    match row {
        EntryRow::Folder(number, folder) => begin_to_remove(tx, account, number, folder),
        EntryRow::File(number, file) => {
            count(tx, account, file.size, false)?;
            files::erase(tx, account, number, moment.now).map(drop)
        }
    }
}

/// Notes that a folder, which is in no list any more, goes with everything below it. The mark tells
/// whoever comes across it before the work is done, also when the folder above it is gone.
fn begin_to_remove(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FolderNumber,
    mut folder: tree::FolderRecord,
) -> Result<(), CoreError> {
    folder.trashed = Some(tree::FolderRecord::REMOVED);
    keys::put::<Folders>(tx, &(account, number), &folder)?;
    begin(tx, account, number, TreeTaskKind::Purge)
}

/// Notes work below a folder. Removing wins over listing, and otherwise the work begins anew.
fn begin(
    tx: &mut dyn Transaction,
    account: AccountId,
    folder: FolderNumber,
    kind: TreeTaskKind,
) -> Result<(), CoreError> {
    let key = (account, folder);
    if let Some(task) = keys::get::<TreeTasks>(tx, &key)?
        && task.kind == TreeTaskKind::Purge
    {
        return Ok(());
    }
    Ok(keys::put::<TreeTasks>(
        tx,
        &key,
        &TreeTask { kind, after: 0 },
    )?)
}

/// Takes a file out of the lists of all files, if it is in them.
fn unlist(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
) -> Result<(), CoreError> {
    let Some(mut file) = keys::get::<Files>(tx, &(account, number))? else {
        return Ok(());
    };
    files::unlist(tx, account, number, &file)?;
    file.share = None;
    file.pictures = 0;
    Ok(keys::put::<TrashedFiles>(tx, &(account, number), &file)?)
}

/// Puts a file into the lists of all files, if it is not in them.
fn relist(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: FileNumber,
    moment: Moment,
) -> Result<(), CoreError> {
    let Some(mut file) = keys::get::<TrashedFiles>(tx, &(account, number))? else {
        return Ok(());
    };
    keys::delete::<TrashedFiles>(tx, &(account, number))?;
    file.name = files::free_label(tx, account, file.md5, file.name)?;
    Ok(files::list(tx, account, number, &file, moment)?)
}

/// Counts bytes that came into the trash or left it.
fn count(
    tx: &mut dyn Transaction,
    account: AccountId,
    bytes: u64,
    is_added: bool,
) -> Result<(), CatalogError> {
    let mut usage = accounts::usage(tx, account)?;
    usage.trash_bytes = if is_added {
        usage.trash_bytes.saturating_add(bytes)
    } else {
        usage.trash_bytes.saturating_sub(bytes)
    };
    keys::put::<Usages>(tx, &(account,), &usage)
}

#[cfg(test)]
mod tests;
