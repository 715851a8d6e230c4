//! What is in a folder, or has a name like the one that is searched for.
//! Source: docs/api/pan123.md §6.

use serde::{Serialize, Serializer};

use super::Pan123;
use super::answer::Answer;
use super::item::{Item, Spelling};
use super::param::{Name, ParamError, Params};
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::{Catalog, Direction, View};
use crate::core::error::CoreError;
use crate::core::id::{AccountId, FolderNumber};
use crate::core::trash;
use crate::core::tree::{self, EntryRow, Match};
use crate::service::Actor;

/// Rows of a page, however many are asked for.
const LIMIT_MAX: u64 = 100;
/// Entries that one look at the catalog goes over.
const STEPS_AT_ONCE: usize = if cfg!(test) { 8 } else { 1_000 };
/// Looks of a call that has found something. One that has not goes on to the end, which it comes to, for
/// an account has not more than so many entries: a page without rows would end some clients' lists.
const LOOKS_MAX: usize = if cfg!(test) { 3 } else { 1_000 };
/// What a search by pages finds at most: it has to tell how many there are.
const FOUND_MAX: usize = 1_000;
/// Bytes of what is searched for.
const SEARCH_LEN_MAX: usize = 1_024;

/// The list of the newer call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    #[serde(serialize_with = "cursor")]
    last_file_id: Option<u64>,
    file_list: Vec<Item>,
}

/// The list of the older one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageModel {
    total: u64,
    file_list: Vec<Item>,
}

/// The last page says -1.
#[expect(
    clippy::ref_option,
    reason = "this is how serde calls what serializes a member"
)]
fn cursor<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => serializer.serialize_u64(*number),
        None => serializer.serialize_i64(-1),
    }
}

/// An entry, and whether it is in the trash.
type Row = (EntryRow, bool);

/// Rows, and the number to go on behind, if there may be more.
type Part = (Vec<Row>, Option<u64>);

/// What a list is of.
#[derive(Clone, Debug)]
enum Of {
    Folder(FolderNumber),
    Search(String, Match),
}

impl Of {
    fn parse(params: &Params) -> Result<Self, ParamError> {
        match params.text_if_any(Name::SearchData)? {
            None => params
                .natural(Name::ParentFileId)
                .map(FolderNumber)
                .map(Self::Folder),
            Some(text) if SEARCH_LEN_MAX < text.len() => Err(ParamError::Value {
                name: Name::SearchData,
                why: format!("it has more than {SEARCH_LEN_MAX} bytes"),
            }),
            Some(text) => {
                let how = match params.integer_if_any(Name::SearchMode)? {
                    None | Some(0) => Match::Contains,
                    Some(1) => Match::Equals,
                    Some(_) => {
                        return Err(ParamError::Type {
                            name: Name::SearchMode,
                            wanted: "0 or 1",
                        });
                    }
                };
                Ok(Self::Search(text.to_owned(), how))
            }
        }
    }

    /// Entries by number behind `after`, at most `count`: those in the trash, or those outside of it,
    /// where the caller wants only these.
    fn read(
        &self,
        view: &dyn View,
        account: AccountId,
        trashed: Option<bool>,
        after: u64,
        count: usize,
    ) -> Result<Part, CoreError> {
        match (self, trashed) {
            (Self::Folder(folder), Some(trashed)) => {
                let (rows, next) = tree::by_number_where(
                    view,
                    account,
                    *folder,
                    trashed,
                    after,
                    count,
                    STEPS_AT_ONCE,
                )?;
                Ok((rows.into_iter().map(|row| (row, trashed)).collect(), next))
            }
            (Self::Folder(folder), None) => {
                let rows = tree::by_number(view, account, *folder, after, count)?;
                let last = rows.last().map(|(row, _)| row.entry().number());
                let next = last.filter(|_| rows.len() == count);
                Ok((rows, next))
            }
            (Self::Search(text, how), _) => {
                let (rows, next) =
                    tree::search(view, account, text, *how, after, count, STEPS_AT_ONCE)?;
                let rows = rows.into_iter().map(|row| {
                    let is_trashed = !tree::is_in_tree(view, account, &row)?;
                    Ok((row, is_trashed))
                });
                let mut rows = rows.collect::<Result<Vec<Row>, CoreError>>()?;
                rows.retain(|row| trashed.is_none_or(|trashed| trashed == row.1));
                Ok((rows, next))
            }
        }
    }
}

fn limit(params: &Params) -> Result<u64, ParamError> {
    match params.natural_if_any(Name::Limit)? {
        Some(0) => Err(ParamError::Type {
            name: Name::Limit,
            wanted: "a number from 1 on",
        }),
        limit => Ok(limit.unwrap_or(LIMIT_MAX).min(LIMIT_MAX)),
    }
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// `GET /api/v2/file/list`: by number, with those in the trash unless the request says otherwise.
    pub(super) async fn list(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let of = Of::parse(params)?;
        let limit = usize::try_from(limit(params)?).unwrap_or(usize::MAX);
        let trashed = params.flag_if_any(Name::Trashed)?;
        let after = match params.integer_if_any(Name::LastFileId)? {
            None => 0,
            // Whoever goes on behind the last page gets nothing more.
            Some(after) => u64::try_from(after).unwrap_or(u64::MAX),
        };
        let (rows, next) = self.part(actor, of, trashed, after, limit).await?;
        let items = rows.into_iter().map(|(row, is_trashed)| Item {
            row,
            is_trashed,
            spelling: Spelling::Id,
        });
        Answer::of(&Model {
            last_file_id: next,
            file_list: items.collect(),
        })
    }

    /// The first `limit` rows behind a number, and where to go on, if there are more.
    async fn part(
        &self,
        actor: &Actor,
        of: Of,
        trashed: Option<bool>,
        after: u64,
        limit: usize,
    ) -> Result<Part, Refusal> {
        let account = actor.account;
        let (mut found, mut next): Part = (Vec::new(), Some(after));
        let mut looks = 0;
        while let Some(from) = next
            && (looks < LOOKS_MAX || found.is_empty())
        {
            looks += 1;
            // One more than wanted tells whether there is another page.
            let wanted = limit.saturating_add(1).saturating_sub(found.len());
            let of = of.clone();
            let (rows, behind) = self
                .service
                .look(move |view| of.read(view, account, trashed, from, wanted))
                .await?;
            next = behind;
            found.extend(rows);
            if limit < found.len() {
                found.truncate(limit);
                next = found.last().map(|(row, _)| row.entry().number());
                break;
            }
        }
        Ok((found, next))
    }

    /// `GET /api/v1/file/list`: folders first, then by name.
    pub(super) async fn list_by_page(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let of = Of::parse(params)?;
        let count = limit(params)?;
        let page = params.natural_if_any(Name::Page)?.unwrap_or(1).max(1);
        let start = (page - 1).saturating_mul(count);
        let direction = match params.text_if_any(Name::OrderDirection)? {
            Some(text) if text.eq_ignore_ascii_case("desc") => Direction::Descending,
            Some(_) | None => Direction::Ascending,
        };
        let account = actor.account;
        let (total, rows) = match (of, params.flag(Name::Trashed)?) {
            (of @ Of::Search(..), is_trashed) => {
                let (rows, _) = self.part(actor, of, Some(is_trashed), 0, FOUND_MAX).await?;
                let total = rows.len() as u64;
                let index = |number| usize::try_from(number).unwrap_or(usize::MAX);
                let rows = rows.into_iter().skip(index(start)).take(index(count));
                (total, rows.collect())
            }
            (Of::Folder(_), true) => {
                let page = self
                    .service
                    .look(move |view| trash::page(view, account, direction, start, count))
                    .await?;
                let rows = page.rows.into_iter().map(|trashed| (trashed.row, true));
                (page.total, rows.collect())
            }
            (Of::Folder(folder), false) => {
                let page = self
                    .service
                    .look(move |view| {
                        tree::ancestors(view, account, folder)?;
                        tree::page(view, account, folder, direction, start, count)
                    })
                    .await?;
                let rows = page.rows.into_iter().map(|row| (row, false));
                (page.total, rows.collect::<Vec<Row>>())
            }
        };
        let items = rows.into_iter().map(|(row, is_trashed)| Item {
            row,
            is_trashed,
            spelling: Spelling::MixedId,
        });
        Answer::of(&PageModel {
            total,
            file_list: items.collect(),
        })
    }
}
