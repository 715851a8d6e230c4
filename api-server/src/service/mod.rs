//! What dialects call: the core's transactions on a catalog, uploads into storage, passwords, limits.
//!
//! A dialect parses a request, calls here, and renders the result. Everything that touches both the
//! catalog and storage is in this layer, because its order is what keeps the two in step (API-2).

mod accounts;
mod apps;
mod clock;
mod completion;
mod error;
mod files;
mod hashes;
mod hashing;
mod in_order;
mod maintenance;
mod parked;
mod passwords;
mod rate;
mod reclaim;
mod sessions;
mod sliced;
mod tickets;
mod upload;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use common::env::{Shutdown, entropy};
use tokio::sync::{Notify, OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

pub(crate) use apps::{Bearer, NewTokens, Tokens};
pub(crate) use completion::Completion;
pub(crate) use error::ServiceError;
pub(crate) use in_order::{Application, Applied, BLOCK_LEN_MAX, BlockAdded};
pub(crate) use passwords::Secret;
pub(crate) use rate::{Rate, RateSettings};
pub(crate) use sessions::{Actor, Proof, Registration, TokenlessCall};
pub(crate) use sessions::{RegistrationPolicy, TokenlessPolicy};
pub(crate) use sliced::{Begun, NewSliced, SliceUpload};
pub(crate) use upload::{Announced, Upload};

use crate::backend::Blobs;
use crate::core::catalog::{Catalog, Transaction, View};
use crate::core::error::CoreError;
use crate::core::files::Reuse;
use crate::core::id::{NoteHash, ServerKey};
use crate::core::moment::Moment;
use crate::core::notes;
use crate::core::uploads::OrphanState;
use apps::RecentPasswords;
use clock::Clock;
use completion::Completing;
use hashing::Hashing;
use passwords::Passwords;
use rate::Rates;
use reclaim::{Gone, UnderWay};
use upload::Buffers;

/// Uploads at the same time of which nobody has said yet whose they are. Those of known users are
/// bounded by the connections only.
const STRANGERS_MAX: usize = 64;

/// What the service is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceSettings {
    /// How long a session lasts from its log-in.
    pub(crate) session_life: Duration,
    /// Who may make an account.
    pub(crate) registration: RegistrationPolicy,
    /// What documented calls without a token need instead.
    pub(crate) tokenless: TokenlessPolicy,
    /// How often what may be tried.
    pub(crate) rates: RateSettings,
    /// Bytes that a new account may have, if that is limited.
    pub(crate) quota: Option<u64>,
    /// Whose content may be had by naming a digest of it.
    pub(crate) reuse: Reuse,
    /// Bytes of a slice of new upload sessions: a power of two.
    pub(crate) slice_size: u64,
    /// Time after which another server's announcement of a blob is that of a dead one.
    pub(crate) abandoned_after: Duration,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            session_life: Duration::from_hours(24),
            registration: RegistrationPolicy::Open,
            tokenless: TokenlessPolicy::Bound,
            rates: RateSettings::default(),
            quota: None,
            reuse: Reuse::Global,
            slice_size: 16 * 1024 * 1024,
            abandoned_after: Duration::from_mins(10),
        }
    }
}

/// Accounts and files over a catalog and storage. Cheap to clone; clones share everything.
pub(crate) struct Service<C, B> {
    shared: Arc<Shared<C, B>>,
}

struct Shared<C, B> {
    catalog: C,
    blobs: B,
    clock: Clock,
    settings: ServiceSettings,
    passwords: Passwords,
    rates: Rates,
    buffers: Buffers,
    /// A place for each upload of somebody unknown.
    strangers: Arc<Semaphore>,
    /// Blobs whose announcement and completion are under way in this process. What is under way in
    /// others the catalog tells, by time.
    announced: UnderWay,
    /// Tells announcements of this process from those of earlier ones and of other servers.
    process: u64,
    /// Uploads that are past the point of no return, and deletions.
    tasks: TaskTracker,
    /// Uploads whose slices are read back.
    hashing: Hashing,
    /// Uploads that are being completed.
    completing: Completing,
    /// The key that the server keeps for itself, once it was asked for.
    server_key: OnceCell<ServerKey>,
    /// Passwords that were right lately.
    recent: RecentPasswords,
    /// A change of the tree left work.
    work: Notify,
    /// There is something to reclaim.
    garbage: Notify,
    gone: Gone,
}

impl<C, B> Clone for Service<C, B> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C, B> fmt::Debug for Service<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// A service over `catalog` and `blobs`.
    pub(crate) fn new(
        catalog: C,
        blobs: B,
        settings: ServiceSettings,
    ) -> Result<Self, ServiceError> {
        Self::with_clock(catalog, blobs, settings, Clock::default())
    }

    /// A service for which time passes as this clock has it.
    fn with_clock(
        catalog: C,
        blobs: B,
        settings: ServiceSettings,
        clock: Clock,
    ) -> Result<Self, ServiceError> {
        Ok(Self {
            shared: Arc::new(Shared {
                catalog,
                blobs,
                clock,
                settings,
                passwords: Passwords::new()?,
                rates: Rates::new(settings.rates),
                buffers: Buffers::default(),
                strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
                announced: UnderWay::default(),
                process: entropy::random_u64().max(OrphanState::NOBODY + 1),
                tasks: TaskTracker::new(),
                hashing: Hashing::default(),
                completing: Completing::default(),
                server_key: OnceCell::new(),
                recent: RecentPasswords::default(),
                work: Notify::new(),
                garbage: Notify::new(),
                gone: Gone::default(),
            }),
        })
    }

    /// What it stands on, for what needs no catalog.
    pub(crate) fn blobs(&self) -> &B {
        &self.shared.blobs
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> &ServiceSettings {
        &self.shared.settings
    }

    /// A place for an upload of somebody unknown, if there is one left.
    pub(crate) fn admit_stranger(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shared.strangers).try_acquire_owned().ok()
    }

    /// Unix seconds.
    fn now(&self) -> u32 {
        self.shared.clock.unix_seconds()
    }

    /// Looks at the catalog. `work` may run more than once.
    pub(crate) async fn look<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: Fn(&dyn View) -> Result<T, CoreError> + Send + Sync + 'static,
    {
        Ok(self.shared.catalog.read(work).await?)
    }

    /// Changes the catalog: all of `work` or nothing. `work` may run more than once.
    pub(crate) async fn change<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Transaction, Moment) -> Result<T, CoreError> + Send + 'static,
    {
        let moment = self.shared.clock.moment();
        Ok(self
            .shared
            .catalog
            .write(move |tx| work(tx, moment))
            .await?)
    }

    /// Remembers something until a second, if other servers could be told the same. Returns whether none
    /// of them was; whoever asks looks after what this process was told.
    pub(crate) async fn remember_among_servers(
        &self,
        note: NoteHash,
        until: u32,
    ) -> Result<bool, ServiceError> {
        if !self.shared.catalog.is_shared() {
            return Ok(true);
        }
        self.change(move |tx, moment| notes::add(tx, note, until, moment.now))
            .await
    }

    /// Changes the tree: like [`Self::change`], and what the change leaves to do is done soon.
    pub(crate) async fn change_tree<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Transaction, Moment) -> Result<T, CoreError> + Send + 'static,
    {
        let changed = self.change(work).await?;
        self.shared.work.notify_one();
        self.shared.garbage.notify_one();
        Ok(changed)
    }

    /// Reclaims what nobody owns, and does what is left to do, until the signal, then waits for uploads past the point of no
    /// return.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is not reclaimed now is at the next start.
    pub(crate) async fn run(&self, shutdown: Shutdown) {
        tokio::select! {
            () = self.reclaim_forever() => {}
            () = self.maintain_forever() => {}
            () = shutdown.requested() => {}
        }
        self.shared.hashing.stop();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// 128 random bits.
pub(crate) fn random_bytes() -> [u8; 16] {
    (u128::from(entropy::random_u64()) << 64 | u128::from(entropy::random_u64())).to_be_bytes()
}
