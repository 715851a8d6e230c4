//! What servers count, in the order of the storage record. Source: docs/wire.md, storage record.

use crate::codec::{CodecError, Reader, Writer};
use crate::wire::WireError;

/// Client connections of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Prepared for.
    pub allocated: u32,
    /// Open now.
    pub current: u32,
    /// Most that were open at once.
    pub max: u32,
}

impl Connections {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            allocated: reader.u32()?,
            current: reader.u32()?,
            max: reader.u32()?,
        })
    }

    pub(super) fn put(&self, body: &mut Writer<'_>) {
        body.u32(self.allocated);
        body.u32(self.current);
        body.u32(self.max);
    }
}

/// How often something was tried and how often it succeeded; or the bytes of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Including failures.
    pub total: u64,
    /// Successes only.
    pub success: u64,
}

/// What a node has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names say it; bytes are bytes, the others requests"
)]
pub struct StorageCounters {
    pub upload: Counter,
    pub append: Counter,
    pub modify: Counter,
    pub truncate: Counter,
    pub set_metadata: Counter,
    pub delete: Counter,
    pub download: Counter,
    pub get_metadata: Counter,
    pub create_link: Counter,
    pub delete_link: Counter,
    pub upload_bytes: Counter,
    pub append_bytes: Counter,
    pub modify_bytes: Counter,
    pub download_bytes: Counter,
    pub sync_in_bytes: Counter,
    pub sync_out_bytes: Counter,
    pub file_open: Counter,
    pub file_read: Counter,
    pub file_write: Counter,
}

impl StorageCounters {
    /// Counters of a record.
    pub const COUNT: usize = 19;

    /// The counters in the order of the record.
    pub fn to_array(&self) -> [Counter; Self::COUNT] {
        [
            self.upload,
            self.append,
            self.modify,
            self.truncate,
            self.set_metadata,
            self.delete,
            self.download,
            self.get_metadata,
            self.create_link,
            self.delete_link,
            self.upload_bytes,
            self.append_bytes,
            self.modify_bytes,
            self.download_bytes,
            self.sync_in_bytes,
            self.sync_out_bytes,
            self.file_open,
            self.file_read,
            self.file_write,
        ]
    }

    /// Reads the counters in the order of the record.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut counter = || {
            Ok(Counter {
                total: reader.u64()?,
                success: reader.u64()?,
            })
        };
        Ok(Self {
            upload: counter()?,
            append: counter()?,
            modify: counter()?,
            truncate: counter()?,
            set_metadata: counter()?,
            delete: counter()?,
            download: counter()?,
            get_metadata: counter()?,
            create_link: counter()?,
            delete_link: counter()?,
            upload_bytes: counter()?,
            append_bytes: counter()?,
            modify_bytes: counter()?,
            download_bytes: counter()?,
            sync_in_bytes: counter()?,
            sync_out_bytes: counter()?,
            file_open: counter()?,
            file_read: counter()?,
            file_write: counter()?,
        })
    }

    /// Writes the counters in the order of the record.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        for counter in self.to_array() {
            writer.u64(counter.total);
            writer.u64(counter.success);
        }
    }
}
