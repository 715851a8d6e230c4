//! What can be wrong with a packet.

use crate::code::ErrorCode;
use crate::codec::CodecError;
use crate::id::{GroupNameError, NameError, TailError};
use crate::text::TextError;

/// A packet that does not say what its command wants, and the answer it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No command has this number here.
    #[error("unknown command {0}")]
    UnknownCommand(u8),
    /// The layout is wrong.
    #[error("malformed packet")]
    Codec(#[from] CodecError),
    /// The lengths inside the packet do not add up to the length of its body.
    #[error("the packet declares {declared} bytes and has {body_len}")]
    Lengths {
        /// What the fields add up to, saturating.
        declared: u64,
        /// What the header says.
        body_len: u64,
    },
    /// A name that is too short or too long for this command.
    #[error("a name of {len} bytes where {min} to {max} are allowed")]
    NameLength {
        /// Bytes of the name.
        len: u64,
        /// Least allowed.
        min: usize,
        /// Most allowed.
        max: usize,
    },
    /// A group name that is not one, sent to a node that belongs to a group.
    #[error("bad group name")]
    Group(#[source] GroupNameError),
    /// A group name that is not one, sent to the tracker: it cannot be known.
    #[error("no such group")]
    UnknownGroup(#[source] GroupNameError),
    /// A remote name that is not one.
    #[error("bad name")]
    Name(#[from] NameError),
    /// A name inside a trunk file of an original server; those are recognised but not held.
    #[error("a trunk name")]
    Trunk,
    /// An extension with a byte that names cannot have.
    #[error("bad extension")]
    Extension(#[source] TailError),
    /// A slave prefix that is empty or has a byte that names cannot have.
    #[error("bad slave prefix")]
    Prefix(#[source] TailError),
    /// A text field that does not hold text.
    #[error("bad text field")]
    Text(#[from] TextError),
    /// A blob above the limit.
    #[error("a blob of {len} bytes is above the limit")]
    BlobTooLong {
        /// Bytes it would have.
        len: u64,
    },
    /// A message of ours that its receiver's buffers could not take.
    #[error("a message of {len} bytes where {max} are allowed")]
    MessageTooLong {
        /// Bytes it would have.
        len: usize,
        /// Most allowed.
        max: usize,
    },
}

impl WireError {
    /// What the sender of the packet is told.
    ///
    /// A malformed packet is invalid. A well-formed name under which nothing can be stored is simply
    /// not found, as it would be if a blob of that name had been deleted.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Name(NameError::Unknown) | Self::Trunk | Self::UnknownGroup(_) => {
                ErrorCode::NotFound
            }
            Self::BlobTooLong { .. } => ErrorCode::NoSpace,
            Self::UnknownCommand(_)
            | Self::Codec(_)
            | Self::Lengths { .. }
            | Self::NameLength { .. }
            | Self::Group(_)
            | Self::Name(
                NameError::Length { .. }
                | NameError::VolumePath
                | NameError::Directory
                | NameError::Dots
                | NameError::Byte(_),
            )
            | Self::Extension(_)
            | Self::Prefix(_)
            | Self::Text(_)
            | Self::MessageTooLong { .. } => ErrorCode::Invalid,
        }
    }
}
