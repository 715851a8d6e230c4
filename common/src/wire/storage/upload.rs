//! Upload, appender upload and slave upload.

use bytes::BytesMut;

use super::NAME;
use super::streamed::{SIGNED_MAX, Streamed, check_lengths};
use crate::codec::Reader;
use crate::id::{Extension, RemoteName, SlavePrefix, VolumePath};
use crate::limits;
use crate::wire::{Command, WireError, field, packet};

/// The byte that leaves the choice of the volume path to the node.
const ANY_PATH: u8 = 0xff;

/// Which volume path an upload goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathChoice {
    /// The node chooses.
    Any,
    /// The one that the tracker assigned. Whether the group has it is the node's to know. `MFF` cannot
    /// be asked for: its byte means [`Self::Any`].
    Path(VolumePath),
}

impl PathChoice {
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte {
            ANY_PATH => Self::Any,
            path => Self::Path(VolumePath(path)),
        }
    }

    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Any => ANY_PATH,
            Self::Path(path) => path.0,
        }
    }
}

/// The head of an upload (11) or an appender upload (23); the two look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadHead {
    /// Where the blob goes.
    pub path: PathChoice,
    /// Bytes of content.
    pub size: u64,
    /// Extension to keep in the name.
    pub extension: Extension,
}

/// Which of the two upload commands to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadKind {
    /// The blob never changes.
    Normal,
    /// The blob can be appended to.
    Appender,
}

impl UploadKind {
    fn command(self) -> Command {
        match self {
            Self::Normal => Command::Upload,
            Self::Appender => Command::UploadAppender,
        }
    }
}

impl UploadHead {
    /// Appends the packet of either kind, without its content.
    pub fn encode_as(&self, kind: UploadKind, out: &mut BytesMut) {
        packet::request(out, kind.command(), 0, self.size, |body| {
            body.u8(self.path.to_byte());
            body.u64(self.size);
            body.bytes(self.extension.as_field());
        });
    }
}

impl Streamed for UploadHead {
    const FIXED_LEN: usize = 15;

    fn name_len(fixed: &[u8], body_len: u64) -> Result<usize, WireError> {
        let mut reader = Reader::new(fixed);
        reader.u8()?;
        let size = reader.len(SIGNED_MAX)?;
        check_lengths(Self::FIXED_LEN, 0, size, body_len)?;
        Ok(0)
    }

    fn decode(fixed: &[u8], name: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(fixed);
        let path = PathChoice::from_byte(reader.u8()?);
        let size = reader.len(SIGNED_MAX)?;
        let extension = extension(&mut reader)?;
        reader.finish()?;
        Reader::new(name).finish()?;
        Ok(Self {
            path,
            size,
            extension,
        })
    }

    fn content_len(&self) -> u64 {
        self.size
    }

    fn encode(&self, out: &mut BytesMut) {
        self.encode_as(UploadKind::Normal, out);
    }
}

/// The head of a slave upload (21). It carries no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlaveHead {
    /// The blob that the new one is named after.
    pub master: RemoteName,
    /// Bytes of content.
    pub size: u64,
    /// What is put behind the master's name.
    pub prefix: SlavePrefix,
    /// Extension of the slave.
    pub extension: Extension,
}

impl Streamed for SlaveHead {
    const FIXED_LEN: usize = 38;

    fn name_len(fixed: &[u8], body_len: u64) -> Result<usize, WireError> {
        let mut reader = Reader::new(fixed);
        let name_len = field::name_len(reader.len(SIGNED_MAX)?, NAME)?;
        let size = reader.len(SIGNED_MAX)?;
        check_lengths(Self::FIXED_LEN, name_len, size, body_len)?;
        Ok(name_len)
    }

    fn decode(fixed: &[u8], name: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(fixed);
        reader.u64()?;
        let size = reader.len(SIGNED_MAX)?;
        let prefix = reader.padded(limits::SLAVE_PREFIX_LEN_MAX)?;
        let prefix = SlavePrefix::from_bytes(prefix).map_err(WireError::Prefix)?;
        let extension = extension(&mut reader)?;
        reader.finish()?;
        let master = field::blob_name(name, NAME)?;
        Ok(Self {
            master,
            size,
            prefix,
            extension,
        })
    }

    fn content_len(&self) -> u64 {
        self.size
    }

    fn encode(&self, out: &mut BytesMut) {
        let master = self.master.text();
        packet::request(out, Command::UploadSlave, 0, self.size, |body| {
            body.u64(master.as_bytes().len() as u64);
            body.u64(self.size);
            body.bytes(self.prefix.as_field());
            body.bytes(self.extension.as_field());
            body.bytes(master.as_bytes());
        });
    }
}

/// The bytes before the first NUL; what follows in the field is ignored.
pub(super) fn extension(reader: &mut Reader<'_>) -> Result<Extension, WireError> {
    Extension::from_bytes(reader.padded(limits::EXTENSION_LEN_MAX)?).map_err(WireError::Extension)
}
