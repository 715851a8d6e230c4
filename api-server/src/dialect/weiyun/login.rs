//! Who asks: the general parameters of OAuth 2.0 and of OAuth 1.0. Source: docs/api/weiyun.md §2.1,
//! §2.4, §6.6.

use common::env::clock;
use common::web::origin::{Origin, Scheme};
use http::request;

use super::Weiyun;
use super::nonces::{Stale, WINDOW_SECONDS};
use super::parameters::Parameters;
use super::refusal::Refusal;
use super::signature::{SIGNATURE, Secrets, Signed};
use crate::backend::Blobs;
use crate::core::apps::{self, AppRecord, Scopes};
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::{AppNumber, NoteHash, Token};
use crate::http::caller::Caller;
use crate::service::{Actor, Bearer, ServiceError};

/// Digits of an application's number that are looked at: more make no number of ours.
const APP_DIGITS_MAX: usize = 20;

/// Whoever asked, and what may be done in the user's name.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) actor: Actor,
    pub(super) scopes: Scopes,
}

impl Login {
    /// Refuses who may not change anything.
    pub(super) fn may_write(self) -> Result<Self, Refusal> {
        if self.scopes.write {
            Ok(self)
        } else {
            Err(Refusal::Scope)
        }
    }

    /// Refuses who may not see anything.
    pub(super) fn may_read(self) -> Result<Self, Refusal> {
        if self.scopes.read {
            Ok(self)
        } else {
            Err(Refusal::Scope)
        }
    }
}

impl<C: Catalog, B: Blobs> Weiyun<C, B> {
    /// Whoever asked. A signature tells OAuth 1.0 from 2.0.
    pub(super) async fn log_in(
        &self,
        head: &request::Parts,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Login, Refusal> {
        let is_signed = parameters.has(SIGNATURE);
        let token = parameters
            .filled(if is_signed {
                "oauth_token"
            } else {
                "access_token"
            })
            .and_then(|text| text.parse::<Token>().ok())
            .ok_or(Refusal::Token)?;
        let bearer = match self.service.bearer(&token).await {
            Ok(bearer) => bearer,
            Err(ServiceError::Denied) => return Err(Refusal::Token),
            Err(error) => return Err(Refusal::AccountStore(error)),
        };
        if is_signed {
            // Whether the openid is right is only then said to somebody who can sign.
            let app = self.app(&bearer, parameters).await?;
            self.check_signature(head, caller, parameters, &token, &app)
                .await?;
            if parameters.has("openid") {
                self.check_openid(&bearer, parameters).await?;
            }
        } else {
            self.check_openid(&bearer, parameters).await?;
            self.app(&bearer, parameters).await?;
        }
        let Bearer { actor, grant } = bearer;
        if !self.settings.admits(&actor.user) {
            return Err(Refusal::NotAdmitted);
        }
        Ok(Login {
            actor,
            scopes: grant.scopes,
        })
    }

    async fn check_openid(&self, bearer: &Bearer, parameters: &Parameters) -> Result<(), Refusal> {
        let app = bearer.grant.app.ok_or(Refusal::ForeignApp)?;
        let openid = self.names().await?.openid(bearer.actor.account, app);
        let is_right = |text: &str| openid.eq_ignore_ascii_case(text);
        if parameters.filled("openid").is_some_and(is_right) {
            Ok(())
        } else {
            Err(Refusal::OpenId)
        }
    }

    /// The application that asks: the one that the token was given to.
    async fn app(&self, bearer: &Bearer, parameters: &Parameters) -> Result<AppRecord, Refusal> {
        let number = parameters
            .filled("oauth_consumer_key")
            .and_then(app_number)
            .ok_or(Refusal::AppId)?;
        if parameters.has("appid")
            && parameters.filled("appid").and_then(app_number) != Some(number)
        {
            return Err(Refusal::AppId);
        }
        let record = match self.service.look(move |view| apps::get(view, number)).await {
            Ok(record) => record,
            Err(ServiceError::Core(CoreError::NoApp)) => return Err(Refusal::UnknownApp),
            Err(error) => return Err(Refusal::AccountStore(error)),
        };
        if bearer.grant.app == Some(number) {
            Ok(record)
        } else {
            Err(Refusal::ForeignApp)
        }
    }

    async fn check_signature(
        &self,
        head: &request::Parts,
        caller: &Caller,
        parameters: &Parameters,
        token: &Token,
        app: &AppRecord,
    ) -> Result<(), Refusal> {
        let is = |name, value| parameters.filled(name) == Some(value);
        let signature = parameters.filled(SIGNATURE).ok_or(Refusal::Signature)?;
        if !is("oauth_version", "1.0") || !is("oauth_signature_method", "HMAC-SHA1") {
            return Err(Refusal::Signature);
        }
        let hash = token.hash();
        let secret = self.names().await?.token_secret(&hash);
        let secrets = Secrets {
            app: &app.secret.0,
            token: &secret,
        };
        // A proxy that takes HTTPS off may not say so. The scheme protects nothing here.
        let is_right = [Scheme::Http, Scheme::Https].map(|scheme| {
            let base = Origin::new(scheme, caller.asked_for().authority().clone());
            let signed = Signed {
                method: head.method.as_str(),
                address: &format!("{base}{}", head.uri.path()),
                parameters,
            };
            signed.is_signed_with(secrets, signature)
        });
        if !is_right.contains(&true) {
            return Err(Refusal::Signature);
        }
        let timestamp = parameters.filled("oauth_timestamp").unwrap_or_default();
        let nonce = parameters.filled("oauth_nonce").unwrap_or_default();
        let now = clock::unix_seconds();
        self.nonces.admit(hash, timestamp, nonce, now)?;
        // Another server may have been given the same request.
        let parts: [&[u8]; 3] = [&hash.0, timestamp.as_bytes(), nonce.as_bytes()];
        let note = NoteHash::of("signed request", &parts);
        let until = now.saturating_add(2 * WINDOW_SECONDS + 1);
        let is_first = self.service.remember_among_servers(note, until).await;
        if is_first.map_err(Refusal::AccountStore)? {
            Ok(())
        } else {
            Err(Stale::Seen.into())
        }
    }
}

/// The number of digits, if it can be an application's. One that is too large for us is that of none.
pub(super) fn app_number(digits: &str) -> Option<AppNumber> {
    let is_number = !digits.is_empty()
        && digits.len() <= APP_DIGITS_MAX
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| AppNumber(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_have_numbers() {
        assert_eq!(app_number("12345"), Some(AppNumber(12345)));
        assert_eq!(
            app_number("99999999999999999999"),
            Some(AppNumber(u64::MAX))
        );
        for text in ["", "+1", "-1", "1a", " 1", "123456789012345678901"] {
            assert_eq!(app_number(text), None, "{text}");
        }
    }
}
