//! One order, given to one tracker.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::client::{Address, ClientError, Phase};
use common::rpc::auth::{self, Credentials, Purpose};
use common::rpc::{Connection, ConnectionError, MemberStream};
use common::wire::cluster::{OrderAnswer, OrderRequest};
use common::wire::{Command, Header, Status};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::output::Failure;

/// How long a tracker has to take a connection, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer; reasons are far shorter.
const ANSWER_LEN_MAX: usize = 16 * 1024;

/// Opens the connection over which orders are given, and proves that the operator may give them.
async fn open(
    tracker: &Address,
    credentials: &Credentials,
) -> Result<Connection<MemberStream<TcpStream>>, Failure> {
    let connecting = TcpStream::connect((tracker.host(), tracker.port()));
    let stream = timeout(PATIENCE, connecting)
        .await
        .map_err(|_| ClientError::ConnectTimeout {
            address: tracker.clone(),
            after: PATIENCE,
        })?
        .map_err(|source| ClientError::Connect {
            address: tracker.clone(),
            source,
        })?;
    let connection = Connection::new(stream, PATIENCE);
    let (connection, _) = auth::initiate(connection, credentials, Purpose::Control, PATIENCE)
        .await
        .map_err(|error| Failure::Order(format!("{tracker} does not take orders: {error}")))?;
    Ok(connection)
}

/// Gives an order to the first of the trackers that can be reached, and returns its answer.
pub(super) async fn give(
    trackers: &[Address],
    credentials: &Credentials,
    request: OrderRequest,
) -> Result<OrderAnswer, Failure> {
    let mut last = Failure::from(ClientError::NoTracker);
    for tracker in trackers {
        match open(tracker, credentials).await {
            // A second tracker is not asked once one was: the order may have been carried out.
            Ok(mut connection) => return ask(&mut connection, tracker, request).await,
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask(
    connection: &mut Connection<MemberStream<TcpStream>>,
    tracker: &Address,
    request: OrderRequest,
) -> Result<OrderAnswer, Failure> {
    let answer = timeout(PATIENCE, exchange(connection, request)).await;
    let broken = |source| ClientError::Connection {
        address: tracker.clone(),
        phase: Phase::Answer,
        source,
    };
    let answer = answer
        .unwrap_or(Err(ConnectionError::Timeout(PATIENCE)))
        .map_err(broken)?;
    match answer {
        Ok(body) => OrderAnswer::decode(&body).map_err(|error| {
            Failure::Order(format!(
                "{tracker} gave an answer of another version: {error}"
            ))
        }),
        Err(Status::INVALID) => Err(Failure::Order(format!(
            "{tracker} does not know this order; remedy: upgrade the trackers first"
        ))),
        Err(status) if status == Status::IO => Err(Failure::Order(format!(
            "{tracker} took the order but could not store it, so a restart may undo it; \
             remedy: look at the disk of its data_dir, then give the order again"
        ))),
        Err(status) => Err(Failure::Client(ClientError::Refused {
            address: tracker.clone(),
            command: Command::ClusterOrder,
            status,
        })),
    }
}

async fn exchange(
    connection: &mut Connection<MemberStream<TcpStream>>,
    request: OrderRequest,
) -> Result<Result<Bytes, Status>, ConnectionError> {
    let mut body = BytesMut::new();
    request.encode(&mut body);
    let mut packet = BytesMut::new();
    let header = Header::request(Command::ClusterOrder, body.len() as u64);
    packet.extend_from_slice(&header.encode());
    packet.extend_from_slice(&body);
    connection.send(&packet).await?;
    let header = connection.header().await?.ok_or(ConnectionError::Closed)?;
    let status = Status(header.status);
    if !status.is_ok() {
        return Ok(Err(status));
    }
    connection.body(&header, ANSWER_LEN_MAX).await.map(Ok)
}
