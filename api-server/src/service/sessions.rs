//! Who acts: registration, log-in, tokens, and documented calls without one.
//! Source: docs/api/image-host.md §2.5, §4.1, §4.2.

use std::net::IpAddr;

use tracing::info;

use super::error::ServiceError;
use super::passwords::Secret;
use super::rate::Neighbourhood;
use super::{Service, random_bytes, tickets};
use crate::backend::Blobs;
use crate::core::accounts::{self, AccountRecord, Profile, Standing};
use crate::core::catalog::{Catalog, Transaction, View};
use crate::core::error::CoreError;
use crate::core::id::{AccountId, Md5, Token, TokenHash};
use crate::core::name::UserName;
use crate::core::sessions::{self, SessionRecord};

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegistrationPolicy {
    /// Everybody.
    Open,
    /// Nobody; the operator makes accounts.
    Closed,
}

/// What a documented call without a token needs instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenlessPolicy {
    /// A live session of the named user from the same address.
    Bound,
    /// Nothing, as in the original.
    Compat,
    /// As `Bound`, and uploads need that the user asked for their MD5 with a token.
    Ticket,
    /// There is nothing instead.
    Strict,
}

/// What a request brings to prove who sends it.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// A token.
    Token(Token),
    /// Something that cannot be a token.
    Malformed,
    /// Nothing.
    Nothing,
}

/// A user who may act.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// The account.
    pub(crate) account: AccountId,
    /// Its name.
    pub(crate) user: UserName,
}

/// A new account.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    /// The name to log in with.
    pub(crate) user: UserName,
    /// The password.
    pub(crate) secret: Secret,
    /// The rest.
    pub(crate) profile: Profile,
}

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Makes an account.
    ///
    /// # Errors
    ///
    /// [`CoreError::NameTaken`],
    /// [`ServiceError::RegistrationClosed`], [`ServiceError::TooOften`].
    pub(crate) async fn register(
        &self,
        address: IpAddr,
        registration: Registration,
    ) -> Result<AccountId, ServiceError> {
        if !self
            .shared
            .rates
            .registrations
            .take(Neighbourhood::of(address))
        {
            return Err(ServiceError::TooOften);
        }
        if self.shared.settings.registration == RegistrationPolicy::Closed {
            return Err(ServiceError::RegistrationClosed);
        }
        let user = registration.user.clone();
        let account = self.add_account(registration).await?;
        info!(%user, %account, %address, "registered");
        Ok(account)
    }

    /// Begins a session.
    ///
    /// # Errors
    ///
    /// [`ServiceError::WrongPassword`], whether the name or the password is wrong, after the same
    /// work; [`ServiceError::TooOften`].
    pub(crate) async fn log_in(
        &self,
        address: IpAddr,
        user: UserName,
        secret: Secret,
    ) -> Result<(Token, SessionRecord), ServiceError> {
        let (account, record) = self.check_password(address, user, secret).await?;
        self.open_session(account, address, move |tx| {
            // The password that was right may have been changed, to end all that it began.
            Ok(accounts::get(tx, account)?.password == record.password)
        })
        .await?
        .ok_or(ServiceError::WrongPassword)
    }

    /// The account of a name and a password.
    ///
    /// # Errors
    ///
    /// As [`Self::log_in`].
    pub(crate) async fn check_password(
        &self,
        address: IpAddr,
        user: UserName,
        secret: Secret,
    ) -> Result<(AccountId, AccountRecord), ServiceError> {
        // Each attempt is counted before it is judged, or as many could be made as fit in the time that
        // one takes; those that are right are given back.
        let rates = &self.shared.rates;
        let place = Neighbourhood::of(address);
        let who = (user, place);
        if !rates.failures_by_address.take(place) {
            return Err(ServiceError::TooOften);
        }
        if !rates.failures_by_account.take(who.clone()) {
            rates.failures_by_address.give_back(&place);
            return Err(ServiceError::TooOften);
        }
        let name = who.0.clone();
        let found = self.look(move |view| accounts::find(view, &name)).await?;
        let kept = found.as_ref().map(|(_, record)| record.password.clone());
        let is_right = self.shared.passwords.verify(secret, kept).await?;
        let is_active = |record: &AccountRecord| record.standing != Standing::Disabled;
        match found {
            Some((account, record)) if is_right && is_active(&record) => {
                rates.failures_by_address.give_back(&place);
                rates.failures_by_account.give_back(&who);
                Ok((account, record))
            }
            _ => {
                info!(user = %who.0, %address, "log-in refused");
                Err(ServiceError::WrongPassword)
            }
        }
    }

    /// Ends the session of a token and begins another one.
    pub(crate) async fn renew(
        &self,
        token: TokenHash,
        actor: &Actor,
        address: IpAddr,
    ) -> Result<(Token, SessionRecord), ServiceError> {
        let account = actor.account;
        self.open_session(account, address, move |tx| {
            // A session that was ended meanwhile gives no other.
            match sessions::close(tx, account, token) {
                Ok(()) => Ok(true),
                Err(CoreError::NoSession) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await?
        .ok_or(ServiceError::Denied)
    }

    /// Begins a session if `may_open` says so in the same transaction.
    async fn open_session<F>(
        &self,
        account: AccountId,
        address: IpAddr,
        may_open: F,
    ) -> Result<Option<(Token, SessionRecord)>, ServiceError>
    where
        F: Fn(&mut dyn Transaction) -> Result<bool, CoreError> + Send + 'static,
    {
        let token = Token(random_bytes());
        let (hash, life) = (token.hash(), self.shared.settings.session_life);
        let session = self
            .change(move |tx, moment| {
                if !may_open(tx)? {
                    return Ok(None);
                }
                sessions::open(tx, account, hash, address, life, moment.now).map(Some)
            })
            .await?;
        Ok(session.map(|session| (token, session)))
    }

    /// Whom a token proves.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Denied`] if nobody.
    pub(crate) async fn actor_of(&self, proof: &Proof) -> Result<Actor, ServiceError> {
        let Proof::Token(token) = proof else {
            return Err(ServiceError::Denied);
        };
        let (hash, now) = (token.hash(), self.now());
        let session = self
            .look(move |view| sessions::get(view, &hash, now))
            .await?;
        let SessionRecord { account, user, .. } = session.ok_or(ServiceError::Denied)?;
        Ok(Actor { account, user })
    }

    /// The user of a request that must bring a token.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Denied`] unless the token is valid and the user's.
    pub(crate) async fn actor(
        &self,
        user: &UserName,
        proof: &Proof,
    ) -> Result<Actor, ServiceError> {
        let actor = self.actor_of(proof).await?;
        if actor.user == *user {
            Ok(actor)
        } else {
            Err(ServiceError::Denied)
        }
    }

    /// Looks at the catalog for the user of a request that must bring a token. The token is looked up
    /// in the same state, so a list costs one look and not two. `work` may run more than once.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Denied`] unless the token is valid and the user's; what `work` returned.
    pub(crate) async fn look_as<T, F>(
        &self,
        user: &UserName,
        proof: &Proof,
        work: F,
    ) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: Fn(&dyn View, AccountId) -> Result<T, CoreError> + Send + Sync + 'static,
    {
        let Proof::Token(token) = proof else {
            return Err(ServiceError::Denied);
        };
        let (hash, now, user) = (token.hash(), self.now(), user.clone());
        let found = self
            .look(move |view| match sessions::get(view, &hash, now)? {
                Some(session) if session.user == user => work(view, session.account).map(Some),
                Some(_) | None => Ok(None),
            })
            .await?;
        found.ok_or(ServiceError::Denied)
    }

    /// The user of a documented call that need not bring a token; `upload` is the MD5 of what is
    /// uploaded, if that is what the call does and it tells.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Denied`] if a token is wrong, or if there is none and the policy asks for more;
    /// [`CoreError::NoAccount`];
    /// [`ServiceError::TooOften`].
    pub(crate) async fn actor_or_named(
        &self,
        user: &UserName,
        proof: &Proof,
        address: IpAddr,
        call: TokenlessCall,
    ) -> Result<Actor, ServiceError> {
        if !matches!(proof, Proof::Nothing) {
            return self.actor(user, proof).await;
        }
        let actor = self.named(user, address, call).await?;
        if !self.shared.rates.tokenless.take(Neighbourhood::of(address)) {
            return Err(ServiceError::TooOften);
        }
        // Nobody proved anything: whoever investigates needs to see it.
        info!(%user, %address, ?call, "acting without a token");
        Ok(actor)
    }

    /// The user of a documented call without a token, if the policy allows that. Asking has no effect.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Denied`], [`CoreError::NoAccount`].
    pub(crate) async fn named(
        &self,
        user: &UserName,
        address: IpAddr,
        call: TokenlessCall,
    ) -> Result<Actor, ServiceError> {
        let policy = self.shared.settings.tokenless;
        let (name, now) = (user.clone(), self.now());
        let announced = match (policy, call) {
            (TokenlessPolicy::Ticket, TokenlessCall::Upload(md5)) => md5,
            _ => None,
        };
        let (account, is_here, has_ticket) = self
            .look(move |view| {
                let Some((account, record)) = accounts::find(view, &name)? else {
                    return Err(CoreError::NoAccount);
                };
                if record.standing == Standing::Disabled {
                    return Err(CoreError::NoAccount);
                }
                let is_here = sessions::is_open_from(view, account, address, now)?;
                let has_ticket = match announced {
                    Some(md5) => tickets::has(view, account, md5, now)?,
                    None => false,
                };
                Ok((account, is_here, has_ticket))
            })
            .await?;
        let is_allowed = match (policy, call) {
            (TokenlessPolicy::Compat, _) => true,
            (TokenlessPolicy::Bound, _) | (TokenlessPolicy::Ticket, TokenlessCall::Other) => {
                is_here
            }
            (TokenlessPolicy::Ticket, TokenlessCall::Upload(_)) => has_ticket,
            (TokenlessPolicy::Strict, _) => false,
        };
        if !is_allowed {
            return Err(ServiceError::Denied);
        }
        Ok(Actor {
            account,
            user: user.clone(),
        })
    }
}

/// A documented call that need not bring a token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenlessCall {
    /// An upload, and the MD5 that the client announced for it.
    Upload(Option<Md5>),
    /// Any other.
    Other,
}
