//! How much goes into one message between nodes.

use common::limits;

use super::message::{ENTRIES_MAX, FETCHED_MAX};

/// The most that one message holds. Smaller portions take more messages and change nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portions {
    /// Entries of a log or of an index; at most [`ENTRIES_MAX`].
    pub entries: usize,
    /// Names that are fetched at once; at most [`FETCHED_MAX`].
    pub names: usize,
    /// Bytes of content in one answer; at most what a record holds.
    pub content_len: usize,
    /// A blob of parts up to this many bytes is sent whole.
    pub whole_len: u64,
    /// Bytes of a longer one that are asked for at once; at most what a record holds.
    pub range_len: usize,
    /// A blob up to this many bytes that is not here is fetched before its reader is answered, so that
    /// the next one finds it: a moment's work. What is longer is passed on as it comes.
    pub fetched_first: u64,
}

impl Default for Portions {
    fn default() -> Self {
        Self {
            entries: ENTRIES_MAX,
            names: FETCHED_MAX,
            content_len: limits::RECORD_PAYLOAD_LEN_MAX,
            whole_len: 128 * 1024,
            range_len: limits::RECORD_PAYLOAD_LEN_MAX,
            fetched_first: 4 * 1024 * 1024,
        }
    }
}
