//! What a check found, for people and for JSON.

use std::fmt;

use serde::Serialize;

/// What a check of one volume path found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PathReport {
    /// The volume path.
    pub volume_path: String,
    /// Volume files.
    pub volumes: u64,
    /// Bytes of volumes that were walked.
    pub bytes: u64,
    /// Records met.
    pub records: u64,
    /// Blobs that the index shows.
    pub blobs: u64,
    /// State of the index.
    pub index: IndexState,
    /// Records that the last stop left for the next start to replay; 0 after a clean stop.
    pub pending_records: u64,
    /// Records at the end that the last stop left unfinished; they were not acknowledged.
    pub unfinished_records: u64,
    /// Parts that no blob refers to; `hayloft repair` gives their space back.
    pub unowned_parts: u64,
    /// Blobs that cannot be read whole.
    pub affected: Vec<Affected>,
    /// Stretches of volumes without a readable record where records should be.
    pub damage: Vec<Stretch>,
    /// Volume files that are missing, cut short, foreign or unreadable.
    pub volume_problems: Vec<VolumeProblem>,
    /// Ids of blobs that are in the volumes and that the index does not show.
    pub not_in_index: Vec<String>,
    /// Ids of blobs that the index shows although they were deleted.
    pub deleted_in_index: Vec<String>,
}

impl PathReport {
    /// Whether nothing is wrong. An unclean stop is nothing wrong.
    pub fn is_sound(&self) -> bool {
        self.index == IndexState::Sound
            && self.affected.is_empty()
            && self.damage.is_empty()
            && self.volume_problems.is_empty()
            && self.not_in_index.is_empty()
            && self.deleted_in_index.is_empty()
    }
}

/// State of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub enum IndexState {
    /// It can be read.
    #[default]
    Sound,
    /// There is none.
    Missing,
    /// It cannot be read; says why.
    Damaged(String),
}

/// Which bytes of a blob are affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The blob itself.
    Blob,
    /// Its metadata.
    Metadata,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blob => "blob",
            Self::Metadata => "metadata",
        })
    }
}

/// A blob that cannot be read whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// The file id.
    pub id: String,
    /// What of it.
    pub content: Content,
    /// What is wrong.
    pub why: String,
    /// Volume of its record.
    pub volume: u32,
    /// Offset of its record in bytes.
    pub offset: u64,
}

/// A stretch of a volume that holds no readable record where records should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The volume.
    pub volume: u32,
    /// Its first byte.
    pub start: u64,
    /// The byte behind it.
    pub end: u64,
}

/// A volume file that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VolumeProblem {
    /// The volume.
    pub volume: u32,
    /// What is wrong, and what to do.
    pub what: String,
}
