//! What can be asked of a store, and what it answers.

use std::ops::Range;

use bytes::Bytes;
use common::digest::Crc32;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::format::{
    Extent, Manifest, PartId, Position, RecordHeader, Segment, Version, VolumeNumber,
};

/// Turns the stored metadata of a blob (empty if there is none) into what shall be stored, or says
/// that this cannot be.
pub type MetadataChange = Box<dyn FnOnce(&[u8]) -> Option<Vec<u8>> + Send>;

/// New bytes of an appender.
#[derive(Debug)]
pub enum Content {
    /// At most [`common::limits::RECORD_PAYLOAD_LEN_MAX`] bytes.
    Inline(Bytes),
    /// Parts that were stored before.
    Parts {
        /// The parts.
        segments: Vec<Segment>,
        /// Checksum of all of them.
        crc: Crc32,
    },
}

/// A change of an appender.
#[derive(Debug)]
pub enum Edit {
    /// Bytes at the end.
    Append(Content),
    /// Bytes in place of others, or beyond the end.
    Modify {
        /// Where, at most the length.
        offset: u64,
        /// What.
        content: Content,
    },
    /// Another length.
    Truncate {
        /// The length.
        len: u64,
    },
    /// Another name; the blob is no appender any more.
    Rename {
        /// The new name's key.
        key: Vec<u8>,
        /// Where the manifest lay when the checksum was computed, if that matters.
        expected: Option<Extent>,
        /// Checksum of the content.
        crc: Crc32,
    },
    /// Ranges of the bytes, in this order, under another name; the blob ends, and what no range
    /// holds is gone.
    Arrange {
        /// The new name's key.
        key: Vec<u8>,
        /// The ranges, none of them empty.
        ranges: Vec<Range<u64>>,
        /// Checksum of the ranges one behind the other.
        crc: Crc32,
    },
}

/// Under which condition a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// As a client asks: a new name must be free, what is changed or deleted must be there.
    Asked,
    /// As another node of the group decided: if it is newer than what is here. What is not newer
    /// changes nothing and is answered with [`Answer::Known`].
    Newer,
    /// In place of what is here in the same version and is damaged.
    Repair,
}

/// What a request changes. Keys are [`common::id::RemoteName::to_key`].
pub enum Change {
    /// A new blob of one record.
    Blob {
        /// Its name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// Its version.
        version: Version,
        /// Its bytes.
        payload: Bytes,
        /// Their checksum.
        crc: Crc32,
        /// When it takes effect.
        condition: Condition,
    },
    /// A part that a manifest will refer to.
    Part {
        /// Unix seconds.
        time: u32,
        /// Its bytes.
        payload: Bytes,
        /// Their checksum.
        crc: Crc32,
    },
    /// A new blob of parts.
    Manifest {
        /// Its name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// Its version.
        version: Version,
        /// Its parts, all of them open.
        manifest: Manifest,
        /// When it takes effect.
        condition: Condition,
    },
    /// A change of an appender.
    Edit {
        /// Its name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// The version before, if only that one may be changed.
        base: Option<Version>,
        /// The version after.
        version: Version,
        /// The change.
        edit: Edit,
    },
    /// A change of metadata.
    Metadata {
        /// Name of the blob.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// The version after.
        version: Version,
        /// The change.
        change: MetadataChange,
        /// When it takes effect.
        condition: Condition,
    },
    /// The end of a blob.
    Delete {
        /// Its name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// Version of the tombstone.
        version: Version,
        /// When it takes effect. If it is `Newer`, the tombstone is kept although nothing is here.
        condition: Condition,
    },
    /// Tombstones that every node of the group has, by the names that they end.
    ForgetTombstones(Vec<Vec<u8>>),
    /// Parts that no manifest will refer to.
    Abandon(Vec<PartId>),
    /// A record that compaction carries from an old volume to the active one.
    Move(MovedRecord),
    /// A tombstone that nothing needs any more.
    Forget {
        /// Volume it lies in.
        volume: VolumeNumber,
        /// Bytes on disk.
        len: u64,
    },
    /// A volume without needed records.
    RemoveVolume(VolumeNumber),
    /// The active volume takes no more records, so that compaction can look at it.
    Seal,
    /// Records before this place were synced from outside.
    Synced(Position),
    /// A sync from outside failed: nothing of the volume that was not durable before can be relied on.
    SyncFailed(VolumeNumber),
    /// Everything is made durable, and the store takes no more changes.
    Close,
}

/// A record on its way to another volume.
#[derive(Debug)]
pub struct MovedRecord {
    /// Header as it was.
    pub header: RecordHeader,
    /// Key as it was.
    pub key: Vec<u8>,
    /// Payload, verified.
    pub payload: Bytes,
    /// Where it lay.
    pub from: Extent,
}

/// What a change gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// Nothing is changed: what is here is as new.
    Known,
    /// It is done; the part has this name.
    Part(PartId),
    /// It is done; the new bytes begin at this offset.
    Appended {
        /// Bytes that the blob had before.
        offset: u64,
    },
}

/// Gets the outcome of a request.
pub type Reply = oneshot::Sender<Result<Answer, StoreError>>;

/// A change and who waits for it.
pub struct Request {
    /// The change.
    pub change: Change,
    /// Who waits.
    pub reply: Reply,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").finish_non_exhaustive()
    }
}
