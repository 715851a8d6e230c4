//! `Y`: the key that the server keeps for itself.

use super::{KeyType, Table};
use crate::core::id::ServerKey;

pub(in crate::core) struct ServerKeys;

impl Table for ServerKeys {
    const TYPE: KeyType = KeyType::ServerKey;
    type Key = ();
    type Value = ServerKey;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_comes_back() {
        super::super::testing::check_table::<ServerKeys>(&(), &ServerKey([7; 32]));
    }
}
