//! Who asks: the user whom a token proves, and whether that is an administrator.

use http::header::AUTHORIZATION;
use http::{HeaderMap, request};

use super::Console;
use super::refusal::Refusal;
use crate::backend::Blobs;
use crate::core::accounts::{self, Standing};
use crate::core::catalog::{Catalog, View};
use crate::core::error::CoreError;
use crate::core::id::{AccountId, Token, TokenHash};
use crate::service::{Actor, Proof, ServiceError};

/// A user with a live session.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) actor: Actor,
    /// The session that the call is made with.
    pub(super) session: TokenHash,
}

/// Who may do what administrators do.
#[derive(Clone, Debug)]
pub(super) enum Administrator {
    /// An account whose standing says so.
    User(User),
    /// Whoever can read the server's data directory, see [`super::operator`].
    Operator,
}

impl Administrator {
    /// The account, if it is one.
    pub(super) fn account(&self) -> Option<AccountId> {
        match self {
            Self::User(user) => Some(user.actor.account),
            Self::Operator => None,
        }
    }

    /// For log lines.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::User(user) => user.actor.user.as_str(),
            Self::Operator => "the operator's command line",
        }
    }
}

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// The user of a request.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSession`].
    pub(super) async fn user(&self, head: &request::Parts) -> Result<User, Refusal> {
        let token = bearer(&head.headers).and_then(|text| text.parse::<Token>().ok());
        let token = token.ok_or(Refusal::NoSession)?;
        let session = token.hash();
        match self.service.actor_of(&Proof::Token(token)).await {
            Ok(actor) => Ok(User { actor, session }),
            Err(ServiceError::Denied) => Err(Refusal::NoSession),
            Err(error) => Err(error.into()),
        }
    }

    /// The user as an administrator.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`].
    pub(super) async fn administrator(&self, user: User) -> Result<Administrator, Refusal> {
        let account = user.actor.account;
        let is_administrator = self
            .service
            .look(move |view| is_administrator(view, account))
            .await?;
        if is_administrator {
            Ok(Administrator::User(user))
        } else {
            Err(Refusal::Forbidden)
        }
    }
}

/// Whether the account is an administrator's. Changes ask this again within their transaction.
pub(super) fn is_administrator(view: &dyn View, account: AccountId) -> Result<bool, CoreError> {
    Ok(accounts::get(view, account)?.standing == Standing::Administrator)
}

/// Whether a request says that it has a token, whatever that is worth.
pub(super) fn has_token(head: &request::Parts) -> bool {
    head.headers.contains_key(AUTHORIZATION)
}

/// The token of `Authorization: Bearer TOKEN`; of several such headers, none. Source: RFC 6750 §2.1.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_behind_bearer_once() {
        let token = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(token(&["bearer  abc"]).as_deref(), Some("abc"));
        for bad in [&["abc"][..], &["Basic abc"], &["Bearer a", "Bearer a"], &[]] {
            assert_eq!(token(bad), None, "{bad:?}");
        }
    }
}
