//! What a failure of the service means to a client that named a file.

use super::Weiyun;
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::AccountId;
use crate::service::ServiceError;

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// The refusal for an error. If it is that a name is taken, the client is told by what.
    pub(super) async fn explained(&self, account: AccountId, error: ServiceError) -> Refusal {
        let ServiceError::Core(CoreError::NameInUse(entry)) = error else {
            return error.into();
        };
        match self.describe(account, entry).await {
            Ok(entry) => Refusal::NameTaken(Box::new(entry)),
            Err(refusal) => refusal,
        }
    }
}
