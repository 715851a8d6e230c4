//! OAuth 2.0: how a user gets an access token and learns the openid. Source: docs/api/weiyun.md §6.

mod answer;
mod error;
mod me;
mod token;

pub(super) use answer::Format;
pub(super) use error::OAuthError;
