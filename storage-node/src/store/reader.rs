//! Reading blobs: at once from memory where possible, else on a thread that may block.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use common::digest::{Crc32, Crc32Hasher};

use super::shared::Shared;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{Extent, IndexKey, IndexValue, Manifest, PartId, RecordKind, Segment, Version};
use crate::index::{Index, IndexError};
use crate::volume::FoundRecord;

/// Bytes of a hole that are handed out at a time.
const HOLE_LEN: usize = 64 * 1024;
static ZEROS: [u8; HOLE_LEN] = [0; HOLE_LEN];

/// Where the bytes of an open blob come from.
#[derive(Clone, Debug)]
pub enum BlobContent {
    /// One record.
    Record(Bytes),
    /// Parts.
    Manifest(Manifest),
}

/// A blob that was found.
#[derive(Debug)]
pub struct OpenBlob<D: Disk, I> {
    shared: Arc<Shared<D, I>>,
    /// Unix seconds of the last change.
    pub time: u32,
    /// Where its newest record lies.
    pub extent: Extent,
    /// Sequence number of its newest record: another one after each change.
    pub sequence: u64,
    /// Its version, the same on all nodes of the group.
    pub version: Version,
    /// Its bytes.
    pub content: BlobContent,
    /// Checksum of its bytes, if it is known without reading them.
    pub crc: Option<Crc32>,
}

impl<D: Disk, I: Index> Shared<D, I> {
    /// Opens the blob with this key. `None` if there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn open_blob(
        self: &Arc<Self>,
        key: &[u8],
    ) -> Result<Option<OpenBlob<D, I>>, StoreError> {
        let found = self.find(IndexKey::Blob(key)).await?;
        found
            .map(|(value, record)| self.opened(value, record))
            .transpose()
    }

    /// The metadata of the blob with this key, encoded as it was stored; `None` if it has none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn metadata(self: &Arc<Self>, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self.find(IndexKey::Metadata(key)).await?;
        Ok(found
            .map(|(_, record)| record.payload)
            .filter(|payload| !payload.is_empty()))
    }

    /// The record of the metadata of a blob, if there is one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn metadata_record(
        self: &Arc<Self>,
        key: &[u8],
    ) -> Result<Option<FoundRecord>, StoreError> {
        let found = self.find(IndexKey::Metadata(key)).await?;
        Ok(found.map(|(_, record)| record))
    }

    fn opened(
        self: &Arc<Self>,
        value: IndexValue,
        record: FoundRecord,
    ) -> Result<OpenBlob<D, I>, StoreError> {
        let (content, crc) = if value.kind == RecordKind::Manifest {
            let manifest = Manifest::decode(&record.payload)?;
            let crc = manifest.crc;
            (BlobContent::Manifest(manifest), crc)
        } else {
            (
                BlobContent::Record(record.payload),
                Some(record.header.payload_crc),
            )
        };
        let shared = Arc::clone(self);
        Ok(OpenBlob {
            shared,
            time: record.header.time,
            extent: value.extent,
            sequence: record.header.sequence,
            version: record.header.version,
            content,
            crc,
        })
    }

    async fn segment(self: &Arc<Self>, segment: Segment) -> Result<Bytes, StoreError> {
        if segment.part == PartId::HOLE {
            return Ok(Bytes::from_static(
                ZEROS.get(..segment.len as usize).unwrap_or(&ZEROS),
            ));
        }
        let found = self.find(IndexKey::Part(segment.part)).await?;
        // Gone when the blob was changed or deleted while it was read.
        let (_, record) = found.ok_or(StoreError::Conflict)?;
        let (start, end) = (
            segment.start as usize,
            (segment.start + segment.len) as usize,
        );
        let payload = record.payload;
        if payload.len() < end {
            return Err(StoreError::Conflict);
        }
        Ok(payload.slice(start..end))
    }

    /// The record of `key`: from memory if it is there, else by a thread that may block.
    async fn find(
        self: &Arc<Self>,
        key: IndexKey<'_>,
    ) -> Result<Option<(IndexValue, FoundRecord)>, StoreError> {
        if let Some(found) = self.try_read(key)? {
            return Ok(found);
        }
        let key = key.encode();
        self.blocking(move |shared| shared.read(IndexKey::decode(&key).map_err(IndexError::from)?))
            .await
    }
}

/// Has `work` done by a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    // An error: the runtime is ending, or the work panicked, which its thread reported.
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(StoreError::Stopped))
}

impl<D: Disk, I: Index> OpenBlob<D, I> {
    /// Bytes of the blob.
    pub fn len(&self) -> u64 {
        match &self.content {
            BlobContent::Record(payload) => payload.len() as u64,
            BlobContent::Manifest(manifest) => manifest.len(),
        }
    }

    /// Whether the blob has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of `range`, which is cut at the blob's end, as pieces that are read one by one.
    pub fn pieces(&self, range: Range<u64>) -> Pieces<D, I> {
        let source = match &self.content {
            BlobContent::Record(payload) => {
                let at = |offset: u64| {
                    usize::try_from(offset)
                        .unwrap_or(usize::MAX)
                        .min(payload.len())
                };
                let (start, end) = (at(range.start), at(range.end));
                Source::Bytes(Some(payload.slice(start.min(end)..end)))
            }
            BlobContent::Manifest(manifest) => {
                let mut segments = manifest.slice(range);
                segments.reverse();
                Source::Segments(segments)
            }
        };
        Pieces {
            shared: Arc::clone(&self.shared),
            source,
        }
    }

    /// The checksum of the bytes; reads all of them where it is not known.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn checksum(&self) -> Result<Crc32, StoreError> {
        if let Some(crc) = self.crc {
            return Ok(crc);
        }
        let mut hasher = Crc32Hasher::new();
        let mut pieces = self.pieces(0..self.len());
        while let Some(piece) = pieces.next().await? {
            hasher.update(&piece);
        }
        Ok(hasher.finish())
    }
}

#[derive(Debug)]
enum Source {
    Bytes(Option<Bytes>),
    /// In reverse order.
    Segments(Vec<Segment>),
}

/// The bytes of a blob, piece by piece; each is a slice of a mapped volume.
#[derive(Debug)]
pub struct Pieces<D: Disk, I> {
    shared: Arc<Shared<D, I>>,
    source: Source,
}

impl<D: Disk, I: Index> Pieces<D, I> {
    /// The next piece, or `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a piece may be skipped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        match &mut self.source {
            Source::Bytes(bytes) => Ok(bytes.take().filter(|bytes| !bytes.is_empty())),
            Source::Segments(segments) => {
                let Some(mut segment) = segments.pop() else {
                    return Ok(None);
                };
                let hole = u32::try_from(HOLE_LEN).unwrap_or(u32::MAX);
                if segment.part == PartId::HOLE && hole < segment.len {
                    segments.push(Segment {
                        len: segment.len - hole,
                        ..segment
                    });
                    segment.len = hole;
                }
                self.shared.segment(segment).await.map(Some)
            }
        }
    }
}
