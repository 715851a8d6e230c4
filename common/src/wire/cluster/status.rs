//! How a cluster fares, as one tracker sees it.
//!
//! Field names are stable and only added to: `hayloft cluster status --json` prints them, and scripts
//! read them. A field that a peer does not send is zero, false or empty.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::CLUSTER_VERSION;
use crate::codec::{CodecError, Reader, Writer};
use crate::id::GroupName;
use crate::limits;
use crate::wire::report::ReportError;

/// Where a page of status begins: behind a node. Body of command 164.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusCursor {
    /// The group of the last node that was told; `None` to begin.
    pub group: Option<GroupName>,
    /// The last node that was told.
    pub number: u32,
}

/// One page of status: groups with as many of their nodes as fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusPage {
    /// What it tells. A group that goes on has the same name on the next page.
    pub status: ClusterStatus,
    /// Group and number to go on behind; absent on the last page.
    pub next: Option<(String, u32)>,
}

/// A cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterStatus {
    /// All trackers that the answering one knows, itself first.
    pub trackers: Vec<TrackerStatus>,
    /// All groups, by name.
    pub groups: Vec<GroupStatus>,
    /// Nodes that were refused lately.
    pub refused: Vec<RefusedNode>,
}

/// A tracker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrackerStatus {
    /// Its address.
    pub address: String,
    /// Whether it answers.
    pub is_alive: bool,
    /// Version of its program.
    pub version: String,
    /// Unix seconds of its start.
    pub started: u64,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// Whether it takes no new blobs and shall be removed.
    pub is_draining: bool,
    /// Whether an operator forbade changes.
    pub is_read_only: bool,
    /// Space of its smallest member, bytes.
    pub total_bytes: u64,
    /// What of it is free.
    pub free_bytes: u64,
    /// What of it uploads leave alone.
    pub reserved_bytes: u64,
    /// Nodes that clients are sent to for reading.
    pub readable: u64,
    /// Nodes that clients are sent to for new blobs.
    pub writable: u64,
    /// Its nodes, by number.
    pub nodes: Vec<NodeStatus>,
}

/// A storage node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its number.
    pub number: u32,
    /// Address and port of the storage protocol.
    pub address: String,
    /// Its port of HTTP downloads.
    pub http_port: u16,
    /// Its state in a word: `active`, `online`, `syncing`, `recovery`, `offline` or `deleted`.
    pub state: String,
    /// Why it is not simply in service, most important first.
    pub reasons: Vec<String>,
    /// Whether the tracker hears it.
    pub is_alive: bool,
    /// Whether it takes no new blobs and shall be removed.
    pub is_draining: bool,
    /// Whether an operator forbade changes.
    pub is_read_only: bool,
    /// Version of its program.
    pub version: String,
    /// Unix seconds of its start.
    pub started: u64,
    /// Unix seconds of its last report.
    pub last_report: u64,
    /// How far it is behind its peers, milliseconds.
    pub lag_ms: u64,
    /// Records with fewer copies than the group keeps.
    pub under_replicated: u64,
    /// Seconds since the byte was verified that waits longest for it.
    pub unverified_age_s: u64,
    /// Records that it holds.
    pub records: u64,
    /// How far a rebuild is.
    pub rebuild: Progress,
    /// Open connections.
    pub connections: u64,
    /// Blobs stored since its start; the same for the following.
    pub uploads: u64,
    /// Blobs read.
    pub downloads: u64,
    /// Blobs deleted.
    pub deletes: u64,
    /// Bytes stored.
    pub upload_bytes: u64,
    /// Bytes read.
    pub download_bytes: u64,
    /// Its volume paths.
    pub paths: Vec<PathStatus>,
}

/// How far a rebuild is, in records; `total` is 0 when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Here already.
    pub done: u64,
    /// In all.
    pub total: u64,
}

/// A volume path of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStatus {
    /// Its name, `M00` to `MFF`.
    pub path: String,
    /// Size of the disk under it, bytes.
    pub total_bytes: u64,
    /// What of it is free.
    pub free_bytes: u64,
    /// Whether it takes no writes.
    pub is_read_only: bool,
    /// Whether the node holds everything that its group stored there.
    pub is_complete: bool,
    /// Records that the node holds there.
    pub records: u64,
    /// How far it is from complete.
    pub rebuild: Progress,
}

/// A node that the tracker refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedNode {
    /// The number it wanted.
    pub number: u32,
    /// The group it wanted.
    pub group: String,
    /// Where it is.
    pub address: String,
    /// Why, such as `number taken by 10.0.0.5:23000`.
    pub reason: String,
    /// Unix seconds of the last time.
    pub at: u64,
}

impl StatusCursor {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, ReportError> {
        let mut reader = Reader::new(body);
        match reader.u16()? {
            0 => return Err(CodecError::Field("version").into()),
            CLUSTER_VERSION => {}
            theirs => return Err(ReportError::TooNew { theirs }),
        }
        let group = match reader.padded(limits::GROUP_NAME_LEN_MAX)? {
            b"" => None,
            name => Some(GroupName::from_bytes(name).map_err(|_| CodecError::Field("group"))?),
        };
        let number = reader.u32()?;
        reader.finish()?;
        Ok(Self { group, number })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut writer = Writer::new(out);
        writer.u16(CLUSTER_VERSION);
        match &self.group {
            Some(group) => writer.bytes(group.as_field()),
            None => writer.padded(b"", limits::GROUP_NAME_LEN_MAX),
        }
        writer.u32(self.number);
    }
}

impl StatusPage {
    /// Decodes a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, CodecError> {
        serde_json::from_slice(body).map_err(|_| CodecError::Field("status"))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        // Plain data with text keys always has a JSON form.
        let json = serde_json::to_vec(self).unwrap_or_default();
        out.extend_from_slice(&json);
    }

    /// Where the next page begins.
    pub fn cursor(&self) -> Option<StatusCursor> {
        let (group, number) = self.next.as_ref()?;
        Some(StatusCursor {
            group: Some(group.parse().ok()?),
            number: *number,
        })
    }
}

impl ClusterStatus {
    /// Adds the next page.
    pub fn append(&mut self, page: Self) {
        if self.trackers.is_empty() {
            self.trackers = page.trackers;
            self.refused = page.refused;
        }
        for group in page.groups {
            match self.groups.last_mut() {
                Some(last) if last.name == group.name => last.nodes.extend(group.nodes),
                _ => self.groups.push(group),
            }
        }
    }
}
