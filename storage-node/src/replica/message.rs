//! What nodes of a group say to one another. Document: docs/wire.md, replication.
//!
//! A request or an answer is a head, which this module encodes, and a payload: content that is
//! neither copied nor looked at on its way.

use std::ops::Range;

use bytes::Bytes;
use common::codec::CodecError;
use common::digest::Crc32;
use common::id::VolumePath;

use crate::format::{Position, Stamp, Version};
use crate::store::Says;

mod codec;
#[cfg(test)]
mod tests;

/// The latest version of these messages that this program speaks.
pub const REPLICATION_VERSION: u16 = 1;
/// The earliest one.
pub const REPLICATION_VERSION_MIN: u16 = 1;

/// Entries of one answer about the log or a range. Few in tests, so that they need several.
pub const ENTRIES_MAX: usize = 2048;
/// Names that one request fetches.
pub const FETCHED_MAX: usize = 1024;
/// A head and a payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcel {
    /// Encoded fields.
    pub head: Bytes,
    /// Content.
    pub payload: Bytes,
}

/// Content that comes with a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// The payload of the message.
    Inline(Bytes),
    /// What was sent before, part by part.
    Transfer {
        /// The sender's number for it.
        id: u64,
        /// Checksum of all parts.
        crc: Crc32,
    },
}

/// A change of an appender, as [`crate::store::Edit`] without places, which differ from node to node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEdit {
    /// Bytes at the end.
    Append(Carried),
    /// Bytes in place of others.
    Modify {
        /// Where.
        offset: u64,
        /// What.
        content: Carried,
    },
    /// Another length.
    Truncate {
        /// The length.
        len: u64,
    },
    /// Another name.
    Rename {
        /// Key of the new name.
        key: Vec<u8>,
        /// Checksum of the bytes.
        crc: Crc32,
    },
    /// Ranges under another name.
    Arrange {
        /// Key of the new name.
        key: Vec<u8>,
        /// The ranges.
        ranges: Vec<Range<u64>>,
        /// Checksum of the ranges one behind the other.
        crc: Crc32,
    },
}

/// A change that a node decided and its peers take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerChange {
    /// A blob.
    Put {
        /// Whether it is made of parts, as appenders are.
        in_parts: bool,
        /// Its bytes.
        content: Carried,
        /// Their checksum.
        crc: Crc32,
    },
    /// A change of an appender that has the version `base`.
    Edit {
        /// The version before.
        base: Version,
        /// The change.
        edit: PeerEdit,
    },
    /// Metadata, as it is stored.
    Metadata(Vec<u8>),
    /// The end of a blob.
    Delete,
}

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Keep bytes for a change that follows.
    Part {
        /// The sender's number for the content.
        transfer: u64,
        /// Where the change will be.
        path: VolumePath,
        /// Unix seconds.
        time: u32,
        /// The bytes.
        payload: Bytes,
    },
    /// Nothing will follow.
    Drop {
        /// The sender's number for the content.
        transfer: u64,
    },
    /// Make a change.
    Apply {
        /// Where.
        path: VolumePath,
        /// Key of the name.
        key: Vec<u8>,
        /// Unix seconds.
        time: u32,
        /// The version after.
        version: Version,
        /// The change.
        change: PeerChange,
    },
    /// What changed since a place in your log?
    Log {
        /// Where.
        path: VolumePath,
        /// The place; `None`: only tell where the log ends.
        from: Option<LogPlace>,
        /// Milliseconds to wait if nothing did.
        patience: u32,
    },
    /// Is this what you have between two keys of the index?
    Compare {
        /// Where.
        path: VolumePath,
        /// Prefix of the index keys.
        prefix: u8,
        /// First key, without prefix.
        from: Vec<u8>,
        /// Key behind the last one; `None`: to the end.
        to: Option<Vec<u8>>,
        /// Entries between them.
        count: u64,
        /// Digest of the entries.
        digest: [u8; 32],
    },
    /// Send blobs or metadata.
    Fetch {
        /// Where.
        path: VolumePath,
        /// Prefix of the index and key of each.
        names: Vec<(u8, Vec<u8>)>,
    },
    /// What do you have under a name?
    Find {
        /// Where.
        path: VolumePath,
        /// Key of the name.
        key: Vec<u8>,
    },
    /// Fetch from me what I have under a name, and answer when it is durable.
    Take {
        /// Where.
        path: VolumePath,
        /// Key of the name.
        key: Vec<u8>,
    },
    /// Send a range of a blob of many parts.
    Read {
        /// Where.
        path: VolumePath,
        /// Key of the name.
        key: Vec<u8>,
        /// The version that the range is of.
        version: Version,
        /// The range, of at most a record's payload.
        range: Range<u64>,
    },
    /// May I decide about the appenders of a node that I cannot reach?
    Decide {
        /// Number of the node.
        source: u32,
        /// What the versions of the decisions will begin with.
        term: Stamp,
    },
    /// Tell how you are and what you speak: the first request on a connection.
    Ping {
        /// The latest version of these messages that the sender speaks.
        version: u16,
    },
}

/// A place in a node's log: its volumes, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// Which log: another one after a disk was replaced.
    pub log: u64,
    /// The place.
    pub position: Position,
}

/// What a record of the log, or an entry of the index, says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub says: Says,
    /// Key of the name.
    pub key: Vec<u8>,
    /// Its version.
    pub version: Version,
}

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// It is too much for this answer: ask again.
    Later,
    /// It cannot be read here.
    Damaged,
    /// Its bytes: the next `len` of the payload.
    Whole {
        /// Its version.
        version: Version,
        /// Unix seconds of the last change.
        time: u32,
        /// Whether it is made of parts, as appenders are.
        in_parts: bool,
        /// Checksum of the bytes.
        crc: Crc32,
        /// Bytes.
        len: u32,
    },
    /// A blob to be read in ranges.
    Long {
        /// Its version.
        version: Version,
        /// Unix seconds of the last change.
        time: u32,
        /// Checksum of the bytes, if it is known.
        crc: Option<Crc32>,
        /// Bytes.
        len: u64,
    },
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done and durable.
    Done,
    /// What is here is as new or newer; it is durable.
    Known,
    /// Another version is changed by it than the one that is here.
    Behind {
        /// The version that is here, if there is one.
        version: Option<Version>,
    },
    /// It was deleted.
    Deleted,
    /// It cannot be: the wire status of the reason.
    Refused(u8),
    /// Records of the log, oldest first.
    Log {
        /// What they say.
        entries: Vec<Entry>,
        /// Where to go on.
        next: LogPlace,
        /// Bytes of records behind that.
        behind: u64,
        /// Whether the place that was asked for is not in this log: all must be compared.
        is_new: bool,
        /// If so, bytes of all records here that are needed; else 0.
        live_bytes: u64,
    },
    /// The range is the same.
    Same,
    /// The range differs: what is in it here, up to `next`.
    Entries {
        /// The entries.
        entries: Vec<Entry>,
        /// Where to go on, if they were too many.
        next: Option<Vec<u8>>,
    },
    /// What was fetched, in the order of the request.
    Fetched {
        /// What is there.
        found: Vec<Found>,
        /// The bytes of all that is whole.
        payload: Bytes,
    },
    /// What is here under a name.
    State {
        /// The version of the blob.
        blob: Option<Version>,
        /// The version of the tombstone.
        tombstone: Option<Version>,
    },
    /// A range of a blob.
    Range(Bytes),
    /// You may.
    Granted,
    /// Somebody else decides about that by now.
    Overruled,
    /// How the node is, and what it speaks.
    Pong {
        /// The version of these messages that both sides speak from here on: the earlier of the two
        /// latest ones.
        version: u16,
    },
}

/// Two nodes speak no common version of these messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the peer wants version {theirs} of replication, this node speaks {REPLICATION_VERSION_MIN} to \
     {REPLICATION_VERSION}; remedy: upgrade the older of the two, release by release"
)]
pub struct VersionError {
    /// What the peer wants.
    pub theirs: u16,
}

/// The version that a node answers when a peer speaks versions up to `theirs`. What is earlier than all
/// that this program speaks is answered with the earliest one, which that peer refuses by name.
pub fn version_for(theirs: u16) -> u16 {
    theirs.clamp(REPLICATION_VERSION_MIN, REPLICATION_VERSION)
}

/// Whether this node speaks what a peer answered.
pub fn check_version(theirs: u16) -> Result<u16, VersionError> {
    if (REPLICATION_VERSION_MIN..=REPLICATION_VERSION).contains(&theirs) {
        Ok(theirs)
    } else {
        Err(VersionError { theirs })
    }
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a malformed message between nodes")]
pub struct MessageError(#[from] CodecError);
