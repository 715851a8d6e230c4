//! Names and numbers: parsed once at the edge, trusted inside, printed back byte for byte.
//!
//! Source: docs/wire.md (limits, file ids).

mod file_id;
mod group;
mod node;
mod remote_name;
mod stem;
mod tail;
mod volume_path;

pub use file_id::{FileId, FileIdError};
pub use group::{GroupName, GroupNameError};
pub use node::{NodeNumber, NodeNumberError, Source};
pub use remote_name::{BlobKind, NameError, NewBlob, RemoteName};
pub use stem::Stem;
pub use tail::{Extension, SlavePrefix, TailError};
pub use volume_path::VolumePath;
