//! What the fuzz targets and tests of other crates share. Compiled for tests and under the feature
//! `testing` only.
//!
//! A fuzz target is one `pub fn fuzz_…(&[u8])` that panics when an invariant breaks; the file in
//! `fuzz/fuzz_targets/` only calls it, and a test here replays its corpus in every `cargo test`.

#![expect(
    clippy::expect_used,
    reason = "a broken invariant ends a test or a fuzz run; nothing here serves"
)]

use bytes::BytesMut;
use common::digest::{Crc32, Crc32Hasher};

use crate::format::{
    IndexKey, IndexValue, Manifest, RECORD_HEADER_LEN, ReplayPosition, SUPERBLOCK_FIELDS_LEN,
    SUPERBLOCK_LEN, Superblock, UnverifiedRecord, VolumeNumber, VolumeStats,
};

/// The volume that the records of the fuzz target are said to lie in.
const VOLUME: VolumeNumber = VolumeNumber(3);
/// Bytes of a header in front of its checksum.
const RECORD_FIELDS_LEN: usize = RECORD_HEADER_LEN - 4;

/// Fuzz target `record`: reads `bytes` as everything that stands in a volume or in the index. What
/// decodes must encode to the same again. Checksums are mended first in a second reading, for no
/// fuzzer guesses them.
pub fn fuzz_record(bytes: &[u8]) {
    check_record(bytes);
    check_superblock(bytes);
    check_record(&with_record_checksum(bytes));
    check_superblock(&with_superblock_checksum(bytes));
    check_manifest(bytes);
    check_index(bytes);
}

fn check_record(bytes: &[u8]) {
    let Ok(record) = UnverifiedRecord::decode(VOLUME, bytes) else {
        return;
    };
    let head_len = usize::try_from(record.header.payload_start()).expect("a header and a key");
    let mut encoded = BytesMut::new();
    record.header.encode(VOLUME, record.key, &mut encoded);
    assert_eq!(
        encoded.get(..),
        bytes.get(..head_len),
        "a header and its key"
    );
    let unpadded = record.header.payload_start() + u64::from(record.header.payload_len);
    let len = record.header.record_len();
    assert!((unpadded..unpadded + 8).contains(&len) && len.is_multiple_of(8));
    let rest = bytes.get(head_len..).unwrap_or_default();
    let payload = rest
        .get(..record.header.payload_len as usize)
        .unwrap_or(rest);
    let is_sound = payload.len() == record.header.payload_len as usize
        && Crc32::of(payload) == record.header.payload_crc;
    assert_eq!(record.verify(payload).is_ok(), is_sound);
    let other = UnverifiedRecord::decode(VOLUME.next(), bytes);
    assert!(other.is_err(), "a record belongs to one volume");
}

fn check_superblock(bytes: &[u8]) {
    if let Ok(superblock) = Superblock::decode(bytes) {
        let encoded = superblock.encode();
        assert_eq!(encoded.len(), SUPERBLOCK_LEN);
        assert_eq!(Superblock::decode(&encoded), Ok(superblock));
    }
}

fn check_manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::decode(bytes) else {
        return;
    };
    assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Ok(&manifest));
    let lens = manifest
        .segments()
        .iter()
        .map(|segment| u64::from(segment.len));
    assert_eq!(lens.sum::<u64>(), manifest.len());
    assert_eq!(manifest.slice(0..u64::MAX), manifest.segments());
    let half = manifest.len() / 2;
    let cut = manifest
        .truncate(half)
        .expect("shorter than a sound manifest");
    assert_eq!(cut.len(), half);
}

fn check_index(bytes: &[u8]) {
    if let Ok(key) = IndexKey::decode(bytes) {
        assert_eq!(key.encode(), bytes);
    }
    if let Ok(value) = IndexValue::decode(bytes) {
        assert_eq!(value.encode(), bytes);
    }
    if let Ok(stats) = VolumeStats::decode(bytes) {
        assert_eq!(stats.encode(), bytes);
    }
    if let Ok(position) = ReplayPosition::decode(bytes) {
        assert_eq!(position.encode(), bytes);
    }
}

/// `bytes` with the checksum that a record header needs.
fn with_record_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    let key_len = match bytes.get(6..8) {
        Some(&[high, low]) => usize::from(high) << 8 | usize::from(low),
        _ => return mended,
    };
    let key = bytes.get(RECORD_HEADER_LEN..RECORD_HEADER_LEN + key_len);
    let fields = bytes.get(..RECORD_FIELDS_LEN);
    if let (Some(fields), Some(key)) = (fields, key) {
        let mut hasher = Crc32Hasher::new();
        hasher.update(&VOLUME.0.to_be_bytes());
        hasher.update(fields);
        hasher.update(key);
        put(&mut mended, RECORD_FIELDS_LEN, hasher.finish());
    }
    mended
}

/// `bytes` with the checksum that a superblock needs.
fn with_superblock_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    if let Some(fields) = bytes.get(..SUPERBLOCK_FIELDS_LEN) {
        put(&mut mended, SUPERBLOCK_FIELDS_LEN, Crc32::of(fields));
    }
    mended
}

fn put(bytes: &mut [u8], at: usize, crc: Crc32) {
    if let Some(field) = bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&crc.0.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_corpus_of_the_record_target_passes() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/record");
        let mut count = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            fuzz_record(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(10 <= count, "{count} files: is this the corpus?");
    }

    #[test]
    fn mending_makes_headers_that_decode() {
        let mut header = b"Hrec\x01\x00\x00\x03".to_vec();
        header.extend([0; 36]);
        header.extend(b"key");
        assert!(UnverifiedRecord::decode(VOLUME, &header).is_err());
        let mended = with_record_checksum(&header);
        assert_eq!(
            UnverifiedRecord::decode(VOLUME, &mended).unwrap().key,
            b"key"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_behind_a_sound_start_pass(
            start in prop::sample::select(vec![
                b"".as_slice(), b"Hrec\x04\x01\x00\x03", b"HAYLOFTv\x00\x02",
                b"\x01\x01\x00\x00", b"\x01\x00\x00\x02", b"B", b"P", b"W",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            fuzz_record(&[start, &rest].concat());
        }
    }
}
