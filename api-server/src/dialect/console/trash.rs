//! The trash: putting there, looking, restoring, deleting for good.

use super::Console;
use super::answer::Answer;
use super::files::path_names;
use super::model;
use super::query::{Query, Range};
use super::refusal::Refusal;
use super::tree::{entry, numbers};
use super::who::User;
use crate::backend::Blobs;
use crate::core::catalog::{Catalog, Direction, Transaction};
use crate::core::error::CoreError;
use crate::core::id::FolderNumber;
use crate::core::moment::Moment;
use crate::core::trash;
use crate::service::ServiceError;

/// Entries of one transaction. Each may be a folder, with which something below it is done at once;
/// other changes wait meanwhile.
const ENTRIES_AT_ONCE: usize = 20;

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// `POST entries/trash`.
    pub(super) async fn discard(&self, user: &User, wanted: model::Ids) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        self.each(&wanted, move |tx, number, moment| {
            trash::put(tx, account, number, moment)
        })
        .await?;
        Ok(Answer::Done)
    }

    /// `GET trash`.
    pub(super) async fn trash(
        &self,
        user: &User,
        query: Query<'_>,
        base: &str,
    ) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        let Range { start, count } = query.range()?;
        let (total, rows) = self
            .service
            .look(move |view| {
                let page = trash::page(view, account, Direction::Descending, start, count)?;
                let rows = page.rows.into_iter().map(|row| {
                    // The folder itself may be gone for good.
                    let from = match path_names(view, account, row.row.parent()) {
                        Err(CoreError::NoFolder) => Vec::new(),
                        path => path?,
                    };
                    Ok((row, from))
                });
                Ok((page.total, rows.collect::<Result<Vec<_>, CoreError>>()?))
            })
            .await?;
        let entries = rows.into_iter().map(|(row, from)| model::Trashed {
            entry: entry(&row.row, base),
            trashed: row.since,
            from,
        });
        Answer::of(&model::TrashPage {
            total,
            entries: entries.collect(),
        })
    }

    /// `POST trash/restore`.
    pub(super) async fn restore(&self, user: &User, wanted: model::Ids) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        let restored = self
            .each(&wanted, move |tx, number, moment| {
                let root = Some(FolderNumber::ROOT);
                match trash::restore(tx, account, number, None, moment) {
                    Ok(restored) => Ok((restored, false)),
                    Err(CoreError::NoFolder) => {
                        Ok((trash::restore(tx, account, number, root, moment)?, true))
                    }
                    Err(error) => Err(error),
                }
            })
            .await?;
        let mut said = model::Restored::default();
        for (restored, is_in_root) in restored {
            said.restored += 1;
            said.renamed += u64::from(restored.is_renamed);
            said.moved_to_root += u64::from(is_in_root);
        }
        Answer::of(&said)
    }

    /// `POST trash/purge`.
    pub(super) async fn purge(&self, user: &User, wanted: model::Ids) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        self.each(&wanted, move |tx, number, moment| {
            trash::purge(tx, account, number, moment)
        })
        .await?;
        Ok(Answer::Done)
    }

    /// `DELETE trash`. What comes there meanwhile may stay or go.
    pub(super) async fn empty_trash(&self, user: &User) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        loop {
            let left = self
                .service
                .change_tree(move |tx, moment| {
                    let count = ENTRIES_AT_ONCE as u64;
                    let page = trash::page(tx, account, Direction::Ascending, 0, count)?;
                    for row in &page.rows {
                        trash::purge(tx, account, row.row.entry().number(), moment)?;
                    }
                    Ok(page.total - page.rows.len() as u64)
                })
                .await?;
            if left == 0 {
                return Ok(Answer::Done);
            }
        }
    }

    /// Does the same with several entries, a few in each transaction. Those that are not there any
    /// more are passed over: what was wanted may have been done by a request whose answer was lost.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoEntry`] if none is there; what `act` fails with otherwise. What was done before
    /// stays.
    async fn each<T, F>(&self, wanted: &model::Ids, act: F) -> Result<Vec<T>, Refusal>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Transaction, u64, Moment) -> Result<T, CoreError> + Clone + Send + 'static,
    {
        let numbers = numbers(&wanted.ids)?;
        let mut done = Vec::new();
        for numbers in numbers.chunks(ENTRIES_AT_ONCE) {
            let (numbers, act) = (numbers.to_vec(), act.clone());
            let some = self
                .service
                .change_tree(move |tx, moment| {
                    let mut done = Vec::new();
                    for number in &numbers {
                        match act(tx, *number, moment) {
                            Ok(one) => done.push(one),
                            Err(CoreError::NoEntry | CoreError::NotInTrash) => {}
                            Err(error) => return Err(error),
                        }
                    }
                    Ok(done)
                })
                .await?;
            done.extend(some);
        }
        if done.is_empty() {
            return Err(ServiceError::from(CoreError::NoEntry).into());
        }
        Ok(done)
    }
}
