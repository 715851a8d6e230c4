//! Applications and their tokens. Source: docs/api/pan123.md §2, docs/api/weiyun.md §6.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::env::clock;
use subtle::ConstantTimeEq as _;
use tracing::info;

use super::error::ServiceError;
use super::passwords::Secret;
use super::rate::Neighbourhood;
use super::sessions::Actor;
use super::{Service, random_bytes};
use crate::backend::Blobs;
use crate::core::accounts::{self, AccountRecord, PasswordHash, Standing};
use crate::core::apps::{self, AppRecord, AppSecret, Scopes};
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::grants::{self, GrantKind, GrantRecord, Issue};
use crate::core::id::{AccountId, AppNumber, ServerKey, Token, TokenHash};
use crate::core::name::{NickName, UserName};

/// How long a password that was right need not be hashed again: some programs ask for a token before
/// each call.
const RECENT_LIFE: Duration = Duration::from_mins(5);
/// Passwords that are remembered.
const RECENT_MAX: usize = 10_000;

/// Who a token proves, and what it allows.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    /// The user.
    pub(crate) actor: Actor,
    /// The rest.
    pub(crate) grant: GrantRecord,
}

/// Tokens to issue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewTokens {
    /// For whom their holder acts.
    pub(crate) account: AccountId,
    /// The application that gets them.
    pub(crate) app: Option<AppNumber>,
    /// What they allow.
    pub(crate) scopes: Scopes,
    /// How long the access token lasts.
    pub(crate) access_life: Duration,
    /// How long a refresh token lasts; none for no such token.
    pub(crate) refresh_life: Option<Duration>,
}

/// Tokens that were issued.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    /// For calls.
    pub(crate) access: Token,
    /// For another pair.
    pub(crate) refresh: Option<Token>,
    /// What the access token proves.
    pub(crate) grant: GrantRecord,
}

/// Passwords that were right lately, by a hash that nobody else can compute.
pub(super) struct RecentPasswords {
    key: [u8; 32],
    known: Mutex<HashMap<[u8; 32], (AccountId, PasswordHash, Instant)>>,
}

impl Default for RecentPasswords {
    fn default() -> Self {
        Self {
            key: random_key(),
            known: Mutex::default(),
        }
    }
}

impl fmt::Debug for RecentPasswords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentPasswords").finish_non_exhaustive()
    }
}

impl RecentPasswords {
    fn name(&self, user: &UserName, secret: &Secret) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(user.as_str().as_bytes());
        hasher.update(&[0]);
        hasher.update(secret.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The account, and its password as it was kept then.
    fn get(&self, user: &UserName, secret: &Secret) -> Option<(AccountId, PasswordHash)> {
        let name = self.name(user, secret);
        let now = clock::monotonic();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (account, password, until) = known.get(&name)?;
        (now < *until).then(|| (*account, password.clone()))
    }

    fn remember(&self, user: &UserName, secret: &Secret, account: AccountId, kept: PasswordHash) {
        let (name, now) = (self.name(user, secret), clock::monotonic());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if RECENT_MAX <= known.len() {
            known.retain(|_, (_, _, until)| now < *until);
            // Whoever is forgotten is hashed once more.
            if RECENT_MAX <= known.len() {
                known.clear();
            }
        }
        known.insert(name, (account, kept, now + RECENT_LIFE));
    }
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Makes an application of the actor's. The secret is told once.
    ///
    /// # Errors
    ///
    /// [`CoreError::TooManyApps`].
    pub(crate) async fn create_app(
        &self,
        account: AccountId,
        name: NickName,
        scopes: Scopes,
    ) -> Result<(AppNumber, AppSecret), ServiceError> {
        let secret = AppSecret(Token(random_bytes()).to_string().into());
        let kept = secret.clone();
        let number = self
            .change(move |tx, moment| {
                apps::create(tx, account, name.clone(), kept.clone(), scopes, moment.now)
            })
            .await?;
        info!(%account, app = %number, "an application was made");
        Ok((number, secret))
    }

    /// The application of these credentials.
    ///
    /// # Errors
    ///
    /// [`ServiceError::WrongPassword`], whichever of the two is wrong; [`ServiceError::TooOften`] after
    /// many such from one place.
    pub(crate) async fn app_of(
        &self,
        address: IpAddr,
        app: AppNumber,
        secret: &str,
    ) -> Result<AppRecord, ServiceError> {
        let failures = &self.shared.rates.failures_by_address;
        let place = Neighbourhood::of(address);
        if !failures.take(place) {
            return Err(ServiceError::TooOften);
        }
        let record = match self.look(move |view| apps::get(view, app)).await {
            Err(ServiceError::Core(CoreError::NoApp)) => None,
            found => Some(found?),
        };
        let is_right =
            |record: &AppRecord| bool::from(record.secret.0.as_bytes().ct_eq(secret.as_bytes()));
        match record.filter(is_right) {
            Some(record) => {
                failures.give_back(&place);
                Ok(record)
            }
            None => {
                info!(%app, %address, "credentials of an application refused");
                Err(ServiceError::WrongPassword)
            }
        }
    }

    /// The account of a name and a password, without hashing what was right a moment ago.
    ///
    /// # Errors
    ///
    /// As [`Self::log_in`].
    pub(crate) async fn check_password_again(
        &self,
        address: IpAddr,
        user: UserName,
        secret: Secret,
    ) -> Result<AccountId, ServiceError> {
        if let Some((account, kept)) = self.shared.recent.get(&user, &secret) {
            let record = self.look(move |view| accounts::get(view, account)).await?;
            let is_same = |record: &AccountRecord| {
                record.password == kept && record.standing != Standing::Disabled
            };
            if is_same(&record) {
                return Ok(account);
            }
        }
        let (account, record) = self
            .check_password(address, user.clone(), secret.clone())
            .await?;
        self.shared
            .recent
            .remember(&user, &secret, account, record.password);
        Ok(account)
    }

    /// Issues tokens.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoAccount`], [`CoreError::NoApp`].
    pub(crate) async fn issue_tokens(&self, new: NewTokens) -> Result<Tokens, ServiceError> {
        let access = Token(random_bytes());
        let refresh = new.refresh_life.map(|life| (Token(random_bytes()), life));
        let access_hash = access.hash();
        let refresh_hash = refresh.map(|(token, life)| (token.hash(), life));
        let grant = self
            .change(move |tx, moment| {
                let issue = Issue {
                    kind: GrantKind::Access,
                    account: new.account,
                    app: new.app,
                    scopes: new.scopes,
                    life: new.access_life,
                    partner: refresh_hash.map(|(hash, _)| hash),
                };
                if let Some((hash, life)) = refresh_hash {
                    let refresh = Issue {
                        kind: GrantKind::Refresh,
                        life,
                        partner: Some(access_hash),
                        ..issue
                    };
                    grants::issue(tx, hash, refresh, moment.now)?;
                }
                grants::issue(tx, access_hash, issue, moment.now)
            })
            .await?;
        Ok(Tokens {
            access,
            refresh: refresh.map(|(token, _)| token),
            grant,
        })
    }

    /// Whom an access token proves.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Denied`] if nobody.
    pub(crate) async fn bearer(&self, token: &Token) -> Result<Bearer, ServiceError> {
        let grant = self.grant(token.hash(), GrantKind::Access).await?;
        let actor = Actor {
            account: grant.account,
            user: grant.user.clone(),
        };
        Ok(Bearer { actor, grant })
    }

    /// Whether the holder of a token may make another call of a kind now.
    pub(crate) fn may_call(&self, token: TokenHash, call: &str) -> bool {
        self.shared.rates.calls.take((token, call.to_owned()))
    }

    /// What a token of a kind allows.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Denied`] if it is none, or over.
    pub(crate) async fn grant(
        &self,
        token: TokenHash,
        kind: GrantKind,
    ) -> Result<GrantRecord, ServiceError> {
        let now = self.now();
        let grant = self
            .look(move |view| grants::get(view, &token, now))
            .await?;
        grant
            .filter(|grant| grant.kind == kind)
            .ok_or(ServiceError::Denied)
    }

    /// Exchanges a refresh token of an application for another pair. The old pair ends.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Denied`] if it is none, over, or another application's.
    pub(crate) async fn refresh_tokens(
        &self,
        token: TokenHash,
        app: AppNumber,
        access_life: Duration,
        refresh_life: Duration,
    ) -> Result<Tokens, ServiceError> {
        let grant = self.grant(token, GrantKind::Refresh).await?;
        if grant.app != Some(app) {
            return Err(ServiceError::Denied);
        }
        // Two that come at once may both get a pair; both had the right to one.
        self.change(move |tx, _| grants::revoke(tx, &token)).await?;
        self.issue_tokens(NewTokens {
            account: grant.account,
            app: grant.app,
            scopes: grant.scopes,
            access_life,
            refresh_life: Some(refresh_life),
        })
        .await
    }

    /// The key that the server keeps for itself: for what is derived of names and must not be computed
    /// by anybody else.
    pub(crate) async fn server_key(&self) -> Result<ServerKey, ServiceError> {
        let fresh = ServerKey(random_key());
        self.change(move |tx, _| apps::server_key(tx, fresh)).await
    }
}

fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    let (first, second) = key.split_at_mut(16);
    first.copy_from_slice(&random_bytes());
    second.copy_from_slice(&random_bytes());
    key
}
