//! Connections for looks: a bounded number, kept open between them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Connection, Server};
use super::error::CallError;
use super::metrics::PostgresMetrics;
use crate::core::catalog::CatalogError;

/// Connections of one server for looks; one more look waits. With the two of the writer it is ten, and
/// a database takes a hundred as it is installed.
const CONNECTIONS_MAX: usize = 8;

/// Connections for looks. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    server: Arc<Server>,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
    metrics: PostgresMetrics,
}

/// A connection, for one who looks. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) connection: Connection,
    place: OwnedSemaphorePermit,
}

/// The right to have a connection.
#[derive(Debug)]
pub(super) struct Place(OwnedSemaphorePermit);

impl Pool {
    pub(super) fn new(server: Arc<Server>, metrics: PostgresMetrics) -> Self {
        Self {
            server,
            idle: Arc::default(),
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            metrics,
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Closed`].
    pub(super) async fn place(&self) -> Result<Place, CatalogError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.map(Place).map_err(|_| CatalogError::Closed)
    }

    /// A connection that was open a moment ago, or a new one.
    pub(super) async fn lend(&self, place: Place) -> Result<Lent, CallError> {
        let idle = self.take_idle();
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let connection = self.server.connect().await?;
            self.metrics.connections.inc();
            connection
        };
        let place = place.0;
        Ok(Lent { connection, place })
    }

    /// Takes a connection back on which no transaction is open.
    pub(super) fn give_back(&self, lent: Lent) {
        let Lent { connection, place } = lent;
        // Once closed, the pool keeps none.
        if !self.places.is_closed() && !connection.is_closed() {
            self.idle().push(connection);
        }
        drop(place);
    }

    /// Closes the connections that nobody uses: where one broke, the others may have, too.
    pub(super) fn clear(&self) {
        // Dropped behind the lock.
        let idle = std::mem::take(&mut *self.idle());
        drop(idle);
    }

    /// Lends no more, and waits until all are back.
    pub(super) async fn close(&self) {
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let places = self.places.acquire_many(all).await;
        self.places.close();
        drop(places);
        self.clear();
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(connection) = idle.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
