//! Names of cached thumbnails: hashes, so that nothing a user wrote reaches the file system.

use std::fmt;

use common::id::FileId;
use common::web::download::{BlobFacts, Version};

use super::accept::Accepts;
use super::request::ThumbRequest;

/// Part of every hash. Raised whenever the same request would be answered with other bytes: another
/// filter, quality, size or layout of the cached file. Old thumbnails are then never asked for again
/// and make room like anything else that is not used.
const VERSION: &str = "hayloft thumbnail 1";

/// Bytes of a [`BlobKey`].
const BLOB_LEN: usize = 16;
/// Bytes of a [`ThumbKey`].
pub(super) const KEY_LEN: usize = 2 * BLOB_LEN;

/// Stands for a file id: all thumbnails of a blob, whatever its content is now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct BlobKey([u8; BLOB_LEN]);

/// Stands for one thumbnail: blob, its content, size and output. Sorts by blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ThumbKey {
    blob: BlobKey,
    variant: [u8; BLOB_LEN],
}

/// Stands for the bytes of a blob as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ContentKey([u8; BLOB_LEN]);

impl BlobKey {
    pub(super) fn of(id: &FileId) -> Self {
        let mut hasher = hasher("blob");
        hasher.update(id.to_string().as_bytes());
        Self(finish(&hasher))
    }

    /// The first and the last key that a thumbnail of this blob can have.
    pub(super) fn range(self) -> std::ops::RangeInclusive<ThumbKey> {
        let key = |variant| ThumbKey {
            blob: self,
            variant,
        };
        key([0; BLOB_LEN])..=key([u8::MAX; BLOB_LEN])
    }
}

impl ContentKey {
    pub(super) fn of(blob: BlobKey, facts: &BlobFacts) -> Self {
        let mut hasher = hasher("content");
        hasher.update(&blob.0);
        hash_facts(&mut hasher, facts);
        Self(finish(&hasher))
    }
}

impl ThumbKey {
    pub(super) fn of(
        blob: BlobKey,
        facts: &BlobFacts,
        wanted: ThumbRequest,
        accepts: Accepts,
    ) -> Self {
        let mut hasher = hasher("variant");
        hash_facts(&mut hasher, facts);
        hasher.update(&wanted.to_bytes());
        hasher.update(&[accepts.to_byte()]);
        Self {
            blob,
            variant: finish(&hasher),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; KEY_LEN] {
        let mut bytes = [0; KEY_LEN];
        for (to, from) in bytes
            .iter_mut()
            .zip(self.blob.0.iter().chain(&self.variant))
        {
            *to = *from;
        }
        bytes
    }

    /// Reads what `Display` writes, and nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (blob, variant) = text.split_once('-')?;
        Some(Self {
            blob: BlobKey(unhex(blob)?),
            variant: unhex(variant)?,
        })
    }
}

/// Lower-case digits of blob and variant; the name of the cached file.
impl fmt::Display for ThumbKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.blob.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("-")?;
        for byte in self.variant {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ThumbKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hasher(domain: &str) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(VERSION.as_bytes());
    hasher.update(domain.as_bytes());
    hasher
}

fn hash_facts(hasher: &mut blake3::Hasher, facts: &BlobFacts) {
    hasher.update(&facts.size.to_be_bytes());
    hasher.update(&facts.time.to_be_bytes());
    let (kind, number) = match facts.version {
        Version::Immutable(crc) => (1, u64::from(crc.0)),
        Version::Changing(number) => (2, number),
    };
    hasher.update(&[kind]);
    hasher.update(&number.to_be_bytes());
}

fn finish(hasher: &blake3::Hasher) -> [u8; BLOB_LEN] {
    let mut bytes = [0; BLOB_LEN];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn unhex(text: &str) -> Option<[u8; BLOB_LEN]> {
    let mut bytes = [0; BLOB_LEN];
    if text.len() != 2 * BLOB_LEN {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use common::digest::Crc32;

    use super::*;
    use crate::thumbnail::fixture::some_id;

    fn facts(number: u32) -> BlobFacts {
        BlobFacts {
            size: 10,
            time: 20,
            version: Version::Immutable(Crc32(number)),
        }
    }

    fn key(number: u32, query: &str, accepts: Accepts) -> ThumbKey {
        let wanted = ThumbRequest::from_query(query).unwrap().unwrap();
        ThumbKey::of(BlobKey::of(&some_id()), &facts(number), wanted, accepts)
    }

    #[test]
    fn content_size_and_output_make_different_thumbnails_of_one_blob() {
        let first = key(1, "thumb=small", Accepts::Any);
        assert_eq!(first, key(1, "thumb=small", Accepts::Any));
        for other in [
            key(2, "thumb=small", Accepts::Any),
            key(1, "thumb=large", Accepts::Any),
            key(1, "thumb=small", Accepts::Webp),
        ] {
            assert_ne!(first, other);
            assert!(BlobKey::of(&some_id()).range().contains(&other));
        }
    }

    #[test]
    fn a_key_is_a_plain_file_name_and_reads_back() {
        let key = key(1, "w=5", Accepts::Any);
        let name = key.to_string();
        assert_eq!(name.len(), 65);
        assert_eq!(ThumbKey::parse(&name), Some(key));
        assert_eq!(ThumbKey::parse(&name.to_uppercase()), None);
        assert_eq!(ThumbKey::parse(&format!("{name}.tmp")), None);
        assert_eq!(ThumbKey::parse("../../etc/passwd-x"), None);
    }
}
