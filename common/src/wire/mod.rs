//! The `FastDFS` protocol as values. Nothing here does IO.
//!
//! Source: docs/wire.md.

mod command;
mod error;
mod field;
mod header;
mod packet;
mod status;

pub mod cluster;
pub mod report;
pub mod storage;
pub mod tracker;

pub use command::Command;
pub use error::WireError;
pub use field::{AddressText, HostText, NodeText, VersionText};
pub use header::{HEADER_LEN, Header, HeaderError, RESPONSE_COMMAND, response};
pub use packet::{encode_bare_request, encode_empty, encode_error};
pub use status::Status;

/// Width of the address fields of one listening address: 16 for IPv4-only clients, 46 for clients of
/// IPv6 clusters. Requests do not tell which one a client wants, so it is a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressWidth {
    /// 16-byte fields; what nearly every client library expects.
    #[default]
    V4,
    /// 46-byte fields.
    V6,
}

impl AddressWidth {
    /// Bytes of an address in records and file information.
    pub fn in_record(self) -> usize {
        match self {
            Self::V4 => 16,
            Self::V6 => 46,
        }
    }

    /// Whether an address can be told to the clients of this listening address. A node whose address
    /// does not fit must not be offered to them.
    pub fn fits(self, address: &AddressText) -> bool {
        address.as_bytes().len() <= self.in_query()
    }

    /// Bytes of an address in query answers, one less.
    pub fn in_query(self) -> usize {
        self.in_record() - 1
    }
}
