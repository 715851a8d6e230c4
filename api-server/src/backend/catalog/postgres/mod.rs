//! The catalog in a database that speaks `PostgreSQL`'s wire, for several servers over one cluster.
//!
//! One table of keys and values, which sort as bytes. Looks run on a bounded pool of connections, each
//! in a transaction that sees one state. Changes run on one thread, in groups, each group in one
//! serializable transaction; what a group changes is laid over what it reads and sent in few statements
//! at its end. Choices: docs/decisions/0017-postgres-catalog.md.

mod connection;
mod error;
mod location;
mod metrics;
mod pool;
mod schema;
mod snapshot;
mod tls;
mod view;
mod writer;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use common::config::DatabaseUrl;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::error;

use self::connection::{CALL_MAX, Server};
use self::error::{CallError, Trouble};
use self::location::Location;
use self::metrics::PostgresMetrics;
use self::pool::{Lent, Place, Pool};
use self::view::{Begin, PostgresView};
use self::writer::{Message, Writer};
use super::job::Work;
use crate::core::catalog::{Catalog, CatalogError, Transaction, View};

pub use self::error::PostgresError;
pub(super) use self::snapshot::{Filling, Snapshot};

/// Transactions that may wait for the writer; one more is refused as [`CatalogError::Busy`].
const QUEUE_MAX: usize = 4096;
/// Times that a look may run again because the database took it back.
const CONFLICTS_MAX: u32 = 3;
/// Times that a look may run again because its connection broke: the next one is new.
const BREAKS_MAX: u32 = 1;

/// The catalog in a database. Clones share it.
///
/// Connections that break are made anew with the next call. Dropping the last clone without
/// [`Self::close`] ends the writer too, but nobody waits for it.
#[derive(Clone)]
pub struct PostgresCatalog {
    shared: Arc<Shared>,
}

struct Shared {
    server: Arc<Server>,
    pool: Pool,
    sender: SyncSender<Message>,
    is_closing: AtomicBool,
    writer: Mutex<Option<JoinHandle<()>>>,
    metrics: PostgresMetrics,
    /// The database as messages call it.
    shown: String,
}

impl fmt::Debug for PostgresCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresCatalog")
            .field("database", &self.shared.shown)
            .finish_non_exhaustive()
    }
}

/// What a look came to.
enum Looked<T, E> {
    /// This is what it answers.
    Answer(Result<T, E>),
    /// The database failed it.
    Failed(CallError),
    /// The work panicked.
    Panic(Box<dyn Any + Send>),
}

impl PostgresCatalog {
    /// Connects, makes the table if the database has none, and starts the writer. Within a runtime.
    ///
    /// # Errors
    ///
    /// [`PostgresError`], none of which repeats the password.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an empty catalog may have been made.
    pub async fn open(url: &DatabaseUrl, registry: &Registry) -> Result<Self, PostgresError> {
        let metrics = PostgresMetrics::new(registry)?;
        let server = server(url).await?;
        let shown = server.location.to_string();
        let bare = server.connect_bare().await;
        let bare = bare.map_err(|error| unreachable_database(&shown, error))?;
        schema::prepare(&bare, &server.location)
            .await
            .map_err(|error| unreachable_database(&shown, error))?;
        drop(bare);
        let (sender, receiver) = mpsc::sync_channel(QUEUE_MAX);
        let writer = Writer::new(Arc::clone(&server), Handle::current(), metrics.clone());
        let writer = std::thread::Builder::new()
            .name("catalog".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(PostgresError::Thread)?;
        Ok(Self {
            shared: Arc::new(Shared {
                pool: Pool::new(Arc::clone(&server), metrics.clone()),
                server,
                sender,
                is_closing: AtomicBool::new(false),
                writer: Mutex::new(Some(writer)),
                metrics,
                shown,
            }),
        })
    }

    /// Refuses what comes from now on, waits for what came before and closes all connections. A second
    /// call waits for nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the writer's end, but nobody knows when that was.
    pub async fn close(&self) {
        if self.shared.is_closing.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        let ending = tokio::task::spawn_blocking(move || this.end_writer());
        if let Err(error) = ending.await {
            error!(%error, "the catalog was not closed cleanly");
        }
        self.shared.pool.close().await;
        self.shared.server.close().await;
    }

    fn end_writer(&self) {
        // An error means that the writer ended already, which its thread will tell.
        let _ = self.shared.sender.send(Message::Close);
        let writer = self.shared.writer.lock();
        let writer = writer.unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            error!("the catalog's writer panicked");
        }
    }

    fn is_closing(&self) -> bool {
        self.shared.is_closing.load(Ordering::Acquire)
    }

    /// Why the writer answers no more.
    fn ended(&self) -> CatalogError {
        if self.is_closing() {
            CatalogError::Closed
        } else {
            CatalogError::Unknown("the writer ended".to_owned())
        }
    }

    /// Looks once.
    async fn look<T, E, F>(&self, place: Place, work: Arc<F>) -> Looked<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: Fn(&dyn View) -> Result<T, E> + Send + Sync + 'static,
    {
        let lent = match self.shared.pool.lend(place).await {
            Ok(lent) => lent,
            Err(error) => return Looked::Failed(error),
        };
        let (answer, answered) = oneshot::channel();
        let (pool, shown) = (self.shared.pool.clone(), self.shared.shown.clone());
        let runtime = Handle::current();
        // It ends by itself, and what it holds keeps the pool from being closed before.
        tokio::task::spawn_blocking(move || {
            let (looked, end) = look_now(&lent, &runtime, &shown, work.as_ref());
            // Whoever asked may have gone.
            let _ = answer.send(looked);
            match end {
                End::Nothing => pool.give_back(lent),
                End::Transaction => {
                    // The answer does not depend on it.
                    if runtime
                        .block_on(lent.connection.execute("ROLLBACK"))
                        .is_ok()
                    {
                        pool.give_back(lent);
                    }
                }
                End::Connection => drop(lent),
            }
        });
        let closed = || Looked::Answer(Err(CatalogError::Closed.into()));
        answered.await.unwrap_or_else(|_| closed())
    }
}

/// What is left to do after a look.
enum End {
    Nothing,
    Transaction,
    Connection,
}

fn look_now<T, E: From<CatalogError>>(
    lent: &Lent,
    runtime: &Handle,
    shown: &str,
    work: &impl Fn(&dyn View) -> Result<T, E>,
) -> (Looked<T, E>, End) {
    let view = PostgresView::new(&lent.connection, runtime, Begin::Look, shown);
    // The view is not used after a panic, and the transaction that it began is taken back.
    let result = catch_unwind(AssertUnwindSafe(|| work(&view)));
    let has_begun = view.has_begun();
    let looked = match (view.into_failure(), result) {
        (_, Err(panic)) => Looked::Panic(panic),
        // Whatever the work made of it is no answer.
        (Some(failure), _) => Looked::Failed(failure),
        (None, Ok(answer)) => Looked::Answer(answer),
    };
    let end = match &looked {
        Looked::Failed(error) if error.trouble() == Trouble::Lost => End::Connection,
        Looked::Answer(_) | Looked::Failed(_) | Looked::Panic(_) if has_begun => End::Transaction,
        Looked::Answer(_) | Looked::Failed(_) | Looked::Panic(_) => End::Nothing,
    };
    (looked, end)
}

impl Catalog for PostgresCatalog {
    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: Fn(&dyn View) -> Result<T, E> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let (mut conflicts, mut breaks) = (0, 0);
        loop {
            if self.is_closing() {
                return Err(CatalogError::Closed.into());
            }
            // While the database hangs, a place is free only when somebody gave up.
            let Ok(place) = timeout(CALL_MAX, self.shared.pool.place()).await else {
                return Err(CallError::Late(CALL_MAX).told(&self.shared.shown).into());
            };
            let error = match self.look(place?, Arc::clone(&work)).await {
                Looked::Answer(answer) => return answer,
                Looked::Panic(panic) => resume_unwind(panic),
                Looked::Failed(error) => error,
            };
            match error.trouble() {
                Trouble::Conflict if conflicts < CONFLICTS_MAX => conflicts += 1,
                // One that does not answer in time does not do so on another connection either.
                Trouble::Lost if breaks < BREAKS_MAX && !error.is_late() => {
                    self.shared.metrics.broken.inc();
                    self.shared.pool.clear();
                    breaks += 1;
                }
                Trouble::Conflict | Trouble::Lost | Trouble::Refused => {
                    return Err(error.told(&self.shared.shown).into());
                }
            }
        }
    }

    async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CatalogError> + Send + 'static,
        F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send + 'static,
    {
        if self.is_closing() {
            return Err(CatalogError::Closed.into());
        }
        let (job, answer) = Work::new(work);
        self.shared
            .sender
            .try_send(Message::Run(Box::new(job)))
            .map_err(|error| match error {
                TrySendError::Full(_) => CatalogError::Busy,
                TrySendError::Disconnected(_) => self.ended(),
            })?;
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(self.ended().into()),
        }
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// Where the connections to a database come from.
async fn server(url: &DatabaseUrl) -> Result<Arc<Server>, PostgresError> {
    let location = Location::new(url)?;
    // It may read certificates.
    let server = tokio::task::spawn_blocking(move || Server::new(location)).await;
    let server = server.map_err(|error| PostgresError::Thread(error.into()))?;
    server.map(Arc::new)
}

/// An error of the beginning.
fn unreachable_database(shown: &str, error: CallError) -> PostgresError {
    match error {
        CallError::Schema(error) => *error,
        error @ (CallError::Database(_) | CallError::Late(_)) => PostgresError::Unreachable {
            shown: shown.to_owned(),
            reason: error.said(),
        },
    }
}
