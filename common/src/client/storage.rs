//! Commands of a storage node, one method each.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::AsyncRead;

use super::error::{AnswerError, ClientError};
use super::exchange::{self, Content, Replay, Request};
use super::pool::{Lease, Pool};
use super::{Address, FileInfo, Metadata, MetadataMode, UploadKind};
use crate::codec::Reader;
use crate::id::{Extension, FileId, GroupName, RemoteName, SlavePrefix, VolumePath};
use crate::limits;
use crate::wire::{Command, Header};

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
        let mut head = BytesMut::with_capacity(15);
        head.put_u8(path.map_or(0xff, |path| path.0));
        head.put_u64(content.len());
        head.put_slice(extension.as_field());
        let command = match kind {
            UploadKind::Normal => Command::Upload,
            UploadKind::Appender => Command::UploadAppender,
        };
        let address = lease.address().clone();
        let body = exchange::stream(lease, command, &head, content).await?;
        stored(&address, &body)
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
        let name = master.to_text();
        let mut head = BytesMut::with_capacity(38 + name.len());
        head.put_u64(name.len() as u64);
        head.put_u64(content.len());
        head.put_slice(prefix.as_field());
        head.put_slice(extension.as_field());
        head.put_slice(name.as_bytes());
        let lease = self.connect(address).await?;
        let body = exchange::stream(lease, Command::UploadSlave, &head, content).await?;
        stored(address, &body)
    }

    /// Adds `content` at the end of an appender.
    pub async fn append<R: AsyncRead + Unpin>(
        &self,
        address: &Address,
        name: &RemoteName,
        content: Content<R>,
    ) -> Result<(), ClientError> {
        let name = name.to_text();
        let mut head = BytesMut::with_capacity(16 + name.len());
        head.put_u64(name.len() as u64);
        head.put_u64(content.len());
        head.put_slice(name.as_bytes());
        let lease = self.connect(address).await?;
        exchange::stream(lease, Command::Append, &head, content).await?;
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
        let name = name.to_text();
        let mut head = BytesMut::with_capacity(24 + name.len());
        head.put_u64(name.len() as u64);
        head.put_u64(offset);
        head.put_u64(content.len());
        head.put_slice(name.as_bytes());
        let lease = self.connect(address).await?;
        exchange::stream(lease, Command::Modify, &head, content).await?;
        Ok(())
    }

    /// Gives an appender the size `size`; what is added is zero bytes.
    pub async fn truncate(
        &self,
        address: &Address,
        name: &RemoteName,
        size: u64,
    ) -> Result<(), ClientError> {
        let name = name.to_text();
        let request = Request::new(Command::Truncate, Replay::Safe, 0, |out| {
            out.put_u64(name.len() as u64);
            out.put_u64(size);
            out.put_slice(name.as_bytes());
        });
        self.call(address, &request).await.map(drop)
    }

    /// Turns an appender into a normal blob, which gets a new id; the old one is gone.
    pub async fn regenerate(
        &self,
        address: &Address,
        name: &RemoteName,
    ) -> Result<FileId, ClientError> {
        let name = name.to_text();
        let request = Request::new(Command::RegenerateAppender, Replay::Never, 0, |out| {
            out.put_slice(name.as_bytes());
        });
        let body = self.call(address, &request).await?;
        stored(address, &body)
    }

    /// Deletes a blob and its metadata.
    pub async fn delete(&self, address: &Address, id: &FileId) -> Result<(), ClientError> {
        let request = named(Command::Delete, Replay::Never, 0, id);
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
        let request = Request::new(Command::Download, Replay::Safe, 0, |out| {
            out.put_u64(offset);
            out.put_u64(len);
            put_id(out, id);
        });
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
        let name = id.name.to_text();
        let packed = metadata.pack();
        let request = Request::new(Command::SetMetadata, Replay::Safe, 0, |out| {
            out.put_u64(name.len() as u64);
            out.put_u64(packed.len() as u64);
            out.put_u8(match mode {
                MetadataMode::Overwrite => b'O',
                MetadataMode::Merge => b'M',
            });
            out.put_slice(id.group.as_field());
            out.put_slice(name.as_bytes());
            out.put_slice(&packed);
        });
        self.call(address, &request).await.map(drop)
    }

    /// The metadata of a blob. A blob without any is "not found", as a missing blob is.
    pub async fn metadata(&self, address: &Address, id: &FileId) -> Result<Metadata, ClientError> {
        let body = self
            .call(address, &named(Command::GetMetadata, Replay::Safe, 0, id))
            .await?;
        Ok(Metadata::unpack(&body))
    }

    /// Size, time and checksum of a blob.
    pub async fn file_info(&self, address: &Address, id: &FileId) -> Result<FileInfo, ClientError> {
        let body = self
            .call(address, &named(Command::QueryFileInfo, Replay::Safe, 0, id))
            .await?;
        FileInfo::decode(&body).map_err(|source| ClientError::Answer {
            address: address.clone(),
            source,
        })
    }

    /// Asks whether a node answers.
    pub async fn active_test(&self, address: &Address) -> Result<(), ClientError> {
        let request = Request::new(Command::ActiveTest, Replay::Safe, 0, |_| {});
        self.call(address, &request).await.map(drop)
    }

    async fn call(&self, address: &Address, request: &Request) -> Result<Bytes, ClientError> {
        exchange::call(&self.pool, address, request).await
    }
}

/// A request whose body is a file id.
fn named(command: Command, replay: Replay, flags: u8, id: &FileId) -> Request {
    Request::new(command, replay, flags, |out| put_id(out, id))
}

/// Group field and name.
pub(super) fn put_id(out: &mut BytesMut, id: &FileId) {
    out.put_slice(id.group.as_field());
    out.put_slice(id.name.to_text().as_bytes());
}

/// The id in the answer to an upload.
fn stored(address: &Address, body: &[u8]) -> Result<FileId, ClientError> {
    let decode = || -> Result<FileId, AnswerError> {
        let mut reader = Reader::new(body);
        let group = reader.padded(limits::GROUP_NAME_LEN_MAX)?;
        let name = reader.rest();
        Ok(FileId {
            group: GroupName::from_bytes(group).map_err(|_| AnswerError::Field("group"))?,
            name: RemoteName::parse(name).map_err(|_| AnswerError::Field("file name"))?,
        })
    };
    decode().map_err(|source| ClientError::Answer {
        address: address.clone(),
        source,
    })
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
