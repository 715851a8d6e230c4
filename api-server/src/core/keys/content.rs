//! `C` hash: bytes that at least one file has.

use super::field::record;
use super::{KeyType, Seconds, Table};
use crate::core::id::{ContentHash, Md5, Sha1};
use common::id::FileId;

record! {
    /// Bytes, and where they are.
    pub ContentRecord {
        /// How many.
        size: u64,
        /// Their MD5.
        md5: Md5,
        /// Their SHA-1.
        sha1: Sha1,
        /// The blob that holds them.
        blob: FileId,
        /// Files that have them; at least one.
        references: u64,
        /// Unix seconds of the first upload.
        created: u32 as Seconds,
    }
}

pub(in crate::core) struct Contents;

impl Table for Contents {
    const TYPE: KeyType = KeyType::Content;
    type Key = (ContentHash,);
    type Value = ContentRecord;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_back() {
        let record = ContentRecord {
            size: 582,
            md5: Md5([7; 16]),
            sha1: Sha1([8; 20]),
            blob: "group1/M00/00/00/rBAAD18AISGAP6QrAAACRhizVvQ79062.h"
                .parse()
                .unwrap(),
            references: 2,
            created: 1,
        };
        super::super::testing::check_table::<Contents>(&(ContentHash([1; 32]),), &record);
    }
}
