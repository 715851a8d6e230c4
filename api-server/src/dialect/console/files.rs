//! Lists of files, of what is shared, and of picture shares; and the deletion of a file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;

use super::Console;
use super::answer::Answer;
use super::model;
use super::query::{Query, Range, Search, cursor_text};
use super::refusal::Refusal;
use super::who::User;
use crate::backend::Blobs;
use crate::core::catalog::{Catalog, View};
use crate::core::error::CoreError;
use crate::core::files::{self, FileRecord, FileRow};
use crate::core::id::{AccountId, FileNumber, FolderNumber, PictureLink};
use crate::core::name::FileName;
use crate::core::pictures::{self, PictureRecord};
use crate::core::shares::{self, ShareRecord};
use crate::core::tree;

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// `GET files`.
    pub(super) async fn files(
        &self,
        user: &User,
        query: Query<'_>,
        base: &str,
    ) -> Result<Answer, Refusal> {
        if let Some(search) = query.search()? {
            return self.search(user, search, query.count()?, base).await;
        }
        let account = user.actor.account;
        let (order, direction) = query.file_order()?;
        let Range { start, count } = query.range()?;
        let page = self
            .service
            .look(move |view| files::page(view, account, order, direction, start, count))
            .await?;
        Answer::of(&model::FilePage {
            total: page.total,
            files: page.rows.iter().map(|row| file_of(row, base)).collect(),
        })
    }

    async fn search(
        &self,
        user: &User,
        search: Search,
        count: u64,
        base: &str,
    ) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        let Search { text, after } = search;
        let (rows, paths, next) = self
            .service
            .look(move |view| {
                let (rows, next) = files::search(view, account, &text, after.as_ref(), count)?;
                let paths = paths(view, account, &rows)?;
                Ok((rows, paths, next))
            })
            .await?;
        let found = |row: &FileRow| model::FoundFile {
            path: paths.get(&row.1.folder).cloned().unwrap_or_default(),
            file: file_of(row, base),
        };
        Answer::of(&model::Found {
            files: rows.iter().map(found).collect(),
            next: next.as_ref().map(cursor_text),
        })
    }

    /// `DELETE files/{id}`.
    pub(super) async fn remove_file(
        &self,
        user: &User,
        number: FileNumber,
    ) -> Result<Answer, Refusal> {
        self.service.remove(&user.actor, number).await?;
        Ok(Answer::Done)
    }

    /// `GET shares`, for a user or for anybody.
    pub(super) async fn shares(
        &self,
        user: Option<&User>,
        query: Query<'_>,
        base: &str,
    ) -> Result<Answer, Refusal> {
        let order = query.share_order()?;
        let Range { start, count } = query.range()?;
        let page = self
            .service
            .look(move |view| shares::page(view, order, start, count))
            .await?;
        let account = user.map(|user| user.actor.account);
        let row = |record: &ShareRecord| model::Share {
            mine: Some(record.account) == account,
            ..share(record, base)
        };
        Answer::of(&model::SharePage {
            total: page.total,
            files: page.rows.iter().map(row).collect(),
        })
    }

    /// `GET pictures`.
    pub(super) async fn pictures(
        &self,
        user: &User,
        query: Query<'_>,
        base: &str,
    ) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        let direction = query.by_time()?;
        let Range { start, count } = query.range()?;
        let page = self
            .service
            .look(move |view| pictures::page(view, account, direction, start, count))
            .await?;
        Answer::of(&model::PicturePage {
            total: page.total,
            pictures: page.rows.iter().map(|row| picture(row, base)).collect(),
        })
    }
}

/// The names on the way to each folder that one of the files is in.
fn paths(
    view: &dyn View,
    account: AccountId,
    rows: &[FileRow],
) -> Result<HashMap<FolderNumber, Vec<String>>, CoreError> {
    let mut paths = HashMap::new();
    for (_, record) in rows {
        if let Entry::Vacant(path) = paths.entry(record.folder) {
            path.insert(path_names(view, account, record.folder)?);
        }
    }
    Ok(paths)
}

/// The names from the root down to a folder.
pub(super) fn path_names(
    view: &dyn View,
    account: AccountId,
    folder: FolderNumber,
) -> Result<Vec<String>, CoreError> {
    let path = tree::path(view, account, folder)?;
    Ok(path.into_iter().map(|(_, name)| name.to_string()).collect())
}

fn file_of((number, record): &FileRow, base: &str) -> model::File {
    file(*number, record, base)
}

/// A file as its owner sees it.
pub(super) fn file(number: FileNumber, record: &FileRecord, base: &str) -> model::File {
    model::File {
        id: number.to_string(),
        name: record.entry.to_string(),
        label: record.name.to_string(),
        parent: record.folder.to_string(),
        md5: record.md5.to_string(),
        size: record.size,
        kind: kind(&record.name),
        created: record.created,
        modified: record.modified,
        views: record.views,
        shared: record.share.is_some(),
        url: url(base, &record.blob),
    }
}

/// A share as a stranger sees it.
fn share(record: &ShareRecord, base: &str) -> model::Share {
    model::Share {
        name: record.name.to_string(),
        md5: record.md5.to_string(),
        size: record.size,
        kind: kind(&record.name),
        sharer: record.sharer.to_string(),
        created: record.created,
        views: record.views,
        url: url(base, &record.blob),
        mine: false,
    }
}

fn picture((link, record): &(PictureLink, PictureRecord), base: &str) -> model::Picture {
    model::Picture {
        link: link.to_string(),
        name: record.name.to_string(),
        md5: record.md5.to_string(),
        size: record.size,
        kind: kind(&record.name),
        created: record.created,
        views: record.views,
        url: url(base, &record.blob),
    }
}

fn kind(name: &FileName) -> String {
    name.kind().unwrap_or_default()
}

fn url(base: &str, blob: &impl Display) -> String {
    format!("{base}/{blob}")
}
