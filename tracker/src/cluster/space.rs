//! Space and how much of it stays free. Source: docs/wire.md, placement.

use common::wire::report::PathSpace;

const BYTES_PER_MB: u64 = 1 << 20;
/// Hundredths of a percent of a whole.
const WHOLE: u128 = 10_000;

/// Space of a node, or of a group, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total_mb: u64,
    /// What is free.
    pub free_mb: u64,
    /// What of it writes leave free.
    pub reserved_mb: u64,
}

/// Space that writes leave free on each node, and on each volume path its share.
///
/// All comparisons are strict: with exactly the reserve left there is no space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservedSpace {
    /// That much, over all volume paths together.
    Bytes(u64),
    /// That many hundredths of a percent of the whole, on each volume path and over all.
    HundredthsOfPercent(u16),
}

impl Default for ReservedSpace {
    fn default() -> Self {
        Self::Bytes(1024 * BYTES_PER_MB)
    }
}

impl ReservedSpace {
    /// The reserve of a node with `total_mb`, in MiB, rounded up.
    pub fn of_node(self, total_mb: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.div_ceil(BYTES_PER_MB),
            Self::HundredthsOfPercent(part) => share(total_mb, part),
        }
    }

    /// The reserve of one of `count` volume paths that has `total_mb`, in MiB, rounded up.
    pub fn of_path(self, total_mb: u64, count: usize) -> u64 {
        match self {
            Self::Bytes(bytes) => {
                let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
                bytes.div_ceil(BYTES_PER_MB).div_ceil(count)
            }
            Self::HundredthsOfPercent(part) => share(total_mb, part),
        }
    }
}

impl Space {
    /// Sums up the volume paths of a node.
    pub fn of_paths(paths: &[PathSpace], reserved: ReservedSpace) -> Self {
        let sum =
            |field: fn(&PathSpace) -> u64| paths.iter().map(field).fold(0, u64::saturating_add);
        let total_mb = sum(|path| path.total_mb);
        Self {
            total_mb,
            free_mb: sum(|path| path.free_mb),
            reserved_mb: reserved.of_node(total_mb).max(sum(|path| path.reserved_mb)),
        }
    }

    /// Whether a write fits beside the reserve.
    pub fn has_room(&self) -> bool {
        self.reserved_mb < self.free_mb
    }
}

/// Whether a volume path takes a write: complete, not read-only, and free beyond its share of the reserve and
/// beyond what its node keeps.
pub(super) fn takes_writes(path: &PathSpace, reserved: ReservedSpace, count: usize) -> bool {
    let kept = reserved.of_path(path.total_mb, count).max(path.reserved_mb);
    path.is_complete && !path.read_only && kept < path.free_mb
}

fn share(total_mb: u64, part: u16) -> u64 {
    let share = (u128::from(total_mb) * u128::from(part)).div_ceil(WHOLE);
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(total_mb: u64, free_mb: u64) -> PathSpace {
        PathSpace {
            total_mb,
            free_mb,
            is_complete: true,
            ..PathSpace::default()
        }
    }

    #[test]
    fn an_absolute_reserve_is_split_over_the_paths_and_compared_strictly() {
        let reserved = ReservedSpace::Bytes(100 * BYTES_PER_MB);
        assert!(!takes_writes(&path(1000, 50), reserved, 2));
        assert!(takes_writes(&path(1000, 51), reserved, 2));
        assert!(!Space::of_paths(&[path(1000, 50), path(1000, 50)], reserved).has_room());
        assert!(Space::of_paths(&[path(1000, 50), path(1000, 51)], reserved).has_room());
    }

    #[test]
    fn a_percentage_is_tested_for_each_path_whatever_their_number() {
        let reserved = ReservedSpace::HundredthsOfPercent(1000);
        for count in [1, 7] {
            assert!(!takes_writes(&path(1000, 100), reserved, count));
            assert!(takes_writes(&path(1000, 101), reserved, count));
        }
    }

    #[test]
    fn what_the_node_itself_keeps_counts_when_it_is_more() {
        let kept = PathSpace {
            reserved_mb: 500,
            ..path(1000, 500)
        };
        assert!(!takes_writes(&kept, ReservedSpace::Bytes(0), 1));
        assert!(!Space::of_paths(&[kept], ReservedSpace::Bytes(0)).has_room());
    }

    #[test]
    fn a_read_only_path_takes_no_writes() {
        let read_only = PathSpace {
            read_only: true,
            ..path(1000, 1000)
        };
        assert!(!takes_writes(&read_only, ReservedSpace::Bytes(0), 1));
    }

    #[test]
    fn absurd_sizes_saturate() {
        let paths = [path(u64::MAX, u64::MAX), path(u64::MAX, u64::MAX)];
        let space = Space::of_paths(&paths, ReservedSpace::HundredthsOfPercent(u16::MAX));
        assert_eq!(space.total_mb, u64::MAX);
        assert!(!space.has_room());
    }
}
