//! Buffers in a row that leave together, without being copied into one.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Buffers in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Slices {
    /// None of them is empty.
    slices: VecDeque<Bytes>,
    /// Bytes of all of them.
    len: usize,
}

impl Slices {
    /// Bytes of all buffers.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Buffers that there are.
    pub(super) fn count(&self) -> usize {
        self.slices.len()
    }

    /// Adds a buffer at the end.
    pub(super) fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.len += slice.len();
            self.slices.push_back(slice);
        }
    }

    /// Moves the first `len` bytes, or all if there are fewer, to the end of `target`.
    pub(super) fn move_to(&mut self, target: &mut Self, len: usize) {
        let mut left = len;
        while 0 < left
            && let Some(first) = self.slices.front_mut()
        {
            let taken = first.split_to(left.min(first.len()));
            if first.is_empty() {
                self.slices.pop_front();
            }
            left -= taken.len();
            self.len -= taken.len();
            target.push(taken);
        }
    }
}

impl Buf for Slices {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.slices.front().map_or(&[], |first| first)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let filled = into.iter_mut().zip(&self.slices);
        filled
            .map(|(place, slice)| *place = IoSlice::new(slice))
            .count()
    }

    /// Takes `count` bytes from the front, or all if there are fewer.
    fn advance(&mut self, count: usize) {
        let mut left = count;
        while 0 < left
            && let Some(first) = self.slices.front_mut()
        {
            let taken = left.min(first.len());
            first.advance(taken);
            if first.is_empty() {
                self.slices.pop_front();
            }
            left -= taken;
            self.len -= taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slices(parts: &[Vec<u8>]) -> Slices {
        let mut slices = Slices::default();
        for part in parts {
            slices.push(Bytes::copy_from_slice(part));
        }
        slices
    }

    proptest! {
        #[test]
        fn a_row_of_buffers_reads_as_one(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..6),
            first in 0_usize..30,
            step in 1_usize..9,
        ) {
            let whole = parts.concat();
            let mut slices = slices(&parts);
            let mut moved = Slices::default();
            slices.move_to(&mut moved, first);
            let border = first.min(whole.len());
            prop_assert_eq!(moved.len(), border);
            prop_assert_eq!(&moved.copy_to_bytes(border)[..], &whole[..border]);
            let mut at = border;
            while slices.has_remaining() {
                prop_assert_eq!(slices.remaining(), whole.len() - at);
                let mut places = [IoSlice::new(&[]); 3];
                let count = slices.chunks_vectored(&mut places);
                prop_assert_eq!(count, slices.count().min(3));
                let seen: Vec<u8> = places[..count].iter().flat_map(|it| it.to_vec()).collect();
                prop_assert!(!seen.is_empty());
                prop_assert!(whole[at..].starts_with(&seen));
                let taken = step.min(whole.len() - at);
                slices.advance(taken);
                at += taken;
            }
            prop_assert_eq!(at, whole.len());
        }
    }
}
