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
const ROWS_RESERVED_MAX: u64 = 256;

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
        Self::collect(list, view, start, count, decode, |visit| {
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
        Self::collect(list, view, start, count, decode, |visit| {
            list.page_of_groups(view, group_len, start, count, visit)
        })
    }

    fn collect(
        list: &List,
        view: &dyn View,
        start: u64,
        count: u64,
        decode: impl Fn(&[u8], &[u8]) -> Result<T, CatalogError>,
        read: impl FnOnce(&mut dyn FnMut(&[u8], &[u8])) -> Result<(), CatalogError>,
    ) -> Result<Self, CoreError> {
        let total = list.total(view)?;
        let expected = count
            .min(total.saturating_sub(start))
            .min(ROWS_RESERVED_MAX);
        let mut rows = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
        let mut malformed = None;
        read(&mut |sort_key, value| match decode(sort_key, value) {
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
