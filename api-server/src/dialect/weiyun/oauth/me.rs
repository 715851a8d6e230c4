//! `/oauth2.0/me`: tells the openid. Source: docs/api/weiyun.md §6.3.

use super::super::Weiyun;
use super::super::parameters::Parameters;
use super::answer::OpenId;
use super::error::{OAuthError, Reason};
use crate::backend::Blobs;
use crate::core::catalog::Catalog;
use crate::core::id::Token;
use crate::service::ServiceError;

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// Whom an access token proves, as the application knows the user.
    pub(in crate::dialect::weiyun) async fn me(
        &self,
        parameters: &Parameters,
    ) -> Result<OpenId, OAuthError> {
        let token = parameters.filled("access_token");
        let token = token.ok_or(Reason::NoAccessToken)?;
        let token: Token = token.parse().map_err(|_| Reason::IllegalToken)?;
        let bearer = match self.service.bearer(&token).await {
            Ok(bearer) => bearer,
            Err(ServiceError::Denied) => return Err(Reason::TokenCheck.into()),
            Err(error) => return Err(error.into()),
        };
        // A user's own programs have no openid.
        let app = bearer.grant.app.ok_or(Reason::TokenCheck)?;
        Ok(OpenId {
            client_id: app.to_string(),
            openid: self.names().await?.openid(bearer.actor.account, app),
        })
    }
}
