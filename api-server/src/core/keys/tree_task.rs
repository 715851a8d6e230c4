//! `J` account, folder: work that is left to do below a folder, because it would be too much for one
//! transaction.

use super::field::record;
use super::{Field, KeyType, Table};
use crate::core::id::{AccountId, FolderNumber};
use common::codec::{CodecError, Reader, Writer};

/// What is left to do. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::core) enum TreeTaskKind {
    /// Files below the folder are listed, or not, as the folder is in the tree or in the trash.
    List = 1,
    /// Everything below the folder, and the folder itself, is removed.
    Purge = 2,
}

impl Field for TreeTaskKind {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => Ok(Self::List),
            2 => Ok(Self::Purge),
            _ => Err(CodecError::Field("tree task")),
        }
    }
}

record! {
    /// Work below a folder.
    pub(in crate::core) TreeTask {
        /// What.
        kind: TreeTaskKind,
        /// Entries with a number up to this one are done.
        after: u64,
    }
}

pub(in crate::core) struct TreeTasks;

impl Table for TreeTasks {
    const TYPE: KeyType = KeyType::TreeTask;
    type Key = (AccountId, FolderNumber);
    type Value = TreeTask;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_comes_back() {
        let task = TreeTask {
            kind: TreeTaskKind::Purge,
            after: 7,
        };
        let key = (AccountId(1), FolderNumber(2));
        super::super::testing::check_table::<TreeTasks>(&key, &task);
    }
}
