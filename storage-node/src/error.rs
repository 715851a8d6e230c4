//! What can go wrong in a storage node.

use std::io;
use std::sync::Arc;

use common::code::ErrorCode;

use crate::format::{ManifestError, RecordError, SuperblockError, VolumeNumber};
use crate::index::IndexError;
use crate::volume::ScanError;

/// A record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The device failed.
    #[error("the disk failed")]
    Io(#[source] io::Error),
    /// What lies there is not what the index means, or its checksum does not match.
    #[error("record at offset {offset} of volume {volume} is damaged; remedy: run `hayloft check`")]
    Damaged {
        /// The volume.
        volume: VolumeNumber,
        /// Offset of the record.
        offset: u64,
        /// What is wrong.
        #[source]
        cause: RecordError,
    },
    /// The volume file is gone.
    #[error("volume {0} is missing; remedy: put the file back, or run `hayloft repair`")]
    VolumeMissing(VolumeNumber),
}

/// A group of changes could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Appending failed.
    #[error("appending to volume {volume} failed; it is read-only from now on")]
    Write {
        /// The volume.
        volume: VolumeNumber,
        /// Why.
        source: io::Error,
    },
    /// The device did not confirm what was appended.
    #[error("syncing volume {volume} failed; it is read-only from now on")]
    Sync {
        /// The volume.
        volume: VolumeNumber,
        /// Why.
        source: io::Error,
    },
    /// An earlier sync failed, and what it should have made durable may be lost.
    #[error("volume {volume} failed before; remedy: restart, which reads it again")]
    Poisoned {
        /// The volume.
        volume: VolumeNumber,
    },
    /// The index took no changes.
    #[error("the index took no changes; remedy: restart, which replays them")]
    Index(#[from] IndexError),
}

/// An operation of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such blob.
    #[error("no such blob")]
    NotFound,
    /// The name is taken.
    #[error("the name is taken")]
    Exists,
    /// The name ended with a tombstone that a new blob does not outlive.
    #[error("the blob was deleted")]
    Deleted,
    /// An offset or length outside the blob.
    #[error("offset {offset} is outside a blob of {len} bytes")]
    OutOfRange {
        /// The offset asked for.
        offset: u64,
        /// Bytes of the blob.
        len: u64,
    },
    /// Merged metadata that no answer could carry; the old metadata stays.
    #[error(
        "the metadata would be longer than {} bytes",
        common::limits::METADATA_LEN_MAX
    )]
    MetadataTooLong,
    /// A change that only appenders take.
    #[error("the blob is not an appender")]
    NotAppender,
    /// The blob changed between a look and the change that relied on it; look again.
    #[error("the blob changed meanwhile")]
    Conflict,
    /// Another node of the group decides about the blob.
    #[error("node {node} decides about this blob; remedy: ask a tracker where to change it")]
    Elsewhere {
        /// That node.
        node: common::id::NodeNumber,
    },
    /// Fewer nodes than the settings ask for can keep the change.
    #[error(
        "{copies} of the group's nodes can keep the change, {wanted} are wanted; \
         remedy: bring the other nodes back, or set replication.when_too_few = \"degrade\""
    )]
    TooFewCopies {
        /// How many are wanted.
        wanted: usize,
        /// How many there are.
        copies: usize,
    },
    /// Free space is at or below what is reserved.
    #[error(
        "no space: {wanted} bytes wanted, {free} free, {reserved} reserved; \
         remedy: delete blobs, add a store path or lower reserved_space"
    )]
    NoSpace {
        /// Bytes needed.
        wanted: u64,
        /// Bytes free in the file system.
        free: u64,
        /// Bytes that are kept free.
        reserved: u64,
    },
    /// A volume could not be made.
    #[error("making a volume failed")]
    CreateVolume(#[source] io::Error),
    /// The group of changes that this one was in failed.
    #[error("the change was not made durable")]
    Commit(#[source] Arc<CommitError>),
    /// The index failed.
    #[error("the index failed")]
    Index(#[from] IndexError),
    /// A record that is needed cannot be read.
    #[error("reading failed")]
    Read(#[from] ReadError),
    /// Too many parts, or a malformed manifest.
    #[error("the manifest cannot hold the change")]
    Manifest(#[from] ManifestError),
    /// The nodes that may have the blob do not answer.
    #[error("the nodes that may have the blob are out of reach; remedy: try again soon")]
    OutOfReach,
    /// The committer has ended.
    #[error("the store is shutting down")]
    Stopped,
}

impl StoreError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound | Self::Deleted => ErrorCode::NotFound,
            Self::Exists => ErrorCode::Exists,
            Self::OutOfRange { .. }
            | Self::NotAppender
            | Self::MetadataTooLong
            | Self::Manifest(_) => ErrorCode::Invalid,
            Self::NoSpace { .. } => ErrorCode::NoSpace,
            Self::CreateVolume(error) if error.kind() == io::ErrorKind::StorageFull => {
                ErrorCode::NoSpace
            }
            Self::Conflict | Self::Elsewhere { .. } => ErrorCode::Busy,
            Self::TooFewCopies { .. } | Self::OutOfReach => ErrorCode::Unavailable,
            Self::CreateVolume(_) | Self::Commit(_) | Self::Index(_) | Self::Read(_) => {
                ErrorCode::Storage
            }
            Self::Stopped => ErrorCode::ShuttingDown,
        }
    }
}

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("the store path cannot be used")]
    Disk(#[from] crate::disk::DiskError),
    /// Listing or opening volumes failed.
    #[error("opening the volumes failed")]
    Io(#[from] io::Error),
    /// A volume cannot be walked.
    #[error("recovery stopped")]
    Scan(#[from] ScanError),
    /// The index cannot be used.
    #[error("the index cannot be used")]
    Index(#[from] IndexError),
    /// A volume file is another store's.
    #[error("volume {volume} belongs to {found}, not to {expected}; remedy: move the file away")]
    ForeignVolume {
        /// The volume.
        volume: VolumeNumber,
        /// What its superblock says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// A volume file was written by a newer Hayloft.
    #[error("volume {volume} cannot be read by this version")]
    Version {
        /// The volume.
        volume: VolumeNumber,
        /// Which version it has.
        source: SuperblockError,
    },
    /// Replaying the volumes failed.
    #[error("replaying the volumes failed")]
    Store(#[from] StoreError),
}
