//! `A` account: one per account, in the order of registration. A [`List`].

use super::field::{read_text, record, write_text};
use super::{Field, KeyType, Table};
use crate::core::id::AccountId;
use crate::core::name::{Email, NickName, Phone, UserName};
use crate::core::ranked::List;
use common::codec::{CodecError, Reader, Writer};

/// A hash of a password, in the PHC string format.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub Box<str>);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl Field for PasswordHash {
    fn write(&self, out: &mut Writer<'_>) {
        write_text(&self.0, out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let text: String = read_text(reader, "password hash")?;
        Ok(Self(text.into()))
    }
}

/// What an account may do. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Uses its own files.
    Member = 1,
    /// Also sees the cluster and manages accounts.
    Administrator = 2,
    /// Cannot log in. Its files and shares stay.
    Disabled = 3,
}

impl Field for Standing {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => Ok(Self::Member),
            2 => Ok(Self::Administrator),
            3 => Ok(Self::Disabled),
            _ => Err(CodecError::Field("standing")),
        }
    }
}

record! {
    /// An account.
    pub AccountRecord {
        /// The name it logs in with.
        name: UserName,
        /// The name others see.
        nick: NickName,
        /// Where to write to.
        email: Option<Email>,
        /// Where to call.
        phone: Option<Phone>,
        /// What a password is compared with.
        password: PasswordHash,
        /// Unix seconds of the registration.
        created: u32 as super::Seconds,
        /// What it may do.
        standing: Standing,
        /// Bytes that its files and open uploads may have, if that is limited.
        quota: Option<u64>,
    }
}

pub(in crate::core) struct Accounts;

impl Table for Accounts {
    const TYPE: KeyType = KeyType::Account;
    type Key = (AccountId,);
    type Value = AccountRecord;
}

impl Accounts {
    /// All accounts; the sort key is the account's number.
    pub(in crate::core) fn list() -> List {
        List::new(super::key(KeyType::Account, &()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_comes_back() {
        let record = AccountRecord {
            name: "qingfu".parse().unwrap(),
            nick: "lucky".parse().unwrap(),
            email: Some("472251823@qq.com".parse().unwrap()),
            phone: None,
            password: PasswordHash("$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".into()),
            created: 1_594_000_000,
            standing: Standing::Member,
            quota: Some(1 << 30),
        };
        super::super::testing::check_table::<Accounts>(&(AccountId(7),), &record);
        assert!(!format!("{record:?}").contains("argon2id"));
    }
}
