//! Copies of files and folders. Source: docs/api/pan123.md §6.
//!
//! A copy moves no bytes: it is another entry of the same content. So it is made at once, also where
//! the call is one that clients expect to run in the background.

use common::env::entropy;
use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::entry::{number, numbers};
use super::param::{Name, ParamError, Params};
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::files::{self, Conflict, Place};
use crate::core::id::{AccountId, Entry, FolderNumber, ServerKey};
use crate::core::name::EntryName;
use crate::core::tree::{self, EntryRow};
use crate::service::{Actor, ServiceError};

/// Entries that one call may name.
const BATCH_MAX: usize = 3_000;
/// Entries that one call may copy, folders with all that is below them.
const COPIED_MAX: usize = 100_000;
/// Entries of one transaction: other changes wait for it.
const AT_ONCE: usize = 100;
/// Names that are tried for a copy of a folder.
const NAMES_TRIED: u64 = 1_000;
/// How a task ended.
const DONE: u8 = 2;
const FAILED: u8 = 3;
/// Bits of a task's number by which no two are alike. All bits are 52: clients keep numbers exactly below
/// 2^53.
const CHANCE_BITS: u32 = 25;
/// Bits of a task's number that prove that we gave it.
const PROOF_BITS: u32 = 26;

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
    status: u8,
}

/// The number of a task of an account, which says how it ended: so any server can tell, whichever ran it,
/// and none has to remember.
fn task_number(key: &ServerKey, account: AccountId, status: u8, chance: u64) -> u64 {
    let chance = chance >> (u64::BITS - CHANCE_BITS);
    let said = chance << 1 | u64::from(status == FAILED);
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(b"copy task");
    hasher.update(&account.0.to_be_bytes());
    hasher.update(&said.to_be_bytes());
    let proof = hasher.finalize().as_bytes().first_chunk().copied();
    let proof = u64::from_be_bytes(proof.unwrap_or_default()) >> (u64::BITS - PROOF_BITS);
    said << PROOF_BITS | proof
}

/// How the task of an account ended; `None` if it has no such task.
fn task_status(key: &ServerKey, account: AccountId, number: u64) -> Option<u8> {
    let said = number >> PROOF_BITS;
    let status = if said & 1 == 0 { DONE } else { FAILED };
    let chance = (said >> 1).checked_shl(u64::BITS - CHANCE_BITS)?;
    (task_number(key, account, status, chance) == number).then_some(status)
}

/// A folder whose entries are being copied.
#[derive(Clone, Copy, Debug)]
struct Pending {
    from: FolderNumber,
    to: FolderNumber,
    /// The last entry that was copied.
    after: u64,
}

/// What one transaction copied of a folder.
#[derive(Debug)]
struct Batch {
    /// Folders that are to be copied, too.
    folders: Vec<Pending>,
    count: usize,
    /// Where to go on, if there is more.
    next: Option<u64>,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// `POST /api/v1/file/copy`.
    pub(super) async fn copy(&self, actor: &Actor, params: &Params) -> Result<Answer, Refusal> {
        let number = number(params)?;
        let to = FolderNumber(params.natural(Name::TargetDirId)?);
        let mut room = COPIED_MAX;
        let copy = self
            .copy_entry(actor.account, number, to, &mut room)
            .await?;
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
        let (mut status, mut room) = (DONE, COPIED_MAX);
        for number in numbers {
            match self.copy_entry(account, number, to, &mut room).await {
                Ok(_) => {}
                Err(refusal) if refusal.is_fault() => return Err(refusal),
                Err(_) => {
                    status = FAILED;
                    break;
                }
            }
        }
        let key = self.service.server_key().await?;
        Answer::of(&Task {
            task_id: task_number(&key, account, status, entropy::random_u64()),
        })
    }

    /// `GET /api/v1/file/async/copy/process`.
    pub(super) async fn copy_progress(
        &self,
        actor: &Actor,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let task_id = params.natural(Name::TaskId)?;
        let key = self.service.server_key().await?;
        let status = task_status(&key, actor.account, task_id);
        let status = status.ok_or_else(|| ParamError::Value {
            name: Name::TaskId,
            why: "no such task".to_owned(),
        })?;
        Answer::of(&Progress { task_id, status })
    }

    /// Copies an entry into a folder, under a free name.
    async fn copy_entry(
        &self,
        account: AccountId,
        number: u64,
        to: FolderNumber,
        room: &mut usize,
    ) -> Result<Entry, Refusal> {
        let copy = self
            .service
            .change_tree(move |tx, moment| {
                let name = match tree::find_in_tree(tx, account, number)? {
                    EntryRow::Folder(_, folder) => folder.name,
                    EntryRow::File(number, file) => {
                        let place = Place {
                            folder: to,
                            name: file.entry,
                            conflict: Conflict::Keep,
                        };
                        return files::copy(tx, account, number, place, moment).map(Entry::File);
                    }
                };
                let above = tree::ancestors(tx, account, to)?;
                if above.iter().any(|(above, _)| above.0 == number) {
                    return Err(CoreError::IntoItself);
                }
                let mut made = tree::make_folder(tx, account, to, name.clone(), moment);
                for suffix in 1..=NAMES_TRIED {
                    if !matches!(made, Err(CoreError::NameInUse(_))) {
                        break;
                    }
                    made = tree::make_folder(tx, account, to, name.numbered(suffix), moment);
                }
                made.map(Entry::Folder)
            })
            .await?;
        if let Entry::Folder(made) = copy {
            let from = FolderNumber(number);
            self.copy_below(account, from, made, room).await?;
        }
        Ok(copy)
    }

    /// Copies everything below a folder.
    async fn copy_below(
        &self,
        account: AccountId,
        from: FolderNumber,
        to: FolderNumber,
        room: &mut usize,
    ) -> Result<(), Refusal> {
        let mut pending = vec![Pending { from, to, after: 0 }];
        while let Some(at) = pending.pop() {
            let batch = self.copy_batch(account, at).await?;
            *room = room
                .checked_sub(batch.count)
                .ok_or(Refusal::TooMuchToCopy { max: COPIED_MAX })?;
            if let Some(after) = batch.next {
                pending.push(Pending { after, ..at });
            }
            pending.extend(batch.folders);
        }
        Ok(())
    }

    /// Copies the next entries of a folder.
    async fn copy_batch(&self, account: AccountId, at: Pending) -> Result<Batch, ServiceError> {
        self.service
            .change_tree(move |tx, moment| {
                let rows = tree::by_number(tx, account, at.from, at.after, AT_ONCE)?;
                let mut batch = Batch {
                    folders: Vec::new(),
                    count: rows.len(),
                    next: None,
                };
                if rows.len() == AT_ONCE {
                    batch.next = rows.last().map(|(row, _)| row.entry().number());
                }
                for (row, is_trashed) in rows {
                    if is_trashed {
                        continue;
                    }
                    let name: EntryName = row.name().clone();
                    match row {
                        EntryRow::File(number, _) => {
                            let place = Place {
                                folder: at.to,
                                name,
                                conflict: Conflict::Keep,
                            };
                            files::copy(tx, account, number, place, moment)?;
                        }
                        EntryRow::Folder(from, _) => {
                            let to = tree::make_folder(tx, account, at.to, name, moment)?;
                            batch.folders.push(Pending { from, to, after: 0 });
                        }
                    }
                }
                Ok(batch)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_task_says_how_it_ended_to_its_account_only() {
        let (key, account) = (ServerKey([7; 32]), AccountId(3));
        for status in [DONE, FAILED] {
            for chance in [0, 1 << 40, u64::MAX] {
                let number = task_number(&key, account, status, chance);
                assert!(number < 1 << 52);
                assert_eq!(task_status(&key, account, number), Some(status));
                assert_eq!(task_status(&key, AccountId(4), number), None);
                assert_eq!(task_status(&ServerKey([8; 32]), account, number), None);
                assert_eq!(task_status(&key, account, number | 1 << 60), None);
            }
        }
        assert_eq!(task_status(&key, account, 5), None);
    }
}
