//! What is in a folder.
//!
//! `E` account, folder, kind, name: the number, as a [`List`], folders first and then files, each by
//! name. `e` account, folder, number: whether it is there or went to the trash from there.

use super::{Field, KeyType, Table};
use crate::core::id::{AccountId, Entry, FileNumber, FolderNumber};
use crate::core::name::EntryName;
use crate::core::ranked::List;
use common::codec::{CodecError, Reader, Writer};

/// Whether an entry is a folder or a file. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::core) enum EntryKind {
    Folder = 1,
    File = 2,
}

impl EntryKind {
    pub(in crate::core) fn of(entry: Entry) -> Self {
        match entry {
            Entry::Folder(_) => Self::Folder,
            Entry::File(_) => Self::File,
        }
    }

    /// The entry of this kind with a number.
    pub(in crate::core) fn entry(self, number: u64) -> Entry {
        match self {
            Self::Folder => Entry::Folder(FolderNumber(number)),
            Self::File => Entry::File(FileNumber(number)),
        }
    }
}

impl Field for EntryKind {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => Ok(Self::Folder),
            2 => Ok(Self::File),
            _ => Err(CodecError::Field("entry kind")),
        }
    }
}

pub(in crate::core) struct Entries;

impl Table for Entries {
    const TYPE: KeyType = KeyType::Entry;
    type Key = (AccountId, FolderNumber, EntryKind, EntryName);
    type Value = u64;
}

impl Entries {
    /// The entries of a folder; the sort key is kind, name.
    pub(in crate::core) fn list(account: AccountId, folder: FolderNumber) -> List {
        List::new(super::key(KeyType::Entry, &(account, folder)))
    }
}

/// What the list by number says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct Presence {
    /// Folder or file.
    pub(in crate::core) kind: EntryKind,
    /// Whether it went to the trash.
    pub(in crate::core) is_trashed: bool,
}

impl Field for Presence {
    fn write(&self, out: &mut Writer<'_>) {
        self.kind.write(out);
        self.is_trashed.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            kind: EntryKind::read(reader)?,
            is_trashed: bool::read(reader)?,
        })
    }
}

pub(in crate::core) struct EntriesByNumber;

impl Table for EntriesByNumber {
    const TYPE: KeyType = KeyType::EntryByNumber;
    type Key = (AccountId, FolderNumber, u64);
    type Value = Presence;
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_table;
    use super::*;

    #[test]
    fn entries_come_back() {
        let name: EntryName = "a.mp4".parse().unwrap();
        let key = (AccountId(1), FolderNumber(0), EntryKind::File, name);
        check_table::<Entries>(&key, &7);
        let presence = Presence {
            kind: EntryKind::Folder,
            is_trashed: true,
        };
        check_table::<EntriesByNumber>(&(AccountId(1), FolderNumber(2), 3), &presence);
    }
}
