//! Why a request has no effect, and which number and status say so. Source: docs/api/weiyun.md §2.4,
//! §4.2.

use common::code::ErrorCode;
use http::StatusCode;

use super::form::FormError;
use super::model::{Data, Entry};
use super::nonces::Stale;
use super::packet::PacketError;
use super::parameters::TooLong;
use super::ret::{Blame, Ret};
use crate::core::catalog::CatalogError;
use crate::core::error::CoreError;
use crate::core::name::NameError;
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
    /// The application may not do this.
    #[error("the application has not the scope for this")]
    Scope,
    /// The operator has not admitted the user.
    #[error("the user is not admitted to this API")]
    NotAdmitted,
    /// The account, the token or the application could not be looked up.
    #[error("the account could not be looked up")]
    AccountStore(#[source] ServiceError),
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
    /// `name` cannot be the name of a file.
    #[error("name is bad")]
    Name(#[from] NameError),
    /// `offset` or `number` is no number, or too large.
    #[error("{0} is no number of files, or too large")]
    Number(&'static str),
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
    /// An unfinished upload of the name is of other bytes, or those that came are not the announced
    /// ones.
    #[error("the content is not that of the upload")]
    Changed(Box<Entry>),
    /// The operator does not want the file.
    #[error("the file is blocked")]
    Blocked,
    /// The upload is recorded, but nobody takes its bytes now.
    #[error("no storage node takes bytes now")]
    NoAddress,
    /// No upload has the key, or it is over.
    #[error("no upload has this key")]
    Key,
    /// The upload of the key is complete.
    #[error("the upload of this key is complete")]
    Complete,
    /// The packet is of another file than its key.
    #[error("the packet's SHA-1 or size is not that of its key")]
    OtherFile,
    /// The packet leaves a gap behind what is there.
    #[error("the block does not follow the {} bytes that are there", .0.file_cur_size)]
    Gap(Box<Entry>),
    /// A file of such blocks would have more of them than can be kept.
    #[error("the block is too small for a file of this size")]
    BlockTooSmall,
    /// There is no room for the block in memory.
    #[error("too many blocks are under way")]
    OutOfMemory,
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
    /// The link is over, none of ours, or came without its cookie.
    #[error("the link is over, or came without its cookie")]
    Link,
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
            Self::OpenId
            | Self::ForeignApp
            | Self::Signature
            | Self::Stale(_)
            | Self::Key
            | Self::Link => Ret::Key,
            Self::AppId => Ret::AppId,
            Self::UnknownApp => Ret::NoApplication,
            Self::Scope | Self::NotAdmitted => Ret::NotAdmitted,
            Self::AccountStore(error) => of_account_store(error),
            Self::UploadType => Ret::UploadType,
            Self::Sha => Ret::Sha,
            Self::Md5 => Ret::Md5,
            Self::Missing(_)
            | Self::NotText(_)
            | Self::Name(_)
            | Self::Number(_)
            | Self::Size
            | Self::Form(_)
            | Self::Packet(_)
            | Self::Gap(_)
            | Self::BlockTooSmall
            | Self::BlockMd5
            | Self::Body(ReadError::Body(_)) => Ret::Internal,
            Self::TooBig { .. } => Ret::TooBig,
            Self::NameTaken(_) => Ret::NameTaken,
            // A body that is longer than the file can be is not the file.
            Self::Changed(_) | Self::OtherFile | Self::Body(ReadError::TooLong { .. }) => {
                Ret::Changed
            }
            Self::Blocked => Ret::Blacklisted,
            Self::NoAddress => Ret::NoAddress,
            Self::Complete => Ret::Complete,
            Self::OutOfMemory => Ret::OutOfMemory,
            Self::NoFile => Ret::NoFile,
            Self::Service(error) => of_service(error),
        }
    }

    /// What the answer says besides the number.
    pub(super) fn into_data(self) -> Data {
        if let Self::NameTaken(entry) | Self::Changed(entry) | Self::Gap(entry) = self {
            Data::Entry(entry)
        } else {
            Data::Nothing {}
        }
    }

    /// Whether somebody should look after the server.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::Service(error) | Self::AccountStore(error) if error.is_fault())
    }

    /// The status of an answer whose client looks at nothing else: a packet that was refused must not
    /// look accepted.
    pub(super) fn status_of_packet(&self) -> StatusCode {
        if self.is_fault() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        match self.ret().blame() {
            // What a gap is follows from what is there, not from how the packet is made.
            Blame::Request if matches!(self, Self::Gap(_)) => StatusCode::CONFLICT,
            Blame::Request => StatusCode::BAD_REQUEST,
            Blame::Permission => StatusCode::FORBIDDEN,
            Blame::State => StatusCode::CONFLICT,
            Blame::Server => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The status of an answer in place of a file.
    pub(super) fn status_of_fetch(&self) -> StatusCode {
        match self.ret().blame() {
            Blame::Permission => StatusCode::FORBIDDEN,
            Blame::State | Blame::Request => StatusCode::NOT_FOUND,
            Blame::Server => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The number of what the service refused.
fn of_service(error: &ServiceError) -> Ret {
    match error {
        ServiceError::Core(error) => of_core(error),
        ServiceError::Blobs(error) => of_storage(error.code()),
        ServiceError::Read(error) => of_storage(error.code),
        ServiceError::Mismatch { .. } => Ret::Changed,
        ServiceError::TooOften => Ret::Busy,
        ServiceError::Denied => Ret::Login,
        ServiceError::Task(_) => Ret::Access,
        ServiceError::WrongPassword
        | ServiceError::RegistrationClosed
        | ServiceError::NoSlice { .. }
        | ServiceError::SlicesMissing(_)
        | ServiceError::Gap { .. }
        | ServiceError::Broken
        | ServiceError::Password(_) => Ret::Internal,
    }
}

fn of_core(error: &CoreError) -> Ret {
    match error {
        CoreError::Catalog(CatalogError::Busy | CatalogError::Closed) => Ret::Busy,
        CoreError::Catalog(_) => Ret::Bitmap,
        CoreError::NoAccount => Ret::NoUser,
        CoreError::NoFolder => Ret::NoFolder,
        CoreError::NoFile | CoreError::NoEntry => Ret::NoFile,
        CoreError::NameInUse(_) => Ret::NameTaken,
        CoreError::OverQuota { .. } => Ret::NoSpace,
        CoreError::TooManyEntries(_) => Ret::TooMany,
        CoreError::TooManyUploads(_) | CoreError::UploadClosed | CoreError::UploadChanged => {
            Ret::Busy
        }
        CoreError::UploadDone(_) => Ret::Complete,
        CoreError::NoUpload => Ret::Key,
        CoreError::NoApp => Ret::NoApplication,
        CoreError::NameTaken
        | CoreError::FileExists
        | CoreError::Collision
        | CoreError::NoContent
        | CoreError::AlreadyShared
        | CoreError::NoShare
        | CoreError::NoPicture
        | CoreError::PictureFileDeleted
        | CoreError::TooManyPictures(_)
        | CoreError::IntoItself
        | CoreError::TooDeep(_)
        | CoreError::NotInTrash
        | CoreError::TooManyApps(_)
        | CoreError::TooManySlices(_)
        | CoreError::SentTooOften
        | CoreError::NoSession => Ret::Internal,
    }
}

/// The number of a failure while it was looked up who asks.
fn of_account_store(error: &ServiceError) -> Ret {
    let ServiceError::Core(CoreError::Catalog(error)) = error else {
        return of_service(error);
    };
    match error {
        CatalogError::Busy => Ret::Busy,
        CatalogError::Closed => Ret::LoginNotReady,
        CatalogError::Entry { .. } | CatalogError::Contradiction(_) => Ret::AccountRecord,
        CatalogError::WouldWait
        | CatalogError::Database(_)
        | CatalogError::Unreachable(_)
        | CatalogError::Unknown(_) => Ret::AccountStore,
    }
}

fn of_storage(code: ErrorCode) -> Ret {
    match code {
        ErrorCode::Unavailable | ErrorCode::Interrupted => Ret::Link,
        ErrorCode::Busy | ErrorCode::NoSpace | ErrorCode::ReadOnly | ErrorCode::ShuttingDown => {
            Ret::Busy
        }
        ErrorCode::Invalid
        | ErrorCode::NotFound
        | ErrorCode::Exists
        | ErrorCode::Storage
        | ErrorCode::Forbidden
        | ErrorCode::Unsupported => Ret::Internal,
    }
}
