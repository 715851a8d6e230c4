//! The bytes of a cached file: what it is, a checksum, and the thumbnail.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `HLthumb1` |
//! | 8 | 1 | output: 1 JPEG, 2 WebP |
//! | 9 | 32 | key: the file's own name, so that a renamed file is not believed |
//! | 41 | 32 | BLAKE3 of output, key and thumbnail |
//! | 73 | | the thumbnail |
//!
//! A cached file can be damaged or cut short at any time: it is written without a sync, because it
//! can be made again. So the checksum is compared at every read.

use bytes::Bytes;
use common::codec::Reader;

use crate::thumbnail::key::{KEY_LEN, ThumbKey};
use crate::thumbnail::render::ThumbFormat;

const MAGIC: &[u8; 8] = b"HLthumb1";
const SUM_LEN: usize = blake3::OUT_LEN;
const HEADER_LEN: usize = MAGIC.len() + 1 + KEY_LEN + SUM_LEN;

/// The file of a thumbnail.
pub(super) fn encode(key: ThumbKey, format: ThumbFormat, thumbnail: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER_LEN + thumbnail.len());
    file.extend_from_slice(MAGIC);
    file.push(format_byte(format));
    file.extend_from_slice(&key.to_bytes());
    file.extend_from_slice(sum(format, key, thumbnail).as_bytes());
    file.extend_from_slice(thumbnail);
    file
}

/// The thumbnail in a file; `None` if the file is not the one that was written for `key`.
pub(super) fn decode(key: ThumbKey, file: &Bytes) -> Option<(ThumbFormat, Bytes)> {
    let mut reader = Reader::new(file);
    let magic: [u8; 8] = reader.array().ok()?;
    let [format] = reader.array().ok()?;
    let its_key: [u8; KEY_LEN] = reader.array().ok()?;
    let its_sum: [u8; SUM_LEN] = reader.array().ok()?;
    let format = match format {
        1 => ThumbFormat::Jpeg,
        2 => ThumbFormat::Webp,
        _ => return None,
    };
    let thumbnail = file.slice(HEADER_LEN..);
    let is_ours = magic == *MAGIC
        && its_key == key.to_bytes()
        && sum(format, key, &thumbnail) == blake3::Hash::from_bytes(its_sum);
    is_ours.then_some((format, thumbnail))
}

fn format_byte(format: ThumbFormat) -> u8 {
    match format {
        ThumbFormat::Jpeg => 1,
        ThumbFormat::Webp => 2,
    }
}

fn sum(format: ThumbFormat, key: ThumbKey, thumbnail: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[format_byte(format)]);
    hasher.update(&key.to_bytes());
    hasher.update(thumbnail);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thumbnail::fixture::key;

    #[test]
    fn a_file_reads_back_under_its_own_key_only() {
        let file = Bytes::from(encode(key(1), ThumbFormat::Webp, b"pixels"));
        let (format, thumbnail) = decode(key(1), &file).unwrap();
        assert_eq!(
            (format, &thumbnail[..]),
            (ThumbFormat::Webp, &b"pixels"[..])
        );
        assert!(decode(key(2), &file).is_none());
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let file = encode(key(1), ThumbFormat::Jpeg, b"pixels");
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 3;
            assert!(decode(key(1), &damaged.into()).is_none(), "byte {at}");
            let cut = Bytes::copy_from_slice(&file[..at]);
            assert!(decode(key(1), &cut).is_none(), "cut at {at}");
        }
    }
}
