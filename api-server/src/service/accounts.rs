//! What changes accounts beside registration: other passwords, and accounts that administrators make.

use std::net::IpAddr;

use super::Service;
use super::error::ServiceError;
use super::passwords::Secret;
use super::sessions::{Actor, Registration};
use crate::backend::Blobs;
use crate::core::accounts;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::grants;
use crate::core::id::{AccountId, TokenHash};
use crate::core::sessions;

impl<C: Catalog, B: Blobs> Service<C, B> {
    /// Makes an account, whatever the policy says of registration; whoever calls has asked that, or is
    /// an administrator.
    ///
    /// # Errors
    ///
    /// [`CoreError::NameTaken`].
    pub(crate) async fn add_account(
        &self,
        registration: Registration,
    ) -> Result<AccountId, ServiceError> {
        let Registration {
            user,
            secret,
            profile,
        } = registration;
        // Hashing is the dear part: a name that is taken is refused before.
        let name = user.clone();
        if self
            .look(move |view| accounts::find(view, &name))
            .await?
            .is_some()
        {
            return Err(CoreError::NameTaken.into());
        }
        let password = self.shared.passwords.hash(secret).await?;
        let quota = self.shared.settings.quota;
        self.change(move |tx, moment| {
            let (user, profile) = (user.clone(), profile.clone());
            accounts::register(tx, user, profile, password.clone(), quota, moment)
        })
        .await
    }

    /// Gives the actor another password and ends all sessions but `session`, both or nothing.
    ///
    /// # Errors
    ///
    /// [`ServiceError::WrongPassword`] if `old` is not the password, [`ServiceError::TooOften`] after
    /// several such: otherwise a token would be a way to guess the password.
    pub(crate) async fn change_password(
        &self,
        actor: &Actor,
        session: TokenHash,
        address: IpAddr,
        old: Secret,
        new: Secret,
    ) -> Result<(), ServiceError> {
        let (account, record) = self
            .check_password(address, actor.user.clone(), old)
            .await?;
        let new = self.shared.passwords.hash(new).await?;
        let was_changed = self
            .change(move |tx, _| {
                // Somebody else may have changed it while this was being hashed.
                if accounts::get(tx, account)?.password != record.password {
                    return Ok(false);
                }
                accounts::set_password(tx, account, new.clone())?;
                sessions::close_all(tx, account, Some(session))?;
                grants::revoke_all(tx, account)?;
                Ok(true)
            })
            .await?;
        if was_changed {
            // Many tokens are forgotten one after the other.
            self.shared.work.notify_one();
            Ok(())
        } else {
            Err(ServiceError::WrongPassword)
        }
    }

    /// Gives an account another password and ends all its sessions, for an administrator.
    ///
    /// # Errors
    ///
    /// [`CoreError::NoAccount`].
    pub(crate) async fn reset_password(
        &self,
        account: AccountId,
        new: Secret,
    ) -> Result<(), ServiceError> {
        let new = self.shared.passwords.hash(new).await?;
        self.change(move |tx, _| {
            accounts::set_password(tx, account, new.clone())?;
            sessions::close_all(tx, account, None)?;
            grants::revoke_all(tx, account)
        })
        .await?;
        self.shared.work.notify_one();
        Ok(())
    }
}
