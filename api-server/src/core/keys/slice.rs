//! `B` upload, place: bytes of an upload that are safe in its staging blob. The place is a slice's
//! number from 1 on, or the offset of a block in an upload without slices.

use super::field::record;
use super::{KeyType, Table};
use crate::core::id::{ContentHash, Md5, UploadId};

record! {
    /// Bytes of an upload.
    #[derive(Copy)]
    pub SliceRecord {
        /// Where they begin in the staging blob.
        offset: u64,
        /// How many.
        len: u64,
        /// Their CRC-32.
        crc: u32,
        /// Their MD5.
        md5: Md5,
        /// Their part of the BLAKE3 of the whole: the chaining value of a subtree. Zeros where the
        /// bytes are no subtree.
        chaining: ContentHash,
    }
}

pub(in crate::core) struct Slices;

impl Table for Slices {
    const TYPE: KeyType = KeyType::Slice;
    type Key = (UploadId, u64);
    type Value = SliceRecord;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_comes_back() {
        let record = SliceRecord {
            offset: 1,
            len: 2,
            crc: 3,
            md5: Md5([4; 16]),
            chaining: ContentHash([5; 32]),
        };
        super::super::testing::check_table::<Slices>(&(UploadId([6; 16]), 7), &record);
    }
}
