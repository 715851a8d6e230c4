//! `U` id: an upload session. `v` account, id: those of an account. `y` second, id: when to look
//! whether it is over. `L` account, name: the one that a name in the root means, where a dialect goes
//! on with an upload by its name.

use super::field::record;
use super::{Field, KeyType, Seconds, Table};
use crate::core::id::{AccountId, FileNumber, FolderNumber, Md5, Sha1, UploadId};
use crate::core::name::EntryName;
use common::codec::{CodecError, Reader, Writer};
use common::id::FileId;

/// What becomes of a file whose name is taken. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Conflict {
    /// It is refused.
    Refuse = 0,
    /// It gets a free name with a number.
    Keep = 1,
    /// It takes the place of the file that has the name; a folder is never replaced.
    Replace = 2,
}

impl Field for Conflict {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            0 => Ok(Self::Refuse),
            1 => Ok(Self::Keep),
            2 => Ok(Self::Replace),
            _ => Err(CodecError::Field("conflict")),
        }
    }
}

/// How the bytes come. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum UploadKind {
    /// In slices of one length, in any order.
    Sliced = 1,
    /// One block after the other, and resumed by name.
    InOrder = 2,
}

impl Field for UploadKind {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => Ok(Self::Sliced),
            2 => Ok(Self::InOrder),
            _ => Err(CodecError::Field("upload kind")),
        }
    }
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// It takes bytes.
    Open,
    /// All bytes are there and right. Storage was asked to make one of these blobs of them; as a
    /// rule there is only one.
    Committing(Vec<FileId>),
    /// It became this file. Kept for clients that did not hear it.
    Done(FileNumber),
}

impl UploadState {
    /// Blobs that one upload may have been asked to become.
    pub const BLOBS_MAX: usize = 8;
}

impl Field for UploadState {
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Open => out.u8(1),
            Self::Committing(blobs) => {
                out.u8(2);
                out.u8(u8::try_from(blobs.len()).unwrap_or(u8::MAX));
                for blob in blobs {
                    blob.write(out);
                }
            }
            Self::Done(file) => {
                out.u8(3);
                file.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => Ok(Self::Open),
            2 => {
                let count = usize::from(reader.u8()?);
                if Self::BLOBS_MAX < count {
                    return Err(CodecError::Field("blobs of an upload"));
                }
                let blobs: Result<_, _> = (0..count).map(|_| FileId::read(reader)).collect();
                blobs.map(Self::Committing)
            }
            3 => FileNumber::read(reader).map(Self::Done),
            _ => Err(CodecError::Field("upload state")),
        }
    }
}

/// MD5 and SHA-1 between two slices, as their libraries write them down. Empty at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashState(pub Box<[u8]>);

impl HashState {
    /// Bytes that it may have.
    pub const LEN_MAX: usize = 255;
}

impl Field for HashState {
    fn write(&self, out: &mut Writer<'_>) {
        // Both states together have less than 200 bytes.
        out.u8(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        out.bytes(&self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let len = usize::from(reader.u8()?);
        Ok(Self(reader.take(len)?.into()))
    }
}

record! {
    /// An upload under way, or just done.
    pub UploadRecord {
        /// Whose it is.
        account: AccountId,
        /// How the bytes come.
        kind: UploadKind,
        /// Where the file goes.
        folder: FolderNumber,
        /// Under which name.
        name: EntryName,
        /// What if that is taken.
        conflict: Conflict,
        /// Bytes of the whole.
        size: u64,
        /// Bytes of each slice but the last.
        slice_size: u64,
        /// MD5 of the whole, if the client said it.
        md5: Option<Md5>,
        /// SHA-1 of the whole, if the client said it.
        sha1: Option<Sha1>,
        /// The number that the file will have, where the client knows it beforehand.
        file: Option<FileNumber>,
        /// Unix seconds when it began.
        created: u32 as Seconds,
        /// Unix seconds when bytes last came.
        renewed: u32 as Seconds,
        /// The blob that holds the bytes so far.
        staging: Option<FileId>,
        /// Slices that are there; in order: bytes.
        received: u64,
        /// Blocks that make these bytes, in order.
        blocks: u64,
        /// Bytes of the staging blob: also those that others took the place of.
        staged: u64,
        /// Slices from the first one on that the hashes have seen.
        hashed: u64,
        /// The hashes of these.
        hashes: HashState,
        /// How far it is.
        state: UploadState,
    }
}

pub(in crate::core) struct Uploads;

impl Table for Uploads {
    const TYPE: KeyType = KeyType::Upload;
    type Key = (UploadId,);
    type Value = UploadRecord;
}

pub(in crate::core) struct UploadsOfAccount;

impl Table for UploadsOfAccount {
    const TYPE: KeyType = KeyType::UploadOfAccount;
    type Key = (AccountId, UploadId);
    type Value = ();
}

pub(in crate::core) struct UploadsByDue;

impl Table for UploadsByDue {
    const TYPE: KeyType = KeyType::UploadByDue;
    type Key = (Seconds, UploadId);
    type Value = ();
}

pub(in crate::core) struct UploadsByName;

impl Table for UploadsByName {
    const TYPE: KeyType = KeyType::UploadByName;
    type Key = (AccountId, EntryName);
    type Value = UploadId;
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_table;
    use super::*;

    #[test]
    fn an_upload_comes_back_in_each_state() {
        let blob: FileId = "group1/M00/00/00/rBAAD18AISGAP6QrAAACRhizVvQ79062.h"
            .parse()
            .unwrap();
        let id = UploadId([3; 16]);
        for state in [
            UploadState::Open,
            UploadState::Committing(vec![blob, blob]),
            UploadState::Done(FileNumber(9)),
        ] {
            let record = UploadRecord {
                account: AccountId(1),
                kind: UploadKind::Sliced,
                folder: FolderNumber(2),
                name: "a.mp4".parse().unwrap(),
                conflict: Conflict::Keep,
                size: 1 << 30,
                slice_size: 1 << 24,
                md5: Some(Md5([4; 16])),
                sha1: None,
                file: Some(FileNumber(5)),
                created: 6,
                renewed: 7,
                staging: Some(blob),
                received: 8,
                blocks: 2,
                staged: 9,
                hashed: 3,
                hashes: HashState(vec![1, 2].into()),
                state,
            };
            check_table::<Uploads>(&(id,), &record);
        }
        check_table::<UploadsOfAccount>(&(AccountId(1), id), &());
        check_table::<UploadsByDue>(&(Seconds(5), id), &());
        let name: EntryName = "a.mp4".parse().unwrap();
        check_table::<UploadsByName>(&(AccountId(1), name), &id);
    }
}
