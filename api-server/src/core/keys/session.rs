//! `S` token hash: a session.

use super::field::record;
use super::{KeyType, Origin, Seconds, Table};
use crate::core::id::{AccountId, TokenHash};
use crate::core::name::UserName;
use std::net::IpAddr;

record! {
    /// What a token proves.
    pub SessionRecord {
        /// Whose it is.
        account: AccountId,
        /// The account's name, which never changes.
        user: UserName,
        /// Unix seconds of the log-in.
        created: u32 as Seconds,
        /// Unix seconds from which on it proves nothing.
        expires: u32 as Seconds,
        /// Where the client came from when it logged in.
        address: IpAddr as Origin,
    }
}

pub(in crate::core) struct Sessions;

impl Table for Sessions {
    const TYPE: KeyType = KeyType::Session;
    type Key = (TokenHash,);
    type Value = SessionRecord;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_comes_back() {
        let record = SessionRecord {
            account: AccountId(1),
            user: "qingfu".parse().unwrap(),
            created: 2,
            expires: 3,
            address: "2001:db8::5".parse().unwrap(),
        };
        super::super::testing::check_table::<Sessions>(&(TokenHash([1; 32]),), &record);
    }
}
