//! Entries go to the trash, come back, or go for good. Source: docs/api/pan123.md §6.

use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::entry::{BATCH_MAX, numbers};
use super::param::{Name, Params};
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::FolderNumber;
use crate::core::trash;
use crate::core::tree;
use crate::service::Actor;

#[derive(Serialize)]
struct Recovered {
    #[serde(rename = "abnormalFileIDs")]
    abnormal: Vec<u64>,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// `POST /api/v1/file/trash`.
    pub(super) async fn trash(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let numbers = numbers(params, Name::FileIds, BATCH_MAX)?;
        let account = actor.account;
        self.service
            .change_tree(move |tx, moment| {
                for number in &numbers {
                    let row = tree::find(tx, account, *number)?;
                    // It may be there already, also by a folder of the same batch; and who asks again
                    // for lack of an answer did nothing wrong.
                    if tree::is_in_tree(tx, account, &row)? {
                        trash::put(tx, account, *number, moment)?;
                    }
                }
                Ok(())
            })
            .await?;
        Ok(Answer::nothing())
    }

    /// `POST /api/v1/file/recover`: to the folders that they were in. Names those whose folder is gone.
    pub(super) async fn recover(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let numbers = numbers(params, Name::FileIds, BATCH_MAX)?;
        let account = actor.account;
        let abnormal = self
            .service
            .change_tree(move |tx, moment| {
                let mut abnormal = Vec::new();
                for number in &numbers {
                    let row = tree::find(tx, account, *number)?;
                    if tree::is_in_tree(tx, account, &row)? {
                        continue;
                    }
                    match trash::restore(tx, account, *number, None, moment) {
                        Ok(_) => {}
                        // Its folder is in the trash, or it is there with its folder only.
                        Err(CoreError::NoFolder | CoreError::NotInTrash) => abnormal.push(*number),
                        Err(error) => return Err(error),
                    }
                }
                Ok(abnormal)
            })
            .await?;
        Answer::of(&Recovered { abnormal })
    }

    /// `POST /api/v1/file/recover/by_path`: to another folder.
    pub(super) async fn recover_by_path(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let numbers = numbers(params, Name::FileIds, BATCH_MAX)?;
        let to = match params.natural_if_any(Name::ToParentFileId)? {
            Some(to) => to,
            None => params.natural(Name::ParentFileId)?,
        };
        let (account, to) = (actor.account, FolderNumber(to));
        self.service
            .change_tree(move |tx, moment| {
                for number in &numbers {
                    trash::restore(tx, account, *number, Some(to), moment)?;
                }
                Ok(())
            })
            .await?;
        Ok(Answer::nothing())
    }

    /// `POST /api/v1/file/delete`: for good, and only what is in the trash.
    pub(super) async fn delete(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let numbers = numbers(params, Name::FileIds, BATCH_MAX)?;
        let account = actor.account;
        self.service
            .change_tree(move |tx, moment| {
                for number in &numbers {
                    trash::purge(tx, account, *number, moment)?;
                }
                Ok(())
            })
            .await?;
        Ok(Answer::nothing())
    }
}
