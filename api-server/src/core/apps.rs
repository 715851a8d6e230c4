//! Applications: programs with credentials of their own. Source: docs/api/pan123.md §2,
//! docs/api/weiyun.md §6.

use super::accounts;
use super::catalog::{Transaction, View};
use super::error::CoreError;
use super::id::{AccountId, AppNumber, ServerKey};
use super::keys::{self, Apps, AppsOfAccount, Counter, ServerKeys};
use super::name::NickName;

pub use super::keys::{AppRecord, AppSecret, Scopes};

/// Applications that an account may have.
pub const APPS_PER_ACCOUNT_MAX: usize = 100;
/// The first application has the number behind this one: clients expect some digits.
const NUMBER_BEFORE_FIRST: u64 = 100_000;

/// Makes an application.
///
/// # Errors
///
/// [`CoreError::NoAccount`], [`CoreError::TooManyApps`].
pub fn create(
    tx: &mut dyn Transaction,
    account: AccountId,
    name: NickName,
    secret: AppSecret,
    scopes: Scopes,
    now: u32,
) -> Result<AppNumber, CoreError> {
    accounts::get_active(tx, account)?;
    if APPS_PER_ACCOUNT_MAX
        <= keys::scan::<AppsOfAccount>(tx, &account, APPS_PER_ACCOUNT_MAX)?.len()
    {
        return Err(CoreError::TooManyApps(APPS_PER_ACCOUNT_MAX));
    }
    let number = AppNumber(NUMBER_BEFORE_FIRST + accounts::next_number(tx, Counter::App)?);
    let record = AppRecord {
        account,
        name,
        secret,
        scopes,
        created: now,
        used: 0,
    };
    keys::put::<Apps>(tx, &(number,), &record)?;
    keys::put::<AppsOfAccount>(tx, &(account, number), &())?;
    Ok(number)
}

/// An application.
///
/// # Errors
///
/// [`CoreError::NoApp`].
pub fn get(view: &dyn View, app: AppNumber) -> Result<AppRecord, CoreError> {
    keys::get::<Apps>(view, &(app,))?.ok_or(CoreError::NoApp)
}

/// The applications of an account, oldest first.
pub fn of_account(
    view: &dyn View,
    account: AccountId,
) -> Result<Vec<(AppNumber, AppRecord)>, CoreError> {
    let apps = keys::scan::<AppsOfAccount>(view, &account, APPS_PER_ACCOUNT_MAX)?;
    let rows = apps.into_iter().map(|((_, app), ())| {
        let record = keys::get_promised::<Apps>(view, &(app,))?;
        Ok((app, record))
    });
    rows.collect()
}

/// Removes an application. Its tokens end with it.
///
/// # Errors
///
/// [`CoreError::NoApp`], also if it is somebody else's.
pub fn remove(
    tx: &mut dyn Transaction,
    account: AccountId,
    app: AppNumber,
) -> Result<(), CoreError> {
    let record = get(tx, app)?;
    if record.account != account {
        return Err(CoreError::NoApp);
    }
    keys::delete::<Apps>(tx, &(app,))?;
    Ok(keys::delete::<AppsOfAccount>(tx, &(account, app))?)
}

/// The key that the server keeps for itself; `fresh` becomes it, if there is none yet.
pub fn server_key(tx: &mut dyn Transaction, fresh: ServerKey) -> Result<ServerKey, CoreError> {
    if let Some(key) = keys::get::<ServerKeys>(tx, &())? {
        return Ok(key);
    }
    keys::put::<ServerKeys>(tx, &(), &fresh)?;
    Ok(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{State, user};

    #[test]
    fn applications_belong_to_their_account() {
        let mut state = State::default();
        let (king, queen) = (user(&mut state, "king"), user(&mut state, "queen"));
        let new = |state: &mut State, name: &str| {
            let secret = AppSecret(name.into());
            create(state, king, name.parse().unwrap(), secret, Scopes::ALL, 7)
        };
        let first = new(&mut state, "first").unwrap();
        let second = new(&mut state, "second").unwrap();
        assert_eq!((first.0, second.0), (100_001, 100_002));
        let apps = of_account(&state, king).unwrap();
        assert_eq!(apps.len(), 2);
        assert_eq!(apps[1].1.name.as_str(), "second");
        assert!(of_account(&state, queen).unwrap().is_empty());
        let refused = remove(&mut state, queen, first);
        assert!(matches!(refused, Err(CoreError::NoApp)));
        remove(&mut state, king, first).unwrap();
        assert!(matches!(get(&state, first), Err(CoreError::NoApp)));
        for number in 0..APPS_PER_ACCOUNT_MAX - 1 {
            new(&mut state, &format!("app{number}")).unwrap();
        }
        let refused = new(&mut state, "one more");
        assert!(matches!(refused, Err(CoreError::TooManyApps(_))));
    }

    #[test]
    fn the_server_has_one_key_for_ever() {
        let mut state = State::default();
        let key = server_key(&mut state, ServerKey([1; 32])).unwrap();
        assert_eq!(server_key(&mut state, ServerKey([2; 32])).unwrap(), key);
    }
}
