//! The table, and the statements over it. Source: docs/format/catalog.md, "In a database".
//!
//! Nothing here is more than `CockroachDB` and `YugabyteDB` understand, too.

use super::super::VERSION;
use super::connection::Connection;
use super::error::{CallError, PostgresError};
use super::location::Location;

/// Where the version of the key schema stands, in the same table. Whoever wants to be the only one that
/// writes for a while locks this row.
pub(super) const VERSION_KEY: &[u8] = b"\0version";

/// The value of a key.
pub(super) const GET: &str = "SELECT value FROM hayloft_catalog WHERE key = $1";
/// The first entries of a range.
pub(super) const ASCENDING: &str = "SELECT key, value FROM hayloft_catalog \
     WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3";
/// The last entries of a range.
pub(super) const DESCENDING: &str = "SELECT key, value FROM hayloft_catalog \
     WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3";
/// Sets the values of keys.
pub(super) const PUT: &str = "INSERT INTO hayloft_catalog (key, value) \
     SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value";
/// Removes keys.
pub(super) const DELETE: &str = "DELETE FROM hayloft_catalog WHERE key = ANY($1::bytea[])";
/// Waits until nobody else has the turn to write.
pub(super) const TURN: &str = "SELECT value FROM hayloft_catalog WHERE key = $1 FOR UPDATE";
/// Makes the version's row, for whoever is first.
const SET_VERSION: &str = "INSERT INTO hayloft_catalog (key, value) VALUES ($1, $2) \
     ON CONFLICT (key) DO NOTHING";
/// Whether there is anything but the version.
const ANYTHING: &str = "SELECT key FROM hayloft_catalog WHERE key <> $1 LIMIT 1";
/// Columns of a table of our name that is a catalog's.
const COLUMNS: &str = "SELECT column_name::text, data_type::text FROM information_schema.columns \
     WHERE table_name = 'hayloft_catalog' AND table_schema = current_schema() \
     ORDER BY column_name";
/// Which program the database is.
const PROGRAM: &str = "SELECT version()";

/// What is in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No table of our name.
    Nothing,
    /// The table, without a version and without entries.
    Empty,
    /// Entries without a version: a copy that did not come to its end.
    Incomplete,
    /// A catalog.
    Catalog {
        /// Its version.
        version: u32,
        /// Whether it has no entries.
        is_empty: bool,
    },
}

/// Looks what is there.
pub(super) async fn look(connection: &Connection, location: &Location) -> Result<Found, CallError> {
    let columns = connection.query_text(COLUMNS, &[]).await?;
    let columns: Vec<(String, String)> = columns
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    let columns: Vec<(&str, &str)> = columns
        .iter()
        .map(|(name, kind)| (name.as_str(), kind.as_str()))
        .collect();
    match columns.as_slice() {
        [] => return Ok(Found::Nothing),
        [("key", "bytea"), ("value", "bytea")] => {}
        _ => return Err(foreign(location, "it has other columns than key and value")),
    }
    let version = connection.query_text(GET, &[&VERSION_KEY]).await?;
    let anything = connection.query_text(ANYTHING, &[&VERSION_KEY]).await?;
    let Some(row) = version.first() else {
        return Ok(if anything.is_empty() {
            Found::Empty
        } else {
            Found::Incomplete
        });
    };
    let version: &[u8] = row.try_get(0)?;
    let version = <[u8; 4]>::try_from(version)
        .map_err(|_| foreign(location, "its version is no number of 32 bits"))?;
    Ok(Found::Catalog {
        version: u32::from_be_bytes(version),
        is_empty: anything.is_empty(),
    })
}

/// Makes the table, without a version: so nobody takes it for a catalog yet.
pub(super) async fn create(connection: &Connection) -> Result<(), CallError> {
    let program = connection.query_text(PROGRAM, &[]).await?;
    let program: String = program
        .first()
        .map_or(Ok(String::new()), |row| row.try_get(0))?;
    // YugabyteDB scatters rows over its nodes by a hash of their key unless it is told that they are
    // read in order. The word is none of PostgreSQL's.
    let order = if program.contains("-YB-") { " ASC" } else { "" };
    connection
        .execute(&format!(
            "CREATE TABLE IF NOT EXISTS hayloft_catalog \
             (key bytea NOT NULL, value bytea NOT NULL, PRIMARY KEY (key{order}))"
        ))
        .await
}

/// Makes a catalog of the table.
pub(super) async fn set_version(connection: &Connection) -> Result<(), CallError> {
    let version = VERSION.to_be_bytes();
    connection
        .query_text(SET_VERSION, &[&VERSION_KEY, &version.as_slice()])
        .await
        .map(drop)
}

/// Makes sure that a database has a catalog that this program understands, and makes one where there is
/// nothing.
pub(super) async fn prepare(connection: &Connection, location: &Location) -> Result<(), CallError> {
    let mut found = look(connection, location).await?;
    if found == Found::Nothing {
        if let Err(error) = create(connection).await {
            // Another server may be making it at the same moment, and then it is there.
            found = look(connection, location).await?;
            if found == Found::Nothing {
                return Err(error);
            }
        } else {
            found = Found::Empty;
        }
    }
    if found == Found::Empty {
        set_version(connection).await?;
        found = look(connection, location).await?;
    }
    check(found, location)
}

/// Whether this program understands what is there.
pub(super) fn check(found: Found, location: &Location) -> Result<(), CallError> {
    let shown = location.to_string();
    let error = match found {
        Found::Catalog { version, .. } if version == VERSION => return Ok(()),
        Found::Catalog { version, .. } => PostgresError::Version {
            shown,
            found: version,
            known: VERSION,
        },
        Found::Incomplete => PostgresError::Incomplete { shown },
        Found::Nothing | Found::Empty => PostgresError::Missing { shown },
    };
    Err(CallError::Schema(Box::new(error)))
}

fn foreign(location: &Location, reason: &'static str) -> CallError {
    CallError::Schema(Box::new(PostgresError::Foreign {
        shown: location.to_string(),
        reason,
    }))
}
