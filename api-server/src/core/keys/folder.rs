//! `D` account, number: a folder. The root has no record.

use super::field::record;
use super::{KeyType, Seconds, Table};
use crate::core::id::{AccountId, FolderNumber};
use crate::core::name::EntryName;

record! {
    /// A folder.
    pub FolderRecord {
        /// The folder it is in, or was in before it went to the trash.
        parent: FolderNumber,
        /// Its name there.
        name: EntryName,
        /// Unix seconds when it was made.
        created: u32 as Seconds,
        /// Unix seconds when it was last renamed or moved, or made.
        modified: u32 as Seconds,
        /// Files below it, however deep.
        files: u64,
        /// Folders below it, however deep.
        folders: u64,
        /// Bytes of the files below it.
        bytes: u64,
        /// Levels of folders that there are below it, or were at any time.
        height: u64,
        /// Its place in the trash, if it was put there by itself and not with another folder;
        /// `REMOVED` while it is being removed.
        trashed: Option<u64>,
    }
}

impl FolderRecord {
    /// The place of a folder that is being removed for good: no entry of the trash has it, and
    /// whatever is left below the folder counts as being in the trash until it is gone.
    pub(in crate::core) const REMOVED: u64 = 0;

    pub(in crate::core) fn is_being_removed(&self) -> bool {
        self.trashed == Some(Self::REMOVED)
    }
}

pub(in crate::core) struct Folders;

impl Table for Folders {
    const TYPE: KeyType = KeyType::Folder;
    type Key = (AccountId, FolderNumber);
    type Value = FolderRecord;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_back() {
        let record = FolderRecord {
            parent: FolderNumber(3),
            name: "你好".parse().unwrap(),
            created: 1,
            modified: 2,
            files: 4,
            folders: 5,
            bytes: 6,
            height: 7,
            trashed: Some(8),
        };
        let key = (AccountId(1), FolderNumber(9));
        super::super::testing::check_table::<Folders>(&key, &record);
    }
}
