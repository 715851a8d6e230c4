//! `q` account, file, link: the live picture shares of a file.

use super::{KeyType, Table};
use crate::core::id::{AccountId, FileNumber, PictureLink};

pub(in crate::core) struct PicturesOfFile;

impl Table for PicturesOfFile {
    const TYPE: KeyType = KeyType::PictureOfFile;
    type Key = (AccountId, FileNumber, PictureLink);
    type Value = ();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_comes_back() {
        let key = (AccountId(1), FileNumber(2), PictureLink([3; 16]));
        super::super::testing::check_table::<PicturesOfFile>(&key, &());
    }
}
