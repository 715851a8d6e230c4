//! A catalog in a database as a whole: one state of all its entries, and an empty one that is filled.
//!
//! What is being filled has no version until it is complete, so no server takes it for a catalog.

use std::sync::Arc;

use common::config::DatabaseUrl;
use tokio_postgres::types::ToSql;

use super::super::FIRST_KEY;
use super::super::copy::Entries;
use super::connection::{Connection, Server};
use super::error::{CallError, PostgresError};
use super::schema::{self, Found};
use super::{server, unreachable_database};

/// Entries from a key on.
const FROM: &str = "SELECT key, value FROM hayloft_catalog WHERE key >= $1 ORDER BY key LIMIT $2";
/// Forgets the version, so that the table is no catalog.
const FORGET_VERSION: &str = "DELETE FROM hayloft_catalog WHERE key = $1";

/// One state of all entries.
#[derive(Debug)]
pub(in super::super) struct Snapshot {
    server: Arc<Server>,
    connection: Connection,
}

impl Snapshot {
    /// The present state of a catalog.
    pub(in super::super) async fn open(url: &DatabaseUrl) -> Result<Self, PostgresError> {
        let server = server(url).await?;
        let opened = async {
            let connection = server.connect().await?;
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            connection.execute(begin).await?;
            Ok(connection)
        };
        match opened.await {
            Ok(connection) => Ok(Self { server, connection }),
            Err(error) => Err(failed(&server, error)),
        }
    }

    /// At most `max` entries behind a key, or the first ones.
    pub(in super::super) async fn behind(
        &self,
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<Entries, PostgresError> {
        let found = behind(&self.connection, after, max).await;
        found.map_err(|error| failed(&self.server, error))
    }

    /// Closes the connection.
    pub(in super::super) async fn close(self) {
        drop(self.connection);
        self.server.close().await;
    }
}

/// A catalog that is not complete.
#[derive(Debug)]
pub(in super::super) struct Filling {
    server: Arc<Server>,
    /// Fills it. Has the statements, which a connection to a catalog has.
    connection: Connection,
}

impl Filling {
    /// Begins to fill a database that has no catalog, or an empty one.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Occupied`]; [`PostgresError::Incomplete`] after a copy that was interrupted.
    pub(in super::super) async fn begin(url: &DatabaseUrl) -> Result<Self, PostgresError> {
        let server = server(url).await?;
        match Self::prepare(&server).await {
            Ok(connection) => Ok(Self { server, connection }),
            Err(error) => Err(failed(&server, error)),
        }
    }

    async fn prepare(server: &Server) -> Result<Connection, CallError> {
        let location = &server.location;
        let connection = server.connect_bare().await?;
        let refuse = |error| Err(CallError::Schema(Box::new(error)));
        let shown = location.to_string();
        match schema::look(&connection, location).await? {
            Found::Nothing => schema::create(&connection).await?,
            Found::Empty => {}
            Found::Catalog { is_empty: true, .. } => {
                let forget = connection.query_text(FORGET_VERSION, &[&schema::VERSION_KEY]);
                forget.await?;
            }
            Found::Catalog { .. } => return refuse(PostgresError::Occupied { shown }),
            Found::Incomplete => return refuse(PostgresError::Incomplete { shown }),
        }
        Ok(connection)
    }

    /// Adds entries, none of which is there.
    pub(in super::super) async fn add(&self, entries: &Entries) -> Result<(), PostgresError> {
        let keys: Vec<&[u8]> = entries.iter().map(|(key, _)| key.as_slice()).collect();
        let values: Vec<&[u8]> = entries.iter().map(|(_, value)| value.as_slice()).collect();
        let changes: [&(dyn ToSql + Sync); 2] = [&keys, &values];
        let added = self.connection.query_text(schema::PUT, &changes).await;
        added.map(drop).map_err(|error| failed(&self.server, error))
    }

    /// At most `max` entries behind a key, or the first ones.
    pub(in super::super) async fn behind(
        &self,
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<Entries, PostgresError> {
        let found = behind(&self.connection, after, max).await;
        found.map_err(|error| failed(&self.server, error))
    }

    /// Makes it a catalog.
    pub(in super::super) async fn complete(self) -> Result<(), PostgresError> {
        let completed = async {
            schema::set_version(&self.connection).await?;
            let found = schema::look(&self.connection, &self.server.location).await?;
            schema::check(found, &self.server.location)
        };
        let completed = completed.await;
        drop(self.connection);
        self.server.close().await;
        completed.map_err(|error| failed(&self.server, error))
    }
}

async fn behind(
    connection: &Connection,
    after: Option<&[u8]>,
    max: usize,
) -> Result<Entries, CallError> {
    let from = after.map_or_else(|| FIRST_KEY.to_vec(), |after| [after, &[0]].concat());
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let rows = connection.query_text(FROM, &[&from, &max]).await?;
    let entry = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(entry).collect()
}

fn failed(server: &Server, error: CallError) -> PostgresError {
    unreachable_database(&server.location.to_string(), error)
}
