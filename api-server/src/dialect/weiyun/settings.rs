//! What the dialect is told.

use std::collections::BTreeSet;

use common::web::cross_domain::Domain;

use crate::core::id::Sha1;
use crate::core::name::UserName;

/// What the dialect is told.
#[derive(Clone, Debug)]
pub(crate) struct WeiyunSettings {
    /// Bytes that a file may have. One that comes in packets has less than 4 GiB besides.
    pub(crate) size_max: u64,
    /// Domains whose Flash may use the API.
    pub(crate) cross_domain: Vec<Domain>,
    /// Files that nobody may upload.
    pub(crate) blocked: BTreeSet<Sha1>,
    /// Users who may use the dialect; all, if there are none.
    pub(crate) users: BTreeSet<UserName>,
}

impl WeiyunSettings {
    /// Whether a user may use the dialect.
    pub(super) fn admits(&self, user: &UserName) -> bool {
        self.users.is_empty() || self.users.contains(user)
    }
}
