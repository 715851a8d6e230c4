//! `POST /api/sharepic`: links that show one picture to whoever has them.
//! Source: docs/api/image-host.md §4.16 to §4.19.

use crate::backend::Blobs;
use crate::core::catalog::{Catalog, Direction};
use crate::core::id::PictureLink;
use crate::core::name::UserName;
use crate::core::page::Page;
use crate::core::pictures::{self, PictureRecord};
use crate::service::{Proof, Service, ServiceError};

use super::ImageHost;
use super::answer::{Answer, Picture};
use super::json_text::JsonText;
use super::listing::{self, List};
use super::refusal::{Cause, Codes, ONLY_ONE, Refusal};
use super::request::{Label, Request, Rows};
use crate::dialect::local_time::LocalTime;

/// `share` and `cancel`.
const CHANGE_CODES: Codes = &[(Cause::Token, 4)];
const BROWSE_CODES: Codes = &[(Cause::FileDeleted, 2)];
/// A bad token is 1 in lists.
const LIST_CODES: Codes = ONLY_ONE;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Make a link.
    Share,
    /// Show what a link leads to.
    Browse,
    /// List the user's links.
    Normal,
    /// Take a link back.
    Cancel,
}

impl Command {
    /// The command of this name.
    pub(super) fn parse(name: Option<&str>) -> Result<Self, Refusal> {
        match name {
            Some("share") => Ok(Self::Share),
            Some("browse") => Ok(Self::Browse),
            Some("normal") => Ok(Self::Normal),
            Some("cancel") => Ok(Self::Cancel),
            Some(_) | None => Err(Refusal::Command),
        }
    }

    pub(super) fn codes(self) -> Codes {
        match self {
            Self::Share | Self::Cancel => CHANGE_CODES,
            Self::Browse => BROWSE_CODES,
            Self::Normal => LIST_CODES,
        }
    }
}

/// Does it.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    host: &ImageHost<C, B>,
    command: Command,
    request: Request,
) -> Result<Answer, Refusal> {
    let service = &host.service;
    match command {
        Command::Share => {
            let actor = request.actor(service).await?;
            let Label { md5, name } = Label::parse(&request.body)?;
            let link = service.share_picture(&actor, md5, name).await?;
            Ok(Answer::Link(link))
        }
        Command::Browse => {
            let link = request.link()?;
            let picture = service
                .change(move |tx, _| pictures::browse(tx, link))
                .await?;
            Ok(Answer::Picture(Picture {
                url: format!("{}/{}", request.caller.public_base(), picture.blob),
                user: picture.sharer.to_string(),
                time: host.time.format(picture.created),
                views: picture.views,
            }))
        }
        Command::Normal => {
            let (user, proof) = (request.user()?, request.proof()?);
            let rows = Rows::parse(&request.body)?;
            let list = PicturesOfUser {
                service: service.clone(),
                user,
                proof,
                time: host.time.clone(),
            };
            Ok(Answer::Listing(listing::answer(list, rows).await?))
        }
        Command::Cancel => {
            let account = request.actor(service).await?.account;
            let link = request.link()?;
            service
                .change(move |tx, _| pictures::cancel(tx, account, link))
                .await?;
            Ok(Answer::Done)
        }
    }
}

/// The live links of one user, oldest first.
struct PicturesOfUser<C, B> {
    service: Service<C, B>,
    user: UserName,
    proof: Proof,
    time: LocalTime,
}

impl<C: Catalog, B: Blobs> List for PicturesOfUser<C, B> {
    type Row = (PictureLink, PictureRecord);

    async fn read(&self, start: u64, count: u64) -> Result<Page<Self::Row>, ServiceError> {
        self.service
            .look_as(&self.user, &self.proof, move |view, account| {
                pictures::page(view, account, Direction::Ascending, start, count)
            })
            .await
    }

    fn write(&self, (link, picture): &Self::Row, text: &mut JsonText) {
        text.raw(r#"{"user":"#)
            .string(self.user.as_str())
            .raw(r#","filemd5":""#)
            .plain(picture.md5)
            .raw(r#"","file_name":"#)
            .string(picture.name.as_str())
            .raw(r#","urlmd5":""#)
            .plain(link)
            .raw(r#"","create_time":""#)
            .raw(self.time.format(picture.created))
            .raw(r#"","pv":"#)
            .number(picture.views)
            .raw(r#","size":"#)
            .number(picture.size)
            .raw("}");
    }
}
