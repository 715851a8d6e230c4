//! Folders are made, entries renamed and moved. Source: docs/api/pan123.md §6.

use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::entry::{BATCH_MAX, number, numbers};
use super::param::{Name, Params, bad_value};
use super::refusal::Refusal;
use super::time;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::FolderNumber;
use crate::core::name::EntryName;
use crate::core::tree;
use crate::service::{Actor, ServiceError};

/// Entries that one call may rename.
const RENAMES_MAX: usize = 30;

#[derive(Serialize)]
struct Made {
    #[serde(rename = "dirID")]
    dir_id: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RenamedMany {
    success_list: Vec<Renamed>,
    fail_list: Vec<NotRenamed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Renamed {
    #[serde(rename = "fileID")]
    file_id: u64,
    update_at: String,
}

#[derive(Serialize)]
struct NotRenamed {
    #[serde(rename = "fileID")]
    file_id: u64,
    message: String,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// `POST /upload/v1/file/mkdir`.
    pub(super) async fn mkdir(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let name: EntryName = params.parsed(Name::FolderName)?;
        let parent = FolderNumber(params.natural(Name::ParentId)?);
        let account = actor.account;
        let made = self
            .service
            .change_tree(move |tx, moment| {
                tree::make_folder(tx, account, parent, name.clone(), moment)
            })
            .await;
        match made {
            Ok(folder) => Answer::of(&Made { dir_id: folder.0 }),
            Err(ServiceError::Core(CoreError::NameInUse(_))) => Err(Refusal::FolderExists),
            Err(error) => Err(error.into()),
        }
    }

    /// `PUT /api/v1/file/name`.
    pub(super) async fn rename(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let number = number(params)?;
        self.rename_one(actor, number, params.parsed(Name::FileName)?)
            .await?;
        Ok(Answer::nothing())
    }

    async fn rename_one(
        &self,
        actor: &Actor,
        number: u64,
        name: EntryName,
    ) -> Result<u32, Refusal> {
        let account = actor.account;
        let modified = self
            .service
            .change_tree(move |tx, moment| {
                tree::rename(tx, account, number, name.clone(), moment)?;
                Ok(moment.now)
            })
            .await?;
        Ok(modified)
    }

    /// `POST /api/v1/file/rename`: each for itself.
    pub(super) async fn rename_many(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let texts = params.texts(Name::RenameList, 1..=RENAMES_MAX)?;
        let mut wanted = Vec::new();
        for text in texts {
            wanted.push(number_and_name(text)?);
        }
        let (mut success_list, mut fail_list) = (Vec::new(), Vec::new());
        for (file_id, name) in wanted {
            let renamed = match name.parse::<EntryName>() {
                Ok(name) => self.rename_one(actor, file_id, name).await,
                Err(error) => Err(bad_value(Name::RenameList, &error).into()),
            };
            match renamed {
                Ok(modified) => success_list.push(Renamed {
                    file_id,
                    update_at: time::plain(modified),
                }),
                // A fault would be the same for all.
                Err(refusal) if refusal.is_fault() => return Err(refusal),
                Err(refusal) => fail_list.push(NotRenamed {
                    file_id,
                    message: refusal.message(),
                }),
            }
        }
        Answer::of(&RenamedMany {
            success_list,
            fail_list,
        })
    }

    /// `POST /api/v1/file/move`: all or nothing.
    pub(super) async fn move_entries(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let numbers = numbers(params, Name::FileIds, BATCH_MAX)?;
        let to = FolderNumber(params.natural(Name::ToParentFileId)?);
        let account = actor.account;
        self.service
            .change_tree(move |tx, moment| tree::move_to(tx, account, &numbers, to, moment))
            .await?;
        Ok(Answer::nothing())
    }
}

/// The two halves of `id|name`.
fn number_and_name(text: &str) -> Result<(u64, &str), Refusal> {
    text.split_once('|')
        .and_then(|(number, name)| Some((number.trim().parse().ok()?, name)))
        .ok_or(Refusal::RenameList)
}
