//! Why a call is refused, and the one rendering of it: a status, a word that never changes and that
//! the pages translate, and a sentence for people.

use common::code::ErrorCode;
use common::web::body::Body;
use http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::core::error::CoreError;
use crate::core::name::NameError;
use crate::http::body::ReadError;
use crate::http::json;
use crate::service::ServiceError;

/// Seconds after which trying again may help.
const RETRY_AFTER_BUSY: &str = "2";
/// The same after too many attempts: buckets fill again within minutes, a little at a time.
const RETRY_AFTER_TOO_MANY: &str = "60";

/// Why a call had no effect.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no such call")]
    NotFound,
    #[error("the call has other methods: {allowed}")]
    Method { allowed: String },
    #[error("the request comes from a page of another site")]
    ForeignPage,
    #[error("the token is missing, wrong or over: log in again")]
    NoSession,
    #[error("only administrators may do this")]
    Forbidden,
    #[error("nobody can change the own account here: ask another administrator")]
    OwnAccount,
    #[error("an account cannot be disabled and an administrator's")]
    DisabledAdministrator,
    #[error("{0} has a value that is not allowed")]
    Query(&'static str),
    #[error("{field} is not allowed")]
    Field {
        field: &'static str,
        #[source]
        source: NameError,
    },
    #[error("this cannot be a name")]
    Name(#[source] NameError),
    #[error("{0} has a value that is not allowed")]
    Value(&'static str),
    #[error("an upload may have {0} bytes")]
    TooLarge(u64),
    #[error("the slice is not as it was announced")]
    Slice(#[source] ServiceError),
    #[error("a slice comes with its MD5 in X-Slice-MD5")]
    SliceMd5,
    #[error("the bytes are not those that were announced")]
    WrongContent(#[source] ServiceError),
    #[error("a password is sent as its MD5, 32 hexadecimal digits")]
    Password,
    #[error("the body is not the JSON object of this call")]
    Json(#[from] serde_json::Error),
    #[error("the body was not read")]
    Body(#[from] ReadError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("the answer could not be written")]
    Unwritten(#[source] serde_json::Error),
    #[error("the server failed; its log says more")]
    Panicked,
}

/// What clients see of a refusal.
#[derive(Serialize)]
struct Model<'a> {
    error: &'a str,
    message: String,
}

impl Refusal {
    /// Whether the server, and not the client, is to blame.
    pub(super) fn is_fault(&self) -> bool {
        if let Self::Service(error) = self {
            return error.is_fault();
        }
        self.said() == INTERNAL
    }

    /// Status and word.
    fn said(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "bad_request"),
            Self::ForeignPage | Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NoSession => (StatusCode::UNAUTHORIZED, "session_ended"),
            Self::OwnAccount => (StatusCode::CONFLICT, "own_account"),
            Self::DisabledAdministrator
            | Self::Query(_)
            | Self::Field { .. }
            | Self::Value(_)
            | Self::Password
            | Self::Json(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Name(_) => (StatusCode::BAD_REQUEST, "bad_name"),
            Self::Slice(_) | Self::SliceMd5 => (StatusCode::BAD_REQUEST, "bad_slice"),
            Self::WrongContent(_) => (StatusCode::CONFLICT, "wrong_content"),
            Self::TooLarge(_) | Self::Body(ReadError::TooLong { .. }) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large")
            }
            Self::Body(error @ ReadError::Body(_)) => (error.status(), "bad_request"),
            Self::Service(error) => said_of_service(error),
            Self::Unwritten(_) | Self::Panicked => INTERNAL,
        }
    }

    /// The only rendering of a refusal.
    pub(super) fn render(self) -> Response<Body> {
        let (status, error) = self.said();
        let message = if status == StatusCode::INTERNAL_SERVER_ERROR {
            // Causes within the server are the operator's concern, whose log has them.
            Self::Panicked.to_string()
        } else {
            common::web::text::chain(&self)
        };
        let model = Model { error, message };
        // Two texts are always written.
        let json = serde_json::to_vec(&model).unwrap_or_default();
        let mut response = json::response(status, json);
        let headers = response.headers_mut();
        if let Self::Method { allowed } = &self
            && let Ok(allowed) = HeaderValue::try_from(allowed)
        {
            headers.insert(ALLOW, allowed);
        }
        let (name, value) = match status {
            StatusCode::UNAUTHORIZED => (WWW_AUTHENTICATE, "Bearer"),
            StatusCode::SERVICE_UNAVAILABLE => (RETRY_AFTER, RETRY_AFTER_BUSY),
            StatusCode::TOO_MANY_REQUESTS => (RETRY_AFTER, RETRY_AFTER_TOO_MANY),
            _ => return response,
        };
        headers.insert(name, HeaderValue::from_static(value));
        response
    }
}

const INTERNAL: (StatusCode, &str) = (StatusCode::INTERNAL_SERVER_ERROR, "internal");
const UNAVAILABLE: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "unavailable");

fn said_of_service(error: &ServiceError) -> (StatusCode, &'static str) {
    let (status, word) = said_of_code(error.code());
    match error {
        ServiceError::Core(error) => match said_of_core(error) {
            Some(word) => word,
            None => (status, word),
        },
        ServiceError::SlicesMissing(_) => (StatusCode::CONFLICT, "slices_missing"),
        ServiceError::NoSlice { .. } => (StatusCode::BAD_REQUEST, "bad_slice"),
        ServiceError::WrongPassword => (status, "wrong_password"),
        ServiceError::TooOften => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
        ServiceError::Denied => (StatusCode::UNAUTHORIZED, "session_ended"),
        // Whatever its storage says, the server cannot do now what it was asked.
        ServiceError::Blobs(_) | ServiceError::Read(_) => UNAVAILABLE,
        ServiceError::RegistrationClosed
        | ServiceError::Mismatch { .. }
        | ServiceError::Gap { .. }
        | ServiceError::Broken
        | ServiceError::Password(_)
        | ServiceError::Task(_) => (status, word),
    }
}

/// Where the core says more than its classification.
fn said_of_core(error: &CoreError) -> Option<(StatusCode, &'static str)> {
    let conflict = StatusCode::CONFLICT;
    match error {
        CoreError::NameTaken => Some((conflict, "user_exists")),
        CoreError::NameInUse(_) => Some((conflict, "name_taken")),
        CoreError::OverQuota { .. } => Some((conflict, "quota")),
        CoreError::TooManyEntries(_) | CoreError::TooManyUploads(_) | CoreError::TooManyApps(_) => {
            Some((conflict, "too_many_entries"))
        }
        CoreError::IntoItself => Some((StatusCode::BAD_REQUEST, "into_itself")),
        CoreError::TooDeep(_) => Some((StatusCode::BAD_REQUEST, "too_deep")),
        CoreError::SentTooOften => Some((StatusCode::BAD_REQUEST, "bad_slice")),
        CoreError::TooManySlices(_) => Some((StatusCode::PAYLOAD_TOO_LARGE, "too_large")),
        CoreError::Catalog(_)
        | CoreError::NoAccount
        | CoreError::NoFile
        | CoreError::FileExists
        | CoreError::Collision
        | CoreError::NoContent
        | CoreError::AlreadyShared
        | CoreError::NoShare
        | CoreError::NoPicture
        | CoreError::PictureFileDeleted
        | CoreError::TooManyPictures(_)
        | CoreError::NoFolder
        | CoreError::NotInTrash
        | CoreError::NoEntry
        | CoreError::NoUpload
        | CoreError::UploadClosed
        | CoreError::UploadDone(_)
        | CoreError::UploadChanged
        | CoreError::NoApp
        | CoreError::NoSession => None,
    }
}

fn said_of_code(code: ErrorCode) -> (StatusCode, &'static str) {
    match code {
        ErrorCode::Invalid => (StatusCode::BAD_REQUEST, "bad_request"),
        ErrorCode::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        ErrorCode::Exists => (StatusCode::CONFLICT, "conflict"),
        ErrorCode::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
        ErrorCode::Busy
        | ErrorCode::ShuttingDown
        | ErrorCode::Unavailable
        | ErrorCode::NoSpace
        | ErrorCode::ReadOnly => UNAVAILABLE,
        ErrorCode::Storage | ErrorCode::Interrupted | ErrorCode::Unsupported => INTERNAL,
    }
}
