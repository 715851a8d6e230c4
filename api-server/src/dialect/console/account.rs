//! The user's own account: profile, password, sessions.

use std::net::IpAddr;
use std::str::FromStr;

use common::env::clock;

use super::Console;
use super::answer::Answer;
use super::model;
use super::refusal::Refusal;
use super::who::User;
use crate::backend::Blobs;
use crate::core::accounts::{self, AccountRecord, Holdings, Profile, Standing};
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::id::{Md5, TokenHash};
use crate::core::name::NameError;
use crate::core::sessions::{self, SessionRow};
use crate::service::{RegistrationPolicy, Secret};

/// Digits of a session's id: enough of the token's hash to tell all sessions apart. Nothing leads from
/// it to the token, and nobody but the user sees it.
const SESSION_ID_DIGITS: usize = 32;

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// `GET server`.
    pub(super) fn server(&self) -> Result<Answer, Refusal> {
        let settings = self.service.settings();
        Answer::of(&model::Server {
            version: env!("CARGO_PKG_VERSION"),
            registration: settings.registration == RegistrationPolicy::Open,
            upload_size_max: self.upload_size_max,
            session_life: settings.session_life.as_secs(),
        })
    }

    /// `GET me`.
    pub(super) async fn me(&self, user: &User) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        let (record, holdings) = self
            .service
            .look(move |view| {
                Ok((
                    accounts::get(view, account)?,
                    accounts::holdings(view, account)?,
                ))
            })
            .await?;
        Answer::of(&me(record, holdings))
    }

    /// `PUT me`.
    pub(super) async fn set_me(
        &self,
        user: &User,
        wanted: model::SetMe,
    ) -> Result<Answer, Refusal> {
        let profile = Profile {
            nick: text("nick", &wanted.nick)?,
            email: optional("email", &wanted.email)?,
            phone: optional("phone", &wanted.phone)?,
        };
        let account = user.actor.account;
        self.service
            .change(move |tx, _| accounts::set_profile(tx, account, profile.clone()))
            .await?;
        self.me(user).await
    }

    /// `POST password`.
    pub(super) async fn change_password(
        &self,
        user: &User,
        address: IpAddr,
        passwords: model::ChangePassword,
    ) -> Result<Answer, Refusal> {
        let (old, new) = (secret(&passwords.old)?, secret(&passwords.new)?);
        self.service
            .change_password(&user.actor, user.session, address, old, new)
            .await?;
        Ok(Answer::Done)
    }

    /// `GET sessions`.
    pub(super) async fn sessions(&self, user: &User) -> Result<Answer, Refusal> {
        let (account, now) = (user.actor.account, clock::unix_seconds());
        let sessions = self
            .service
            .look(move |view| sessions::of_account(view, account, now))
            .await?;
        let sessions = sessions.iter().map(|row| session(row, user.session));
        Answer::of(&model::Sessions {
            sessions: sessions.collect(),
        })
    }

    /// `DELETE sessions/{id}`.
    pub(super) async fn end_session(&self, user: &User, id: String) -> Result<Answer, Refusal> {
        let account = user.actor.account;
        self.service
            .change(move |tx, moment| {
                let sessions = sessions::of_account(tx, account, moment.now)?;
                let meant = sessions.iter().find(|row| session_id(row.token) == id);
                sessions::close(tx, account, meant.ok_or(CoreError::NoSession)?.token)
            })
            .await?;
        Ok(Answer::Done)
    }

    /// `DELETE session`.
    pub(super) async fn log_out(&self, user: &User) -> Result<Answer, Refusal> {
        let (account, session) = (user.actor.account, user.session);
        self.service
            .change(move |tx, _| sessions::close(tx, account, session))
            .await?;
        Ok(Answer::Done)
    }

    /// `POST renew`.
    pub(super) async fn renew(&self, user: &User, address: IpAddr) -> Result<Answer, Refusal> {
        let renewed = self.service.renew(user.session, &user.actor, address);
        let (token, session) = renewed.await?;
        Answer::of(&model::Renewed {
            token: token.to_string(),
            expires: session.expires,
        })
    }
}

fn me(record: AccountRecord, holdings: Holdings) -> model::Me {
    model::Me {
        user: record.name.to_string(),
        nick: record.nick.to_string(),
        email: record
            .email
            .map_or_else(String::new, |email| email.as_str().to_owned()),
        phone: record
            .phone
            .map_or_else(String::new, |phone| phone.to_string()),
        created: record.created,
        administrator: record.standing == Standing::Administrator,
        files: holdings.files,
        bytes: holdings.bytes,
        shares: holdings.shares,
        pictures: holdings.pictures,
        quota: holdings.quota,
        used: used(&holdings),
        reserved: holdings.upload_bytes,
        trash: holdings.trash_bytes,
    }
}

/// Bytes of all files of an account.
pub(super) fn used(holdings: &Holdings) -> u64 {
    holdings.bytes.saturating_add(holdings.trash_bytes)
}

fn session(row: &SessionRow, current: TokenHash) -> model::Session {
    model::Session {
        id: session_id(row.token),
        created: row.created,
        expires: row.expires,
        address: row.address.to_string(),
        current: row.token == current,
    }
}

fn session_id(token: TokenHash) -> String {
    let mut id = token.to_string();
    id.truncate(SESSION_ID_DIGITS);
    id
}

/// A text that must be there.
pub(super) fn text<T: FromStr<Err = NameError>>(
    field: &'static str,
    text: &str,
) -> Result<T, Refusal> {
    text.parse()
        .map_err(|source| Refusal::Field { field, source })
}

/// A text that may be empty, which means that there is none.
fn optional<T: FromStr<Err = NameError>>(
    field: &'static str,
    value: &str,
) -> Result<Option<T>, Refusal> {
    if value.is_empty() {
        return Ok(None);
    }
    text(field, value).map(Some)
}

/// The password that an MD5 stands for.
pub(super) fn secret(md5: &str) -> Result<Secret, Refusal> {
    // The documented log-in takes any text; but whoever changes a password through pages that hash it
    // could never log in again if something else was kept.
    let md5: Md5 = md5.parse().map_err(|_| Refusal::Password)?;
    Secret::new(&md5.to_string()).ok_or(Refusal::Password)
}
