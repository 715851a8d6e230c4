//! Which thumbnails are cached, and which goes first: no files here, only the book about them.

use std::collections::{BTreeMap, BTreeSet};

use crate::thumbnail::key::{BlobKey, ThumbKey};

/// Bytes that the smallest file takes on a disk. Small thumbnails count as so much, which also bounds
/// their number and with it the memory of this book.
const BLOCK_LEN: u64 = 4096;

/// What is cached, in the order of use.
#[derive(Debug)]
pub(super) struct Lru {
    bytes_max: u64,
    bytes: u64,
    /// Sorted by blob, so that all thumbnails of one are found.
    entries: BTreeMap<ThumbKey, Entry>,
    /// Least recently used first.
    by_use: BTreeSet<(u64, ThumbKey)>,
    /// Number of the next use.
    next_use: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    len: u64,
    last_use: u64,
}

impl Lru {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            entries: BTreeMap::new(),
            by_use: BTreeSet::new(),
            next_use: 0,
        }
    }

    /// Bytes on disk, whole blocks.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a file of `len` bytes may be cached at all.
    pub(super) fn has_room_for(&self, len: u64) -> bool {
        on_disk(len) <= self.bytes_max
    }

    /// Notes a use. The length of the file if it is cached.
    pub(super) fn touch(&mut self, key: ThumbKey) -> Option<u64> {
        let entry = self.entries.get_mut(&key)?;
        self.by_use.remove(&(entry.last_use, key));
        entry.last_use = self.next_use;
        self.by_use.insert((self.next_use, key));
        self.next_use += 1;
        Some(entry.len)
    }

    /// Adds a file of `len` bytes as the one used last. What must go for it is returned, out of the
    /// book already.
    pub(super) fn insert(&mut self, key: ThumbKey, len: u64) -> Vec<ThumbKey> {
        self.remove(key);
        self.entries.insert(
            key,
            Entry {
                len,
                last_use: self.next_use,
            },
        );
        self.by_use.insert((self.next_use, key));
        self.next_use += 1;
        self.bytes += on_disk(len);
        let mut gone = Vec::new();
        while self.bytes_max < self.bytes {
            let Some((_, oldest)) = self.by_use.first().copied() else {
                break;
            };
            self.remove(oldest);
            gone.push(oldest);
        }
        gone
    }

    pub(super) fn remove(&mut self, key: ThumbKey) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_use.remove(&(entry.last_use, key));
            self.bytes -= on_disk(entry.len);
        }
    }

    pub(super) fn has_blob(&self, blob: BlobKey) -> bool {
        self.entries.range(blob.range()).next().is_some()
    }

    /// Removes all thumbnails of a blob and returns them.
    pub(super) fn remove_blob(&mut self, blob: BlobKey) -> Vec<ThumbKey> {
        let keys: Vec<ThumbKey> = self
            .entries
            .range(blob.range())
            .map(|(key, _)| *key)
            .collect();
        for key in &keys {
            self.remove(*key);
        }
        keys
    }
}

fn on_disk(len: u64) -> u64 {
    len.max(1).div_ceil(BLOCK_LEN).saturating_mul(BLOCK_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thumbnail::fixture::key;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(3 * BLOCK_LEN);
        for number in 0..3 {
            assert_eq!(lru.insert(key(number), 10), []);
        }
        assert_eq!(lru.touch(key(0)), Some(10));
        assert_eq!(lru.insert(key(3), 10), [key(1)]);
        assert_eq!(lru.touch(key(1)), None);
        assert_eq!(lru.insert(key(4), 2 * BLOCK_LEN), [key(2), key(0)]);
        assert_eq!(lru.bytes(), 3 * BLOCK_LEN);
    }

    #[test]
    fn a_key_counts_once() {
        let mut lru = Lru::new(10 * BLOCK_LEN);
        lru.insert(key(1), BLOCK_LEN + 1);
        lru.insert(key(1), 5);
        assert_eq!(lru.bytes(), BLOCK_LEN);
        lru.remove(key(1));
        lru.remove(key(1));
        assert_eq!(lru.bytes(), 0);
        assert!(lru.by_use.is_empty());
    }

    #[test]
    fn what_is_larger_than_the_cache_has_no_room() {
        let lru = Lru::new(2 * BLOCK_LEN);
        assert!(lru.has_room_for(2 * BLOCK_LEN));
        assert!(!lru.has_room_for(2 * BLOCK_LEN + 1));
        assert!(!Lru::new(0).has_room_for(0));
    }
}
