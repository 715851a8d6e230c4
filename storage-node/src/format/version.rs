//! Which of two states of one name is the newer one, on whatever node each was made.

use std::fmt;

/// Microseconds of a [`Stamp`] are above this many bits.
const NODE_BITS: u32 = 12;
/// The bits below, which tell apart what two nodes stamp in the same microsecond.
const NODE_MASK: u64 = (1 << NODE_BITS) - 1;

/// A moment that no other change of the group has.
///
/// * upper 52 bits: microseconds since 1970, never before a stamp that the node has seen
/// * lower 12 bits: of the number of the node that drew it
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The first moment at `micros` since 1970 for the node with this number.
    pub fn at(micros: u64, node: u32) -> Self {
        Self((micros << NODE_BITS) | (u64::from(node) & NODE_MASK))
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> u64 {
        self.0 >> NODE_BITS
    }
}

/// The version of what stands under a name. Greater is newer; equal is the same.
///
/// The stamp of a blob or of metadata is drawn when it is made. Changes of an appender count `edit`
/// up; a node that comes to decide about an appender in place of another draws a new stamp first, so
/// what the other one still tries loses (docs/decisions/0016-replication.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// When the line of changes began.
    pub stamp: Stamp,
    /// Changes since then.
    pub edit: u32,
}

impl Version {
    /// The first version at `stamp`.
    pub fn first(stamp: Stamp) -> Self {
        Self { stamp, edit: 0 }
    }

    /// The version of the next change, by whoever decides since `term`.
    #[must_use]
    pub fn next(self, term: Stamp) -> Self {
        if self.stamp < term {
            return Self::first(term);
        }
        match self.edit.checked_add(1) {
            Some(edit) => Self { edit, ..self },
            // After four thousand million changes: the next moment, which nobody else has.
            None => Self::first(Stamp(self.stamp.0 + NODE_MASK + 1)),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.stamp.0, self.edit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_term_is_newer_than_all_changes_of_the_one_before() {
        let (early, late) = (Stamp::at(5, 1), Stamp::at(6, 2));
        let mut version = Version::first(early);
        for _ in 0..3 {
            version = version.next(early);
        }
        assert_eq!(version.edit, 3);
        let taken_over = version.next(late);
        assert!(version < taken_over);
        assert_eq!(taken_over, Version::first(late));
        assert!(version.next(early) < taken_over);
    }

    #[test]
    fn counting_never_goes_back() {
        let last = Version {
            stamp: Stamp::at(5, 7),
            edit: u32::MAX,
        };
        let next = last.next(Stamp::at(4, 7));
        assert!(last < next);
        assert_eq!(next.stamp, Stamp::at(6, 7));
    }
}
