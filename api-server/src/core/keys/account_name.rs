//! `a` name: the account that logs in with a name.

use super::{KeyType, Table};
use crate::core::id::AccountId;
use crate::core::name::UserName;

pub(in crate::core) struct AccountNames;

impl Table for AccountNames {
    const TYPE: KeyType = KeyType::AccountName;
    type Key = (UserName,);
    type Value = AccountId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back() {
        let key = ("青扶".parse().unwrap(),);
        super::super::testing::check_table::<AccountNames>(&key, &AccountId(1 << 40));
    }
}
