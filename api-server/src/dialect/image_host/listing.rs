//! Lists of any length. Source: docs/api/image-host.md §2.3, §4.4.
//!
//! Clients know no upper limit for `count`, and some ask for all rows at once. So the catalog is never
//! asked for more than [`ROWS_PER_READ`] rows: what fits in one read is answered in one piece, and
//! everything longer is read, written and sent part by part, each when the connection takes it. A list
//! that changes meanwhile may lose or repeat a row, as it may between two pages.

use std::future::Future;

use bytes::Bytes;
use common::web::body::Body;
use common::web::source::SourceError;
use futures_util::stream;

use crate::core::page::Page;
use crate::service::ServiceError;

use super::json_text::JsonText;
use super::refusal::Refusal;
use super::request::Rows;

/// Rows that are read at once. A read occupies a thread for about a millisecond.
pub(super) const ROWS_PER_READ: u64 = 500;
/// Bytes of a row, as a guess: most names are short.
const ROW_LEN: usize = 384;
/// Bytes around the rows.
const FRAME_LEN: usize = 96;

/// A list that is read part by part.
pub(super) trait List: Send + Sync + 'static {
    /// A row.
    type Row: Send;

    /// Reads `count` rows from `start` on, as far as the list has them.
    fn read(
        &self,
        start: u64,
        count: u64,
    ) -> impl Future<Output = Result<Page<Self::Row>, ServiceError>> + Send;

    /// Writes a row.
    fn write(&self, row: &Self::Row, text: &mut JsonText);
}

/// An answer with rows.
#[derive(Debug)]
pub(super) enum Listing {
    /// All of it.
    Whole(JsonText),
    /// It is made while it is sent.
    Streamed(Body),
}

/// The answer with the rows of `list` that are asked for.
pub(super) async fn answer<L: List>(list: L, rows: Rows) -> Result<Listing, Refusal> {
    let (start, count) = (rows.start.get(), rows.count.get());
    let page = list.read(start, count.min(ROWS_PER_READ)).await?;
    let wanted = count.min(page.total.saturating_sub(start));
    let read = page.rows.len() as u64;
    if wanted <= read {
        return Ok(Listing::Whole(whole(&list, &page)));
    }
    let mut text = room_for(page.rows.len());
    text.raw(r#"{"code":0,"total":"#)
        .number(page.total)
        .raw(r#","files":["#);
    write_rows(&list, &page.rows, &mut text);
    let rest = Rest {
        list,
        start,
        read,
        wanted,
    };
    let begun = stream::once(async { Ok(Bytes::from(text.into_bytes())) });
    let rest = stream::try_unfold(Some(rest), |rest| async {
        match rest {
            Some(rest) => rest.next().await.map(Some),
            None => Ok(None),
        }
    });
    Ok(Listing::Streamed(Body::streamed(stream::StreamExt::chain(
        begun, rest,
    ))))
}

/// Rows that were not sent yet.
struct Rest<L> {
    list: L,
    /// The first row asked for.
    start: u64,
    /// Rows read so far.
    read: u64,
    /// Rows to be read, if the list still has as many.
    wanted: u64,
}

impl<L: List> Rest<L> {
    /// The next part, and what is left behind it.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), SourceError> {
        let count = (self.wanted - self.read).min(ROWS_PER_READ);
        let start = self.start.saturating_add(self.read);
        let page = self.list.read(start, count).await;
        let page = page.map_err(|error| SourceError::new(error.code(), error))?;
        let mut text = room_for(page.rows.len());
        if !page.rows.is_empty() {
            text.raw(",");
            write_rows(&self.list, &page.rows, &mut text);
        }
        self.read += page.rows.len() as u64;
        let has_ended = self.read == self.wanted || (page.rows.len() as u64) < count;
        if has_ended {
            text.raw(r#"],"count":"#).number(self.read).raw("}");
        }
        let left = (!has_ended).then_some(self);
        Ok((text.into_bytes().into(), left))
    }
}

fn whole<L: List>(list: &L, page: &Page<L::Row>) -> JsonText {
    let mut text = room_for(page.rows.len());
    text.raw(r#"{"code":0,"count":"#)
        .number(page.rows.len() as u64)
        .raw(r#","total":"#)
        .number(page.total)
        .raw(r#","files":["#);
    write_rows(list, &page.rows, &mut text);
    text.raw("]}");
    text
}

fn write_rows<L: List>(list: &L, rows: &[L::Row], text: &mut JsonText) {
    let mut separator = "";
    for row in rows {
        text.raw(separator);
        list.write(row, text);
        separator = ",";
    }
}

fn room_for(rows: usize) -> JsonText {
    JsonText::with_capacity(FRAME_LEN + rows * ROW_LEN)
}
