//! Checksums as types.

use std::fmt;

/// CRC-32 of the zlib/IEEE polynomial, as `FastDFS` puts it into file ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Crc32(pub u32);

impl Crc32 {
    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc32fast::hash(bytes))
    }
}

impl fmt::Display for Crc32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Computes a [`Crc32`] over pieces, in order.
#[derive(Clone, Debug, Default)]
pub struct Crc32Hasher(crc32fast::Hasher);

impl Crc32Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds a piece known only by its checksum and length, in O(log length).
    pub fn append(&mut self, crc: Crc32, len: u64) {
        self.0
            .combine(&crc32fast::Hasher::new_with_initial_len(crc.0, len));
    }

    /// The checksum of everything added so far.
    pub fn finish(&self) -> Crc32 {
        Crc32(self.0.clone().finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appending_checksums_equals_hashing_the_whole() {
        let (head, tail) = (b"hello ".as_slice(), b"world".as_slice());
        let mut hasher = Crc32Hasher::new();
        hasher.update(head);
        hasher.append(Crc32::of(tail), tail.len() as u64);
        assert_eq!(hasher.finish(), Crc32::of(b"hello world"));
    }
}
