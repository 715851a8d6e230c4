//! From the configuration to listening roles. Each role is bound first, so that a port that is taken
//! is known before anything serves, and served by one task that `serve` owns.

use std::future::Future;
use std::pin::Pin;

use common::config::Config;
use common::env::Shutdown;
use prometheus::Registry;

use super::config::Directories;
use super::ready::Addresses;

/// Which roles a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    /// Tracker, storage and API.
    All,
    Tracker,
    Storage,
    Api,
}

/// A role that listens, and what serves it until the signal.
pub(crate) struct Bound {
    /// For messages.
    pub(crate) name: &'static str,
    /// Ends after the signal and the drain.
    pub(crate) serve: Pin<Box<dyn Future<Output = Result<(), RoleError>> + Send>>,
}

/// Why a role could not start or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleError {
    /// A build without the role.
    #[error("the {0} is not part of this build")]
    NotBuilt(&'static str),
}

/// Binds the roles in the order in which they need each other.
pub(crate) async fn bind(
    roles: Roles,
    _config: &Config,
    _directories: &Directories,
    _registry: &Registry,
    _shutdown: &Shutdown,
) -> Result<(Addresses, Vec<Bound>), RoleError> {
    match roles {
        Roles::All | Roles::Tracker => Err(RoleError::NotBuilt("tracker")),
        Roles::Storage => Err(RoleError::NotBuilt("storage node")),
        Roles::Api => Err(RoleError::NotBuilt("API server")),
    }
}
