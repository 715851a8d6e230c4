//! What is known of single files and folders. Source: docs/api/pan123.md §6.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::item::{Item, Spelling};
use super::param::{Name, Params};
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::{Catalog, View};
use crate::core::error::CoreError;
use crate::core::id::AccountId;
use crate::core::tree::{self, EntryRow};
use crate::http::caller::Caller;
use crate::service::Actor;

/// Numbers that one call may name.
pub(super) const BATCH_MAX: usize = 100;
/// What stands for itself in a query.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The documentation of the real platform has one member and its example the other one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Infos<'a> {
    list: &'a [Item],
    file_list: &'a [Item],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DownloadInfo {
    download_url: String,
}

#[derive(Serialize)]
struct DirectLink {
    url: String,
}

#[derive(Serialize)]
struct DirectLinkSpace<'a> {
    filename: &'a str,
}

/// An entry, also in the trash, as answers show it.
fn item(
    view: &dyn View,
    account: AccountId,
    number: u64,
    spelling: Spelling,
) -> Result<Item, CoreError> {
    let row = tree::find(view, account, number)?;
    let is_trashed = !tree::is_in_tree(view, account, &row)?;
    Ok(Item {
        row,
        is_trashed,
        spelling,
    })
}

/// The numbers that a call is about, each once. One that no entry can have is that of none.
///
/// # Errors
///
/// [`Refusal::Param`], [`Refusal::NoEntry`].
pub(super) fn numbers(params: &Params, name: Name, max: usize) -> Result<Vec<u64>, Refusal> {
    let numbers = params.integers(name, 1..=max)?;
    let numbers = numbers.into_iter().map(u64::try_from);
    let mut numbers: Vec<u64> = numbers
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::NoEntry)?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// The number that a call is about.
pub(super) fn number(params: &Params) -> Result<u64, Refusal> {
    let number = params.integer(Name::FileId)?;
    number.try_into().map_err(|_| Refusal::NoEntry)
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// `GET /api/v1/file/detail`.
    pub(super) async fn detail(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let (account, number) = (actor.account, number(params)?);
        let item = self
            .service
            .look(move |view| item(view, account, number, Spelling::UpperId))
            .await?;
        Answer::of(&item)
    }

    /// `POST /api/v1/file/infos`: what is not there is left out.
    pub(super) async fn infos(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let numbers = params.integers(Name::FileIds, 1..=BATCH_MAX)?;
        let account = actor.account;
        let items = self
            .service
            .look(move |view| {
                let mut items = Vec::new();
                for number in numbers
                    .iter()
                    .filter_map(|number| u64::try_from(*number).ok())
                {
                    match item(view, account, number, Spelling::Id) {
                        Ok(item) => items.push(item),
                        Err(CoreError::NoEntry) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(items)
            })
            .await?;
        Answer::of(&Infos {
            list: &items,
            file_list: &items,
        })
    }

    /// `GET /api/v1/file/download_info`.
    pub(super) async fn download_info(
        &self,
        actor: &Actor,
        caller: &Caller,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let EntryRow::File(_, file) = self.row(actor, params).await? else {
            return Err(Refusal::Folder);
        };
        let (base, name) = (caller.public_base(), file.entry.as_str());
        let name = utf8_percent_encode(name, ENCODED);
        Answer::of(&DownloadInfo {
            download_url: format!("{base}/{}?filename={name}", file.blob),
        })
    }

    /// `GET /api/v1/direct-link/url`: a link that pages may embed, so it does not ask for saving.
    pub(super) async fn direct_link(
        &self,
        actor: &Actor,
        caller: &Caller,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let EntryRow::File(_, file) = self.row(actor, params).await? else {
            return Err(Refusal::Folder);
        };
        let base = caller.public_base();
        Answer::of(&DirectLink {
            url: format!("{base}/{}", file.blob),
        })
    }

    /// `POST /api/v1/direct-link/enable` and `disable`: there is nothing to switch, as every link is
    /// direct. Clients want to read the folder's name.
    pub(super) async fn direct_link_space(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let row = self.row(actor, params).await?;
        Answer::of(&DirectLinkSpace {
            filename: row.name().as_str(),
        })
    }

    /// The entry that a call is about, which is not in the trash.
    async fn row(&self, actor: &Actor, params: &Params) -> Result<EntryRow, Refusal> {
        let (account, number) = (actor.account, number(params)?);
        let row = self
            .service
            .look(move |view| tree::find_in_tree(view, account, number))
            .await?;
        Ok(row)
    }
}
