//! Values of this dialect's requests that the core does not know: which rows of a list are meant.
//! Source: docs/api/image-host.md §2.3.
//!
//! Names, digests, links and tokens are the core's: see `core::name` and `core::id`; what stands for a
//! password is the service's.

use std::num::NonZeroU64;

/// Why a number names no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{number} is less than {min}")]
pub(crate) struct PageError {
    /// What came.
    pub(crate) number: i64,
    /// The least that has a meaning.
    pub(crate) min: i64,
}

/// Rows in front of a page, from 0 on. May be beyond all rows: such a page is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Start(u64);

impl Start {
    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<i64> for Start {
    type Error = PageError;

    fn try_from(number: i64) -> Result<Self, PageError> {
        let start = u64::try_from(number).map_err(|_| PageError { number, min: 0 })?;
        Ok(Self(start))
    }
}

/// Rows that a page may have, from 1 on. Clients know no upper limit: some ask for all rows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count(NonZeroU64);

impl Count {
    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0.get()
    }
}

impl TryFrom<i64> for Count {
    type Error = PageError;

    fn try_from(number: i64) -> Result<Self, PageError> {
        let count = u64::try_from(number).ok().and_then(NonZeroU64::new);
        count.map(Self).ok_or(PageError { number, min: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_begin_at_0_and_have_a_row() {
        assert_eq!(Start::try_from(0).map(Start::get), Ok(0));
        assert_eq!(
            Start::try_from(i64::MAX).map(Start::get),
            Ok(i64::MAX as u64)
        );
        let (number, min) = (-1, 0);
        assert_eq!(Start::try_from(-1), Err(PageError { number, min }));
        assert_eq!(Count::try_from(1).map(Count::get), Ok(1));
        for number in [0, -1, i64::MIN] {
            let min = 1;
            assert_eq!(Count::try_from(number), Err(PageError { number, min }));
        }
    }
}
