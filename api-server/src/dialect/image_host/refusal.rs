//! Why a request is refused, and which number says so. Source: docs/api/image-host.md §2.1, §2.4.

use http::StatusCode;

use crate::core::error::CoreError;
use crate::core::id::HexError;
use crate::core::name::NameError;
use crate::http::body::ReadError;
use crate::service::ServiceError;

use super::fields::PageError;
use super::form::FormError;
use super::json::{JsonError, MemberError};

/// Why a request had no effect.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// `cmd` is not there or not one of the endpoint's.
    #[error("the command is not known")]
    Command,
    /// The body did not arrive, or is too long.
    #[error(transparent)]
    Body(#[from] ReadError),
    /// The body is no JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member is missing or of another type.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// A name or another short text is no such.
    #[error("{field} is bad")]
    Text {
        /// The member.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// A digest or a link is no such.
    #[error("{field} is bad")]
    Hex {
        /// The member.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: HexError,
    },
    /// A number of rows is no such.
    #[error("{field} is bad")]
    Page {
        /// The member.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: PageError,
    },
    /// What stands for the password cannot be one. Says nothing about it.
    #[error("{0} is empty or too long")]
    Secret(&'static str),
    /// The token has a control character. Says nothing about it.
    #[error("token has a control character")]
    TokenControl,
    /// The form of an upload is not sound.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The file is larger than files may be.
    #[error("the file has more than {max} bytes")]
    TooLarge {
        /// Bytes that it may have.
        max: u64,
    },
    /// Nobody said in time who sends the file.
    #[error(
        "{max} bytes came before it was said who sends them: put user and token before the file"
    )]
    UnknownSender {
        /// Bytes that may come before.
        max: u64,
    },
    /// A page of somebody else made the browser send this.
    #[error("the request's origin is not this server")]
    ForeignPage,
    /// The service refused or failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// A reason for which some endpoints have a code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The token is absent, invalid or another user's.
    Token,
    /// The user name is taken.
    NameTaken,
    /// Somebody shares the file already.
    AlreadyShared,
    /// The user has the file already.
    FileExists,
    /// The file of a picture share was deleted.
    FileDeleted,
}

/// The codes of an endpoint. What is not in the table is 1.
pub(super) type Codes = &'static [(Cause, u8)];

/// The table of an endpoint that fails with 1 whatever the reason.
pub(super) const ONLY_ONE: Codes = &[];

impl Refusal {
    /// The code that an endpoint with this table answers.
    pub(super) fn code(&self, codes: Codes) -> u8 {
        let cause = self.cause();
        let found = codes.iter().find(|(listed, _)| Some(*listed) == cause);
        found.map_or(1, |(_, code)| *code)
    }

    /// The status: clients read the code only from a 200, so it is that for all that clients can
    /// cause, except a body that is too large to be read.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } | Self::Body(ReadError::TooLong { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Service(error) if error.is_fault() => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Command
            | Self::Body(ReadError::Body(_))
            | Self::Json(_)
            | Self::Member(_)
            | Self::Text { .. }
            | Self::Hex { .. }
            | Self::Page { .. }
            | Self::Secret(_)
            | Self::TokenControl
            | Self::Form(_)
            | Self::UnknownSender { .. }
            | Self::ForeignPage
            | Self::Service(_) => StatusCode::OK,
        }
    }

    fn cause(&self) -> Option<Cause> {
        let Self::Service(error) = self else {
            return None;
        };
        match error {
            ServiceError::Denied => Some(Cause::Token),
            ServiceError::Core(error) => cause_of(error),
            ServiceError::Blobs(_)
            | ServiceError::Read(_)
            | ServiceError::WrongPassword
            | ServiceError::TooOften
            | ServiceError::RegistrationClosed
            | ServiceError::Mismatch { .. }
            | ServiceError::NoSlice { .. }
            | ServiceError::SlicesMissing(_)
            | ServiceError::Gap { .. }
            | ServiceError::Broken
            | ServiceError::Password(_)
            | ServiceError::Task(_) => None,
        }
    }
}

fn cause_of(error: &CoreError) -> Option<Cause> {
    match error {
        CoreError::NameTaken => Some(Cause::NameTaken),
        CoreError::AlreadyShared => Some(Cause::AlreadyShared),
        CoreError::FileExists => Some(Cause::FileExists),
        CoreError::PictureFileDeleted => Some(Cause::FileDeleted),
        CoreError::Catalog(_)
        | CoreError::NoAccount
        | CoreError::NoFile
        | CoreError::Collision
        | CoreError::NoContent
        | CoreError::NoShare
        | CoreError::NoPicture
        | CoreError::TooManyPictures(_)
        | CoreError::NoFolder
        | CoreError::NameInUse(_)
        | CoreError::IntoItself
        | CoreError::TooDeep(_)
        | CoreError::NotInTrash
        | CoreError::NoEntry
        | CoreError::OverQuota { .. }
        | CoreError::TooManyEntries(_)
        | CoreError::TooManyUploads(_)
        | CoreError::NoUpload
        | CoreError::UploadClosed
        | CoreError::UploadDone(_)
        | CoreError::UploadChanged
        | CoreError::NoApp
        | CoreError::TooManyApps(_)
        | CoreError::TooManySlices(_)
        | CoreError::SentTooOften
        | CoreError::NoSession => None,
    }
}
