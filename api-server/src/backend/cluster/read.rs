//! Reading: a tracker names the holders, a holder sends.

use std::future::Future;
use std::ops::Range;

use bytes::Bytes;
use common::client::{Address, Client, Download, FileInfo, StorageClient, StorageRecord};
use common::code::ErrorCode;
use common::digest::Crc32;
use common::id::{BlobKind, FileId, Source};
use common::limits;
use common::web::download::{BlobFacts, Version};
use common::web::source::{BlobSource, Content, Opened, ReadPieces, SourceError};
use common::wire::tracker::NodeStatus;

use super::{ClusterBlobs, bounded};
use crate::backend::BlobsError;

const _: () = assert!(SMALL_LEN_MAX <= PIECE_LEN as u64);
const _: () = assert!(PIECE_LEN <= limits::HTTP_PIECE_LEN_MAX);

/// Bytes that are fetched at once, and so what a download holds in memory for a client that reads
/// slowly or not at all.
const PIECE_LEN: usize = 256 * 1024;
/// A normal blob of at most so many bytes is fetched when it is opened: its facts are in its name,
/// so this saves the round trip that asks for them.
const SMALL_LEN_MAX: u64 = 64 * 1024;

impl BlobSource for ClusterBlobs {
    type Reader = Reader;

    async fn open(&self, id: &FileId) -> Result<Opened<Reader>, SourceError> {
        let stem = id.name.stem();
        let is_normal = id.name.kind() == BlobKind::Normal;
        if is_normal && (1..=SMALL_LEN_MAX).contains(&stem.size()) {
            let facts = BlobFacts {
                size: stem.size(),
                time: stem.time,
                version: Version::Immutable(stem.crc),
            };
            let bytes = read_part(&self.client, id, 0..facts.size, Some(stem.crc)).await?;
            return Ok(Opened {
                facts,
                content: Content::Whole(bytes),
            });
        }
        let info = file_info(&self.client, id).await?;
        let facts = facts_of(&info, is_normal)?;
        let content = if facts.size == 0 {
            Content::Whole(Bytes::new())
        } else {
            Content::Pieces(match facts.version {
                Version::Immutable(_) => Reader::Pieces(self.client.clone(), *id),
                Version::Changing(_) => Reader::Stream(self.streams.clone(), *id, None),
            })
        };
        Ok(Opened { facts, content })
    }
}

fn facts_of(info: &FileInfo, is_normal: bool) -> Result<BlobFacts, SourceError> {
    if limits::BLOB_LEN_MAX < info.size {
        return Err(ErrorCode::Storage.into());
    }
    Ok(BlobFacts {
        size: info.size,
        time: u32::try_from(info.time).unwrap_or(u32::MAX),
        version: if is_normal {
            Version::Immutable(info.crc)
        } else {
            Version::Changing(info.crc.0.into())
        },
    })
}

/// Reads a blob over the wire.
#[derive(Debug)]
pub(crate) enum Reader {
    /// A request per piece, so that a slow client holds no connection to a node, and the next piece
    /// may come from another node.
    Pieces(Client, FileId),
    /// One request for all of a range: a node answers it from one state of the blob, whereas pieces
    /// of a blob that changes in between would not fit together.
    Stream(Client, FileId, Option<Stream>),
}

/// A range on its way to us.
#[derive(Debug)]
pub(crate) struct Stream {
    download: Download,
    /// What of it was not read yet.
    left: Range<u64>,
}

impl ReadPieces for Reader {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, SourceError> {
        match self {
            Self::Pieces(client, id) => {
                let end = range.end.min(range.start.saturating_add(PIECE_LEN as u64));
                read_part(client, id, range.start..end, None).await
            }
            Self::Stream(client, id, open) => {
                let mut stream = match open.take() {
                    Some(stream) if stream.left == range => stream,
                    _ => open_stream(client, id, range).await?,
                };
                let Some(bytes) = bounded(stream.download.piece()).await? else {
                    let why = "the node sent fewer bytes than it has";
                    return Err(SourceError::new(ErrorCode::Storage, why));
                };
                stream.left.start += bytes.len() as u64;
                *open = Some(stream);
                Ok(bytes)
            }
        }
    }
}

/// Begins to read `range` from the first holder that has all of it.
async fn open_stream(
    client: &Client,
    id: &FileId,
    range: Range<u64>,
) -> Result<Stream, SourceError> {
    ask_holders(client, id, |storages, holder| {
        let (id, range) = (*id, range.clone());
        async move {
            let len = range.end - range.start;
            let download = bounded(storages.download(&holder, &id, range.start, len)).await?;
            if download.len() != len {
                let why = format!("{holder} has {} of {len} bytes", download.len());
                return Err(SourceError::new(ErrorCode::Storage, why));
            }
            Ok(Stream {
                download,
                left: range,
            })
        }
    })
    .await
}

/// All bytes of `part`, which is short enough to be held, from the first holder that has them.
///
/// A part reaches the client only when it is whole, so going to the next holder repeats no byte.
async fn read_part(
    client: &Client,
    id: &FileId,
    part: Range<u64>,
    expected: Option<Crc32>,
) -> Result<Bytes, SourceError> {
    ask_holders(client, id, |storages, holder| {
        let (id, part) = (*id, part.clone());
        async move {
            let len = part.end - part.start;
            let bytes = bounded(async {
                let download = storages.download(&holder, &id, part.start, len).await?;
                download.collect(PIECE_LEN).await
            })
            .await?;
            if bytes.len() as u64 != len {
                let why = format!("{holder} sent {} of {len} bytes", bytes.len());
                return Err(SourceError::new(ErrorCode::Storage, why));
            }
            check(&bytes, expected)?;
            Ok(bytes)
        }
    })
    .await
}

/// Size, time and checksum, from the first holder that knows them.
async fn file_info(client: &Client, id: &FileId) -> Result<FileInfo, SourceError> {
    ask_holders(client, id, |storages, holder| {
        let id = *id;
        async move { Ok(bounded(storages.file_info(&holder, &id)).await?) }
    })
    .await
}

/// Asks the holder that a tracker prefers, then the others.
async fn ask_holders<T, F>(
    client: &Client,
    id: &FileId,
    ask: impl Fn(StorageClient, Address) -> F,
) -> Result<T, SourceError>
where
    F: Future<Output = Result<T, SourceError>>,
{
    let first = bounded(client.trackers().fetch_one(id)).await?;
    let mut error = match ask(client.storages().clone(), first.clone()).await {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    for other in bounded(client.trackers().fetch_all(id)).await? {
        if other == first {
            continue;
        }
        match ask(client.storages().clone(), other).await {
            Ok(answer) => return Ok(answer),
            // The weakest answer: a holder that is away may have the blob.
            Err(other) if other.code == ErrorCode::NotFound => {}
            Err(other) => error = other,
        }
    }
    Err(error)
}

/// What was received against the checksum in the name: rot anywhere on the way is seen here.
fn check(bytes: &[u8], expected: Option<Crc32>) -> Result<(), SourceError> {
    let Some(expected) = expected else {
        return Ok(());
    };
    let crc = Crc32::of(bytes);
    if crc == expected {
        return Ok(());
    }
    let why = format!("checksum {crc} of what a node sent, {expected} in the name");
    Err(SourceError::new(ErrorCode::Storage, why))
}

/// Whether a blob exists, asked of all nodes of its group, the one that stored it first.
///
/// It exists if one of them has it. It does not if all that were not removed say so, one at least, and
/// the tracker knows the node that stored it: one that has just started without its snapshot may not.
pub(super) async fn exists(client: &Client, id: &FileId) -> Result<bool, BlobsError> {
    let mut nodes = bounded(client.trackers().storages(id.group)).await?;
    let is_source = |node: &StorageRecord| match id.name.stem().source {
        Source::Node(number) => node.id.as_bytes() == number.to_string().as_bytes(),
        Source::Address(address) => node.address.as_bytes() == address.to_string().as_bytes(),
    };
    let mut doubt = (!nodes.iter().any(is_source)).then_some(BlobsError::SourceUnknown);
    nodes.retain(|node| node.status != NodeStatus::Deleted);
    nodes.sort_by_key(|node| !is_source(node));
    if nodes.is_empty() {
        return Err(BlobsError::SourceUnknown);
    }
    for node in nodes {
        let address = Address::new(&node.address.to_string(), node.port);
        match bounded(client.storages().file_info(&address, id)).await {
            Ok(_) => return Ok(true),
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => doubt = Some(error),
        }
    }
    match doubt {
        None => Ok(false),
        Some(error) => Err(error),
    }
}
