//! `h` MD5, name: the share that an MD5 and name mean, of which there is one over all users.

use super::{KeyType, Table};
use crate::core::id::{Md5, ShareNumber};
use crate::core::name::FileName;

pub(in crate::core) struct ShareLabels;

impl Table for ShareLabels {
    const TYPE: KeyType = KeyType::ShareLabel;
    type Key = (Md5, FileName);
    type Value = ShareNumber;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_comes_back() {
        let key = (Md5([2; 16]), "Makefile".parse().unwrap());
        super::super::testing::check_table::<ShareLabels>(&key, &ShareNumber(3));
    }
}
