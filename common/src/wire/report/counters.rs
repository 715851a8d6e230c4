//! The counters of a node, in the order in which storage listings show them.

use crate::codec::{CodecError, Reader, Writer};

/// How often something was tried and how often it worked. Byte counters count bytes likewise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// All, failures included.
    pub total: u64,
    /// Those that worked.
    pub success: u64,
}

/// What a node did since its start.
///
/// Source: docs/wire.md, storage record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each field is named like the operation it counts"
)]
pub struct NodeCounters {
    pub upload: Outcome,
    pub append: Outcome,
    pub modify: Outcome,
    pub truncate: Outcome,
    pub set_metadata: Outcome,
    pub delete: Outcome,
    pub download: Outcome,
    pub get_metadata: Outcome,
    pub create_link: Outcome,
    pub delete_link: Outcome,
    pub upload_bytes: Outcome,
    pub append_bytes: Outcome,
    pub modify_bytes: Outcome,
    pub download_bytes: Outcome,
    pub sync_in_bytes: Outcome,
    pub sync_out_bytes: Outcome,
    pub file_open: Outcome,
    pub file_read: Outcome,
    pub file_write: Outcome,
}

impl NodeCounters {
    /// How many pairs there are.
    pub const COUNT: usize = 19;

    /// All pairs in the order of the listings.
    pub fn to_array(&self) -> [Outcome; Self::COUNT] {
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

    /// The inverse of [`Self::to_array`].
    pub fn from_array(pairs: [Outcome; Self::COUNT]) -> Self {
        let [
            upload,
            append,
            modify,
            truncate,
            set_metadata,
            delete,
            download,
            get_metadata,
            create_link,
            delete_link,
            upload_bytes,
            append_bytes,
            modify_bytes,
            download_bytes,
            sync_in_bytes,
            sync_out_bytes,
            file_open,
            file_read,
            file_write,
        ] = pairs;
        Self {
            upload,
            append,
            modify,
            truncate,
            set_metadata,
            delete,
            download,
            get_metadata,
            create_link,
            delete_link,
            upload_bytes,
            append_bytes,
            modify_bytes,
            download_bytes,
            sync_in_bytes,
            sync_out_bytes,
            file_open,
            file_read,
            file_write,
        }
    }

    /// Takes all pairs, each total before success.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut pairs = [Outcome::default(); Self::COUNT];
        for pair in &mut pairs {
            *pair = Outcome {
                total: reader.u64()?,
                success: reader.u64()?,
            };
        }
        Ok(Self::from_array(pairs))
    }

    /// Appends all pairs, each total before success.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        for pair in self.to_array() {
            writer.u64(pair.total);
            writer.u64(pair.success);
        }
    }
}
