//! Copies of files and folders. Source: docs/api/pan123.md §6.
//!
//! A copy moves no bytes: it is another entry of the same content. That of one entry is made at once; that
//! of many is a task, which the request begins and which can be asked for.

use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::entry::{number, numbers};
use super::param::{Name, ParamError, Params};
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::copies::{self, Pending};
use crate::core::id::{AccountId, Entry, FolderNumber};
use crate::core::tree;
use crate::service::Actor;

/// Entries that one call may name.
const BATCH_MAX: usize = 3_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Copied {
    source_file_id: u64,
    target_file_id: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    task_id: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    task_id: u64,
    /// 0 waiting, 1 running, 2 done, 3 failed: as the core numbers them.
    status: u8,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// `POST /api/v1/file/copy`.
    pub(super) async fn copy(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let number = number(params)?;
        let to = FolderNumber(params.natural(Name::TargetDirId)?);
        let account = actor.account;
        let copy = self
            .service
            .change_tree(move |tx, moment| copies::copy_entry(tx, account, number, to, moment))
            .await?;
        if let Entry::Folder(made) = copy {
            self.copy_below(account, FolderNumber(number), made).await?;
        }
        Answer::of(&Copied {
            source_file_id: number,
            target_file_id: copy.number(),
        })
    }

    /// `POST /api/v1/file/async/copy`.
    pub(super) async fn copy_many(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let numbers = numbers(params, Name::FileIds, BATCH_MAX)?;
        let to = FolderNumber(params.natural(Name::TargetDirId)?);
        let (account, wanted) = (actor.account, numbers.clone());
        // What is not there refuses the whole before anything is copied.
        self.service
            .look(move |view| {
                tree::ancestors(view, account, to)?;
                for number in &wanted {
                    tree::find_in_tree(view, account, *number)?;
                }
                Ok(())
            })
            .await?;
        let task = self
            .service
            .change_tree(move |tx, _| copies::begin(tx, account, &numbers, to))
            .await?;
        let task_id = task.ok_or(Refusal::TooOften)?;
        Answer::of(&Task { task_id })
    }

    /// `GET /api/v1/file/async/copy/process`.
    pub(super) async fn copy_progress(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let task_id = params.natural(Name::TaskId)?;
        let account = actor.account;
        let state = self
            .service
            .look(move |view| copies::state(view, account, task_id))
            .await?;
        let state = state.ok_or_else(|| ParamError::Value {
            name: Name::TaskId,
            why: "no such task".to_owned(),
        })?;
        let status = state as u8;
        Answer::of(&Progress { task_id, status })
    }

    /// Copies everything below a folder.
    async fn copy_below(
        &self,
        account: AccountId,
        from: FolderNumber,
        to: FolderNumber,
    ) -> Result<(), Refusal> {
        let max = copies::ENTRIES_MAX;
        let mut room = max;
        let mut pending = vec![Pending { from, to, after: 0 }];
        while let Some(at) = pending.pop() {
            let batch = self
                .service
                .change_tree(move |tx, moment| copies::copy_batch(tx, account, at, moment))
                .await?;
            room = room
                .checked_sub(batch.count)
                .ok_or(Refusal::TooMuchToCopy { max })?;
            pending.extend(batch.next);
            pending.extend(batch.folders);
        }
        Ok(())
    }
}
