//! What is in a folder, in the order of numbers: also what went to the trash from there.

use std::ops::ControlFlow;

use super::{EntryRow, Found, chain_of_kept, promised, visit};
use crate::core::catalog::View;
use crate::core::error::CoreError;
use crate::core::id::{AccountId, FolderNumber};
use crate::core::keys::{self, EntriesByNumber};

/// Entries of a folder by their numbers, behind `after`, at most `count`: also those that went to the
/// trash from there, with whether they did.
///
/// # Errors
///
/// [`CoreError::NoFolder`], not for one in the trash.
pub fn by_number(
    view: &dyn View,
    account: AccountId,
    folder: FolderNumber,
    after: u64,
    count: usize,
) -> Result<Vec<(EntryRow, bool)>, CoreError> {
    let above = chain_of_kept(view, account, folder)?;
    let is_below_trash = above.last().is_some_and(|(_, top)| top.trashed.is_some());
    let rows = keys::scan_after::<EntriesByNumber>(
        view,
        &(account, folder),
        Some(&(account, folder, after)),
        count,
    )?;
    rows.into_iter()
        .map(|((_, _, number), presence)| {
            let row = promised(view, account, presence.kind.entry(number))?;
            Ok((row, presence.is_trashed || is_below_trash))
        })
        .collect()
}

/// Like [`by_number`], but only entries that are in the trash, or only those that are not, and only among
/// the next `steps`. Returns also the number to go on behind, if there may be more.
///
/// # Errors
///
/// [`CoreError::NoFolder`], not for one in the trash.
pub fn by_number_where(
    view: &dyn View,
    account: AccountId,
    folder: FolderNumber,
    is_trashed: bool,
    after: u64,
    count: usize,
    steps: usize,
) -> Result<Found, CoreError> {
    let above = chain_of_kept(view, account, folder)?;
    let is_below_trash = above.last().is_some_and(|(_, top)| top.trashed.is_some());
    if is_below_trash && !is_trashed {
        return Ok((Vec::new(), None));
    }
    let (mut found, mut seen, mut last) = (Vec::new(), 0, after);
    visit(view, account, folder, after, steps, |entry, trashed| {
        if count <= found.len() {
            return ControlFlow::Break(());
        }
        seen += 1;
        last = entry.number();
        if (trashed || is_below_trash) == is_trashed {
            found.push(entry);
        }
        ControlFlow::Continue(())
    })?;
    let is_last = seen < steps && found.len() < count;
    let rows = found
        .into_iter()
        .map(|entry| promised(view, account, entry));
    let rows = rows.collect::<Result<_, _>>()?;
    Ok((rows, (!is_last).then_some(last)))
}
