//! `l` hash of a key: the upload whose bytes its holder may send. `m` upload, hash: the keys of an
//! upload.

use super::{KeyType, Table};
use crate::core::id::{UploadId, UploadKeyHash};

pub(in crate::core) struct UploadKeys;

impl Table for UploadKeys {
    const TYPE: KeyType = KeyType::UploadKey;
    type Key = (UploadKeyHash,);
    type Value = UploadId;
}

pub(in crate::core) struct UploadKeysOfUpload;

impl Table for UploadKeysOfUpload {
    const TYPE: KeyType = KeyType::UploadKeyOfUpload;
    type Key = (UploadId, UploadKeyHash);
    type Value = ();
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_table;
    use super::*;

    #[test]
    fn keys_come_back() {
        let (upload, key) = (UploadId([1; 16]), UploadKeyHash([2; 32]));
        check_table::<UploadKeys>(&(key,), &upload);
        check_table::<UploadKeysOfUpload>(&(upload, key), &());
    }
}
