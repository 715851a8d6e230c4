//! `POST /api/dealsharefile`: withdraws or saves a share, or counts a view of it.
//! Source: docs/api/image-host.md §4.11 to §4.13.

use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::shares;
use crate::service::{Service, TokenlessCall};

use super::answer::Answer;
use super::proof;
use super::refusal::{Cause, Codes, ONLY_ONE, Refusal};
use super::request::{Label, Request};

const SAVE_CODES: Codes = &[(Cause::FileExists, 5)];
const OTHER_CODES: Codes = ONLY_ONE;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The sharer takes it back.
    Cancel,
    /// The user wants to have it, too.
    Save,
    /// The user downloaded it.
    CountView,
}

impl Command {
    /// The command of this name.
    pub(super) fn parse(name: Option<&str>) -> Result<Self, Refusal> {
        match name {
            Some("cancel") => Ok(Self::Cancel),
            Some("save") => Ok(Self::Save),
            Some("pv") => Ok(Self::CountView),
            Some(_) | None => Err(Refusal::Command),
        }
    }

    pub(super) fn codes(self) -> Codes {
        match self {
            Self::Save => SAVE_CODES,
            Self::Cancel | Self::CountView => OTHER_CODES,
        }
    }
}

/// Does it.
pub(super) async fn answer<C: Catalog, B: Blobs>(
    service: &Service<C, B>,
    command: Command,
    request: Request,
) -> Result<Answer, Refusal> {
    proof::refuse_foreign_pages(&request.caller)?;
    // Every failure in front of the look-up is 1, so nothing shows in which order they are found; and
    // a call that has no effect need not be counted as one without a token.
    let user = request.user()?;
    let Label { md5, name } = Label::parse(&request.body)?;
    let actor = proof::accept(
        service,
        &user,
        request.proof()?,
        &request.head,
        &request.caller,
        TokenlessCall::Other,
    )
    .await?;
    let account = actor.account;
    match command {
        Command::Cancel => {
            service
                .change(move |tx, _| shares::cancel(tx, account, md5, &name))
                .await?;
        }
        Command::Save => {
            service
                .change(move |tx, moment| shares::save(tx, account, md5, &name, moment))
                .await?;
        }
        Command::CountView => {
            service
                .change(move |tx, moment| shares::count_view(tx, md5, &name, moment))
                .await?;
        }
    }
    Ok(Answer::Done)
}
