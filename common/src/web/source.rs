//! The seam between HTTP and whoever holds blobs: the local store or the cluster.

use std::error::Error;
use std::future::Future;
use std::ops::Range;

use bytes::Bytes;

use super::download::BlobFacts;
use crate::code::ErrorCode;
use crate::id::FileId;

/// Opens blobs.
pub trait BlobSource: Send + Sync + 'static {
    /// Reads a blob that is not one piece of memory.
    type Reader: ReadPieces;

    /// Opens a blob: what it is now, and its bytes as of now.
    ///
    /// A blob that does not exist, or not here, is [`ErrorCode::NotFound`]; one that may exist
    /// elsewhere is [`ErrorCode::Unavailable`].
    fn open(
        &self,
        id: &FileId,
    ) -> impl Future<Output = Result<Opened<Self::Reader>, SourceError>> + Send;
}

/// Reads an open blob piece by piece.
pub trait ReadPieces: Send + 'static {
    /// The next bytes from `range.start` on: at least one, at most `range` has, and no more than
    /// [`crate::limits::HTTP_PIECE_LEN_MAX`].
    ///
    /// The caller goes on behind them until `range.end`, so an implementation may read ahead that
    /// far. It is called for the next piece only when the socket took the last one.
    ///
    /// # Cancel safety
    ///
    /// After a cancelled call the reader is dropped.
    fn read(
        &mut self,
        range: Range<u64>,
    ) -> impl Future<Output = Result<Bytes, SourceError>> + Send;
}

/// An open blob.
#[derive(Debug)]
pub struct Opened<R> {
    /// What the blob is.
    pub facts: BlobFacts,
    /// Its bytes.
    pub content: Content<R>,
}

/// The bytes of an open blob.
#[derive(Debug)]
pub enum Content<R> {
    /// All of them, as one slice of a mapping: sent without a copy.
    Whole(Bytes),
    /// To be read piece by piece.
    Pieces(R),
}

/// The reader of a source whose blobs are always whole.
#[derive(Clone, Copy, Debug)]
pub enum NoReader {}

impl ReadPieces for NoReader {
    async fn read(&mut self, _range: Range<u64>) -> Result<Bytes, SourceError> {
        match *self {}
    }
}

/// Why a blob could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("{}", text(*code))]
pub struct SourceError {
    /// What kind of failure it is; decides the HTTP status.
    pub code: ErrorCode,
    /// The failure itself, for the log.
    #[source]
    pub cause: Option<Box<dyn Error + Send + Sync>>,
}

impl SourceError {
    /// An error with its cause.
    pub fn new(code: ErrorCode, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code,
            cause: Some(cause.into()),
        }
    }
}

impl From<ErrorCode> for SourceError {
    fn from(code: ErrorCode) -> Self {
        Self { code, cause: None }
    }
}

/// What a client is told. Causes may name addresses and paths, so they stay in the log.
fn text(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NotFound => "no such file: it was deleted or never uploaded",
        ErrorCode::Invalid => "the storage refused the request as malformed",
        ErrorCode::Exists => "the name is taken",
        ErrorCode::NoSpace => "no space left",
        ErrorCode::Busy => "the server is at one of its limits: try again in a moment",
        ErrorCode::Storage => "the file exists but could not be read: the operator's log says more",
        ErrorCode::ReadOnly => "the storage takes no writes",
        ErrorCode::Forbidden => "not allowed",
        ErrorCode::Interrupted => "a server was too slow or went away: try again in a moment",
        ErrorCode::ShuttingDown => "the server is stopping: try again in a moment",
        ErrorCode::Unavailable => "nobody who may hold the file answers: try again in a moment",
        ErrorCode::Unsupported => "not supported in this configuration",
    }
}
