//! Folders and what is in them: looking, making, renaming, moving.

use common::web::server::RequestBody;

use super::answer::Answer;
use super::call::{TreeCall, number};
use super::files::file;
use super::model;
use super::query::{Query, Range};
use super::refusal::Refusal;
use super::who::User;
use super::{Console, read};
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::FolderNumber;
use crate::core::name::EntryName;
use crate::core::tree::{self, EntryRow, FolderRecord};

/// Entries that one call may name: each costs its transaction a few steps per level of the tree.
const IDS_MAX: usize = 100;

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// A call on folders, what is in them, and the trash.
    pub(super) async fn on_tree(
        &self,
        user: &User,
        call: TreeCall,
        query: Query<'_>,
        base: &str,
        body: RequestBody,
    ) -> Result<Answer, Refusal> {
        match call {
            TreeCall::Folder(folder) => self.folder(user, folder, query, base).await,
            TreeCall::MakeFolder => self.make_folder(user, read(body).await?).await,
            TreeCall::Rename => self.rename(user, read(body).await?).await,
            TreeCall::Move => self.move_entries(user, read(body).await?).await,
            TreeCall::Discard => self.discard(user, read(body).await?).await,
            TreeCall::Trash => self.trash(user, query, base).await,
            TreeCall::Restore => self.restore(user, read(body).await?).await,
            TreeCall::Purge => self.purge(user, read(body).await?).await,
            TreeCall::EmptyTrash => self.empty_trash(user).await,
        }
    }

    /// `GET folders/{id}`.
    async fn folder(
        &self,
        user: &User,
        number: FolderNumber,
        query: Query<'_>,
        base: &str,
    ) -> Result<Answer, Refusal> {
        let (account, direction) = (user.actor.account, query.by_name()?);
        let Range { start, count } = query.range()?;
        let (above, page) = self
            .service
            .look(move |view| {
                // A folder in the trash can be listed; here it is gone.
                let above = tree::ancestors(view, account, number)?;
                let page = tree::page(view, account, number, direction, start, count)?;
                Ok((above, page))
            })
            .await?;
        let step = |(number, record): &(FolderNumber, FolderRecord)| model::Step {
            id: number.to_string(),
            name: record.name.to_string(),
        };
        Answer::of(&model::FolderPage {
            folder: above
                .first()
                .map(|(number, record)| folder(*number, record)),
            path: above.iter().rev().map(step).collect(),
            total: page.total,
            entries: page.rows.iter().map(|row| entry(row, base)).collect(),
        })
    }

    /// `POST folders`.
    async fn make_folder(&self, user: &User, wanted: model::MakeFolder) -> Result<Answer, Refusal> {
        let (account, parent) = (user.actor.account, folder_number(&wanted.parent)?);
        let (name, existing) = (entry_name(&wanted.name)?, wanted.existing);
        let (number, record) = self
            .service
            .change_tree(move |tx, moment| {
                let number = if existing {
                    let path = std::slice::from_ref(&name);
                    tree::make_path(tx, account, parent, path, moment)?
                } else {
                    tree::make_folder(tx, account, parent, name.clone(), moment)?
                };
                Ok((number, tree::folder(tx, account, number)?))
            })
            .await?;
        Answer::of(&folder(number, &record))
    }

    /// `POST entries/rename`.
    async fn rename(&self, user: &User, wanted: model::Rename) -> Result<Answer, Refusal> {
        let (account, number) = (user.actor.account, number(&wanted.id)?);
        let name = entry_name(&wanted.name)?;
        self.service
            .change_tree(move |tx, moment| tree::rename(tx, account, number, name.clone(), moment))
            .await?;
        Ok(Answer::Done)
    }

    /// `POST entries/move`.
    async fn move_entries(&self, user: &User, wanted: model::Move) -> Result<Answer, Refusal> {
        let (account, parent) = (user.actor.account, folder_number(&wanted.parent)?);
        let numbers = numbers(&wanted.ids)?;
        self.service
            .change_tree(move |tx, moment| tree::move_to(tx, account, &numbers, parent, moment))
            .await?;
        Ok(Answer::Done)
    }
}

/// What is in a folder, as its owner sees it.
pub(super) fn entry(row: &EntryRow, base: &str) -> model::Entry {
    match row {
        EntryRow::Folder(number, record) => model::Entry::Folder(folder(*number, record)),
        EntryRow::File(number, record) => model::Entry::File(file(*number, record, base)),
    }
}

fn folder(number: FolderNumber, record: &FolderRecord) -> model::Folder {
    model::Folder {
        id: number.to_string(),
        name: record.name.to_string(),
        parent: record.parent.to_string(),
        created: record.created,
        modified: record.modified,
        files: record.files,
        folders: record.folders,
        bytes: record.bytes,
    }
}

/// The folder of an id in a body. What cannot be one is the id of no folder.
pub(super) fn folder_number(id: &str) -> Result<FolderNumber, Refusal> {
    let number = number(id).map_err(|_| CoreError::NoFolder);
    Ok(FolderNumber(
        number.map_err(crate::service::ServiceError::Core)?,
    ))
}

/// The entries of ids in a body, each once.
pub(super) fn numbers(ids: &[String]) -> Result<Vec<u64>, Refusal> {
    if ids.is_empty() || IDS_MAX < ids.len() {
        return Err(Refusal::Value("ids"));
    }
    let mut numbers: Vec<u64> = ids.iter().map(|id| number(id)).collect::<Result<_, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// A name that an entry may have.
pub(super) fn entry_name(text: &str) -> Result<EntryName, Refusal> {
    text.parse().map_err(Refusal::Name)
}
