//! What time brings: uploads that are over, and work that a change of the tree left.

use std::time::Duration;

use tracing::{info, warn};

use super::Service;
use super::error::ServiceError;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::{trash, upload_sessions};

/// Time between two looks without a reason.
const INTERVAL: Duration = Duration::from_secs(20);
/// Uploads of one look.
const EXPIRED_AT_ONCE: usize = 64;
/// Folders with work that one look finds.
const TASKS_AT_ONCE: usize = 64;
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
    pub(super) async fn maintain(&self) -> Result<(), ServiceError> {
        self.expire_uploads().await?;
        self.work_on_trees().await
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
            for (due, id) in due {
                self.change(move |tx, moment| upload_sessions::expire(tx, due, id, moment.now))
                    .await?;
            }
            self.shared.garbage.notify_one();
        }
    }

    async fn work_on_trees(&self) -> Result<(), ServiceError> {
        loop {
            let mut tasks = self.look(|view| trash::tasks(view, TASKS_AT_ONCE)).await?;
            // The work of an account is done in the order of its folders.
            tasks.dedup_by_key(|(account, _)| *account);
            if tasks.is_empty() {
                return Ok(());
            }
            for (account, _) in tasks {
                let is_done = self
                    .change(move |tx, moment| trash::work(tx, account, STEPS_AT_ONCE, moment))
                    .await?;
                if is_done {
                    info!(%account, "lists follow the folders again");
                }
            }
            self.shared.garbage.notify_one();
        }
    }
}
