//! A part of a list.

use super::catalog::{CatalogError, Direction, View};
use super::error::CoreError;
use super::ranked::List;

/// Some rows of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Rows of the whole list.
    pub total: u64,
    /// The rows asked for, as far as the list has them.
    pub rows: Vec<T>,
}

/// Rows for which room is made beforehand; clients may ask for any number.
const ROWS_RESERVED_MAX: u64 = 64;

impl<T> Page<T> {
    /// Reads rows of `list`; `decode` makes a row of sort key and value.
    pub(super) fn read(
        list: &List,
        view: &dyn View,
        direction: Direction,
        start: u64,
        count: u64,
        decode: impl Fn(&[u8], &[u8]) -> Result<T, CatalogError>,
    ) -> Result<Self, CoreError> {
        Self::collect(count, decode, |visit| {
            list.page(view, direction, start, count, visit)
        })
    }

    /// Like [`Self::read`] with [`List::page_of_groups`].
    pub(super) fn read_groups(
        list: &List,
        view: &dyn View,
        group_len: usize,
        start: u64,
        count: u64,
        decode: impl Fn(&[u8], &[u8]) -> Result<T, CatalogError>,
    ) -> Result<Self, CoreError> {
        Self::collect(count, decode, |visit| {
            list.page_of_groups(view, group_len, start, count, visit)
        })
    }

    /// `read` visits up to `count` rows and returns how many the whole list has.
    fn collect(
        count: u64,
        decode: impl Fn(&[u8], &[u8]) -> Result<T, CatalogError>,
        read: impl FnOnce(&mut dyn FnMut(&[u8], &[u8])) -> Result<u64, CatalogError>,
    ) -> Result<Self, CoreError> {
        let expected = usize::try_from(count.min(ROWS_RESERVED_MAX)).unwrap_or_default();
        let mut rows = Vec::with_capacity(expected);
        let mut malformed = None;
        let total = read(&mut |sort_key, value| match decode(sort_key, value) {
            Ok(row) => rows.push(row),
            Err(error) => malformed = Some(error),
        })?;
        match malformed {
            None => Ok(Self { total, rows }),
            Some(error) => Err(error.into()),
        }
    }

    /// The same page with other rows.
    pub(super) fn try_map<U>(
        self,
        map: impl FnMut(T) -> Result<U, CatalogError>,
    ) -> Result<Page<U>, CoreError> {
        let rows = self.rows.into_iter().map(map).collect::<Result<_, _>>()?;
        Ok(Page {
            total: self.total,
            rows,
        })
    }
}
