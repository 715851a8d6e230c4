//! `i` hash: something that is remembered for a while, and until when. `j` second, hash: when it may be
//! forgotten.

use super::{KeyType, Seconds, Table};
use crate::core::id::NoteHash;

pub(in crate::core) struct Notes;

impl Table for Notes {
    const TYPE: KeyType = KeyType::Note;
    type Key = (NoteHash,);
    type Value = Seconds;
}

pub(in crate::core) struct NotesByDue;

impl Table for NotesByDue {
    const TYPE: KeyType = KeyType::NoteByDue;
    type Key = (Seconds, NoteHash);
    type Value = ();
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_table;
    use super::*;

    #[test]
    fn notes_come_back() {
        let note = NoteHash([5; 32]);
        check_table::<Notes>(&(note,), &Seconds(7));
        check_table::<NotesByDue>(&(Seconds(7), note), &());
    }
}
