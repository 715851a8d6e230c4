//! File ids: `group1/M00/02/44/….jpg`.

use std::fmt;
use std::str::FromStr;

use super::{GroupName, GroupNameError, NameError, RemoteName};

/// The public name of a blob: its group and its remote name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The group that holds the blob.
    pub group: GroupName,
    /// The name inside the group.
    pub name: RemoteName,
}

/// Why a text is not a file id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileIdError {
    /// There is no `/` behind a group.
    #[error("a file id has the form group/M00/00/00/name")]
    Form,
    /// The part before the first `/` is not a group name.
    #[error("the group of the file id is bad")]
    Group(#[from] GroupNameError),
    /// The part behind it is not a remote name.
    #[error("the name of the file id is bad")]
    Name(#[from] NameError),
}

impl FromStr for FileId {
    type Err = FileIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (group, name) = text.split_once('/').ok_or(FileIdError::Form)?;
        Ok(Self {
            group: group.parse()?,
            name: RemoteName::parse(name.as_bytes())?,
        })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}
