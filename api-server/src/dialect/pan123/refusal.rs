//! Why a call is refused, and the code that says so. Source: docs/api/pan123.md §1.5.
//!
//! Three loops of client programs limit what a code may mean. 401 makes them fetch a new token and
//! repeat for ever, so it is about tokens and nothing else. 429 and 20103 make them repeat every second,
//! so they never stand for what lasts.

use common::code::ErrorCode;
use common::web::body::Body;
use common::web::text;
use http::{Method, Response, StatusCode};

use super::answer::{TraceId, refused};
use super::multipart::FormError;
use super::param::{ParamError, SyntaxError, TooMany};
use crate::core::error::CoreError;
use crate::http::body::ReadError;
use crate::service::ServiceError;

/// Anything wrong with a request.
const BAD_REQUEST: u32 = 1;
/// The token, or the secret that would get one.
const UNAUTHORIZED: u32 = 401;
/// No such path.
const NOT_FOUND: u32 = 404;
/// Too many requests.
const TOO_OFTEN: u32 = 429;
/// Our fault: to try again may help.
const FAULT: u32 = 500;
/// The name is taken, and nothing was said about that case.
const NAME_TAKEN: u32 = 5060;
/// No such file or folder.
const NO_ENTRY: u32 = 5066;
/// No such upload.
const NO_UPLOAD: u32 = 20101;
/// A slice with a wrong number, length or digest.
const BAD_SLICE: u32 = 20102;
/// The bytes are being looked at: ask again in a second.
const VERIFYING: u32 = 20103;
/// Slices are missing.
const SLICES_MISSING: u32 = 20104;
/// The bytes are not what was announced.
const FAILED: u32 = 20105;
/// The file is larger than files may be.
const TOO_LARGE: u32 = 20106;
/// The account has no room.
const NO_ROOM: u32 = 20107;

/// Why a call had no effect. Messages that the real platform has are as it has them.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no such call")]
    NotFound,
    #[error("the call is made by {0}")]
    Method(Method),
    #[error("the header Platform is not open_platform")]
    Platform,
    #[error("the access token is missing, wrong, or expired")]
    Unauthorized,
    #[error("clientID or clientSecret is invalid")]
    WrongCredentials,
    #[error("the application may not do this")]
    Scope,
    #[error("too many requests: try again in a while")]
    TooOften,
    #[error("the body was not read")]
    Body(#[from] ReadError),
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error(transparent)]
    Param(#[from] ParamError),
    #[error("the body has no part {0}")]
    NoFile(&'static str),
    #[error("renameList is not a list of number|name")]
    RenameList,
    #[error("parentFileID不存在")]
    NoParent,
    #[error("a folder of the path has the name of a file")]
    PathThroughFile,
    #[error("a folder has this name, and is not replaced")]
    FolderInPlace,
    #[error("该目录下已经有同名文件夹,无法进行创建")]
    FolderExists,
    #[error("etag is not that of a file without bytes")]
    EmptyFileMd5(#[source] ServiceError),
    #[error("the number is that of a folder")]
    Folder,
    #[error("the signature of the URL is wrong")]
    Signature,
    #[error("there are more than {max} entries to copy")]
    TooMuchToCopy { max: u64 },
    #[error("该目录下已经有同名文件")]
    NameTaken,
    #[error("文件不存在")]
    NoEntry,
    #[error("no such upload, or it is over")]
    NoUpload,
    #[error("the slice is refused")]
    Slice(#[source] ServiceError),
    #[error("the slice has more than {max} bytes")]
    TooLong { max: u64 },
    #[error("文件正在校验中,请间隔1秒后再试")]
    Verifying,
    #[error(transparent)]
    SlicesMissing(ServiceError),
    #[error("文件上传失败")]
    Failed(#[source] Option<Box<ServiceError>>),
    #[error("the file has more than {max} bytes")]
    TooLarge { max: u64 },
    #[error("the storage quota is exceeded")]
    NoRoom(#[source] ServiceError),
    #[error(transparent)]
    Service(ServiceError),
    #[error("the answer could not be written")]
    Unwritten(#[source] serde_json::Error),
    #[error("the server failed; its log says more")]
    Panicked,
}

/// What the service says, as most calls mean it; some look for themselves before.
impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        match &error {
            ServiceError::Core(core) => match core {
                CoreError::NoFolder => Self::NoParent,
                CoreError::NameInUse(_) => Self::NameTaken,
                CoreError::NoEntry | CoreError::NoFile => Self::NoEntry,
                CoreError::NoUpload | CoreError::UploadDone(_) => Self::NoUpload,
                CoreError::UploadClosed => Self::Verifying,
                CoreError::SentTooOften => Self::Slice(error),
                CoreError::OverQuota { .. }
                | CoreError::TooManyEntries(_)
                | CoreError::TooManyUploads(_)
                | CoreError::TooManySlices(_) => Self::NoRoom(error),
                // The account was disabled since the token was looked at.
                CoreError::NoAccount => Self::Unauthorized,
                CoreError::Catalog(_)
                | CoreError::NameTaken
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
                | CoreError::UploadChanged
                | CoreError::NoApp
                | CoreError::TooManyApps(_)
                | CoreError::NoSession => Self::Service(error),
            },
            ServiceError::NoSlice { .. } => Self::Slice(error),
            ServiceError::SlicesMissing(_) => Self::SlicesMissing(error),
            ServiceError::Mismatch { .. } => Self::Failed(Some(Box::new(error))),
            ServiceError::TooOften => Self::TooOften,
            ServiceError::WrongPassword => Self::WrongCredentials,
            ServiceError::Blobs(_)
            | ServiceError::Read(_)
            | ServiceError::Denied
            | ServiceError::RegistrationClosed
            | ServiceError::Gap { .. }
            | ServiceError::Broken
            | ServiceError::Password(_)
            | ServiceError::Task(_) => Self::Service(error),
        }
    }
}

impl Refusal {
    /// The documented code.
    pub(super) fn code(&self) -> u32 {
        match self {
            Self::NotFound => NOT_FOUND,
            Self::Unauthorized | Self::WrongCredentials => UNAUTHORIZED,
            Self::TooOften => TOO_OFTEN,
            Self::Method(_)
            | Self::Platform
            | Self::Scope
            | Self::Body(_)
            | Self::Syntax(_)
            | Self::Form(_)
            | Self::TooMany(_)
            | Self::Param(_)
            | Self::NoFile(_)
            | Self::RenameList
            | Self::NoParent
            | Self::PathThroughFile
            | Self::FolderInPlace
            | Self::FolderExists
            | Self::EmptyFileMd5(_)
            | Self::Folder
            | Self::Signature
            | Self::TooMuchToCopy { .. } => BAD_REQUEST,
            Self::NameTaken => NAME_TAKEN,
            Self::NoEntry => NO_ENTRY,
            Self::NoUpload => NO_UPLOAD,
            Self::Slice(_) | Self::TooLong { .. } => BAD_SLICE,
            Self::Verifying => VERIFYING,
            Self::SlicesMissing(_) => SLICES_MISSING,
            Self::Failed(_) => FAILED,
            Self::TooLarge { .. } => TOO_LARGE,
            Self::NoRoom(_) => NO_ROOM,
            Self::Service(error) => of_code(error.code()),
            Self::Unwritten(_) | Self::Panicked => FAULT,
        }
    }

    /// The status. Answers of known calls have 200, unless the body could not be read, or there is no
    /// envelope: then the status is all that says something.
    fn status(&self) -> StatusCode {
        if let Self::Body(error) = self {
            return error.status();
        }
        if matches!(self, Self::NotFound) {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        }
    }

    /// Whether the server, and not the client, is to blame.
    pub(super) fn is_fault(&self) -> bool {
        self.code() == FAULT
    }

    /// What the client reads.
    pub(super) fn message(&self) -> String {
        if self.is_fault() {
            // Causes within the server are the operator's concern, whose log has them.
            Self::Panicked.to_string()
        } else if matches!(self, Self::Failed(_)) {
            // Clients look for these words, and only these.
            self.to_string()
        } else {
            text::chain(self)
        }
    }

    /// The rendering of a refusal in the envelope.
    pub(super) fn render(&self, trace: TraceId) -> Response<Body> {
        refused(self.status(), self.code(), &self.message(), trace)
    }

    /// The same outside of the envelope, where clients look at the status alone.
    pub(super) fn render_bare(&self, trace: TraceId) -> Response<Body> {
        let status = if self.is_fault() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else if matches!(self, Self::Signature | Self::NoUpload) {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::BAD_REQUEST
        };
        refused(status, self.code(), &self.message(), trace)
    }
}

/// The code of what has no meaning of its own.
fn of_code(code: ErrorCode) -> u32 {
    match code {
        ErrorCode::Invalid | ErrorCode::NotFound | ErrorCode::Exists | ErrorCode::Forbidden => {
            BAD_REQUEST
        }
        // Not the client's mistakes: to try again may help.
        ErrorCode::Busy
        | ErrorCode::ShuttingDown
        | ErrorCode::Storage
        | ErrorCode::NoSpace
        | ErrorCode::ReadOnly
        | ErrorCode::Interrupted
        | ErrorCode::Unavailable
        | ErrorCode::Unsupported => FAULT,
    }
}
