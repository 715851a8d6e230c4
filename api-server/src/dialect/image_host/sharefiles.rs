//! `/api/sharefiles`: the files that everybody sees. Source: docs/api/image-host.md §4.5 to §4.7.

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::page::Page;
use crate::core::shares::{self, ShareOrder, ShareRecord};
use crate::http::Exchange;
use crate::service::{Service, ServiceError};

use super::ImageHost;
use super::answer::Answer;
use super::file_row::{FileRow, RowWriter};
use super::json_text::JsonText;
use super::listing::{self, List};
use super::refusal::{Codes, ONLY_ONE, Refusal};
use super::request::{Request, Rows};

pub(super) const CODES: Codes = ONLY_ONE;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// How many there are.
    Count,
    /// Some of them, oldest share first.
    Normal,
    /// Names and views, most viewed first.
    Ranking,
}

impl Command {
    /// The command of this name.
    pub(super) fn parse(name: Option<&str>) -> Result<Self, Refusal> {
        match name {
            Some("count") => Ok(Self::Count),
            Some("normal") => Ok(Self::Normal),
            Some("pvdesc") => Ok(Self::Ranking),
            Some(_) | None => Err(Refusal::Command),
        }
    }
}

/// Counts or lists.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    host: &ImageHost<C, B>,
    command: Command,
    exchange: Exchange,
) -> Result<Answer, Refusal> {
    let service = host.service.clone();
    // The count has no parameters: whatever its body may be is nobody's concern.
    if command == Command::Count {
        return Ok(Answer::SharedTotal(service.look(shares::total).await?));
    }
    let request = Request::read(exchange).await?;
    let rows = Rows::parse(&request.body)?;
    let listing = if command == Command::Ranking {
        listing::answer(Ranking { service }, rows).await?
    } else {
        let writer = RowWriter::new(&request.caller, &host.time);
        listing::answer(Shares { service, writer }, rows).await?
    };
    Ok(Answer::Listing(listing))
}

/// All shares.
struct Shares<C, B> {
    service: Service<C, B>,
    writer: RowWriter,
}

impl<C: Catalog, B: Blobs> List for Shares<C, B> {
    type Row = ShareRecord;

    async fn read(&self, start: u64, count: u64) -> Result<Page<ShareRecord>, ServiceError> {
        self.service
            .look(move |view| shares::page(view, ShareOrder::Created, start, count))
            .await
    }

    fn write(&self, share: &ShareRecord, text: &mut JsonText) {
        let row = FileRow {
            md5: share.md5,
            created: share.created,
            name: &share.name,
            is_shared: true,
            views: share.views,
            blob: &share.blob,
            size: share.size,
        };
        self.writer.write(&share.sharer, &row, text);
    }
}

/// All shares by views.
struct Ranking<C, B> {
    service: Service<C, B>,
}

impl<C: Catalog, B: Blobs> List for Ranking<C, B> {
    type Row = ShareRecord;

    async fn read(&self, start: u64, count: u64) -> Result<Page<ShareRecord>, ServiceError> {
        self.service
            .look(move |view| shares::page(view, ShareOrder::Views, start, count))
            .await
    }

    fn write(&self, share: &ShareRecord, text: &mut JsonText) {
        text.raw(r#"{"filename":"#)
            .string(share.name.as_str())
            .raw(r#","pv":"#)
            .number(share.views)
            .raw("}");
    }
}
