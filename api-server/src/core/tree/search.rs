//! Finding entries of an account by their names, wherever they are.

use super::EntryRow;
use crate::core::catalog::View;
use crate::core::error::CoreError;
use crate::core::id::{AccountId, FileNumber, FolderNumber};
use crate::core::keys::{self, Files, Folders, TrashedFiles};
use crate::core::name::EntryName;

/// What a search wants of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// That it contains the text, whatever the case.
    Contains,
    /// That it is the text.
    Equals,
}

/// What a search found, and the number to go on behind, if there is more.
pub type Found = (Vec<EntryRow>, Option<u64>);

/// Entries of the whole account whose names fit, by their numbers, behind `after`: at most `count`,
/// and only among the next `steps` numbers. The trash is searched, too.
pub fn search(
    view: &dyn View,
    account: AccountId,
    text: &str,
    how: Match,
    after: u64,
    count: usize,
    steps: usize,
) -> Result<Found, CoreError> {
    let lower = text.to_lowercase();
    let fits = |name: &EntryName| match how {
        Match::Contains => name.as_str().to_lowercase().contains(&lower),
        Match::Equals => name.as_str() == text,
    };
    let file = Some(&(account, FileNumber(after)));
    let listed = keys::scan_after::<Files>(view, &account, file, steps)?;
    let trashed = keys::scan_after::<TrashedFiles>(view, &account, file, steps)?;
    let folder = Some(&(account, FolderNumber(after)));
    let folders = keys::scan_after::<Folders>(view, &account, folder, steps)?;
    // Behind the last row of a kind that has more, other kinds may have rows that come later.
    let mut horizon = u64::MAX;
    let mut see = |is_full: bool, last: Option<u64>| {
        if let (true, Some(last)) = (is_full, last) {
            horizon = horizon.min(last);
        }
    };
    see(listed.len() == steps, listed.last().map(|row| row.0.1.0));
    see(trashed.len() == steps, trashed.last().map(|row| row.0.1.0));
    see(folders.len() == steps, folders.last().map(|row| row.0.1.0));
    let files = listed.into_iter().chain(trashed);
    let files = files.map(|((_, number), file)| EntryRow::File(number, file));
    let folders = folders
        .into_iter()
        .filter(|(_, folder)| !folder.is_being_removed())
        .map(|((_, number), folder)| EntryRow::Folder(number, folder));
    let mut rows: Vec<EntryRow> = files
        .chain(folders)
        .filter(|row| row.entry().number() <= horizon && fits(row.name()))
        .collect();
    rows.sort_by_key(|row| row.entry().number());
    let mut next = (horizon != u64::MAX).then_some(horizon);
    if count < rows.len() {
        rows.truncate(count);
        next = rows.last().map(|row| row.entry().number());
    }
    Ok((rows, next))
}
