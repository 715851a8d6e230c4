//! `f` account, MD5, name: the file that a user's MD5 and name mean.

use super::{KeyType, Table};
use crate::core::id::{AccountId, FileNumber, Md5};
use crate::core::name::FileName;

pub(in crate::core) struct FileLabels;

impl Table for FileLabels {
    const TYPE: KeyType = KeyType::FileLabel;
    type Key = (AccountId, Md5, FileName);
    type Value = FileNumber;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_comes_back() {
        let key = (AccountId(1), Md5([2; 16]), "1.png".parse().unwrap());
        super::super::testing::check_table::<FileLabels>(&key, &FileNumber(3));
    }
}
