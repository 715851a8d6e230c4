//! Lists of files, of what is shared, and of picture shares; and the deletion of a file.

use std::fmt::Display;

use super::Console;
use super::answer::Answer;
use super::model;
use super::query::{Query, Range, Search, cursor_text};
use super::refusal::Refusal;
use super::who::User;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::files::{self, FileRow};
use crate::core::id::{FileNumber, PictureLink};
use crate::core::name::FileName;
use crate::core::pictures::{self, PictureRecord};
use crate::core::shares::{self, ShareRecord};

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
            files: page.rows.iter().map(|row| file(row, base)).collect(),
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
        let (rows, next) = self
            .service
            .look(move |view| files::search(view, account, &text, after.as_ref(), count))
            .await?;
        Answer::of(&model::Found {
            files: rows.iter().map(|row| file(row, base)).collect(),
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

fn file((number, record): &FileRow, base: &str) -> model::File {
    model::File {
        id: number.to_string(),
        name: record.name.to_string(),
        md5: record.md5.to_string(),
        size: record.size,
        kind: kind(&record.name),
        created: record.created,
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
