//! `F` account, number: a user's files in the order in which they were added. A [`List`], with three
//! more that lead to it: `N` account, name, number; `Z` account, size, number; `V` account, views,
//! number. Their values are empty.

use super::field::record;
use super::{Field, KeyType, Seconds, Table};
use crate::core::id::{AccountId, ContentHash, FileNumber, FolderNumber, Md5, ShareNumber};
use crate::core::name::{EntryName, FileName};
use crate::core::ranked::List;
use common::id::FileId;

record! {
    /// A user's file.
    pub FileRecord {
        /// What the image host calls it: its label.
        name: FileName,
        /// The folder it is in, or was in before it went to the trash.
        folder: FolderNumber,
        /// Its name there.
        entry: EntryName,
        /// Its bytes.
        content: ContentHash,
        /// Their MD5.
        md5: Md5,
        /// How many.
        size: u64,
        /// The blob that holds them.
        blob: FileId,
        /// Unix seconds when it was added.
        created: u32 as Seconds,
        /// Unix seconds when it was last renamed or moved, or added.
        modified: u32 as Seconds,
        /// Its place in the trash, if it was put there by itself and not with a folder.
        trashed: Option<u64>,
        /// How often the user downloaded it.
        views: u64,
        /// The share that shows it to everybody.
        share: Option<ShareNumber>,
        /// Live picture shares of it.
        pictures: u64,
    }
}

pub(in crate::core) struct Files;

impl Table for Files {
    const TYPE: KeyType = KeyType::File;
    type Key = (AccountId, FileNumber);
    type Value = FileRecord;
}

impl Files {
    /// The files of an account; the sort key is the number.
    pub(in crate::core) fn list(account: AccountId) -> List {
        List::new(super::key(KeyType::File, &account))
    }
}

/// A list of an account's files whose sort keys end in the number.
pub(in crate::core) trait Order {
    const TYPE: KeyType;
    type Sorted: Field;

    fn sorted(file: &FileRecord) -> Self::Sorted;
}

/// By name; the sort key is name, number.
pub(in crate::core) struct FilesByName;
/// By size; the sort key is size, number.
pub(in crate::core) struct FilesBySize;
/// By views; the sort key is views, number.
pub(in crate::core) struct FilesByViews;

impl Order for FilesByName {
    const TYPE: KeyType = KeyType::FileByName;
    type Sorted = FileName;

    fn sorted(file: &FileRecord) -> FileName {
        file.name.clone()
    }
}

impl Order for FilesBySize {
    const TYPE: KeyType = KeyType::FileBySize;
    type Sorted = u64;

    fn sorted(file: &FileRecord) -> u64 {
        file.size
    }
}

impl Order for FilesByViews {
    const TYPE: KeyType = KeyType::FileByViews;
    type Sorted = u64;

    fn sorted(file: &FileRecord) -> u64 {
        file.views
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back() {
        let record = FileRecord {
            name: "ui_buttongroup.h".parse().unwrap(),
            folder: FolderNumber(5),
            entry: "ui_buttongroup(1).h".parse().unwrap(),
            content: ContentHash([4; 32]),
            md5: Md5([7; 16]),
            size: 582,
            blob: "group1/M00/00/00/rBAAD18AISGAP6QrAAACRhizVvQ79062.h"
                .parse()
                .unwrap(),
            created: 1_593_844_001,
            modified: 1_593_844_002,
            trashed: Some(6),
            views: 3,
            share: Some(ShareNumber(9)),
            pictures: 1,
        };
        super::super::testing::check_table::<Files>(&(AccountId(1), FileNumber(2)), &record);
    }
}
