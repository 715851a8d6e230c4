//! `/oauth2.0/token`: gives tokens. Source: docs/api/weiyun.md §6.2.

use std::net::IpAddr;
use std::time::Duration;

use super::super::Weiyun;
use super::super::login::app_number;
use super::super::parameters::Parameters;
use super::answer::Tokens;
use super::error::{OAuthError, Reason};
use crate::backend::Blobs;
use crate::core::apps::AppRecord;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::{AppNumber, Token};
use crate::service::{NewTokens, Secret, ServiceError};

/// How long an access token lasts.
const ACCESS_LIFE: Duration = Duration::from_hours(90 * 24);
/// How long a refresh token lasts.
const REFRESH_LIFE: Duration = Duration::from_hours(180 * 24);

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// Gives a pair of tokens.
    pub(in crate::dialect::weiyun) async fn token(
        &self,
        address: IpAddr,
        parameters: &Parameters,
    ) -> Result<Tokens, OAuthError> {
        let grant = parameters.filled("grant_type").ok_or(Reason::GrantType)?;
        let grants = ["password", "refresh_token", "authorization_code"];
        if !grants.contains(&grant) {
            return Err(Reason::GrantType.into());
        }
        let (app, record) = self.client(address, parameters).await?;
        let issued = match grant {
            "password" => self.by_password(address, app, &record, parameters).await?,
            "refresh_token" => self.by_refresh_token(app, parameters).await?,
            _ => return Err(by_code(parameters)),
        };
        let (account, access) = (issued.grant.account, issued.access);
        let names = self.names().await?;
        Ok(Tokens {
            access_token: access.to_string(),
            expires_in: ACCESS_LIFE.as_secs(),
            refresh_token: issued
                .refresh
                .map(|token| token.to_string())
                .unwrap_or_default(),
            openid: names.openid(account, app),
            oauth_token_secret: names.token_secret(&access.hash()),
        })
    }

    /// The application that asks, which proves itself.
    async fn client(
        &self,
        address: IpAddr,
        parameters: &Parameters,
    ) -> Result<(AppNumber, AppRecord), OAuthError> {
        let app = parameters.filled("client_id").ok_or(Reason::NoClientId)?;
        let app = app_number(app).ok_or(Reason::UnknownClient)?;
        let secret = parameters.filled("client_secret");
        let secret = secret.ok_or(Reason::NoClientSecret)?;
        match self.service.app_of(address, app, secret).await {
            Ok(record) => Ok((app, record)),
            Err(ServiceError::Core(CoreError::NoApp)) => Err(Reason::UnknownClient.into()),
            Err(ServiceError::WrongPassword) => Err(Reason::WrongClientSecret.into()),
            Err(error) => Err(error.into()),
        }
    }

    async fn by_password(
        &self,
        address: IpAddr,
        app: AppNumber,
        record: &AppRecord,
        parameters: &Parameters,
    ) -> Result<crate::service::Tokens, OAuthError> {
        let user = parameters
            .filled("username")
            .and_then(|name| name.parse().ok());
        let secret = parameters.filled("password").and_then(Secret::new);
        let (Some(user), Some(secret)) = (user, secret) else {
            return Err(Reason::NoToken.into());
        };
        let scopes = record.scopes;
        let tokens = |account| NewTokens {
            account,
            app: Some(app),
            scopes,
            access_life: ACCESS_LIFE,
            refresh_life: Some(REFRESH_LIFE),
        };
        let issued = self
            .service
            .issue_tokens_by_password(address, user, secret, tokens);
        Ok(issued.await?)
    }

    async fn by_refresh_token(
        &self,
        app: AppNumber,
        parameters: &Parameters,
    ) -> Result<crate::service::Tokens, OAuthError> {
        let token = parameters.filled("refresh_token");
        let token = token.ok_or(Reason::NoRefreshToken)?;
        let token: Token = token.parse().map_err(|_| Reason::NoTokenForRefresh)?;
        let (access, refresh) = (ACCESS_LIFE, REFRESH_LIFE);
        match self
            .service
            .refresh_tokens(token.hash(), app, access, refresh)
            .await
        {
            Ok(tokens) => Ok(tokens),
            Err(ServiceError::Denied) => Err(Reason::NoTokenForRefresh.into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// No code was ever given out, so that none is right.
fn by_code(parameters: &Parameters) -> OAuthError {
    match parameters.filled("code") {
        None => Reason::NoCode.into(),
        Some(_) => Reason::UsedCode.into(),
    }
}
