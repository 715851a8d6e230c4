//! Why the core refuses.

use common::code::ErrorCode;

use super::catalog::CatalogError;

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
    /// The session is not there or not the user's.
    #[error("no such session")]
    NoSession,
}

impl CoreError {
    /// The classification that all of Hayloft shares.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Catalog(error) => error.code(),
            Self::NameTaken | Self::FileExists | Self::Collision | Self::AlreadyShared => {
                ErrorCode::Exists
            }
            Self::NoAccount
            | Self::NoFile
            | Self::NoContent
            | Self::NoShare
            | Self::NoPicture
            | Self::PictureFileDeleted
            | Self::NoSession => ErrorCode::NotFound,
            Self::TooManyPictures(_) => ErrorCode::Invalid,
        }
    }
}
