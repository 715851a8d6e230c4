//! `o` upload: slices of it that nobody has any more, because they were too many to forget in the
//! transaction that ended them. `g` account: tokens of it that have ended and were too many likewise.

use super::{KeyType, Seconds, Table};
use crate::core::id::{AccountId, UploadId};

pub(in crate::core) struct SlicesLeft;

impl Table for SlicesLeft {
    const TYPE: KeyType = KeyType::SlicesLeft;
    type Key = (UploadId,);
    type Value = ();
}

pub(in crate::core) struct GrantsLeft;

impl Table for GrantsLeft {
    const TYPE: KeyType = KeyType::GrantsLeft;
    type Key = (AccountId,);
    /// The second of issue of the last ones.
    type Value = Seconds;
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_table;
    use super::*;

    #[test]
    fn what_is_left_comes_back() {
        check_table::<SlicesLeft>(&(UploadId([6; 16]),), &());
        check_table::<GrantsLeft>(&(AccountId(3),), &Seconds(9));
    }
}
