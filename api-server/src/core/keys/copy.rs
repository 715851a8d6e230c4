//! `b` account, number: a copy of many entries, which is made in the background. `t` account, number of
//! the copy, place: what is left of it to do.

use super::field::record;
use super::{Field, KeyType, Table};
use crate::core::id::{AccountId, FolderNumber};
use common::codec::{CodecError, Reader, Writer};

/// How far a copy is. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CopyState {
    /// Nothing was done yet.
    Waiting = 0,
    /// A part of it was done.
    Running = 1,
    /// Everything was copied.
    Done = 2,
    /// Something could not be copied. What was copied before stays.
    Failed = 3,
}

impl Field for CopyState {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            0 => Ok(Self::Waiting),
            1 => Ok(Self::Running),
            2 => Ok(Self::Done),
            3 => Ok(Self::Failed),
            _ => Err(CodecError::Field("state of a copy")),
        }
    }
}

record! {
    /// A copy of many entries.
    #[derive(Copy)]
    pub(in crate::core) CopyTask {
        /// How far it is.
        state: CopyState,
        /// Entries that it may still make.
        room: u64,
        /// The place of the last thing to do that was noted.
        last: u64,
    }
}

/// A part of a copy. The numbers of the kinds are stable: they are on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum CopyItem {
    /// These entries are to be copied into a folder.
    Entries {
        /// Their numbers.
        numbers: Vec<u64>,
        /// The folder.
        to: FolderNumber,
    },
    /// What is in a folder is to be copied into another one.
    Below {
        /// The folder.
        from: FolderNumber,
        /// The other one.
        to: FolderNumber,
        /// Entries with a number up to this one are done.
        after: u64,
    },
}

impl CopyItem {
    /// Entries that one part names.
    pub(in crate::core) const ENTRIES_MAX: usize = 100;
}

impl Field for CopyItem {
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Entries { numbers, to } => {
                out.u8(1);
                to.write(out);
                // One byte counts more than there may be.
                out.u8(u8::try_from(numbers.len()).unwrap_or(u8::MAX));
                for number in numbers {
                    out.u64(*number);
                }
            }
            Self::Below { from, to, after } => {
                out.u8(2);
                from.write(out);
                to.write(out);
                out.u64(*after);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => {
                let to = FolderNumber::read(reader)?;
                let count = usize::from(reader.u8()?);
                if Self::ENTRIES_MAX < count {
                    return Err(CodecError::Field("entries of a copy"));
                }
                let numbers: Result<_, _> = (0..count).map(|_| reader.u64()).collect();
                numbers.map(|numbers| Self::Entries { numbers, to })
            }
            2 => Ok(Self::Below {
                from: FolderNumber::read(reader)?,
                to: FolderNumber::read(reader)?,
                after: reader.u64()?,
            }),
            _ => Err(CodecError::Field("part of a copy")),
        }
    }
}

pub(in crate::core) struct CopyTasks;

impl Table for CopyTasks {
    const TYPE: KeyType = KeyType::CopyTask;
    type Key = (AccountId, u64);
    type Value = CopyTask;
}

pub(in crate::core) struct CopyItems;

impl Table for CopyItems {
    const TYPE: KeyType = KeyType::CopyItem;
    type Key = (AccountId, u64, u64);
    type Value = CopyItem;
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_table;
    use super::*;

    #[test]
    fn a_copy_comes_back_in_each_state() {
        for state in [
            CopyState::Waiting,
            CopyState::Running,
            CopyState::Done,
            CopyState::Failed,
        ] {
            let task = CopyTask {
                state,
                room: 7,
                last: 3,
            };
            check_table::<CopyTasks>(&(AccountId(1), 9), &task);
        }
    }

    #[test]
    fn each_part_of_a_copy_comes_back() {
        let to = FolderNumber(5);
        let below = CopyItem::Below {
            from: FolderNumber(4),
            to,
            after: 6,
        };
        let counts = [1, CopyItem::ENTRIES_MAX as u64];
        let entries = counts.map(|count| CopyItem::Entries {
            numbers: (1..=count).collect(),
            to,
        });
        for item in entries.into_iter().chain([below]) {
            check_table::<CopyItems>(&(AccountId(1), 9, 2), &item);
        }
    }
}
