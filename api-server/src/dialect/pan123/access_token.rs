//! `POST /api/v1/access_token`: a token for the credentials of an application, or of a user.
//! Source: docs/api/pan123.md §2.1.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::Pan123;
use super::answer::Answer;
use super::param::{Name, Params};
use super::refusal::Refusal;
use super::time;
use super::token::{self, Claims};
use crate::backend::Blobs;
use crate::core::accounts;
use crate::core::apps::Scopes;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::AppNumber;
use crate::core::name::UserName;
use crate::service::{NewTokens, Secret, ServiceError, Tokens};

/// How long a token lasts, as on the real platform.
const LIFE: Duration = Duration::from_hours(30 * 24);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    access_token: String,
    expired_at: String,
}

impl<C: Catalog, B: Blobs> Pan123<C, B> {
    /// Issues a token.
    pub(super) async fn access_token(
        &self,
        address: IpAddr,
        params: &Params,
    ) -> Result<Answer, Refusal> {
        let (id, secret) = (
            params.text(Name::ClientId)?,
            params.text(Name::ClientSecret)?,
        );
        let tokens = match self.of_app(address, id, secret).await? {
            Some(new) => self.service.issue_tokens(new).await?,
            None => self.of_user(address, id, secret).await?,
        };
        let Tokens { access, grant, .. } = tokens;
        let claims = Claims {
            account: grant.account,
            issued: grant.created,
            expires: grant.expires,
        };
        Answer::of(&Model {
            access_token: token::encode(&access, claims),
            expired_at: time::with_offset(grant.expires),
        })
    }

    /// Tokens for an application; `None` if what was sent may still be a user's.
    async fn of_app(
        &self,
        address: IpAddr,
        id: &str,
        secret: &str,
    ) -> Result<Option<NewTokens>, Refusal> {
        let is_number = id.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = id.parse().ok().filter(|_| is_number).map(AppNumber) else {
            return Ok(None);
        };
        match self.service.app_of(address, number, secret).await {
            Ok(app) => Ok(Some(NewTokens {
                account: app.account,
                app: Some(number),
                scopes: app.scopes,
                access_life: LIFE,
                refresh_life: None,
            })),
            // There are users whose names are numbers.
            Err(ServiceError::Core(CoreError::NoApp)) => Ok(None),
            Err(ServiceError::WrongPassword) if self.is_user(id).await? => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn is_user(&self, id: &str) -> Result<bool, Refusal> {
        let Ok(name) = id.parse::<UserName>() else {
            return Ok(false);
        };
        let found = self
            .service
            .look(move |view| accounts::find(view, &name))
            .await?;
        Ok(found.is_some())
    }

    /// Tokens for a user: clientID is the name, clientSecret what the log-in sends for the password.
    async fn of_user(&self, address: IpAddr, id: &str, secret: &str) -> Result<Tokens, Refusal> {
        if !self.password_tokens {
            return Err(Refusal::WrongCredentials);
        }
        let user: UserName = id.parse().map_err(|_| Refusal::WrongCredentials)?;
        let secret = Secret::new(secret).ok_or(Refusal::WrongCredentials)?;
        let tokens = |account| NewTokens {
            account,
            app: None,
            scopes: Scopes::ALL,
            access_life: LIFE,
            refresh_life: None,
        };
        let issued = self
            .service
            .issue_tokens_by_password(address, user, secret, tokens);
        Ok(issued.await?)
    }
}
