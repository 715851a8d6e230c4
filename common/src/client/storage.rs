//! Commands of a storage node, one method each.

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;

use super::Address;
use super::error::ClientError;
use super::exchange::{self, Content, Replay, Request};
use super::pool::{Lease, Pool};
use super::prepared::{Prepared, UploadWriter};
use super::staged::{self, ExtensionWriter};
use crate::id::{Extension, FileId, RemoteName, SlavePrefix, VolumePath};
use crate::wire::storage::{
    AppendHead, BlobRequest, DownloadRequest, FileInfo, Metadata, MetadataMode, ModifyHead,
    PathChoice, Piece, PrepareHead, QueryFileInfo, RegenerateRequest, SetMetadata, SlaveHead,
    StoredResponse, Streamed, TruncateRequest, UploadHead, UploadKind,
};
use crate::wire::{Command, Header, WireError, encode_bare_request};

/// Bytes of one piece of a download at most.
const PIECE_LEN_MAX: usize = 256 * 1024;

/// Speaks to storage nodes whose address the caller knows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StorageClient {
    pool: Pool,
}

impl StorageClient {
    /// A client over `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// A connection that [`Self::upload_on`] will use. Apart from it so that a caller can still
    /// turn to another node: once the content is being read, it cannot.
    pub async fn connect(&self, address: &Address) -> Result<Lease, ClientError> {
        self.pool.lease(address).await
    }

    /// Stores a new blob. `path` is the slot that the tracker named; `None` lets the node choose.
    pub async fn upload<R: AsyncRead + Unpin>(
        &self,
        address: &Address,
        path: Option<VolumePath>,
        kind: UploadKind,
        extension: Extension,
        content: Content<R>,
    ) -> Result<FileId, ClientError> {
        let lease = self.connect(address).await?;
        self.upload_on(lease, path, kind, extension, content).await
    }

    /// [`Self::upload`] on a connection that is there already.
    pub async fn upload_on<R: AsyncRead + Unpin>(
        &self,
        lease: Lease,
        path: Option<VolumePath>,
        kind: UploadKind,
        extension: Extension,
        content: Content<R>,
    ) -> Result<FileId, ClientError> {
        let head = UploadHead {
            path: path.map_or(PathChoice::Any, PathChoice::Path),
            size: content.len(),
            extension,
        };
        let command = match kind {
            UploadKind::Normal => Command::Upload,
            UploadKind::Appender => Command::UploadAppender,
        };
        let address = lease.address().clone();
        let encode = |out: &mut BytesMut| head.encode_as(kind, out);
        let body = exchange::stream(lease, command, encode, content).await?;
        stored(&address, &body)
    }

    /// Begins an upload of unknown length that becomes a blob only when it is committed, on a
    /// connection of [`Self::connect`]. Nothing is sent yet.
    pub fn begin_upload_on(
        &self,
        lease: Lease,
        path: Option<VolumePath>,
        kind: UploadKind,
        extension: Extension,
    ) -> UploadWriter {
        let path = path.map_or(PathChoice::Any, PathChoice::Path);
        let head = PrepareHead {
            path,
            kind,
            extension,
        };
        UploadWriter::new(lease, head)
    }

    /// Begins to add content at the end of a staging blob, on a connection of [`Self::connect`].
    /// Nothing is sent yet.
    pub fn extend_on(&self, lease: Lease, staging: &FileId) -> ExtensionWriter {
        ExtensionWriter::new(lease, staging)
    }

    /// Prepares a blob of these pieces of a staging blob, in this order. Its commit also ends the
    /// staging blob.
    pub async fn arrange(
        &self,
        address: &Address,
        staging: &FileId,
        extension: Extension,
        pieces: &[Piece],
    ) -> Result<Prepared, ClientError> {
        staged::arrange(&self.pool, address, staging, extension, pieces).await
    }

    /// Stores a blob named after `master`.
    pub async fn upload_slave<R: AsyncRead + Unpin>(
        &self,
        address: &Address,
        master: &RemoteName,
        prefix: SlavePrefix,
        extension: Extension,
        content: Content<R>,
    ) -> Result<FileId, ClientError> {
        let head = SlaveHead {
            master: *master,
            size: content.len(),
            prefix,
            extension,
        };
        let lease = self.connect(address).await?;
        let body =
            exchange::stream(lease, Command::UploadSlave, |out| head.encode(out), content).await?;
        stored(address, &body)
    }

    /// Adds `content` at the end of an appender.
    pub async fn append<R: AsyncRead + Unpin>(
        &self,
        address: &Address,
        name: &RemoteName,
        content: Content<R>,
    ) -> Result<(), ClientError> {
        let head = AppendHead {
            name: *name,
            size: content.len(),
        };
        let lease = self.connect(address).await?;
        exchange::stream(lease, Command::Append, |out| head.encode(out), content).await?;
        Ok(())
    }

    /// Overwrites an appender from `offset` on with `content`; may extend it.
    pub async fn modify<R: AsyncRead + Unpin>(
        &self,
        address: &Address,
        name: &RemoteName,
        offset: u64,
        content: Content<R>,
    ) -> Result<(), ClientError> {
        let head = ModifyHead {
            name: *name,
            offset,
            size: content.len(),
        };
        let lease = self.connect(address).await?;
        exchange::stream(lease, Command::Modify, |out| head.encode(out), content).await?;
        Ok(())
    }

    /// Gives an appender the size `size`; what is added is zero bytes.
    pub async fn truncate(
        &self,
        address: &Address,
        name: &RemoteName,
        size: u64,
    ) -> Result<(), ClientError> {
        let truncate = TruncateRequest { name: *name, size };
        let request = Request::new(Command::Truncate, Replay::Safe, |out| truncate.encode(out));
        self.call(address, &request).await.map(drop)
    }

    /// Turns an appender into a normal blob, which gets a new id; the old one is gone.
    pub async fn regenerate(
        &self,
        address: &Address,
        name: &RemoteName,
    ) -> Result<FileId, ClientError> {
        let regenerate = RegenerateRequest { name: *name };
        let request = Request::new(Command::RegenerateAppender, Replay::Never, |out| {
            regenerate.encode(out);
        });
        let body = self.call(address, &request).await?;
        stored(address, &body)
    }

    /// Deletes a blob and its metadata.
    pub async fn delete(&self, address: &Address, id: &FileId) -> Result<(), ClientError> {
        let request = Request::new(Command::Delete, Replay::Never, |out| {
            blob(id).encode_delete(out);
        });
        self.call(address, &request).await.map(drop)
    }

    /// Opens `len` bytes from `offset` on for reading; 0 means up to the end.
    pub async fn download(
        &self,
        address: &Address,
        id: &FileId,
        offset: u64,
        len: u64,
    ) -> Result<Download, ClientError> {
        let wanted = DownloadRequest {
            offset,
            len,
            group: id.group,
            name: id.name,
        };
        let request = Request::new(Command::Download, Replay::Safe, |out| wanted.encode(out));
        let (lease, header) = exchange::open(&self.pool, address, &request).await?;
        Ok(Download::new(lease, &header))
    }

    /// Replaces or merges the metadata of a blob.
    pub async fn set_metadata(
        &self,
        address: &Address,
        id: &FileId,
        mode: MetadataMode,
        metadata: &Metadata,
    ) -> Result<(), ClientError> {
        let set = SetMetadata {
            mode,
            group: id.group,
            name: id.name,
            packed: metadata.as_bytes(),
        };
        let request = Request::new(Command::SetMetadata, Replay::Safe, |out| set.encode(out));
        self.call(address, &request).await.map(drop)
    }

    /// The metadata of a blob. A blob without any is "not found", as a missing blob is.
    pub async fn metadata(&self, address: &Address, id: &FileId) -> Result<Metadata, ClientError> {
        let request = Request::new(Command::GetMetadata, Replay::Safe, |out| {
            blob(id).encode_get_metadata(out);
        });
        let body = self.call(address, &request).await?;
        Ok(Metadata::parse(&body))
    }

    /// Size, time and checksum of a blob.
    pub async fn file_info(&self, address: &Address, id: &FileId) -> Result<FileInfo, ClientError> {
        let query = QueryFileInfo {
            group: id.group,
            name: id.name,
            flags: 0,
        };
        let request = Request::new(Command::QueryFileInfo, Replay::Safe, |out| {
            query.encode(out);
        });
        let body = self.call(address, &request).await?;
        FileInfo::decode(&body).map_err(|source| malformed(address, source))
    }

    /// Asks whether a node answers.
    pub async fn active_test(&self, address: &Address) -> Result<(), ClientError> {
        let request = Request::new(Command::ActiveTest, Replay::Safe, |out| {
            encode_bare_request(out, Command::ActiveTest);
        });
        self.call(address, &request).await.map(drop)
    }

    async fn call(&self, address: &Address, request: &Request) -> Result<Bytes, ClientError> {
        exchange::call(&self.pool, address, request).await
    }
}

fn blob(id: &FileId) -> BlobRequest {
    BlobRequest {
        group: id.group,
        name: id.name,
    }
}

/// The id in the answer to an upload.
fn stored(address: &Address, body: &[u8]) -> Result<FileId, ClientError> {
    match StoredResponse::decode(body) {
        Ok(StoredResponse { group, name }) => Ok(FileId { group, name }),
        Err(error) => Err(malformed(address, error)),
    }
}

fn malformed(address: &Address, error: WireError) -> ClientError {
    ClientError::Answer {
        address: address.clone(),
        source: error.into(),
    }
}

/// A blob on its way to us. Dropped before its end, it closes its connection.
#[derive(Debug)]
pub struct Download {
    /// `None` once everything was read.
    lease: Option<Lease>,
    len: u64,
    left: u64,
}

impl Download {
    fn new(lease: Lease, header: &Header) -> Self {
        let mut download = Self {
            lease: Some(lease),
            len: header.body_len,
            left: header.body_len,
        };
        download.release_if_done();
        download
    }

    /// Bytes that come in all.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no byte comes at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The next bytes, or `None` behind the last one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Some(lease) = &mut self.lease else {
            return Ok(None);
        };
        let max = usize::try_from(self.left).unwrap_or(usize::MAX);
        let piece = lease.piece(max.min(PIECE_LEN_MAX)).await?;
        self.left -= piece.len() as u64;
        self.release_if_done();
        Ok(Some(piece))
    }

    /// Everything, if it is at most `max` bytes.
    pub async fn collect(mut self, max: usize) -> Result<Bytes, ClientError> {
        let len = match usize::try_from(self.left) {
            Ok(len) if len <= max => len,
            _ => {
                return Err(ClientError::TooLong {
                    len: self.left,
                    max: max as u64,
                });
            }
        };
        let mut all = BytesMut::with_capacity(len);
        while let Some(piece) = self.piece().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    fn release_if_done(&mut self) {
        if self.left == 0
            && let Some(lease) = self.lease.take()
        {
            lease.release();
        }
    }
}
