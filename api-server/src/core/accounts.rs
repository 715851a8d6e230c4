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

/// Files and folders that an account may have, those in the trash included.
pub const ENTRIES_MAX: u64 = 10_000_000;

/// What an account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Files outside the trash.
    pub files: u64,
    /// Bytes of the files outside the trash.
    pub bytes: u64,
    /// Bytes of the files in the trash.
    pub trash_bytes: u64,
    /// Bytes that uploads under way announced.
    pub upload_bytes: u64,
    /// Bytes that all of these may be, if that is limited.
    pub quota: Option<u64>,
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
    quota: Option<u64>,
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
        quota,
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
        super::grants::revoke_all(tx, account)?;
    }
    Ok(())
}

/// Changes how many bytes an account may have. What it has already stays, whatever the limit.
pub fn set_quota(
    tx: &mut dyn Transaction,
    account: AccountId,
    quota: Option<u64>,
) -> Result<(), CoreError> {
    let mut record = get(tx, account)?;
    record.quota = quota;
    Ok(keys::put::<Accounts>(tx, &(account,), &record)?)
}

/// Whether an account may have one entry more, of `size` bytes, when another one of `freed` bytes goes.
///
/// # Errors
///
/// [`CoreError::OverQuota`], [`CoreError::TooManyEntries`], [`CoreError::NoAccount`].
pub(super) fn check_room(
    view: &dyn View,
    account: AccountId,
    size: u64,
    freed: u64,
) -> Result<(), CoreError> {
    let usage = usage(view, account)?;
    if ENTRIES_MAX <= usage.files.saturating_add(usage.folders) {
        return Err(CoreError::TooManyEntries(ENTRIES_MAX));
    }
    let Some(quota) = get(view, account)?.quota else {
        return Ok(());
    };
    let used = usage.bytes.saturating_add(usage.upload_bytes);
    // Nothing needs no room, also where there is less than none.
    if size != 0 && quota < used.saturating_add(size).saturating_sub(freed) {
        return Err(CoreError::OverQuota { quota, used, size });
    }
    Ok(())
}

/// What an account holds.
pub fn holdings(view: &dyn View, account: AccountId) -> Result<Holdings, CoreError> {
    let usage = usage(view, account)?;
    Ok(Holdings {
        files: Files::list(account).total(view)?,
        bytes: usage.bytes.saturating_sub(usage.trash_bytes),
        trash_bytes: usage.trash_bytes,
        upload_bytes: usage.upload_bytes,
        quota: get(view, account)?.quota,
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
    Ok(keys::get::<Usages>(view, &(account,))?.unwrap_or_default())
}

/// The next number of an account.
pub(super) fn next_entry(
    tx: &mut dyn Transaction,
    account: AccountId,
) -> Result<u64, CatalogError> {
    let mut usage = usage(tx, account)?;
    usage.last_number += 1;
    keys::put::<Usages>(tx, &(account,), &usage)?;
    Ok(usage.last_number)
}

/// The next number of a kind.
pub(super) fn next_number(tx: &mut dyn Transaction, counter: Counter) -> Result<u64, CatalogError> {
    let number = keys::get::<Counters>(tx, &(counter,))?.unwrap_or(0) + 1;
    keys::put::<Counters>(tx, &(counter,), &number)?;
    Ok(number)
}
