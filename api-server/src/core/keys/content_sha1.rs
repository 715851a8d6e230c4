//! `d` SHA-1, size, hash: contents by their SHA-1, of which there is one unless somebody made a
//! collision.

use super::{KeyType, Table};
use crate::core::id::{ContentHash, Sha1};

pub(in crate::core) struct ContentsBySha1;

impl Table for ContentsBySha1 {
    const TYPE: KeyType = KeyType::ContentSha1;
    type Key = (Sha1, u64, ContentHash);
    type Value = ();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_to_content_comes_back() {
        let key = (Sha1([1; 20]), 7, ContentHash([2; 32]));
        super::super::testing::check_table::<ContentsBySha1>(&key, &());
    }
}
