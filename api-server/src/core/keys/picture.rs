//! `P` link: a picture share. `p` account, number: those of an account, oldest first, as a [`List`]
//! whose values are links; the dead ones are not in it.

use super::field::record;
use super::{KeyType, Seconds, Table};
use crate::core::id::{AccountId, FileNumber, Md5, PictureLink};
use crate::core::name::{FileName, UserName};
use crate::core::ranked::List;
use common::id::FileId;

record! {
    /// A picture share.
    pub PictureRecord {
        /// Who shared.
        account: AccountId,
        /// The sharer's name.
        sharer: UserName,
        /// Its place among the account's picture shares.
        number: FileNumber,
        /// The file; it is gone if the share is dead.
        file: FileNumber,
        /// The file's name.
        name: FileName,
        /// The file's MD5.
        md5: Md5,
        /// The file's size.
        size: u64,
        /// The blob with its bytes.
        blob: FileId,
        /// Unix seconds when it was shared.
        created: u32 as Seconds,
        /// How often it was looked at.
        views: u64,
        /// Whether the file is still there.
        is_live: bool,
    }
}

pub(in crate::core) struct Pictures;

impl Table for Pictures {
    const TYPE: KeyType = KeyType::Picture;
    type Key = (PictureLink,);
    type Value = PictureRecord;
}

pub(in crate::core) struct PicturesOfAccount;

impl Table for PicturesOfAccount {
    const TYPE: KeyType = KeyType::PictureOfAccount;
    type Key = (AccountId, FileNumber);
    type Value = PictureLink;
}

impl PicturesOfAccount {
    /// The live picture shares of an account; the sort key is the number.
    pub(in crate::core) fn list(account: AccountId) -> List {
        List::new(super::key(KeyType::PictureOfAccount, &account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_share_comes_back() {
        let record = PictureRecord {
            account: AccountId(1),
            sharer: "qingfu".parse().unwrap(),
            number: FileNumber(2),
            file: FileNumber(3),
            name: "1.png".parse().unwrap(),
            md5: Md5([7; 16]),
            size: 44_475,
            blob: "group1/M00/00/00/eBuDxWCfQPCAapRFAACtu7ei-L0000.png"
                .parse()
                .unwrap(),
            created: 4,
            views: 5,
            is_live: true,
        };
        let link = PictureLink([6; 16]);
        super::super::testing::check_table::<Pictures>(&(link,), &record);
        let key = (AccountId(1), FileNumber(2));
        super::super::testing::check_table::<PicturesOfAccount>(&key, &link);
    }
}
