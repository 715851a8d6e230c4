//! `POST /api/dealfile`: shares, deletes or counts a view of a user's file.
//! Source: docs/api/image-host.md §4.8 to §4.10.

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::{files, shares};
use crate::service::Service;

use super::answer::Answer;
use super::refusal::{Cause, Codes, ONLY_ONE, Refusal};
use super::request::{Label, Request};

/// Only `share` has other codes than 0 and 1.
const SHARE_CODES: Codes = &[(Cause::Token, 4), (Cause::AlreadyShared, 3)];
const OTHER_CODES: Codes = ONLY_ONE;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Everybody is to see the file.
    Share,
    /// The file is to go.
    Delete,
    /// The file was downloaded.
    CountView,
}

impl Command {
    /// The command of this name.
    pub(super) fn parse(name: Option<&str>) -> Result<Self, Refusal> {
        match name {
            Some("share") => Ok(Self::Share),
            Some("del") => Ok(Self::Delete),
            Some("pv") => Ok(Self::CountView),
            Some(_) | None => Err(Refusal::Command),
        }
    }

    pub(super) fn codes(self) -> Codes {
        match self {
            Self::Share => SHARE_CODES,
            Self::Delete | Self::CountView => OTHER_CODES,
        }
    }
}

/// Does it.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    service: &Service<C, B>,
    command: Command,
    request: Request,
) -> Result<Answer, Refusal> {
    let actor = request.actor(service).await?;
    let Label { md5, name } = Label::parse(&request.body)?;
    let account = actor.account;
    match command {
        Command::Share => {
            service
                .change(move |tx, moment| shares::share(tx, account, md5, &name, moment))
                .await?;
        }
        Command::Delete => service.remove_labelled(&actor, md5, name).await?,
        Command::CountView => {
            service
                .change(move |tx, moment| {
                    let (number, _) = files::find(tx, account, md5, &name)?;
                    files::count_view(tx, account, number, moment)
                })
                .await?;
        }
    }
    Ok(Answer::Done)
}
