//! `X` number: an application, which has credentials of its own. `x` account, number: those of an
//! account.

use super::field::{read_text, record, write_text};
use super::{Field, KeyType, Seconds, Table};
use crate::core::id::{AccountId, AppNumber};
use crate::core::name::NickName;
use common::codec::{CodecError, Reader, Writer};

/// What whoever holds a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes {
    /// See and fetch files.
    pub read: bool,
    /// Add, change and remove them.
    pub write: bool,
}

impl Scopes {
    /// Everything.
    pub const ALL: Self = Self {
        read: true,
        write: true,
    };
}

impl Field for Scopes {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(u8::from(self.read) | u8::from(self.write) << 1);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            bits if bits < 4 => Ok(Self {
                read: bits & 1 != 0,
                write: bits & 2 != 0,
            }),
            _ => Err(CodecError::Field("scopes")),
        }
    }
}

/// The secret of an application. It is kept as it is, for signatures are made with it.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecret(pub Box<str>);

impl std::fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppSecret(…)")
    }
}

impl Field for AppSecret {
    fn write(&self, out: &mut Writer<'_>) {
        write_text(&self.0, out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let text: String = read_text(reader, "application secret")?;
        Ok(Self(text.into()))
    }
}

record! {
    /// An application.
    pub AppRecord {
        /// Who made it, and for whom it acts if no other user comes into it.
        account: AccountId,
        /// What its owner calls it.
        name: NickName,
        /// What proves that it is this one.
        secret: AppSecret,
        /// What its tokens may do at most.
        scopes: Scopes,
        /// Unix seconds when it was made.
        created: u32 as Seconds,
        /// Unix seconds when it last got a token; 0: never.
        used: u32 as Seconds,
    }
}

pub(in crate::core) struct Apps;

impl Table for Apps {
    const TYPE: KeyType = KeyType::App;
    type Key = (AppNumber,);
    type Value = AppRecord;
}

pub(in crate::core) struct AppsOfAccount;

impl Table for AppsOfAccount {
    const TYPE: KeyType = KeyType::AppOfAccount;
    type Key = (AccountId, AppNumber);
    type Value = ();
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_table;
    use super::*;

    #[test]
    fn an_application_comes_back() {
        let record = AppRecord {
            account: AccountId(1),
            name: "backup".parse().unwrap(),
            secret: AppSecret("a".into()),
            scopes: Scopes::ALL,
            created: 3,
            used: 4,
        };
        check_table::<Apps>(&(AppNumber(5),), &record);
        check_table::<AppsOfAccount>(&(AccountId(1), AppNumber(5)), &());
    }
}
