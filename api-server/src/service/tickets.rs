//! Permits for uploads without a token: whoever asked for an MD5 with a token may upload it. The catalog
//! has them, so that one server may be asked and another one given the upload.
//! Source: docs/api/image-host.md §11, mode `ticket`.

use super::Service;
use super::error::ServiceError;
use super::sessions::TokenlessPolicy;
use crate::backend::Blobs;
use crate::core::catalog::{Catalog, View};
use crate::core::error::CoreError;
use crate::core::id::{AccountId, Md5, NoteHash};
use crate::core::notes;

/// Seconds that a permit lasts.
const LIFE: u32 = 60 * 60;

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Remembers that an account asked for an MD5, where that is worth something.
    pub(super) async fn issue_ticket(
        &self,
        account: AccountId,
        md5: Md5,
    ) -> Result<(), ServiceError> {
        if self.shared.settings.tokenless != TokenlessPolicy::Ticket {
            return Ok(());
        }
        let ticket = ticket(account, md5);
        self.change(move |tx, moment| {
            let until = moment.now.saturating_add(LIFE);
            notes::add(tx, ticket, until, moment.now).map(drop)
        })
        .await
    }
}

/// Whether an account asked for an MD5 lately.
pub(super) fn has(
    view: &dyn View,
    account: AccountId,
    md5: Md5,
    now: u32,
) -> Result<bool, CoreError> {
    notes::has(view, ticket(account, md5), now)
}

fn ticket(account: AccountId, md5: Md5) -> NoteHash {
    NoteHash::of("ticket", &[&account.0.to_be_bytes(), &md5.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_for_one_account_and_one_digest() {
        let one = ticket(AccountId(1), Md5([1; 16]));
        assert_eq!(one, ticket(AccountId(1), Md5([1; 16])));
        assert_ne!(one, ticket(AccountId(2), Md5([1; 16])));
        assert_ne!(one, ticket(AccountId(1), Md5([2; 16])));
    }
}
