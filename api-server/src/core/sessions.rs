//! Sessions: what a token proves, for how long. Source: docs/api/image-host.md §2.5.

use std::net::IpAddr;
use std::time::Duration;

use super::accounts;
use super::catalog::{CatalogError, Transaction, View};
use super::error::CoreError;
use super::id::{AccountId, TokenHash};
use super::keys::{self, AccountSessionRecord, AccountSessions, Seconds, Sessions};

pub use super::keys::SessionRecord;

/// Sessions that an account may have; the oldest ends when one more begins.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 16;

/// A session of an account's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// What the session is known by.
    pub token: TokenHash,
    /// Unix seconds of the log-in.
    pub created: u32,
    /// Unix seconds from which on it is over.
    pub expires: u32,
    /// Where the client came from when it logged in.
    pub address: IpAddr,
}

/// Begins a session.
pub fn open(
    tx: &mut dyn Transaction,
    account: AccountId,
    token: TokenHash,
    address: IpAddr,
    life: Duration,
    now: u32,
) -> Result<SessionRecord, CoreError> {
    let user = accounts::get_active(tx, account)?.name;
    let others = all(tx, account)?;
    let live = others
        .iter()
        .filter(|session| now < session.expires)
        .count();
    let mut surplus = (live + 1).saturating_sub(SESSIONS_PER_ACCOUNT_MAX);
    for session in others {
        let is_over = session.expires <= now;
        if is_over || 0 < surplus {
            surplus -= usize::from(!is_over);
            forget(tx, account, &session)?;
        }
    }
    let life = u32::try_from(life.as_secs()).unwrap_or(u32::MAX);
    let record = SessionRecord {
        account,
        user,
        created: now,
        expires: now.saturating_add(life),
        address,
    };
    keys::put::<Sessions>(tx, &(token,), &record)?;
    let row = AccountSessionRecord {
        expires: record.expires,
        address,
    };
    keys::put::<AccountSessions>(tx, &(account, Seconds(now), token), &row)?;
    Ok(record)
}

/// The session of a token, if it is not over.
pub fn get(
    view: &dyn View,
    token: &TokenHash,
    now: u32,
) -> Result<Option<SessionRecord>, CoreError> {
    let session = keys::get::<Sessions>(view, &(*token,))?;
    Ok(session.filter(|session| now < session.expires))
}

/// The sessions of an account that are not over, oldest first.
pub fn of_account(
    view: &dyn View,
    account: AccountId,
    now: u32,
) -> Result<Vec<SessionRow>, CoreError> {
    let mut sessions = all(view, account)?;
    sessions.retain(|session| now < session.expires);
    Ok(sessions)
}

/// Whether somebody at `address` is logged in to the account.
pub fn is_open_from(
    view: &dyn View,
    account: AccountId,
    address: IpAddr,
    now: u32,
) -> Result<bool, CoreError> {
    let address = address.to_canonical();
    let sessions = of_account(view, account, now)?;
    Ok(sessions.iter().any(|session| session.address == address))
}

/// Ends a session of an account.
pub fn close(
    tx: &mut dyn Transaction,
    account: AccountId,
    token: TokenHash,
) -> Result<(), CoreError> {
    let session = all(tx, account)?
        .into_iter()
        .find(|session| session.token == token);
    let session = session.ok_or(CoreError::NoSession)?;
    Ok(forget(tx, account, &session)?)
}

/// Ends all sessions of an account but one.
pub fn close_all(
    tx: &mut dyn Transaction,
    account: AccountId,
    except: Option<TokenHash>,
) -> Result<(), CoreError> {
    for session in all(tx, account)? {
        if Some(session.token) != except {
            forget(tx, account, &session)?;
        }
    }
    Ok(())
}

fn all(view: &dyn View, account: AccountId) -> Result<Vec<SessionRow>, CatalogError> {
    let sessions = keys::scan::<AccountSessions>(view, &account, SESSIONS_PER_ACCOUNT_MAX)?;
    let rows = sessions
        .into_iter()
        .map(|((_, created, token), record)| SessionRow {
            token,
            created: created.0,
            expires: record.expires,
            address: record.address,
        });
    Ok(rows.collect())
}

fn forget(
    tx: &mut dyn Transaction,
    account: AccountId,
    session: &SessionRow,
) -> Result<(), CatalogError> {
    keys::delete::<Sessions>(tx, &(session.token,))?;
    let key = (account, Seconds(session.created), session.token);
    keys::delete::<AccountSessions>(tx, &key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{State, moment, user};

    const LIFE: Duration = Duration::from_secs(100);

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn a_session_proves_one_user_until_its_end() {
        let mut state = State::default();
        let account = user(&mut state, "king");
        let token = TokenHash([1; 32]);
        open(&mut state, account, token, address(1), LIFE, 10).unwrap();
        let session = get(&state, &token, 109).unwrap().unwrap();
        assert_eq!((session.account, session.user.as_str()), (account, "king"));
        assert_eq!(get(&state, &token, 110).unwrap(), None);
        assert_eq!(get(&state, &TokenHash([2; 32]), 10).unwrap(), None);
        assert!(is_open_from(&state, account, address(1), 50).unwrap());
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert!(is_open_from(&state, account, mapped, 50).unwrap());
        assert!(!is_open_from(&state, account, address(2), 50).unwrap());
        assert!(!is_open_from(&state, account, address(1), 110).unwrap());
    }

    #[test]
    fn the_newest_sessions_are_kept_and_dead_ones_make_room() {
        let mut state = State::default();
        let account = user(&mut state, "king");
        let tokens = (0..40_u8).map(|number| TokenHash([number; 32]));
        for (now, token) in (0..).zip(tokens) {
            open(&mut state, account, token, address(1), LIFE, now).unwrap();
        }
        let kept = of_account(&state, account, 40).unwrap();
        assert_eq!(kept.len(), SESSIONS_PER_ACCOUNT_MAX);
        assert_eq!(kept.first().unwrap().token, TokenHash([24; 32]));
        assert_eq!(get(&state, &TokenHash([23; 32]), 40).unwrap(), None);
        open(
            &mut state,
            account,
            TokenHash([99; 32]),
            address(1),
            LIFE,
            1_000,
        )
        .unwrap();
        assert_eq!(of_account(&state, account, 1_000).unwrap().len(), 1);
        close(&mut state, account, TokenHash([99; 32])).unwrap();
        let again = close(&mut state, account, TokenHash([99; 32]));
        assert!(matches!(again, Err(CoreError::NoSession)));
    }

    #[test]
    fn disabling_an_account_ends_its_sessions_and_forbids_new_ones() {
        let mut state = State::default();
        let (account, other) = (user(&mut state, "king"), user(&mut state, "queen"));
        let token = TokenHash([1; 32]);
        open(&mut state, account, token, address(1), LIFE, 0).unwrap();
        open(&mut state, other, TokenHash([2; 32]), address(1), LIFE, 0).unwrap();
        accounts::set_standing(&mut state, account, accounts::Standing::Disabled).unwrap();
        assert_eq!(get(&state, &token, 1).unwrap(), None);
        let refused = open(&mut state, account, token, address(1), LIFE, moment().now);
        assert!(matches!(refused, Err(CoreError::NoAccount)));
        assert!(get(&state, &TokenHash([2; 32]), 1).unwrap().is_some());
    }
}
