//! Why a request has no effect, and which number and status say so. Source: docs/api/weiyun.md §2.4,
//! §4.2.

use http::StatusCode;

use super::form::FormError;
use super::model::{Data, Entry};
use super::nonces::Stale;
use super::packet::PacketError;
use super::parameters::TooLong;
use super::ret::Ret;
use crate::http::body::ReadError;
use crate::service::ServiceError;

/// Why a request had no effect.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// No such path.
    #[error("there is no such call")]
    NoSuchCall,
    /// The path is known, the method is not.
    #[error("the call has another method")]
    Method,
    /// The parameters are more than anybody sends.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The access token is missing, unknown, over or revoked.
    #[error("the access token is missing or not valid")]
    Token,
    /// The openid is missing, or that of another user or application.
    #[error("the openid is not that of the token")]
    OpenId,
    /// The application's number is missing or no number, or `appid` says another.
    #[error("the appid is missing or no number, or there are two")]
    AppId,
    /// No application has the number.
    #[error("no application has the appid")]
    UnknownApp,
    /// The token was given to another application.
    #[error("the token is another application's")]
    ForeignApp,
    /// The signature is wrong, or one of the parameters that belong to it is missing.
    #[error("the signature is wrong")]
    Signature,
    /// The signature is right, but the request is not fresh.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// `upload_type` is none of the two.
    #[error("upload_type is neither control nor normal")]
    UploadType,
    /// `sha` is no SHA-1.
    #[error("sha is no SHA-1")]
    Sha,
    /// `md5` is no MD5.
    #[error("md5 is no MD5")]
    Md5,
    /// A parameter is missing or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A parameter is no UTF-8.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    /// `size` is no number.
    #[error("size is no number of bytes")]
    Size,
    /// The file is larger than files may be.
    #[error("the file has more than {max} bytes")]
    TooBig {
        /// Bytes that it may have.
        max: u64,
    },
    /// The folder has an entry of this name.
    #[error("the folder has an entry of this name")]
    NameTaken(Box<Entry>),
    /// An unfinished upload of the name is of other bytes.
    #[error("an unfinished upload of this name is of other bytes")]
    Changed(Box<Entry>),
    /// No upload has the key, or it is over.
    #[error("no upload has this key")]
    Key,
    /// The upload of the key is complete.
    #[error("the upload of this key is complete")]
    Complete,
    /// What came is not what was announced.
    #[error("the content is not what was announced")]
    Content,
    /// The packet is of another file than its key.
    #[error("the packet's SHA-1 or size is not that of its key")]
    OtherFile,
    /// The packet leaves a gap.
    #[error("the block begins behind the {have} bytes that are there")]
    Gap {
        /// Bytes that are there without a gap.
        have: u64,
    },
    /// The block is not what `bmd5` says.
    #[error("the block has another MD5 than announced")]
    BlockMd5,
    /// The form is not sound.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The packet is not sound.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The body did not arrive, or is too long.
    #[error(transparent)]
    Body(#[from] ReadError),
    /// `file_id` names no file of the user.
    #[error("the user has no such file")]
    NoFile,
    /// The service refused or failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl Refusal {
    /// The number.
    pub(super) fn ret(&self) -> Ret {
        match self {
            Self::NoSuchCall | Self::Method => Ret::NoSuchCall,
            Self::TooLong(_) => Ret::BufferTooShort,
            Self::Token => Ret::Login,
            Self::Stale(Stale::Full) => Ret::Busy,
            Self::OpenId | Self::ForeignApp | Self::Signature | Self::Stale(_) | Self::Key => {
                Ret::Key
            }
            Self::AppId => Ret::AppId,
            Self::UnknownApp => Ret::NoApplication,
            Self::UploadType => Ret::UploadType,
            Self::Sha => Ret::Sha,
            Self::Md5 => Ret::Md5,
            Self::Missing(_)
            | Self::NotText(_)
            | Self::Size
            | Self::Form(_)
            | Self::Packet(_)
            | Self::Gap { .. }
            | Self::BlockMd5
            | Self::Body(ReadError::Body(_)) => Ret::Internal,
            Self::TooBig { .. } => Ret::TooBig,
            Self::NameTaken(_) => Ret::NameTaken,
            // A body that is longer than the file can be is not the file.
            Self::Changed(_)
            | Self::Content
            | Self::OtherFile
            | Self::Body(ReadError::TooLong { .. }) => Ret::Changed,
            Self::Complete => Ret::Complete,
            Self::NoFile => Ret::NoFile,
            Self::Service(error) => of_service(error),
        }
    }

    /// What the answer says besides the number.
    pub(super) fn into_data(self) -> Data {
        if let Self::NameTaken(entry) | Self::Changed(entry) = self {
            Data::Entry(entry)
        } else {
            Data::Nothing {}
        }
    }

    /// The status of an answer whose client looks at nothing else: a packet that was refused must not
    /// look accepted.
    pub(super) fn status_of_packet(&self) -> StatusCode {
        match self {
            Self::Key => StatusCode::FORBIDDEN,
            Self::Complete
            | Self::Content
            | Self::OtherFile
            | Self::Gap { .. }
            | Self::NameTaken(_)
            | Self::Changed(_) => StatusCode::CONFLICT,
            Self::Service(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSuchCall
            | Self::Method
            | Self::TooLong(_)
            | Self::Token
            | Self::OpenId
            | Self::AppId
            | Self::UnknownApp
            | Self::ForeignApp
            | Self::Signature
            | Self::Stale(_)
            | Self::UploadType
            | Self::Sha
            | Self::Md5
            | Self::Missing(_)
            | Self::NotText(_)
            | Self::Size
            | Self::TooBig { .. }
            | Self::BlockMd5
            | Self::Form(_)
            | Self::Packet(_)
            | Self::Body(_)
            | Self::NoFile => StatusCode::BAD_REQUEST,
        }
    }
}

/// The number of what the service refused.
fn of_service(error: &ServiceError) -> Ret {
    if matches!(error, ServiceError::Denied) {
        Ret::Login
    } else {
        Ret::Internal
    }
}
