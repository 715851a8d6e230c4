//! `O` blob: blobs that were made for the catalog and that no content refers to.

use super::field::record;
use super::{Field, KeyType, Seconds, Table};
use common::codec::{CodecError, Reader, Writer};
use common::id::FileId;

/// Why nobody owns a blob. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanState {
    /// An upload of the process with this random number is about to make it.
    Pending(u64),
    /// It is to be deleted.
    Garbage,
}

impl OrphanState {
    /// The number of no process.
    pub const NOBODY: u64 = 0;
}

impl Field for OrphanState {
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Pending(process) => {
                out.u8(1);
                out.u64(*process);
            }
            Self::Garbage => out.u8(2),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => reader.u64().map(Self::Pending),
            2 => Ok(Self::Garbage),
            _ => Err(CodecError::Field("orphan")),
        }
    }
}

record! {
    /// A blob without an owner.
    pub OrphanRecord {
        /// Why.
        state: OrphanState,
        /// Unix seconds since when.
        since: u32 as Seconds,
    }
}

pub(in crate::core) struct Orphans;

impl Table for Orphans {
    const TYPE: KeyType = KeyType::Orphan;
    type Key = (FileId,);
    type Value = OrphanRecord;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_comes_back() {
        let id = "group1/M00/00/00/rBAAD18AISGAP6QrAAACRhizVvQ79062.h"
            .parse()
            .unwrap();
        for state in [OrphanState::Pending(u64::MAX), OrphanState::Garbage] {
            let record = OrphanRecord { state, since: 9 };
            super::super::testing::check_table::<Orphans>(&(id,), &record);
        }
    }
}
