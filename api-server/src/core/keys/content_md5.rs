//! `c` MD5, size, hash: contents by their MD5, of which there is one unless somebody made a collision.

use super::{KeyType, Table};
use crate::core::id::{ContentHash, Md5};

pub(in crate::core) struct ContentsByMd5;

impl Table for ContentsByMd5 {
    const TYPE: KeyType = KeyType::ContentMd5;
    type Key = (Md5, u64, ContentHash);
    type Value = ();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_comes_back() {
        let key = (Md5([1; 16]), 5, ContentHash([2; 32]));
        super::super::testing::check_table::<ContentsByMd5>(&key, &());
    }
}
