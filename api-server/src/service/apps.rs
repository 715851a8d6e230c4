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
use crate::core::catalog::{Catalog, Transaction};
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

/// Tokens that were drawn and are not issued yet.
#[derive(Clone, Copy, Debug)]
struct Pair {
    access: Token,
    refresh: Option<Token>,
}

/// What the catalog knows a pair by.
#[derive(Clone, Copy, Debug)]
struct PairHashes {
    access: TokenHash,
    refresh: Option<TokenHash>,
}

impl Pair {
    fn draw(new: &NewTokens) -> Self {
        Self {
            access: Token(random_bytes()),
            refresh: new.refresh_life.map(|_| Token(random_bytes())),
        }
    }

    fn hashes(&self) -> PairHashes {
        PairHashes {
            access: self.access.hash(),
            refresh: self.refresh.map(|token| token.hash()),
        }
    }

    fn with(self, grant: GrantRecord) -> Tokens {
        Tokens {
            access: self.access,
            refresh: self.refresh,
            grant,
        }
    }
}

impl PairHashes {
    fn issue(
        &self,
        tx: &mut dyn Transaction,
        new: &NewTokens,
        now: u32,
    ) -> Result<GrantRecord, CoreError> {
        let access = Issue {
            kind: GrantKind::Access,
            account: new.account,
            app: new.app,
            scopes: new.scopes,
            life: new.access_life,
            partner: self.refresh,
        };
        if let (Some(hash), Some(life)) = (self.refresh, new.refresh_life) {
            let refresh = Issue {
                kind: GrantKind::Refresh,
                life,
                partner: Some(self.access),
                ..access
            };
            grants::issue(tx, hash, refresh, now)?;
        }
        grants::issue(tx, self.access, access, now)
    }
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
    /// [`CoreError::NoApp`]; [`ServiceError::WrongPassword`]; [`ServiceError::TooOften`] after many of
    /// the latter from one place.
    pub(crate) async fn app_of(
        &self,
        address: IpAddr,
        app: AppNumber,
        secret: &str,
    ) -> Result<AppRecord, ServiceError> {
        // Numbers of applications are no secret: to ask for one that is not there is no attempt.
        let record = self.look(move |view| apps::get(view, app)).await?;
        let failures = &self.shared.rates.failures_by_address;
        let place = Neighbourhood::of(address);
        if !failures.take(place) {
            return Err(ServiceError::TooOften);
        }
        if bool::from(record.secret.0.as_bytes().ct_eq(secret.as_bytes())) {
            failures.give_back(&place);
            return Ok(record);
        }
        info!(%app, %address, "credentials of an application refused");
        Err(ServiceError::WrongPassword)
    }

    /// Issues tokens to whoever knows a user's password: those that `tokens` makes of the account.
    ///
    /// # Errors
    ///
    /// As [`Self::log_in`]; [`CoreError::NoApp`].
    pub(crate) async fn issue_tokens_by_password(
        &self,
        address: IpAddr,
        user: UserName,
        secret: Secret,
        tokens: impl FnOnce(AccountId) -> NewTokens,
    ) -> Result<Tokens, ServiceError> {
        let (account, password) = self.check_password_again(address, user, secret).await?;
        let new = tokens(account);
        let pair = Pair::draw(&new);
        let hashes = pair.hashes();
        let grant = self
            .change(move |tx, moment| {
                // The password that was right may have been changed, to end all that it began.
                if accounts::get(tx, account)?.password != password {
                    return Ok(None);
                }
                hashes.issue(tx, &new, moment.now).map(Some)
            })
            .await?;
        Ok(pair.with(grant.ok_or(ServiceError::WrongPassword)?))
    }

    /// The account of a name and a password, and what is kept of that, without hashing what was right
    /// a moment ago.
    ///
    /// # Errors
    ///
    /// As [`Self::log_in`].
    pub(super) async fn check_password_again(
        &self,
        address: IpAddr,
        user: UserName,
        secret: Secret,
    ) -> Result<(AccountId, PasswordHash), ServiceError> {
        if let Some((account, kept)) = self.shared.recent.get(&user, &secret) {
            let record = self.look(move |view| accounts::get(view, account)).await?;
            let is_same = |record: &AccountRecord| {
                record.password == kept && record.standing != Standing::Disabled
            };
            if is_same(&record) {
                return Ok((account, kept));
            }
        }
        let (account, record) = self
            .check_password(address, user.clone(), secret.clone())
            .await?;
        let kept = record.password;
        self.shared
            .recent
            .remember(&user, &secret, account, kept.clone());
        Ok((account, kept))
    }

    /// Issues tokens.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoAccount`], [`CoreError::NoApp`].
    pub(crate) async fn issue_tokens(&self, new: NewTokens) -> Result<Tokens, ServiceError> {
        let pair = Pair::draw(&new);
        let hashes = pair.hashes();
        let grant = self
            .change(move |tx, moment| hashes.issue(tx, &new, moment.now))
            .await?;
        Ok(pair.with(grant))
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

    /// Exchanges a refresh token of an application for another pair, once. The old pair ends in the same
    /// transaction: whatever fails, the client has one or the other.
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
        let old = self.grant(token, GrantKind::Refresh).await?;
        let new = NewTokens {
            account: old.account,
            app: old.app,
            scopes: old.scopes,
            access_life,
            refresh_life: Some(refresh_life),
        };
        let pair = Pair::draw(&new);
        let hashes = pair.hashes();
        let grant = self
            .change(move |tx, moment| {
                // Somebody else may have exchanged it just now.
                if grants::get(tx, &token, moment.now)?.as_ref() != Some(&old)
                    || old.app != Some(app)
                {
                    return Ok(None);
                }
                grants::revoke(tx, &token)?;
                hashes.issue(tx, &new, moment.now).map(Some)
            })
            .await?;
        grant
            .map(|grant| pair.with(grant))
            .ok_or(ServiceError::Denied)
    }

    /// The key that the server keeps for itself: for what is derived of names and must not be computed
    /// by anybody else.
    pub(crate) async fn server_key(&self) -> Result<ServerKey, ServiceError> {
        let key = self.shared.server_key.get_or_try_init(|| {
            let fresh = ServerKey(random_key());
            self.change(move |tx, _| apps::server_key(tx, fresh))
        });
        Ok(*key.await?)
    }
}

fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    let (first, second) = key.split_at_mut(16);
    first.copy_from_slice(&random_bytes());
    second.copy_from_slice(&random_bytes());
    key
}
