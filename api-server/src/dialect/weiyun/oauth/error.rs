//! Why no token is given, and the numbers that say so. Source: docs/api/weiyun.md §6.5.

use common::web::body::Body;
use http::Response;
use serde::Serialize;

use super::super::parameters::TooLong;
use super::answer::Format;
use crate::http::body::ReadError;
use crate::service::ServiceError;

/// Why a call of OAuth 2.0 had no effect.
#[derive(Debug, thiserror::Error)]
pub(in crate::dialect::weiyun) enum OAuthError {
    /// The request, or what it brings, is wrong.
    #[error("{}", .0.message())]
    Reason(Reason),
    /// The parameters are more than anybody sends.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The body did not arrive, or is too long.
    #[error(transparent)]
    Body(#[from] ReadError),
    /// The service refused or failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<Reason> for OAuthError {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

/// What is wrong. The numbers are the platform's and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub(in crate::dialect::weiyun) enum Reason {
    /// `client_id` is missing.
    NoClientId = 100_001,
    /// `client_secret` is missing.
    NoClientSecret = 100_002,
    /// `grant_type` is missing or unknown.
    GrantType = 100_004,
    /// `code` is missing.
    NoCode = 100_005,
    /// `refresh_token` is missing.
    NoRefreshToken = 100_006,
    /// `access_token` is missing.
    NoAccessToken = 100_007,
    /// No application has this `client_id`.
    UnknownClient = 100_008,
    /// `client_secret` is not the application's.
    WrongClientSecret = 100_009,
    /// The access token is none.
    IllegalToken = 100_013,
    /// The access token could not be checked.
    TokenCheck = 100_016,
    /// The code was used before.
    UsedCode = 100_020,
    /// No access token can be given: user name and password do not fit, or too many were tried.
    NoToken = 100_021,
    /// No access token can be given for this refresh token.
    NoTokenForRefresh = 100_022,
}

impl Reason {
    /// The number.
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    /// What `error_description` says.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::NoClientId => "param client_id is wrong or lost",
            Self::NoClientSecret => "param client_secret is wrong or lost",
            Self::GrantType => "param grant_type is wrong or lost",
            Self::NoCode => "param code is wrong or lost",
            Self::NoRefreshToken => "param refresh_token is wrong or lost",
            Self::NoAccessToken => "param access_token is wrong or lost",
            Self::UnknownClient => "client_id does not exist",
            Self::WrongClientSecret => "client_secret is wrong",
            Self::IllegalToken => "access token is illegal",
            Self::TokenCheck => "access token check failed",
            Self::UsedCode => "code was used already",
            Self::NoToken => "access token cannot be obtained",
            Self::NoTokenForRefresh => "access token cannot be obtained by this refresh token",
        }
    }
}

impl OAuthError {
    /// What is said about it.
    pub(in crate::dialect::weiyun) fn reason(&self) -> Reason {
        match self {
            Self::Reason(reason) => *reason,
            Self::Service(ServiceError::WrongPassword | ServiceError::TooOften) => Reason::NoToken,
            Self::TooLong(_) | Self::Body(_) | Self::Service(_) => Reason::TokenCheck,
        }
    }

    /// The answer, whose status is 200: clients read the number.
    pub(in crate::dialect::weiyun) fn response(&self, format: Format) -> Response<Body> {
        #[derive(Serialize)]
        struct Object {
            error: u32,
            error_description: &'static str,
        }
        let reason = self.reason();
        format.object(&Object {
            error: reason.number(),
            error_description: reason.message(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::read;
    use super::*;

    #[tokio::test]
    async fn an_error_is_the_argument_of_a_call_or_an_object() {
        let error = OAuthError::from(Reason::TokenCheck);
        let object = r#"{"error":100016,"error_description":"access token check failed"}"#;
        let response = error.response(Format::Text);
        assert_eq!(response.status(), 200);
        assert_eq!(read(response).await.1, format!("callback( {object} );\n"));
        assert_eq!(read(error.response(Format::Json)).await.1, object);
    }

    #[test]
    fn what_the_service_refuses_has_a_number_too() {
        let reason = |error| OAuthError::Service(error).reason();
        assert_eq!(reason(ServiceError::WrongPassword), Reason::NoToken);
        assert_eq!(reason(ServiceError::TooOften), Reason::NoToken);
        assert_eq!(reason(ServiceError::Broken), Reason::TokenCheck);
    }
}
