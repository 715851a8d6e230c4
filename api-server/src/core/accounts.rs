//! Accounts.

use super::catalog::{CatalogError, Direction, Transaction, View};
use super::error::CoreError;
use super::id::AccountId;
use super::keys::{
    self, AccountNames, Accounts, Counter, Counters, Files, KeyType, PicturesOfAccount,
    UsageRecord, Usages,
};
use super::moment::Moment;
use super::name::{Email, NickName, Phone, UserName};
use super::page::Page;

pub use super::keys::{AccountRecord, PasswordHash, Standing};

/// What a user says about oneself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name others see.
    pub nick: NickName,
    /// Where to write to.
    pub email: Option<Email>,
    /// Where to call.
    pub phone: Option<Phone>,
}

/// What an account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files that everybody sees.
    pub shares: u64,
    /// Live picture shares.
    pub pictures: u64,
}

/// Makes an account. The first one is an administrator's: somebody must be able to appoint others.
pub fn register(
    tx: &mut dyn Transaction,
    name: UserName,
    profile: Profile,
    password: PasswordHash,
    moment: Moment,
) -> Result<AccountId, CoreError> {
    let label = (name,);
    if keys::get::<AccountNames>(tx, &label)?.is_some() {
        return Err(CoreError::NameTaken);
    }
    let account = AccountId(next_number(tx, Counter::Account)?);
    let standing = if account.0 == 1 {
        Standing::Administrator
    } else {
        Standing::Member
    };
    keys::put::<AccountNames>(tx, &label, &account)?;
    let record = AccountRecord {
        name: label.0,
        nick: profile.nick,
        email: profile.email,
        phone: profile.phone,
        password,
        created: moment.now,
        standing,
    };
    Accounts::list().insert(
        tx,
        &keys::bytes(&account),
        &keys::value::<Accounts>(&record),
        moment.chance_for(KeyType::Account),
    )?;
    Ok(account)
}

/// The account that logs in with a name.
pub fn find(
    view: &dyn View,
    name: &UserName,
) -> Result<Option<(AccountId, AccountRecord)>, CoreError> {
    let Some(account) = keys::get::<AccountNames>(view, &(name.clone(),))? else {
        return Ok(None);
    };
    let record = keys::get_promised::<Accounts>(view, &(account,))?;
    Ok(Some((account, record)))
}

/// An account by its number.
pub fn get(view: &dyn View, account: AccountId) -> Result<AccountRecord, CoreError> {
    keys::get::<Accounts>(view, &(account,))?.ok_or(CoreError::NoAccount)
}

/// An account that may do something.
pub(super) fn get_active(view: &dyn View, account: AccountId) -> Result<AccountRecord, CoreError> {
    let record = get(view, account)?;
    match record.standing {
        Standing::Member | Standing::Administrator => Ok(record),
        Standing::Disabled => Err(CoreError::NoAccount),
    }
}

/// Changes what a user says about oneself.
pub fn set_profile(
    tx: &mut dyn Transaction,
    account: AccountId,
    profile: Profile,
) -> Result<(), CoreError> {
    let mut record = get(tx, account)?;
    record.nick = profile.nick;
    record.email = profile.email;
    record.phone = profile.phone;
    Ok(keys::put::<Accounts>(tx, &(account,), &record)?)
}

/// Changes the password.
pub fn set_password(
    tx: &mut dyn Transaction,
    account: AccountId,
    password: PasswordHash,
) -> Result<(), CoreError> {
    let mut record = get(tx, account)?;
    record.password = password;
    Ok(keys::put::<Accounts>(tx, &(account,), &record)?)
}

/// Changes what an account may do. Sessions of an account that is disabled end.
pub fn set_standing(
    tx: &mut dyn Transaction,
    account: AccountId,
    standing: Standing,
) -> Result<(), CoreError> {
    let mut record = get(tx, account)?;
    record.standing = standing;
    keys::put::<Accounts>(tx, &(account,), &record)?;
    if standing == Standing::Disabled {
        super::sessions::close_all(tx, account, None)?;
    }
    Ok(())
}

/// What an account holds.
pub fn holdings(view: &dyn View, account: AccountId) -> Result<Holdings, CoreError> {
    let usage = usage(view, account)?;
    Ok(Holdings {
        files: Files::list(account).total(view)?,
        bytes: usage.bytes,
        shares: usage.shares,
        pictures: PicturesOfAccount::list(account).total(view)?,
    })
}

/// Accounts in the order of registration.
pub fn page(
    view: &dyn View,
    start: u64,
    count: u64,
) -> Result<Page<(AccountId, AccountRecord)>, CoreError> {
    Page::read(
        &Accounts::list(),
        view,
        Direction::Ascending,
        start,
        count,
        |sort_key, value| {
            let account = keys::decode_fields(sort_key, 0)?;
            Ok((account, keys::decode::<Accounts>(sort_key, value)?))
        },
    )
}

pub(super) fn usage(view: &dyn View, account: AccountId) -> Result<UsageRecord, CatalogError> {
    let usage = keys::get::<Usages>(view, &(account,))?;
    Ok(usage.unwrap_or(UsageRecord {
        last_number: 0,
        bytes: 0,
        shares: 0,
    }))
}

/// The next number of a kind.
pub(super) fn next_number(tx: &mut dyn Transaction, counter: Counter) -> Result<u64, CatalogError> {
    let number = keys::get::<Counters>(tx, &(counter,))?.unwrap_or(0) + 1;
    keys::put::<Counters>(tx, &(counter,), &number)?;
    Ok(number)
}
