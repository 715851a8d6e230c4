//! `GET /weiyun/get_file_list` and its kin: the files of the root. Source: docs/api/weiyun.md §5.

use http::request;

use super::Weiyun;
use super::category::Category;
use super::model::{Data, List, Row};
use super::parameters::Parameters;
use super::refusal::Refusal;
use super::time::FileTime;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::id::FolderNumber;
use crate::core::tree::{self, EntryRow};
use crate::http::caller::Caller;

/// Files of one answer.
const NUMBER_MAX: u64 = 100;
/// Entries that one look into the catalog reads.
const AT_ONCE: usize = 500;
/// Entries of the root that a list is made of: to know how many files of a kind there are, all of them
/// have to be seen.
const SEEN_MAX: usize = 100_000;

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// A part of the list, oldest first.
    pub(super) async fn list(
        &self,
        category: Category,
        head: &request::Parts,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Data, Refusal> {
        let login = self.log_in(head, caller, parameters).await?.may_read()?;
        let start = number(parameters, "offset")?.unwrap_or(0);
        let count = number(parameters, "number")?.unwrap_or(NUMBER_MAX);
        if NUMBER_MAX < count {
            return Err(Refusal::Number("number"));
        }
        let (account, names) = (login.actor.account, self.names().await?);
        let mut list = List {
            file_total: 0,
            content: Vec::new(),
        };
        let (mut after, mut seen) = (0, 0);
        while seen < SEEN_MAX {
            let rows = self
                .service
                .look(move |view| {
                    tree::by_number(view, account, FolderNumber::ROOT, after, AT_ONCE)
                })
                .await?;
            for (row, is_trashed) in &rows {
                after = row.entry().number();
                let EntryRow::File(number, file) = row else {
                    continue;
                };
                if *is_trashed || !category.has(file.entry.as_str()) {
                    continue;
                }
                let place = list.file_total;
                list.file_total += 1;
                if start <= place && place - start < count {
                    list.content.push(Row {
                        file_id: names.file_id(account, number.0),
                        file_name: file.entry.to_string(),
                        file_ctime: FileTime::of_seconds(file.created).to_string(),
                        file_size: file.size,
                    });
                }
            }
            seen += rows.len();
            if rows.len() < AT_ONCE {
                break;
            }
        }
        Ok(Data::List(list))
    }
}

/// A number that need not be there.
fn number(parameters: &Parameters, name: &'static str) -> Result<Option<u64>, Refusal> {
    let Some(digits) = parameters.filled(name) else {
        return Ok(None);
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number);
    number.map(Some).ok_or(Refusal::Number(name))
}
