//! Messages of the storage commands. Source: docs/wire.md, storage commands.
//!
//! `encode` appends a whole packet, header included, so that a small message is one write. `decode`
//! takes the body alone. Requests whose content streams implement [`Streamed`]: their head decodes
//! before the content has arrived. Nothing here allocates except [`Metadata`] and [`ArrangeRequest`].

mod change;
mod metadata;
mod prepare;
mod read;
mod stage;
mod streamed;
mod upload;

pub use change::{AppendHead, ModifyHead, RegenerateRequest, TruncateRequest};
pub use metadata::{Metadata, MetadataMode, SetMetadata};
pub use prepare::{ChunkHead, PrepareHead, PreparedResponse};
pub use read::{BlobRequest, DownloadRequest, FileInfo, QueryFileInfo, StoredResponse};
pub use stage::{ArrangeRequest, ExtendHead, Piece};
pub use streamed::Streamed;
pub use upload::{PathChoice, SlaveHead, UploadHead, UploadKind};

use std::ops::RangeInclusive;

use crate::limits;

/// Name lengths of commands that only check the upper bound themselves.
const NAME: RangeInclusive<usize> = 1..=limits::REMOTE_NAME_LEN_MAX;
/// Name lengths of commands on appenders: 44 is the shortest name a server makes for one.
const APPENDER_NAME: RangeInclusive<usize> = 44..=limits::REMOTE_NAME_LEN_MAX;

#[cfg(test)]
mod tests;
