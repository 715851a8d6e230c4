//! `H` number: files that everybody sees, oldest share first. A [`List`], with the ranking that leads
//! to it: `W` views, inverted, and number, so the most viewed and among equals the oldest come first.

use super::field::record;
use super::{KeyType, Seconds, Table};
use crate::core::id::{AccountId, ContentHash, FileNumber, Md5, ShareNumber};
use crate::core::name::{FileName, UserName};
use crate::core::ranked::List;
use common::id::FileId;

record! {
    /// A share.
    pub ShareRecord {
        /// Who shared.
        account: AccountId,
        /// The sharer's name.
        sharer: UserName,
        /// The sharer's file.
        file: FileNumber,
        /// Its name.
        name: FileName,
        /// Its bytes.
        content: ContentHash,
        /// Their MD5.
        md5: Md5,
        /// How many.
        size: u64,
        /// The blob that holds them.
        blob: FileId,
        /// Unix seconds when it was shared.
        created: u32 as Seconds,
        /// How often it was downloaded.
        views: u64,
    }
}

pub(in crate::core) struct Shares;

impl Table for Shares {
    const TYPE: KeyType = KeyType::Share;
    type Key = (ShareNumber,);
    type Value = ShareRecord;
}

impl Shares {
    /// All shares; the sort key is the number.
    pub(in crate::core) fn list() -> List {
        List::new(super::key(KeyType::Share, &()))
    }
}

pub(in crate::core) struct SharesByViews;

impl SharesByViews {
    /// All shares, most viewed first; the sort key is [`Self::sort_key`].
    pub(in crate::core) fn list() -> List {
        List::new(super::key(KeyType::ShareByViews, &()))
    }

    pub(in crate::core) fn sort_key(number: ShareNumber, views: u64) -> Vec<u8> {
        super::bytes(&(u64::MAX - views, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_comes_back() {
        let record = ShareRecord {
            account: AccountId(1),
            sharer: "qingfu".parse().unwrap(),
            file: FileNumber(2),
            name: "Makefile".parse().unwrap(),
            content: ContentHash([4; 32]),
            md5: Md5([7; 16]),
            size: 33_028,
            blob: "group1/M00/00/00/rBAAD17_Jn6AM-iuAACBBC5AIsc2532509"
                .parse()
                .unwrap(),
            created: 3,
            views: 4,
        };
        super::super::testing::check_table::<Shares>(&(ShareNumber(5),), &record);
    }

    #[test]
    fn the_most_viewed_share_sorts_first_and_the_older_of_equals() {
        let key = |number, views| SharesByViews::sort_key(ShareNumber(number), views);
        assert!(key(9, 2) < key(1, 1));
        assert!(key(1, 1) < key(2, 1));
    }
}
