//! What the query of a list asks for. A value that is none of those allowed is refused, never guessed.

use std::borrow::Cow;

use common::web::query;
use http::request;

use super::refusal::Refusal;
use crate::core::catalog::Direction;
use crate::core::files::{Cursor, FileOrder};
use crate::core::shares::ShareOrder;

/// Rows of one answer.
const COUNT_MAX: u64 = 200;
/// Rows of an answer unless the request says otherwise.
const COUNT_DEFAULT: u64 = 20;
/// Characters to search for: a name has no more.
const SEARCH_LEN_MAX: usize = 128;
/// Bytes of a cursor. It is a name of at most 128 characters with its file's number, escaped.
const CURSOR_LEN_MAX: usize = 2048;

/// The query of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(&'a str);

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// Rows before it.
    pub(super) start: u64,
    /// Rows that it has at most, 1 to [`COUNT_MAX`].
    pub(super) count: u64,
}

/// A search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) text: String,
    /// Where an earlier one ended.
    pub(super) after: Option<Cursor>,
}

impl<'a> Query<'a> {
    pub(super) fn of(head: &'a request::Parts) -> Self {
        Self(head.uri.query().unwrap_or_default())
    }

    fn value(self, name: &str) -> Option<Cow<'a, str>> {
        query::value(self.0, name)
    }

    fn number(self, name: &'static str, default: u64) -> Result<u64, Refusal> {
        let Some(text) = self.value(name) else {
            return Ok(default);
        };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_plain => Ok(number),
            _ => Err(Refusal::Query(name)),
        }
    }

    /// Rows per answer.
    pub(super) fn count(self) -> Result<u64, Refusal> {
        match self.number("count", COUNT_DEFAULT)? {
            count @ 1..=COUNT_MAX => Ok(count),
            _ => Err(Refusal::Query("count")),
        }
    }

    /// Which part of a list.
    pub(super) fn range(self) -> Result<Range, Refusal> {
        Ok(Range {
            start: self.number("start", 0)?,
            count: self.count()?,
        })
    }

    /// `direction`, if it is given.
    fn direction(self) -> Result<Option<Direction>, Refusal> {
        match self.value("direction").as_deref() {
            None => Ok(None),
            Some("asc") => Ok(Some(Direction::Ascending)),
            Some("desc") => Ok(Some(Direction::Descending)),
            Some(_) => Err(Refusal::Query("direction")),
        }
    }

    /// How a list by time goes: oldest first unless the request says otherwise.
    pub(super) fn by_time(self) -> Result<Direction, Refusal> {
        Ok(self.direction()?.unwrap_or(Direction::Ascending))
    }

    /// How a list by name goes.
    pub(super) fn by_name(self) -> Result<Direction, Refusal> {
        Ok(self.direction()?.unwrap_or(Direction::Ascending))
    }

    /// How a list of files is sorted.
    pub(super) fn file_order(self) -> Result<(FileOrder, Direction), Refusal> {
        let order = match self.value("order").as_deref() {
            None | Some("created") => FileOrder::Created,
            Some("name") => FileOrder::Name,
            Some("size") => FileOrder::Size,
            Some("views") => FileOrder::Views,
            Some(_) => return Err(Refusal::Query("order")),
        };
        Ok((order, self.by_time()?))
    }

    /// How the list of shares is sorted. The ranking has one direction, most viewed first.
    pub(super) fn share_order(self) -> Result<ShareOrder, Refusal> {
        match (self.value("order").as_deref(), self.direction()?) {
            (None | Some("created"), None | Some(Direction::Ascending)) => Ok(ShareOrder::Created),
            (None | Some("created"), Some(Direction::Descending)) => Ok(ShareOrder::Newest),
            (Some("views"), None | Some(Direction::Descending)) => Ok(ShareOrder::Views),
            (Some("views"), Some(Direction::Ascending)) => Err(Refusal::Query("direction")),
            (Some(_), _) => Err(Refusal::Query("order")),
        }
    }

    /// What is searched for, if anything is.
    pub(super) fn search(self) -> Result<Option<Search>, Refusal> {
        let Some(text) = self.value("search") else {
            return Ok(None);
        };
        if text.is_empty() || SEARCH_LEN_MAX < text.chars().count() {
            return Err(Refusal::Query("search"));
        }
        let after = match self.value("after") {
            None => None,
            Some(text) => Some(read_cursor(&text).ok_or(Refusal::Query("after"))?),
        };
        Ok(Some(Search {
            text: text.into_owned(),
            after,
        }))
    }
}

/// A cursor as clients get it. They only hand it back.
pub(super) fn cursor_text(cursor: &Cursor) -> String {
    use std::fmt::Write as _;

    let bytes = cursor.as_bytes();
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() || CURSOR_LEN_MAX < pairs.len() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| {
        let byte = digit(*high)? << 4 | digit(*low)?;
        u8::try_from(byte).ok()
    });
    Some(Cursor::from_bytes(bytes.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_list_has_limits_and_defaults() {
        let range = |start, count| Range { start, count };
        for (query, expected) in [
            ("", range(0, 20)),
            ("start=5", range(5, 20)),
            ("start=18446744073709551615&count=200", range(u64::MAX, 200)),
        ] {
            assert_eq!(Query(query).range().unwrap(), expected, "{query}");
        }
        for query in [
            "count=0",
            "count=201",
            "count=18446744073709551616",
            "count=-1",
            "count=",
            "count=1e2",
            "start=-1",
            "start=%2B1",
            "start=18446744073709551616",
        ] {
            assert!(Query(query).range().is_err(), "{query}");
        }
    }

    #[test]
    fn orders_are_those_that_the_lists_have() {
        let files = |query| Query(query).file_order();
        assert_eq!(
            files("").unwrap(),
            (FileOrder::Created, Direction::Ascending)
        );
        assert_eq!(
            files("order=views&direction=desc").unwrap(),
            (FileOrder::Views, Direction::Descending)
        );
        assert!(files("order=md5").is_err());
        assert!(files("direction=up").is_err());
        let shares = |query| Query(query).share_order();
        assert_eq!(shares("").unwrap(), ShareOrder::Created);
        assert_eq!(shares("direction=desc").unwrap(), ShareOrder::Newest);
        assert_eq!(shares("order=views").unwrap(), ShareOrder::Views);
        assert!(shares("order=views&direction=asc").is_err());
        assert!(shares("order=size").is_err());
    }

    #[test]
    fn a_cursor_comes_back_and_nothing_else_is_one() {
        let cursor = Cursor::from_bytes(vec![0, 1, 0xab, 0xff]);
        let text = cursor_text(&cursor);
        let query = format!("search=a&after={text}");
        let search = Query(&query).search().unwrap().unwrap();
        assert_eq!((search.text.as_str(), search.after), ("a", Some(cursor)));
        for bad in ["", "0", "0g", "zz", &"00".repeat(CURSOR_LEN_MAX + 1)] {
            let query = format!("search=a&after={bad}");
            assert!(Query(&query).search().is_err(), "{bad}");
        }
        assert!(Query("search=").search().is_err());
        let long = format!("search={}", "%E6%B1%89".repeat(129));
        assert!(Query(&long).search().is_err());
        assert_eq!(Query("count=1").search().unwrap(), None);
    }
}
