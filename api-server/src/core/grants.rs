//! Access tokens: what programs prove themselves with, for how long, and what they may do.
//! Source: docs/api/pan123.md §2, docs/api/weiyun.md §6.

use std::time::Duration;

use super::accounts;
use super::catalog::{CatalogError, Transaction, View};
use super::error::CoreError;
use super::id::{AccountId, AppNumber, TokenHash};
use super::keys::{self, Apps, Grants, GrantsLeft, GrantsOfAccount, Seconds, Usages};

pub use super::keys::{GrantKind, GrantRecord, Scopes};

/// Tokens that an account may have. Some programs ask for a new one before each call, so there are
/// many; the oldest ends when one more is issued.
pub const GRANTS_PER_ACCOUNT_MAX: usize = 4_000;
/// Tokens that are looked at when one is issued: those that are over go.
const COLLECTED_AT_ONCE: usize = 8;
/// Tokens that one transaction forgets when all of an account's end: other changes wait for it.
const FORGOTTEN_AT_ONCE: usize = 250;

/// A new token.
#[derive(Clone, Copy, Debug)]
pub struct Issue {
    /// What it is for.
    pub kind: GrantKind,
    /// For whom its holder acts.
    pub account: AccountId,
    /// The application that gets it.
    pub app: Option<AppNumber>,
    /// What it allows.
    pub scopes: Scopes,
    /// How long it lasts.
    pub life: Duration,
    /// The other token of the pair.
    pub partner: Option<TokenHash>,
}

/// Issues a token.
///
/// # Errors
///
/// [`CoreError::NoAccount`], [`CoreError::NoApp`].
pub fn issue(
    tx: &mut dyn Transaction,
    token: TokenHash,
    issue: Issue,
    now: u32,
) -> Result<GrantRecord, CoreError> {
    let user = accounts::get_active(tx, issue.account)?.name;
    if let Some(app) = issue.app {
        let mut record = keys::get::<Apps>(tx, &(app,))?.ok_or(CoreError::NoApp)?;
        record.used = now;
        keys::put::<Apps>(tx, &(app,), &record)?;
    }
    collect(tx, issue.account, now)?;
    let life = u32::try_from(issue.life.as_secs()).unwrap_or(u32::MAX);
    // Behind those that have ended, or it would be taken for one of them.
    let ended = keys::get::<GrantsLeft>(tx, &(issue.account,))?;
    let created = ended.map_or(now, |last| now.max(last.0.saturating_add(1)));
    let record = GrantRecord {
        kind: issue.kind,
        account: issue.account,
        user,
        app: issue.app,
        scopes: issue.scopes,
        created,
        expires: now.saturating_add(life),
        partner: issue.partner,
    };
    keys::put::<Grants>(tx, &(token,), &record)?;
    let key = (issue.account, Seconds(created), token);
    keys::put::<GrantsOfAccount>(tx, &key, &Seconds(record.expires))?;
    count(tx, issue.account, 1)?;
    Ok(record)
}

/// What a token allows, if it is not over and its application is still there.
pub fn get(view: &dyn View, token: &TokenHash, now: u32) -> Result<Option<GrantRecord>, CoreError> {
    let Some(grant) = keys::get::<Grants>(view, &(*token,))? else {
        return Ok(None);
    };
    if grant.expires <= now {
        return Ok(None);
    }
    if let Some(last) = keys::get::<GrantsLeft>(view, &(grant.account,))?
        && grant.created <= last.0
    {
        return Ok(None);
    }
    if let Some(app) = grant.app
        && keys::get::<Apps>(view, &(app,))?.is_none()
    {
        return Ok(None);
    }
    Ok(Some(grant))
}

/// Ends a token and the other one of its pair.
pub fn revoke(tx: &mut dyn Transaction, token: &TokenHash) -> Result<(), CoreError> {
    if let Some(grant) = forget(tx, token)?
        && let Some(partner) = grant.partner
    {
        forget(tx, &partner)?;
    }
    Ok(())
}

/// Ends all tokens of an account. From then on none of them is good for anything; records of many are
/// left to [`forget_left`].
pub fn revoke_all(tx: &mut dyn Transaction, account: AccountId) -> Result<(), CoreError> {
    let first = (account, Seconds(0), TokenHash([0; 32]));
    let last = keys::scan_back::<GrantsOfAccount>(tx, &account, &first, 1)?;
    let Some(((_, created, _), _)) = last.first() else {
        return Ok(());
    };
    keys::put::<GrantsLeft>(tx, &(account,), created)?;
    forget_left(tx, account).map(drop)
}

/// Accounts whose tokens have ended and are left, at most `max` of those behind `after`.
pub fn accounts_with_left(
    view: &dyn View,
    after: Option<AccountId>,
    max: usize,
) -> Result<Vec<AccountId>, CoreError> {
    let after = after.map(|account| (account,));
    let left = keys::scan_after::<GrantsLeft>(view, &(), after.as_ref(), max)?;
    Ok(left.into_iter().map(|((account,), _)| account).collect())
}

/// Forgets a part of the tokens of an account that have ended and are left. Returns whether none are.
pub fn forget_left(tx: &mut dyn Transaction, account: AccountId) -> Result<bool, CoreError> {
    let Some(last) = keys::get::<GrantsLeft>(tx, &(account,))? else {
        return Ok(true);
    };
    let mut ended = keys::scan::<GrantsOfAccount>(tx, &account, FORGOTTEN_AT_ONCE + 1)?;
    ended.retain(|((_, created, _), _)| *created <= last);
    for ((_, _, token), _) in ended.iter().take(FORGOTTEN_AT_ONCE) {
        forget(tx, token)?;
    }
    let is_all = ended.len() <= FORGOTTEN_AT_ONCE;
    if is_all {
        keys::delete::<GrantsLeft>(tx, &(account,))?;
    }
    Ok(is_all)
}

/// Makes room for one more token.
fn collect(tx: &mut dyn Transaction, account: AccountId, now: u32) -> Result<(), CoreError> {
    let oldest = keys::scan::<GrantsOfAccount>(tx, &account, COLLECTED_AT_ONCE)?;
    for ((_, _, token), expires) in oldest {
        if expires.0 <= now {
            forget(tx, &token)?;
        }
    }
    if GRANTS_PER_ACCOUNT_MAX as u64 <= accounts::usage(tx, account)?.grants
        && let Some(((_, _, token), _)) = keys::scan::<GrantsOfAccount>(tx, &account, 1)?.first()
    {
        forget(tx, token)?;
    }
    Ok(())
}

/// Counts a token of an account, or one less.
fn count(tx: &mut dyn Transaction, account: AccountId, by: i64) -> Result<(), CatalogError> {
    let mut usage = accounts::usage(tx, account)?;
    usage.grants = usage.grants.saturating_add_signed(by);
    keys::put::<Usages>(tx, &(account,), &usage)
}

fn forget(
    tx: &mut dyn Transaction,
    token: &TokenHash,
) -> Result<Option<GrantRecord>, CatalogError> {
    let grant = keys::get::<Grants>(tx, &(*token,))?;
    if let Some(grant) = &grant {
        keys::delete::<Grants>(tx, &(*token,))?;
        let key = (grant.account, Seconds(grant.created), *token);
        keys::delete::<GrantsOfAccount>(tx, &key)?;
        count(tx, grant.account, -1)?;
    }
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::apps;
    use crate::core::keys::AppSecret;
    use crate::core::testing::{State, user};

    fn token(number: u32) -> TokenHash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        TokenHash(bytes)
    }

    fn new(account: AccountId, app: Option<AppNumber>) -> Issue {
        Issue {
            kind: GrantKind::Access,
            account,
            app,
            scopes: Scopes::ALL,
            life: Duration::from_secs(100),
            partner: None,
        }
    }

    #[test]
    fn a_token_lasts_until_its_end_its_revocation_or_that_of_its_application() {
        let mut state = State::default();
        let account = user(&mut state, "king");
        let secret = AppSecret("s".into());
        let name = "app".parse().unwrap();
        let app = apps::create(&mut state, account, name, secret, Scopes::ALL, 0).unwrap();
        issue(&mut state, token(1), new(account, None), 10).unwrap();
        let pair = Issue {
            partner: Some(token(1)),
            ..new(account, Some(app))
        };
        issue(&mut state, token(2), pair, 10).unwrap();
        issue(&mut state, token(3), new(account, Some(app)), 10).unwrap();
        assert_eq!(
            get(&state, &token(1), 109).unwrap().unwrap().user.as_str(),
            "king"
        );
        assert_eq!(get(&state, &token(1), 110).unwrap(), None);
        revoke(&mut state, &token(2)).unwrap();
        assert_eq!(get(&state, &token(2), 10).unwrap(), None);
        assert_eq!(get(&state, &token(1), 10).unwrap(), None, "the partner");
        assert!(get(&state, &token(3), 10).unwrap().is_some());
        apps::remove(&mut state, account, app).unwrap();
        assert_eq!(get(&state, &token(3), 10).unwrap(), None);
        let refused = issue(&mut state, token(4), new(account, Some(app)), 10);
        assert!(matches!(refused, Err(CoreError::NoApp)));
    }

    #[test]
    fn the_oldest_tokens_make_room_and_dead_ones_go_first() {
        let mut state = State::default();
        let account = user(&mut state, "king");
        let max = u32::try_from(GRANTS_PER_ACCOUNT_MAX).unwrap();
        for number in 0..=max {
            issue(&mut state, token(number), new(account, None), 10).unwrap();
        }
        let count = |state: &State| {
            keys::scan::<GrantsOfAccount>(state, &account, 2 * GRANTS_PER_ACCOUNT_MAX)
                .unwrap()
                .len()
        };
        assert_eq!(count(&state), GRANTS_PER_ACCOUNT_MAX);
        issue(&mut state, token(max + 1), new(account, None), 1_000).unwrap();
        assert_eq!(
            count(&state),
            GRANTS_PER_ACCOUNT_MAX - COLLECTED_AT_ONCE + 1
        );
        revoke_all(&mut state, account).unwrap();
        assert_eq!(get(&state, &token(max + 1), 1_000).unwrap(), None);
        while !forget_left(&mut state, account).unwrap() {}
        assert_eq!(count(&state), 0);
    }

    #[test]
    fn many_tokens_end_at_once_and_are_forgotten_in_steps() {
        let mut state = State::default();
        let account = user(&mut state, "king");
        let max = u32::try_from(FORGOTTEN_AT_ONCE).unwrap();
        let is_good = |state: &State, number| get(state, &token(number), 20).unwrap().is_some();
        for number in 0..=2 * max {
            // The clock was put back after the last one.
            let now = if number == 2 * max { 30 } else { 20 };
            issue(&mut state, token(number), new(account, None), now).unwrap();
        }
        let before = state.clone();
        revoke_all(&mut state, account).unwrap();
        assert!((0..=2 * max).all(|number| !is_good(&state, number)));
        let kept = accounts::usage(&state, account).unwrap().grants;
        assert_eq!(kept, u64::from(max) + 1, "one transaction forgot too much");
        assert_eq!(accounts_with_left(&state, None, 9).unwrap(), [account]);
        // One that is issued at the same second is good before and after the others are forgotten.
        issue(&mut state, token(9_999), new(account, None), 20).unwrap();
        assert!(is_good(&state, 9_999));
        assert!(!forget_left(&mut state, account).unwrap());
        assert!(forget_left(&mut state, account).unwrap());
        assert!(is_good(&state, 9_999));
        assert_eq!(accounts_with_left(&state, None, 9).unwrap(), []);
        assert_eq!(accounts::usage(&state, account).unwrap().grants, 1);
        revoke_all(&mut state, account).unwrap();
        assert_eq!(accounts_with_left(&state, None, 9).unwrap(), []);
        assert_ne!(before, state);
        let grants = keys::scan::<Grants>(&state, &(), 9).unwrap();
        assert!(grants.is_empty());
    }
}
