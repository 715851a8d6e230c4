//! Copies of entries: further entries of the same content, so no byte is moved.
//!
//! A copy of many entries is a task: what is left of it is noted in the catalog, and each step takes
//! one part of that, copies it, and notes what it leaves, all in one transaction. So a task goes on
//! after a crash where it stopped, nothing is copied twice, and it does not matter who does the steps.

use super::accounts;
use super::catalog::{Transaction, View};
use super::error::CoreError;
use super::files::{self, Conflict, Place};
use super::id::{AccountId, Entry, FolderNumber};
use super::keys::{self, CopyItem, CopyItems, CopyTask, CopyTasks};
use super::moment::Moment;
use super::tree::{self, EntryRow};

pub use super::keys::CopyState;

/// Entries that one task may make.
pub const ENTRIES_MAX: u64 = if cfg!(test) { 250 } else { 100_000 };
/// Tasks of an account that are not at their end.
pub const UNDER_WAY_MAX: usize = 32;
/// Tasks of an account that have ended and can be asked for; of more, the oldest are forgotten.
const ENDED_MAX: usize = 64;
/// Entries of one step: other changes wait for it.
const AT_ONCE: usize = CopyItem::ENTRIES_MAX;
/// Parts of a task that has failed that one step forgets.
const FORGOTTEN_AT_ONCE: usize = 500;
/// Names that are tried for a copy of a folder.
const NAMES_TRIED: u64 = 1_000;

/// A folder whose entries are being copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The folder.
    pub from: FolderNumber,
    /// Where they go.
    pub to: FolderNumber,
    /// The number of the last entry that was copied; 0 at the beginning.
    pub after: u64,
}

/// What one step copied of a folder.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Folders whose entries are to be copied, too.
    pub folders: Vec<Pending>,
    /// Entries that were looked at.
    pub count: u64,
    /// Where to go on, if there is more.
    pub next: Option<Pending>,
}

/// Copies an entry into a folder, under a free name. Of a folder only itself is copied: what is in it is
/// left to [`copy_batch`].
///
/// # Errors
///
/// [`CoreError::NoEntry`], [`CoreError::NoFolder`]; [`CoreError::IntoItself`]; those of adding a file
/// or a folder.
pub fn copy_entry(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    to: FolderNumber,
    moment: Moment,
) -> Result<Entry, CoreError> {
    let name = match tree::find_in_tree(tx, account, number)? {
        EntryRow::Folder(_, folder) => folder.name,
        EntryRow::File(number, file) => {
            let place = Place {
                folder: to,
                name: file.entry,
                conflict: Conflict::Keep,
            };
            return files::copy(tx, account, number, place, moment).map(Entry::File);
        }
    };
    let above = tree::ancestors(tx, account, to)?;
    if above.iter().any(|(above, _)| above.0 == number) {
        return Err(CoreError::IntoItself);
    }
    let mut made = tree::make_folder(tx, account, to, name.clone(), moment);
    for suffix in 1..=NAMES_TRIED {
        if !matches!(made, Err(CoreError::NameInUse(_))) {
            break;
        }
        made = tree::make_folder(tx, account, to, name.numbered(suffix), moment);
    }
    made.map(Entry::Folder)
}

/// Copies the next entries of a folder, without those in the trash.
///
/// # Errors
///
/// [`CoreError::NoFolder`] for either of the folders; those of adding a file or a folder.
pub fn copy_batch(
    tx: &mut dyn Transaction,
    account: AccountId,
    at: Pending,
    moment: Moment,
) -> Result<Batch, CoreError> {
    let rows = tree::by_number(tx, account, at.from, at.after, AT_ONCE)?;
    let mut batch = Batch {
        folders: Vec::new(),
        count: rows.len() as u64,
        next: None,
    };
    if rows.len() == AT_ONCE
        && let Some((last, _)) = rows.last()
    {
        let after = last.entry().number();
        batch.next = Some(Pending { after, ..at });
    }
    for (row, is_trashed) in rows {
        if is_trashed {
            continue;
        }
        let name = row.name().clone();
        match row {
            EntryRow::File(number, _) => {
                let place = Place {
                    folder: at.to,
                    name,
                    conflict: Conflict::Keep,
                };
                files::copy(tx, account, number, place, moment)?;
            }
            EntryRow::Folder(from, _) => {
                let to = tree::make_folder(tx, account, at.to, name, moment)?;
                batch.folders.push(Pending { from, to, after: 0 });
            }
        }
    }
    Ok(batch)
}

/// Begins a task that copies entries into a folder. Whoever calls it has looked whether they are there.
/// Returns its number, or nothing if too many of the account's are not at their end.
///
/// # Errors
///
/// [`CoreError::NoFolder`], [`CoreError::NoAccount`].
pub fn begin(
    tx: &mut dyn Transaction,
    account: AccountId,
    numbers: &[u64],
    to: FolderNumber,
) -> Result<Option<u64>, CoreError> {
    accounts::get_active(tx, account)?;
    tree::ancestors(tx, account, to)?;
    let known = keys::scan::<CopyTasks>(tx, &account, UNDER_WAY_MAX + ENDED_MAX)?;
    let (ended, under_way): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|(_, task)| has_ended(task));
    if UNDER_WAY_MAX <= under_way.len() {
        return Ok(None);
    }
    let surplus = (ended.len() + 1).saturating_sub(ENDED_MAX);
    for (key, _) in ended.iter().take(surplus) {
        // What a failed one left is forgotten by the steps.
        if keys::scan::<CopyItems>(tx, key, 1)?.is_empty() {
            keys::delete::<CopyTasks>(tx, key)?;
        }
    }
    // A number that nothing else of the account has.
    let number = accounts::next_entry(tx, account)?;
    let mut task = CopyTask {
        state: CopyState::Waiting,
        room: ENTRIES_MAX,
        last: 0,
    };
    for numbers in numbers.chunks(AT_ONCE) {
        let numbers = numbers.to_vec();
        add(
            tx,
            account,
            number,
            &mut task,
            &CopyItem::Entries { numbers, to },
        )?;
    }
    keys::put::<CopyTasks>(tx, &(account, number), &task)?;
    Ok(Some(number))
}

/// How far a task of an account is, if it has one of this number.
pub fn state(
    view: &dyn View,
    account: AccountId,
    number: u64,
) -> Result<Option<CopyState>, CoreError> {
    let task = keys::get::<CopyTasks>(view, &(account, number))?;
    Ok(task.map(|task| task.state))
}

/// Accounts with tasks that are not at their end, at most `max` of those behind `after`.
pub fn accounts_with_work(
    view: &dyn View,
    after: Option<AccountId>,
    max: usize,
) -> Result<Vec<AccountId>, CoreError> {
    let end = |account| (account, u64::MAX, u64::MAX);
    Ok(keys::owners::<CopyItems>(
        view,
        after,
        max,
        end,
        |(account, _, _)| *account,
    )?)
}

/// Does the next step of an account's oldest task. Returns whether nothing is left.
///
/// # Errors
///
/// Those of copying, whereupon [`fail`] is to be called: the transaction does not count.
pub fn work(
    tx: &mut dyn Transaction,
    account: AccountId,
    moment: Moment,
) -> Result<bool, CoreError> {
    let Some((key, item)) = keys::scan::<CopyItems>(tx, &account, 1)?.pop() else {
        return Ok(true);
    };
    let (_, number, _) = key;
    let mut task = keys::get_promised::<CopyTasks>(tx, &(account, number))?;
    if has_ended(&task) {
        forget(tx, account, number)?;
        return Ok(keys::scan::<CopyItems>(tx, &account, 1)?.is_empty());
    }
    keys::delete::<CopyItems>(tx, &key)?;
    let mut folders = Vec::new();
    let count = match item {
        CopyItem::Entries { numbers, to } => {
            for number in &numbers {
                if let Entry::Folder(made) = copy_entry(tx, account, *number, to, moment)? {
                    let from = FolderNumber(*number);
                    let to = made;
                    folders.push(Pending { from, to, after: 0 });
                }
            }
            numbers.len() as u64
        }
        CopyItem::Below { from, to, after } => {
            let batch = copy_batch(tx, account, Pending { from, to, after }, moment)?;
            folders = batch.folders;
            if let Some(next) = batch.next {
                // At the place where it was: folders wait until those before them are done.
                keys::put::<CopyItems>(tx, &key, &below(next))?;
            }
            batch.count
        }
    };
    for folder in folders {
        add(tx, account, number, &mut task, &below(folder))?;
    }
    task.state = CopyState::Running;
    match task.room.checked_sub(count) {
        Some(room) => task.room = room,
        None => task.state = CopyState::Failed,
    }
    if !has_ended(&task) && keys::scan::<CopyItems>(tx, &(account, number), 1)?.is_empty() {
        task.state = CopyState::Done;
    }
    keys::put::<CopyTasks>(tx, &(account, number), &task)?;
    Ok(keys::scan::<CopyItems>(tx, &account, 1)?.is_empty())
}

/// Ends an account's oldest task, whose next step cannot be done. What was copied before stays.
pub fn fail(tx: &mut dyn Transaction, account: AccountId) -> Result<(), CoreError> {
    let Some(((_, number, _), _)) = keys::scan::<CopyItems>(tx, &account, 1)?.pop() else {
        return Ok(());
    };
    let mut task = keys::get_promised::<CopyTasks>(tx, &(account, number))?;
    task.state = CopyState::Failed;
    keys::put::<CopyTasks>(tx, &(account, number), &task)?;
    forget(tx, account, number)
}

fn has_ended(task: &CopyTask) -> bool {
    matches!(task.state, CopyState::Done | CopyState::Failed)
}

fn below(folder: Pending) -> CopyItem {
    let Pending { from, to, after } = folder;
    CopyItem::Below { from, to, after }
}

/// Notes a part of a task behind all others.
fn add(
    tx: &mut dyn Transaction,
    account: AccountId,
    number: u64,
    task: &mut CopyTask,
    item: &CopyItem,
) -> Result<(), CoreError> {
    task.last += 1;
    Ok(keys::put::<CopyItems>(
        tx,
        &(account, number, task.last),
        item,
    )?)
}

/// Forgets a part of what a task that has failed left to do.
fn forget(tx: &mut dyn Transaction, account: AccountId, number: u64) -> Result<(), CoreError> {
    for (key, _) in keys::scan::<CopyItems>(tx, &(account, number), FORGOTTEN_AT_ONCE)? {
        keys::delete::<CopyItems>(tx, &key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
