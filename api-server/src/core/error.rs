//! Why the core refuses.

use common::code::ErrorCode;

use super::catalog::CatalogError;
use super::id::{Entry, FileNumber};

/// Why a call of the core changed nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CoreError {
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Another account has the name.
    #[error("another account has this name")]
    NameTaken,
    /// No such account, or one that may not log in.
    #[error("no such account")]
    NoAccount,
    /// The user has no such file.
    #[error("no such file")]
    NoFile,
    /// The user has the file already.
    #[error("the file is there already")]
    FileExists,
    /// The user has a file of the same name and MD5, but with other bytes.
    #[error("another file has the same name and MD5")]
    Collision,
    /// No content has the digest, or several have, which only happens on purpose.
    #[error("no content has this digest")]
    NoContent,
    /// A file of this MD5 and name is shared already.
    #[error("the file is shared already")]
    AlreadyShared,
    /// No such share, or not the user's.
    #[error("no such share")]
    NoShare,
    /// No such picture share, or not the user's.
    #[error("no such picture share")]
    NoPicture,
    /// The picture share is there, but its file was deleted.
    #[error("the file of the picture share was deleted")]
    PictureFileDeleted,
    /// The file has as many picture shares as a file may have.
    #[error("the file has {0} picture shares: cancel some of them")]
    TooManyPictures(u64),
    /// The user has no such folder, or it is in the trash.
    #[error("no such folder")]
    NoFolder,
    /// The name is taken in the folder, by this.
    #[error("the folder has an entry of this name")]
    NameInUse(Entry),
    /// A folder cannot go into itself or below.
    #[error("a folder cannot be moved into itself")]
    IntoItself,
    /// Folders within folders, more than there may be.
    #[error("folders can be {0} levels deep")]
    TooDeep(u64),
    /// Not in the trash by itself.
    #[error("the entry is not in the trash")]
    NotInTrash,
    /// Nothing has this number.
    #[error("no such file or folder")]
    NoEntry,
    /// The account would have more bytes than it may.
    #[error(
        "{size} bytes more than the {used} that are used would exceed the quota of {quota} bytes"
    )]
    OverQuota {
        /// Bytes that it may have.
        quota: u64,
        /// Bytes that it has, uploads under way included.
        used: u64,
        /// Bytes that were asked for.
        size: u64,
    },
    /// As many files and folders as an account may have.
    #[error("an account may have {0} files and folders: remove some, also from the trash")]
    TooManyEntries(u64),
    /// As many uploads as an account may have under way.
    #[error("an account may have {0} uploads under way: finish some, or let them expire")]
    TooManyUploads(u64),
    /// No such upload, somebody else's, or over.
    #[error("no such upload, or it is over")]
    NoUpload,
    /// The upload takes no bytes any more: it is being completed.
    #[error("the upload is being completed")]
    UploadClosed,
    /// The upload was completed before.
    #[error("the upload was completed before")]
    UploadDone(FileNumber),
    /// The catalog and a caller disagree on what the upload has. The caller looks again.
    #[error("the upload changed meanwhile")]
    UploadChanged,
    /// More slices, or blocks, than an upload may have.
    #[error("an upload may have {0} slices or blocks: send larger ones")]
    TooManySlices(u64),
    /// The same slices were sent again too often.
    #[error("too much of the upload was sent again: begin it anew")]
    SentTooOften,
    /// No such application, or not the user's.
    #[error("no such application")]
    NoApp,
    /// As many applications as an account may have.
    #[error("an account may have {0} applications: remove some")]
    TooManyApps(usize),
    /// The session is not there or not the user's.
    #[error("no such session")]
    NoSession,
}

impl CoreError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Catalog(error) => error.code(),
            Self::NameTaken
            | Self::FileExists
            | Self::Collision
            | Self::AlreadyShared
            | Self::NameInUse(_)
            | Self::UploadDone(_) => ErrorCode::Exists,
            Self::NoAccount
            | Self::NoFile
            | Self::NoContent
            | Self::NoShare
            | Self::NoPicture
            | Self::PictureFileDeleted
            | Self::NoFolder
            | Self::NoEntry
            | Self::NoUpload
            | Self::NoApp
            | Self::NoSession => ErrorCode::NotFound,
            Self::TooManyPictures(_)
            | Self::IntoItself
            | Self::TooDeep(_)
            | Self::NotInTrash
            | Self::TooManyEntries(_)
            | Self::TooManyUploads(_)
            | Self::TooManyApps(_)
            | Self::TooManySlices(_)
            | Self::SentTooOften
            | Self::OverQuota { .. } => ErrorCode::Invalid,
            Self::UploadClosed | Self::UploadChanged => ErrorCode::Busy,
        }
    }
}
