//! `s` account, time, token hash: the sessions of an account, oldest first.

use super::field::record;
use super::{KeyType, Origin, Seconds, Table};
use crate::core::id::{AccountId, TokenHash};
use std::net::IpAddr;

record! {
    /// What is asked about all sessions of an account.
    pub(in crate::core) AccountSessionRecord {
        /// Unix seconds from which on the session is over.
        expires: u32 as Seconds,
        /// Where the client came from when it logged in.
        address: IpAddr as Origin,
    }
}

pub(in crate::core) struct AccountSessions;

impl Table for AccountSessions {
    const TYPE: KeyType = KeyType::AccountSession;
    type Key = (AccountId, Seconds, TokenHash);
    type Value = AccountSessionRecord;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_comes_back() {
        let key = (AccountId(1), Seconds(5), TokenHash([3; 32]));
        let record = AccountSessionRecord {
            expires: 9,
            address: "192.0.2.1".parse().unwrap(),
        };
        super::super::testing::check_table::<AccountSessions>(&key, &record);
    }
}
