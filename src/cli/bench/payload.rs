//! What is uploaded: sizes and contents derived from a seed and a running number, so that a run can be
//! repeated and every content differs.

use std::str::FromStr;

use crate::cli::client::{SizeError, parse_size};

/// Contents of one size begin at different places of the random bytes, this many.
const WINDOW: usize = 64 * 1024;

/// Bytes at the beginning of each content that hold its number.
const STAMP_LEN: usize = 8;

/// Sizes with their weights, such as `4KiB:70,64KiB:25,1MiB:5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SizeMix {
    /// Size in bytes and the sum of the weights up to it.
    sizes: Vec<(u64, u64)>,
    text: String,
}

/// Why a text is no mix of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SizeMixError {
    /// A part is no size.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// A weight is no positive number.
    #[error("write a weight as a number from 1 to 1000000, such as 4KiB:70,64KiB:30")]
    Weight,
    /// Larger than a generator should hold in memory.
    #[error("at most 1 GiB: each content is made in memory before the run")]
    TooLarge,
}

impl FromStr for SizeMix {
    type Err = SizeMixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut sizes = Vec::new();
        let mut sum = 0;
        for part in text.split(',') {
            let (size, weight) = part.split_once(':').unwrap_or((part, "1"));
            let size = parse_size(size.trim())?;
            if 1 << 30 < size {
                return Err(SizeMixError::TooLarge);
            }
            let weight: u64 = weight.trim().parse().map_err(|_| SizeMixError::Weight)?;
            if !(1..=1_000_000).contains(&weight) {
                return Err(SizeMixError::Weight);
            }
            sum += weight;
            sizes.push((size, sum));
        }
        Ok(Self {
            sizes,
            text: text.to_owned(),
        })
    }
}

impl SizeMix {
    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The largest of them.
    pub(super) fn largest(&self) -> u64 {
        self.sizes.iter().map(|(size, _)| *size).max().unwrap_or(0)
    }

    /// The size that `random` chooses, in proportion to the weights.
    fn pick(&self, random: u64) -> u64 {
        let sum = self.sizes.last().map_or(1, |(_, sum)| *sum);
        let point = random % sum;
        self.sizes
            .iter()
            .find(|(_, up_to)| point < *up_to)
            .map_or(0, |(size, _)| *size)
    }
}

/// Makes contents without touching more than their first bytes.
#[derive(Debug)]
pub(super) struct Payloads {
    seed: u64,
    mix: SizeMix,
    random: Vec<u8>,
}

/// One content: a few bytes of its own, then a piece of the shared ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    stamp: [u8; STAMP_LEN],
    stamp_len: usize,
    shared: &'a [u8],
}

impl Payloads {
    /// Prepares the bytes of every content that `mix` can ask for.
    pub(super) fn new(seed: u64, mix: SizeMix) -> Self {
        let len = usize::try_from(mix.largest()).unwrap_or(0) + WINDOW;
        let mut random = Vec::with_capacity(len + STAMP_LEN);
        let mut state = seed;
        while random.len() < len {
            state = state.wrapping_add(1);
            random.extend_from_slice(&scramble(state).to_be_bytes());
        }
        Self { seed, mix, random }
    }

    /// The content with number `n`.
    pub(super) fn content(&self, n: u64) -> Content<'_> {
        let random = scramble(self.seed ^ n.rotate_left(32));
        let size = usize::try_from(self.mix.pick(random)).unwrap_or(0);
        let stamp_len = size.min(STAMP_LEN);
        let start = usize::try_from(random >> 40).unwrap_or(0) % WINDOW;
        let end = start + (size - stamp_len);
        Content {
            stamp: scramble(self.seed.wrapping_add(n)).to_be_bytes(),
            stamp_len,
            shared: self.random.get(start..end).unwrap_or_default(),
        }
    }
}

impl<'a> Content<'a> {
    /// Its own bytes.
    pub(super) fn own(&self) -> &[u8] {
        self.stamp.get(..self.stamp_len).unwrap_or_default()
    }

    /// The bytes behind them.
    pub(super) fn shared(&self) -> &'a [u8] {
        self.shared
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> u64 {
        (self.stamp_len + self.shared.len()) as u64
    }
}

/// The mixing function of splitmix64: neighbouring numbers give unrelated results.
pub(super) fn scramble(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_picked_in_proportion_to_their_weights() {
        let mix: SizeMix = "4KiB:70,64KiB:25,1MiB:5".parse().unwrap();
        let mut counts = [0_u32; 3];
        for n in 0..100_000 {
            match mix.pick(scramble(n)) {
                0x1000 => counts[0] += 1,
                0x1_0000 => counts[1] += 1,
                0x10_0000 => counts[2] += 1,
                other => panic!("{other}"),
            }
        }
        assert!((69_000..71_000).contains(&counts[0]), "{counts:?}");
        assert!((24_000..26_000).contains(&counts[1]), "{counts:?}");
        assert!((4_500..5_500).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn bad_mixes_are_refused() {
        for bad in ["", "x", "4KiB:0", "4KiB:x", "4KiB:1,", "2GiB"] {
            assert!(bad.parse::<SizeMix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn contents_have_their_size_differ_from_each_other_and_repeat_with_the_seed() {
        for size in [0, 1, 7, 8, 9, 4096, 100_000] {
            let mix: SizeMix = size.to_string().parse().unwrap();
            let payloads = Payloads::new(7, mix.clone());
            let again = Payloads::new(7, mix);
            let bytes = |payloads: &Payloads, n| {
                let content = payloads.content(n);
                [content.own(), content.shared()].concat()
            };
            assert_eq!(bytes(&payloads, 3).len(), size);
            assert_eq!(bytes(&payloads, 3), bytes(&again, 3));
            if 8 <= size {
                assert_ne!(bytes(&payloads, 3), bytes(&payloads, 4));
            }
        }
    }
}
