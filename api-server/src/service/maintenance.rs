//! What time brings: uploads and notes that are over, and work that a change of the tree left. Each step
//! is a transaction of its own, so it does no harm that each server does them.

use std::time::Duration;

use tracing::{debug, warn};

use super::Service;
use super::error::ServiceError;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::UploadId;
use crate::core::{copies, grants, notes, trash, upload_sessions};

/// Time between two looks without a reason.
const INTERVAL: Duration = Duration::from_secs(20);
/// Uploads of one look.
const EXPIRED_AT_ONCE: usize = 64;
/// Notes that one transaction forgets.
const NOTES_AT_ONCE: usize = 500;
/// Accounts with work that one look finds.
const ACCOUNTS_AT_ONCE: usize = 64;
/// Entries of one transaction: other changes wait for it.
const STEPS_AT_ONCE: usize = 100;

impl<C: Catalog, B: Blobs> Service<C, B> {
    pub(super) async fn maintain_forever(&self) {
        loop {
            if let Err(error) = self.maintain().await {
                warn!(%error, "uploads that are over, or changes of folders, wait");
            }
            // A timeout is the usual end of waiting.
            let _ = tokio::time::timeout(INTERVAL, self.shared.work.notified()).await;
        }
    }

    /// Does all that is due.
    pub(crate) async fn maintain(&self) -> Result<(), ServiceError> {
        self.forget_notes().await?;
        loop {
            self.expire_uploads().await?;
            self.forget_slices_left().await?;
            self.forget_tokens_left().await?;
            let has_more_of_trees = self.work_on_trees().await?;
            let has_more_of_copies = self.work_on_copies().await?;
            if !has_more_of_trees && !has_more_of_copies {
                return Ok(());
            }
        }
    }

    async fn forget_notes(&self) -> Result<(), ServiceError> {
        loop {
            let now = self.now();
            // A look is cheaper than a transaction, and as a rule there is nothing to forget.
            let due = self.look(move |view| notes::due(view, now, 1)).await?;
            if due == 0 {
                return Ok(());
            }
            self.change(move |tx, _| notes::forget_due(tx, now, NOTES_AT_ONCE))
                .await?;
        }
    }

    async fn expire_uploads(&self) -> Result<(), ServiceError> {
        loop {
            let now = self.now();
            let due = self
                .look(move |view| upload_sessions::due(view, now, EXPIRED_AT_ONCE))
                .await?;
            if due.is_empty() {
                return Ok(());
            }
            let mut has_failed = false;
            for (due, id) in due {
                let expired = self
                    .change(move |tx, moment| upload_sessions::expire(tx, due, id, moment.now))
                    .await;
                if let Err(error) = expired {
                    warn!(%id, %error, "an upload that is over stays for now");
                    has_failed = true;
                }
            }
            self.shared.garbage.notify_one();
            if has_failed {
                return Ok(());
            }
        }
    }

    /// Forgets slices of uploads that ended, or that began anew.
    async fn forget_slices_left(&self) -> Result<(), ServiceError> {
        loop {
            let left = self
                .look(|view| upload_sessions::left(view, EXPIRED_AT_ONCE))
                .await?;
            if left.is_empty() {
                return Ok(());
            }
            for id in left {
                self.forget_slices_of(id).await?;
            }
        }
    }

    /// Forgets slices of an upload that ended, or that began anew.
    pub(super) async fn forget_slices_of(&self, id: UploadId) -> Result<(), ServiceError> {
        let mut is_left = self
            .look(move |view| upload_sessions::has_left(view, id))
            .await?;
        while is_left {
            is_left = !self
                .change(move |tx, _| upload_sessions::forget_left(tx, id))
                .await?;
        }
        Ok(())
    }

    /// Forgets tokens that ended with all others of their accounts.
    async fn forget_tokens_left(&self) -> Result<(), ServiceError> {
        let mut last = None;
        loop {
            let after = last;
            let accounts = self
                .look(move |view| grants::accounts_with_left(view, after, ACCOUNTS_AT_ONCE))
                .await?;
            let Some(end) = accounts.last() else {
                return Ok(());
            };
            last = Some(*end);
            for account in accounts {
                while !self
                    .change(move |tx, _| grants::forget_left(tx, account))
                    .await?
                {}
            }
        }
    }

    /// Does a part of what is left for each account, so that none waits for the whole of another's.
    /// Returns whether more is left.
    async fn work_on_trees(&self) -> Result<bool, ServiceError> {
        let (mut last, mut has_more) = (None, false);
        loop {
            let after = last;
            let accounts = self
                .look(move |view| trash::accounts_with_work(view, after, ACCOUNTS_AT_ONCE))
                .await?;
            let Some(end) = accounts.last() else {
                return Ok(has_more);
            };
            last = Some(*end);
            for account in accounts {
                let worked = self
                    .change(move |tx, moment| trash::work(tx, account, STEPS_AT_ONCE, moment))
                    .await;
                match worked {
                    Ok(true) => debug!(%account, "lists follow the folders again"),
                    Ok(false) => has_more = true,
                    Err(error) => warn!(%account, %error, "changes of folders wait"),
                }
            }
            self.shared.garbage.notify_one();
        }
    }

    /// Does a step of the copies of each account that has any. Returns whether more is left.
    async fn work_on_copies(&self) -> Result<bool, ServiceError> {
        let (mut last, mut has_more) = (None, false);
        loop {
            let after = last;
            let accounts = self
                .look(move |view| copies::accounts_with_work(view, after, ACCOUNTS_AT_ONCE))
                .await?;
            let Some(end) = accounts.last() else {
                return Ok(has_more);
            };
            last = Some(*end);
            for account in accounts {
                let worked = self
                    .change(move |tx, moment| copies::work(tx, account, moment))
                    .await;
                match worked {
                    Ok(is_done) => has_more |= !is_done,
                    // The catalog may work again later.
                    Err(ServiceError::Core(CoreError::Catalog(error))) => {
                        warn!(%account, %error, "copies wait");
                    }
                    Err(error) => {
                        debug!(%account, %error, "a copy ends before its time");
                        self.change(move |tx, _| copies::fail(tx, account)).await?;
                        has_more = true;
                    }
                }
            }
        }
    }
}
