//! What users deleted and may have back.
//!
//! `G` account, number: a file that is in the trash, or in a folder that is; the record is that of
//! [`Files`](super::Files). `T` account, place: what was put into the trash, oldest first, as a
//! [`List`].

use super::field::record;
use super::{FileRecord, KeyType, Seconds, Table};
use crate::core::id::{AccountId, Entry, FileNumber};
use crate::core::ranked::List;

pub(in crate::core) struct TrashedFiles;

impl Table for TrashedFiles {
    const TYPE: KeyType = KeyType::TrashedFile;
    type Key = (AccountId, FileNumber);
    type Value = FileRecord;
}

record! {
    /// Something in the trash.
    pub(in crate::core) TrashRecord {
        /// What.
        entry: Entry,
        /// Unix seconds since when.
        since: u32 as Seconds,
    }
}

pub(in crate::core) struct Trash;

impl Table for Trash {
    const TYPE: KeyType = KeyType::Trash;
    type Key = (AccountId, u64);
    type Value = TrashRecord;
}

impl Trash {
    /// The trash of an account; the sort key is the place.
    pub(in crate::core) fn list(account: AccountId) -> List {
        List::new(super::key(KeyType::Trash, &account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_trash_comes_back() {
        let record = TrashRecord {
            entry: Entry::File(FileNumber(3)),
            since: 4,
        };
        super::super::testing::check_table::<Trash>(&(AccountId(1), 2), &record);
    }
}
