//! What administrators do with accounts.

use tracing::info;

use super::Console;
use super::account::{secret, text, used};
use super::answer::Answer;
use super::model;
use super::query::{Query, Range};
use super::refusal::Refusal;
use super::who::{Administrator, is_administrator};
use crate::backend::Blobs;
use crate::core::accounts::{self, AccountRecord, Holdings, Profile, Standing};
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::name::UserName;
use crate::service::Registration;

impl<C: Catalog, B: Blobs> Console<C, B> {
    /// `GET admin/accounts`.
    pub(super) async fn accounts(&self, query: Query<'_>) -> Result<Answer, Refusal> {
        let Range { start, count } = query.range()?;
        let page = self
            .service
            .look(move |view| {
                let page = accounts::page(view, start, count)?;
                let rows = page.rows.into_iter().map(|(number, record)| {
                    let holdings = accounts::holdings(view, number)?;
                    Ok(account(&record, &holdings))
                });
                Ok(model::AccountPage {
                    total: page.total,
                    accounts: rows.collect::<Result<_, CoreError>>()?,
                })
            })
            .await?;
        Answer::of(&page)
    }

    /// `POST admin/accounts`. Works also where registration is closed.
    pub(super) async fn add_account(
        &self,
        who: &Administrator,
        wanted: model::AddAccount,
    ) -> Result<Answer, Refusal> {
        let user: UserName = text("user", &wanted.user)?;
        let nick = if wanted.nick.is_empty() {
            &wanted.user
        } else {
            &wanted.nick
        };
        let registration = Registration {
            user: user.clone(),
            secret: secret(&wanted.password)?,
            profile: Profile {
                nick: text("nick", nick)?,
                email: None,
                phone: None,
            },
        };
        self.service.add_account(registration).await?;
        info!(%user, by = who.name(), "account added");
        Ok(Answer::Done)
    }

    /// `POST admin/accounts/{user}`.
    pub(super) async fn change_account(
        &self,
        who: &Administrator,
        user: UserName,
        wanted: model::ChangeAccount,
    ) -> Result<Answer, Refusal> {
        let (name, by) = (user.clone(), who.account());
        let changed = self
            .service
            .change(move |tx, _| {
                let (account, record) = accounts::find(tx, &name)?.ok_or(CoreError::NoAccount)?;
                if let Some(by) = by {
                    // Asked again within the transaction: two administrators who demote each other
                    // at the same time do not leave the server without any.
                    if !is_administrator(tx, by)? {
                        return Ok(Err(Refusal::Forbidden));
                    }
                    if by == account && wanted.is_about_standing() {
                        return Ok(Err(Refusal::OwnAccount));
                    }
                }
                let standing = match standing(record.standing, wanted) {
                    Ok(standing) => standing,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                if standing != record.standing {
                    accounts::set_standing(tx, account, standing)?;
                }
                if let model::Quota::Is(quota) = wanted.quota {
                    accounts::set_quota(tx, account, quota)?;
                }
                Ok(Ok(standing))
            })
            .await?;
        let standing = changed?;
        info!(%user, ?standing, quota = ?wanted.quota, by = who.name(), "account changed");
        Ok(Answer::Done)
    }

    /// `POST admin/accounts/{user}/password`. All sessions of the account end.
    pub(super) async fn set_password(
        &self,
        who: &Administrator,
        user: UserName,
        wanted: model::SetPassword,
    ) -> Result<Answer, Refusal> {
        let new = secret(&wanted.new)?;
        let name = user.clone();
        let found = self
            .service
            .look(move |view| accounts::find(view, &name))
            .await?;
        let (account, _) = found.ok_or(Refusal::Service(CoreError::NoAccount.into()))?;
        // The own password is changed by whoever knows the old one.
        if who.account() == Some(account) {
            return Err(Refusal::OwnAccount);
        }
        self.service.reset_password(account, new).await?;
        info!(%user, by = who.name(), "password set");
        Ok(Answer::Done)
    }
}

/// The standing that comes of one and of what is wanted.
fn standing(now: Standing, wanted: model::ChangeAccount) -> Result<Standing, Refusal> {
    let disabled = wanted.disabled.unwrap_or(now == Standing::Disabled);
    let administrator = wanted
        .administrator
        .unwrap_or(now == Standing::Administrator && !disabled);
    match (disabled, administrator) {
        (true, true) => Err(Refusal::DisabledAdministrator),
        (true, false) => Ok(Standing::Disabled),
        (false, true) => Ok(Standing::Administrator),
        (false, false) => Ok(Standing::Member),
    }
}

fn account(record: &AccountRecord, holdings: &Holdings) -> model::Account {
    model::Account {
        user: record.name.to_string(),
        nick: record.nick.to_string(),
        created: record.created,
        administrator: record.standing == Standing::Administrator,
        disabled: record.standing == Standing::Disabled,
        files: holdings.files,
        bytes: holdings.bytes,
        quota: holdings.quota,
        used: used(holdings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_comes_of_what_was_and_what_is_wanted() {
        use Standing::{Administrator, Disabled, Member};
        for (now, administrator, disabled, expected) in [
            (Member, None, None, Some(Member)),
            (Member, Some(true), None, Some(Administrator)),
            (Member, None, Some(true), Some(Disabled)),
            (Administrator, Some(false), None, Some(Member)),
            (Administrator, None, Some(true), Some(Disabled)),
            (Administrator, None, Some(false), Some(Administrator)),
            (Disabled, None, Some(false), Some(Member)),
            (Disabled, None, None, Some(Disabled)),
            (Disabled, Some(true), Some(false), Some(Administrator)),
            (Disabled, Some(true), None, None),
            (Member, Some(true), Some(true), None),
        ] {
            let wanted = model::ChangeAccount {
                administrator,
                disabled,
                quota: model::Quota::Stays,
            };
            assert_eq!(standing(now, wanted).ok(), expected, "{now:?} {wanted:?}");
        }
    }
}
