//! `POST /api/myfiles`: a user's files. Source: docs/api/image-host.md §4.3, §4.4.

use crate::backend::Blobs;
use crate::core::catalog::{Catalog, Direction};
use crate::core::files::{self, FileOrder};
use crate::core::name::UserName;
use crate::core::page::Page;
use crate::service::{Proof, Service, ServiceError};

use super::ImageHost;
use super::answer::Answer;
use super::file_row::{FileRow, RowWriter};
use super::json_text::JsonText;
use super::listing::{self, List};
use super::refusal::{Codes, ONLY_ONE, Refusal};
use super::request::{Request, Rows};

/// A bad token is 1 here.
pub(super) const CODES: Codes = ONLY_ONE;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// How many there are.
    Count,
    /// Some of them, in an order.
    Rows(FileOrder, Direction),
}

impl Command {
    /// The command of this name.
    pub(super) fn parse(name: Option<&str>) -> Result<Self, Refusal> {
        match name {
            Some("count") => Ok(Self::Count),
            Some("normal") => Ok(Self::Rows(FileOrder::Created, Direction::Ascending)),
            Some("pvasc") => Ok(Self::Rows(FileOrder::Views, Direction::Ascending)),
            Some("pvdesc") => Ok(Self::Rows(FileOrder::Views, Direction::Descending)),
            Some(_) | None => Err(Refusal::Command),
        }
    }
}

/// Counts or lists.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    host: &ImageHost<C, B>,
    command: Command,
    request: Request,
) -> Result<Answer, Refusal> {
    let (user, proof) = (request.user()?, request.proof()?);
    match command {
        Command::Count => {
            let total = host.service.look_as(&user, &proof, |view, account| {
                let (order, direction) = (FileOrder::Created, Direction::Ascending);
                Ok(files::page(view, account, order, direction, 0, 0)?.total)
            });
            Ok(Answer::Total(total.await?))
        }
        Command::Rows(order, direction) => {
            let rows = Rows::parse(&request.body)?;
            let list = FilesOfUser {
                order,
                direction,
                proof,
                rows: RowWriter::new(&request.caller, &host.time),
                user,
                service: host.service.clone(),
            };
            Ok(Answer::Listing(listing::answer(list, rows).await?))
        }
    }
}

/// The files of one user.
struct FilesOfUser<C, B> {
    service: Service<C, B>,
    user: UserName,
    proof: Proof,
    order: FileOrder,
    direction: Direction,
    rows: RowWriter,
}

impl<C: Catalog, B: Blobs> List for FilesOfUser<C, B> {
    type Row = files::FileRow;

    async fn read(&self, start: u64, count: u64) -> Result<Page<files::FileRow>, ServiceError> {
        let (order, direction) = (self.order, self.direction);
        self.service
            .look_as(&self.user, &self.proof, move |view, account| {
                files::page(view, account, order, direction, start, count)
            })
            .await
    }

    fn write(&self, (_, file): &files::FileRow, text: &mut JsonText) {
        let row = FileRow {
            md5: file.md5,
            created: file.created,
            name: &file.name,
            is_shared: file.share.is_some(),
            views: file.views,
            blob: &file.blob,
            size: file.size,
        };
        self.rows.write(&self.user, &row, text);
    }
}
