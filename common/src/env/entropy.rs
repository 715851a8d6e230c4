//! Chance from the operating system's generator.

use rand::RngExt as _;

/// 64 bits that nobody can foresee.
pub fn random_u64() -> u64 {
    rand::rng().random()
}

/// Bytes that nobody can foresee.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    rand::rng().random()
}
