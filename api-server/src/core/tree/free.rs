//! Free names: what an entry is called where its own name is taken.

use super::child;
use crate::core::catalog::{CatalogError, View};
use crate::core::id::{AccountId, FolderNumber};
use crate::core::name::EntryName;

/// Names that are tried one after another before larger steps are made.
const NAMES_IN_A_ROW: u64 = 16;

/// A name like `name` that nothing in a folder has.
pub(in crate::core) fn free_name(
    view: &dyn View,
    account: AccountId,
    folder: FolderNumber,
    name: EntryName,
) -> Result<EntryName, CatalogError> {
    let is_taken = |name: &EntryName| Ok(child(view, account, folder, name)?.is_some());
    if !is_taken(&name)? {
        return Ok(name);
    }
    let number = free_number(|number| is_taken(&name.numbered(number)))?;
    Ok(name.numbered(number))
}

/// A number from 1 on that is not taken: the first one, where all before it are taken.
pub(in crate::core) fn free_number(
    mut is_taken: impl FnMut(u64) -> Result<bool, CatalogError>,
) -> Result<u64, CatalogError> {
    for number in 1..=NAMES_IN_A_ROW {
        if !is_taken(number)? {
            return Ok(number);
        }
    }
    // Ten thousand pictures called image.png are not looked at one by one.
    let (mut taken, mut free) = (NAMES_IN_A_ROW, 2 * NAMES_IN_A_ROW);
    while is_taken(free)? {
        (taken, free) = (free, 2 * free);
    }
    while taken + 1 < free {
        let middle = taken.midpoint(free);
        if is_taken(middle)? {
            taken = middle;
        } else {
            free = middle;
        }
    }
    Ok(free)
}
