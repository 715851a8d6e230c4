//! One connection: statements that were prepared on it, each call within a time.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::error::CallError;
use super::location::Location;
use super::schema;
use super::tls::MakeTls;
use crate::core::catalog::Direction;

/// Time that the database gets for one call. It is far more than any takes, and less than clients wait.
pub(super) const CALL_MAX: Duration = Duration::from_secs(15);
/// Time that the end of all connections gets.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// What each connection asks for. A server that loses its power in the middle of a transaction would
/// else hold its locks until the network noticed; and a look at a small table would else be at all of
/// it, which conflicts with every change. What a database does not know it passes over.
const SESSION: [&str; 2] = [
    "SET idle_in_transaction_session_timeout = '30s'",
    "SET enable_seqscan = off",
];

/// Where connections come from.
#[derive(Debug)]
pub(super) struct Server {
    /// The database.
    pub(super) location: Location,
    tls: Option<MakeTls>,
    /// Owns what moves the bytes of each connection.
    tasks: TaskTracker,
    /// Ends all of it at once.
    stopping: CancellationToken,
}

/// A connection. Dropped, it is closed.
pub(super) struct Connection {
    client: Client,
    /// Ends what moves its bytes, which else waits for the answer to what was asked.
    cut: CancellationToken,
    statements: Option<Statements>,
}

struct Statements {
    get: Statement,
    ascending: Statement,
    descending: Statement,
    put: Statement,
    delete: Statement,
    turn: Statement,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Server {
    /// Reads the certificates, if there are any to read. Blocks.
    pub(super) fn new(location: Location) -> Result<Self, super::PostgresError> {
        let tls = MakeTls::new(&location.encryption)?;
        Ok(Self {
            location,
            tls,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// A new connection to whatever is there.
    pub(super) async fn connect_bare(&self) -> Result<Connection, CallError> {
        let config = &self.location.config;
        // The limit of the library is for each address of a host, and not for what follows.
        let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(u32::MAX);
        let limit = config.get_connect_timeout().copied().unwrap_or(CALL_MAX);
        let limit = limit.saturating_mul(hosts);
        let cut = self.stopping.child_token();
        let client = match &self.tls {
            None => {
                let connecting = config.connect(tokio_postgres::NoTls);
                let (client, connection) = within(limit, connecting).await?;
                self.drive(connection, cut.clone());
                client
            }
            Some(tls) => {
                let connecting = config.connect(tls.clone());
                let (client, connection) = within(limit, connecting).await?;
                self.drive(connection, cut.clone());
                client
            }
        };
        let connection = Connection {
            client,
            cut,
            statements: None,
        };
        for wish in SESSION {
            if let Err(error) = connection.execute(wish).await {
                if error.trouble() == super::error::Trouble::Lost {
                    return Err(error);
                }
                debug!(
                    wish,
                    error = error.said(),
                    "the database has no such setting"
                );
            }
        }
        Ok(connection)
    }

    /// A new connection to a catalog that this program understands.
    pub(super) async fn connect(&self) -> Result<Connection, CallError> {
        let mut connection = self.connect_bare().await?;
        let found = schema::look(&connection, &self.location).await?;
        schema::check(found, &self.location)?;
        let client = &connection.client;
        let prepare = |sql| connection.call(CALL_MAX, client.prepare(sql));
        let statements = Statements {
            get: prepare(schema::GET).await?,
            ascending: prepare(schema::ASCENDING).await?,
            descending: prepare(schema::DESCENDING).await?,
            put: prepare(schema::PUT).await?,
            delete: prepare(schema::DELETE).await?,
            turn: prepare(schema::TURN).await?,
        };
        connection.statements = Some(statements);
        Ok(connection)
    }

    /// Waits until all connections, which were dropped, are closed. A database that does not answer is
    /// not waited for.
    pub(super) async fn close(&self) {
        self.tasks.close();
        if timeout(CLOSE_MAX, self.tasks.wait()).await.is_err() {
            self.stopping.cancel();
            self.tasks.wait().await;
        }
    }

    fn drive<C>(&self, connection: C, cut: CancellationToken)
    where
        C: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                ended = connection => ended,
                () = cut.cancelled() => return,
            };
            if let Err(error) = ended {
                // Whoever uses the connection is told, too.
                let error = CallError::from(error);
                debug!(
                    error = error.said(),
                    "a connection to the catalog's database ended"
                );
            }
        });
    }
}

impl Connection {
    /// Whether it ended since it was last used.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs a statement without parameters.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), CallError> {
        self.call(CALL_MAX, self.client.batch_execute(sql)).await
    }

    /// Runs a statement that was not prepared.
    pub(super) async fn query_text(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, CallError> {
        self.call(CALL_MAX, self.client.query(sql, parameters))
            .await
    }

    /// The value of a key.
    pub(super) async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CallError> {
        let get = &self.statements()?.get;
        let row = self
            .call(CALL_MAX, self.client.query_opt(get, &[&key]))
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// At most `max` entries with `from <= key < to`, from that end of the range on at which the
    /// direction begins.
    pub(super) async fn range(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        max: i64,
    ) -> Result<Vec<Row>, CallError> {
        let statements = self.statements()?;
        let scan = match direction {
            Direction::Ascending => &statements.ascending,
            Direction::Descending => &statements.descending,
        };
        self.call(CALL_MAX, self.client.query(scan, &[&from, &to, &max]))
            .await
    }

    /// Sets the values of keys, each of which comes once.
    pub(super) async fn put(&self, keys: &[&[u8]], values: &[&[u8]]) -> Result<(), CallError> {
        let put = &self.statements()?.put;
        self.call(CALL_MAX, self.client.execute(put, &[&keys, &values]))
            .await
            .map(drop)
    }

    /// Removes keys.
    pub(super) async fn delete(&self, keys: &[&[u8]]) -> Result<(), CallError> {
        let delete = &self.statements()?.delete;
        self.call(CALL_MAX, self.client.execute(delete, &[&keys]))
            .await
            .map(drop)
    }

    /// Waits, at most `limit`, until nobody else has the turn to write, and has it until the transaction
    /// ends.
    pub(super) async fn wait_for_turn(&self, limit: Duration) -> Result<(), CallError> {
        let turn = &self.statements()?.turn;
        let locked = self.client.query(turn, &[&schema::VERSION_KEY]);
        self.call(limit, locked).await.map(drop)
    }

    /// Waits for an answer. Without one in time the connection is cut: what would come later is nothing
    /// that anybody waits for.
    async fn call<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, CallError> {
        let answer = within(limit, call).await;
        if let Err(CallError::Late(_)) = &answer {
            self.cut.cancel();
        }
        answer
    }

    /// There are none only while the schema is being looked at.
    fn statements(&self) -> Result<&Statements, CallError> {
        self.statements
            .as_ref()
            .ok_or(CallError::Late(Duration::ZERO))
    }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, CallError> {
    match timeout(limit, call).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(CallError::Late(limit)),
    }
}
