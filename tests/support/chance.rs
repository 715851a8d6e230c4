//! Chance and content from a seed, so that a failure can be repeated and content checked without
//! being kept.

/// A small generator (`SplitMix64`); the same seed gives the same sequence.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// A generator at the beginning of its sequence.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// A place in a list of `len` elements, which is not 0.
    pub(crate) fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }
}

/// `len` bytes that follow from `seed` and nothing else.
pub(crate) fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
    while bytes.len() < len {
        bytes.extend_from_slice(&chance.bits().to_be_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The seed of this run: the variable `HAYLOFT_TEST_SEED`, else a new one, printed by the caller.
pub(crate) fn seed() -> u64 {
    std::env::var("HAYLOFT_TEST_SEED")
        .ok()
        .map_or_else(common::env::entropy::random_u64, |text| {
            text.parse().expect("HAYLOFT_TEST_SEED is a number")
        })
}
