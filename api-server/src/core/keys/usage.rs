//! `u` account: what changes with every file of an account.

use super::field::record;
use super::{KeyType, Table};
use crate::core::id::AccountId;

record! {
    /// Sums over an account.
    #[derive(Default)]
    pub(in crate::core) UsageRecord {
        /// The last number that was given to a file, folder, picture share or place in the trash.
        last_number: u64,
        /// Files, also those in the trash.
        files: u64,
        /// Folders, also those in the trash.
        folders: u64,
        /// Bytes of all files, also those in the trash.
        bytes: u64,
        /// Bytes of the files in the trash.
        trash_bytes: u64,
        /// Uploads under way.
        uploads: u64,
        /// Bytes that they announced.
        upload_bytes: u64,
        /// Access and refresh tokens.
        grants: u64,
        /// Files that are shared.
        shares: u64,
    }
}

pub(in crate::core) struct Usages;

impl Table for Usages {
    const TYPE: KeyType = KeyType::Usage;
    type Key = (AccountId,);
    type Value = UsageRecord;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back() {
        let record = UsageRecord {
            last_number: 1,
            files: 2,
            folders: 3,
            bytes: 4,
            trash_bytes: 5,
            uploads: 6,
            upload_bytes: 7,
            grants: 8,
            shares: 9,
        };
        super::super::testing::check_table::<Usages>(&(AccountId(1),), &record);
    }
}
