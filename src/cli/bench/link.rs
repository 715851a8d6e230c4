//! One worker's connections to trackers and storage nodes: long-lived, and as cheap as can be, so that
//! the servers are measured and not the generator.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use common::client::Address;
use common::digest::{Crc32, Crc32Hasher};
use common::id::{BlobKind, Extension, FileId, GroupName};
use common::limits;
use common::rpc::{Connection, ConnectionError};
use common::wire::storage::{
    BlobRequest, DownloadRequest, PathChoice, StoredResponse, UploadHead, UploadKind,
};
use common::wire::tracker::{FetchTarget, NodeAddress, Request, Scope, StoreTarget};
use common::wire::{Header, RESPONSE_COMMAND, Status, WireError};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::payload::Content;

/// Bytes taken from a download at once.
const PIECE_LEN_MAX: usize = 256 * 1024;

/// Why an operation failed; its text is what errors are counted by.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpError {
    /// The server refused.
    #[error("refused: {0}")]
    Status(Status),
    /// No connection came about.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The connection broke.
    #[error("connection lost")]
    Connection(#[from] ConnectionError),
    /// A socket without frames failed.
    #[error("connection lost")]
    Io(#[from] std::io::Error),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The answer makes no sense.
    #[error("malformed answer")]
    Answer,
    /// An HTTP status other than 200.
    #[error("HTTP status {0}")]
    HttpStatus(u16),
    /// A call of the API was refused.
    #[error("refused with code {0}")]
    Code(u32),
    /// The server wants other slices than the run has.
    #[error("the server's slices have another size than --slice-size")]
    SliceSize,
    /// Size or checksum differ from what the id says.
    #[error("content does not match its id")]
    Content,
}

impl From<WireError> for OpError {
    fn from(_: WireError) -> Self {
        Self::Answer
    }
}

impl OpError {
    /// Whether the next request may go over the same connections. A refusal is a whole answer, but the
    /// original server closes behind "invalid".
    pub(super) fn leaves_connections_in_step(&self) -> bool {
        match self {
            Self::Status(status) => *status != Status::INVALID,
            // The HTTP connection is put back when its answer was read, and else dropped.
            Self::Code(_) | Self::SliceSize => true,
            Self::Connect(_)
            | Self::Connection(_)
            | Self::Io(_)
            | Self::Timeout
            | Self::Answer
            | Self::HttpStatus(_)
            | Self::Content => false,
        }
    }
}

impl From<OpError> for std::io::Error {
    fn from(error: OpError) -> Self {
        if let OpError::Connect(error) = error {
            return error;
        }
        Self::other(error)
    }
}

/// Whom to ask.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Trackers; each worker keeps to one of them.
    pub(super) trackers: Vec<Address>,
    /// A storage node to go to without asking a tracker.
    pub(super) storage: Option<Address>,
    /// The group to write to.
    pub(super) group: Option<GroupName>,
    /// Longest time without progress.
    pub(super) timeout: Duration,
}

/// The connections of one worker.
#[derive(Debug)]
pub(super) struct Link<'a> {
    target: &'a Target,
    tracker_address: Option<&'a Address>,
    tracker: Option<Connection<TcpStream>>,
    /// Storage nodes met so far. A handful, so a list is the fastest map.
    storages: Vec<(Place, Connection<TcpStream>)>,
    out: BytesMut,
    verify: bool,
}

/// A storage node as the tracker named it, or the one given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Given,
    Named(NodeAddress),
}

impl<'a> Link<'a> {
    /// A worker's link; `worker` spreads workers over trackers.
    pub(super) fn new(target: &'a Target, worker: usize, verify: bool) -> Self {
        let trackers = target.trackers.len().max(1);
        Self {
            target,
            tracker_address: target.trackers.get(worker % trackers),
            tracker: None,
            storages: Vec::new(),
            out: BytesMut::with_capacity(512),
            verify,
        }
    }

    /// Connects to whom every operation begins with, before the clock runs.
    pub(super) async fn open(&mut self) -> Result<(), OpError> {
        if self.target.storage.is_some() {
            let connection = self.connect(Place::Given).await?;
            self.storages.push((Place::Given, connection));
        } else {
            self.tracker().await?;
        }
        Ok(())
    }

    /// Drops all connections: after a failure nobody knows where in the protocol they stand.
    pub(super) fn reset(&mut self) {
        self.tracker = None;
        self.storages.clear();
    }

    /// Stores one content.
    pub(super) async fn upload(&mut self, content: &Content<'_>) -> Result<FileId, OpError> {
        let (place, path) = if self.target.storage.is_some() {
            (Place::Given, PathChoice::Any)
        } else {
            let target = self.query_store().await?;
            (Place::Named(target.node), PathChoice::Path(target.path))
        };
        let head = UploadHead {
            path,
            size: content.len(),
            extension: Extension::default(),
        };
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        head.encode_as(UploadKind::Normal, &mut out);
        out.extend_from_slice(content.own());
        let connection = self.storage(place).await?;
        connection
            .send_buf(&mut (&out[..]).chain(content.shared()))
            .await?;
        self.out = out;
        let connection = self.storage(place).await?;
        let header = answer(connection).await?;
        let body = connection.body(&header, limits::PACKET_LEN_MAX).await?;
        let StoredResponse { group, name } = StoredResponse::decode(&body)?;
        let id = FileId { group, name };
        if self.verify {
            let mut crc = Crc32Hasher::new();
            crc.update(content.own());
            crc.update(content.shared());
            check(&id, content.len(), crc.finish())?;
        }
        Ok(id)
    }

    /// Reads a whole blob; the number of its bytes.
    pub(super) async fn download(&mut self, id: &FileId) -> Result<u64, OpError> {
        let request = DownloadRequest {
            offset: 0,
            len: 0,
            group: id.group,
            name: id.name,
        };
        let place = self.find(id, Find::ToRead).await?;
        let verify = self.verify;
        let connection = self
            .storage_request(place, |out| request.encode(out))
            .await?;
        let header = answer(connection).await?;
        let mut left = header.body_len;
        let mut crc = Crc32Hasher::new();
        while 0 < left {
            let max = usize::try_from(left).unwrap_or(usize::MAX);
            let piece = connection.piece(max.min(PIECE_LEN_MAX)).await?;
            if verify {
                crc.update(&piece);
            }
            left -= piece.len() as u64;
        }
        if verify {
            check(id, header.body_len, crc.finish())?;
        }
        Ok(header.body_len)
    }

    /// Deletes a blob.
    pub(super) async fn delete(&mut self, id: &FileId) -> Result<(), OpError> {
        let request = BlobRequest {
            group: id.group,
            name: id.name,
        };
        let place = self.find(id, Find::ToChange).await?;
        let connection = self
            .storage_request(place, |out| request.encode_delete(out))
            .await?;
        let header = answer(connection).await?;
        connection.body(&header, 0).await?;
        Ok(())
    }

    /// Asks the tracker where to write.
    pub(super) async fn query_store(&mut self) -> Result<StoreTarget, OpError> {
        let group = self.target.group;
        let scope = Scope::One;
        let body = self.ask(Request::QueryStore { group, scope }).await?;
        Ok(StoreTarget::decode(&body)?)
    }

    /// Asks the tracker where a blob is.
    pub(super) async fn query(&mut self, id: &FileId, find: Find) -> Result<NodeAddress, OpError> {
        let FileId { group, name } = *id;
        let request = match find {
            Find::ToRead => Request::QueryFetch {
                group,
                name,
                scope: Scope::One,
            },
            Find::ToChange => Request::QueryUpdate { group, name },
        };
        let body = self.ask(request).await?;
        Ok(FetchTarget::decode(&body)?.node)
    }

    async fn find(&mut self, id: &FileId, find: Find) -> Result<Place, OpError> {
        if self.target.storage.is_some() {
            return Ok(Place::Given);
        }
        self.query(id, find).await.map(Place::Named)
    }

    async fn ask(&mut self, request: Request) -> Result<Bytes, OpError> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        request.encode(&mut out);
        let connection = self.tracker().await?;
        connection.send(&out).await?;
        let header = answer(connection).await?;
        let body = connection.body(&header, limits::PACKET_LEN_MAX).await?;
        self.out = out;
        Ok(body)
    }

    async fn storage_request(
        &mut self,
        place: Place,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<&mut Connection<TcpStream>, OpError> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        encode(&mut out);
        self.storage(place).await?.send(&out).await?;
        self.out = out;
        self.storage(place).await
    }

    async fn tracker(&mut self) -> Result<&mut Connection<TcpStream>, OpError> {
        let connection = match self.tracker.take() {
            Some(connection) => connection,
            None => match self.tracker_address {
                Some(address) => connect(address, self.target.timeout).await?,
                None => return Err(OpError::Answer),
            },
        };
        Ok(self.tracker.insert(connection))
    }

    async fn storage(&mut self, place: Place) -> Result<&mut Connection<TcpStream>, OpError> {
        let index = self.storages.iter().position(|(there, _)| *there == place);
        let index = if let Some(index) = index {
            index
        } else {
            let connection = self.connect(place).await?;
            self.storages.push((place, connection));
            self.storages.len() - 1
        };
        match self.storages.get_mut(index) {
            Some((_, connection)) => Ok(connection),
            None => Err(OpError::Answer),
        }
    }

    async fn connect(&self, place: Place) -> Result<Connection<TcpStream>, OpError> {
        match (place, &self.target.storage) {
            (Place::Named(node), _) => connect(&node.into(), self.target.timeout).await,
            (Place::Given, Some(address)) => connect(address, self.target.timeout).await,
            (Place::Given, None) => Err(OpError::Answer),
        }
    }
}

/// What a blob is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Find {
    ToRead,
    ToChange,
}

/// Connects without waiting for ever.
pub(super) async fn open_stream(address: &Address, limit: Duration) -> Result<TcpStream, OpError> {
    let connecting = TcpStream::connect((address.host(), address.port()));
    let stream = timeout(limit, connecting)
        .await
        .map_err(|_| OpError::Timeout)?
        .map_err(OpError::Connect)?;
    stream.set_nodelay(true).map_err(OpError::Connect)?;
    Ok(stream)
}

async fn connect(address: &Address, limit: Duration) -> Result<Connection<TcpStream>, OpError> {
    Ok(Connection::new(open_stream(address, limit).await?, limit))
}

async fn answer(connection: &mut Connection<TcpStream>) -> Result<Header, OpError> {
    let header = connection.header().await?.ok_or(ConnectionError::Closed)?;
    match (header.command, header.status) {
        (RESPONSE_COMMAND, 0) => Ok(header),
        (RESPONSE_COMMAND, status) => Err(OpError::Status(Status(status))),
        _ => Err(OpError::Answer),
    }
}

/// Compares a content with what its id says. Appenders and slaves say nothing about theirs.
pub(super) fn check(id: &FileId, size: u64, crc: Crc32) -> Result<(), OpError> {
    let stem = id.name.stem();
    let says = matches!(id.name.kind(), BlobKind::Normal | BlobKind::Trunk);
    if says && (stem.size(), stem.crc) != (size, crc) {
        return Err(OpError::Content);
    }
    Ok(())
}
