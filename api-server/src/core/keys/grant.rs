//! `K` hash of a token: what an access or refresh token allows. `k` account, second it was issued,
//! hash: those of an account, oldest first.

use super::app::Scopes;
use super::field::record;
use super::{Field, KeyType, Seconds, Table};
use crate::core::id::{AccountId, AppNumber, TokenHash};
use crate::core::name::UserName;
use common::codec::{CodecError, Reader, Writer};

/// What a token is for. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GrantKind {
    /// Calls.
    Access = 1,
    /// Another pair of tokens, once.
    Refresh = 2,
}

impl Field for GrantKind {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => Ok(Self::Access),
            2 => Ok(Self::Refresh),
            _ => Err(CodecError::Field("grant")),
        }
    }
}

record! {
    /// What a token proves.
    pub GrantRecord {
        /// What it is for.
        kind: GrantKind,
        /// For whom its holder acts.
        account: AccountId,
        /// The account's name, which never changes.
        user: UserName,
        /// The application that got it; none for a user's own programs.
        app: Option<AppNumber>,
        /// What it allows.
        scopes: Scopes,
        /// Unix seconds when it was issued.
        created: u32 as Seconds,
        /// Unix seconds from which on it proves nothing.
        expires: u32 as Seconds,
        /// The other token of the pair.
        partner: Option<TokenHash>,
    }
}

pub(in crate::core) struct Grants;

impl Table for Grants {
    const TYPE: KeyType = KeyType::Grant;
    type Key = (TokenHash,);
    type Value = GrantRecord;
}

pub(in crate::core) struct GrantsOfAccount;

impl Table for GrantsOfAccount {
    const TYPE: KeyType = KeyType::GrantOfAccount;
    type Key = (AccountId, Seconds, TokenHash);
    /// When it ends.
    type Value = Seconds;
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_table;
    use super::*;

    #[test]
    fn a_grant_comes_back() {
        let record = GrantRecord {
            kind: GrantKind::Access,
            account: AccountId(1),
            user: "king".parse().unwrap(),
            app: Some(AppNumber(2)),
            scopes: Scopes::ALL,
            created: 3,
            expires: 4,
            partner: Some(TokenHash([5; 32])),
        };
        check_table::<Grants>(&(TokenHash([6; 32]),), &record);
        let key = (AccountId(1), Seconds(3), TokenHash([6; 32]));
        check_table::<GrantsOfAccount>(&key, &Seconds(4));
    }
}
