//! What is remembered for a while, by all servers that share the catalog: that somebody may upload what
//! he asked about, that a signed request was here before.
//!
//! A note is a hash of what it is about. It says nothing by itself and is forgotten when it is over.

use super::catalog::{Transaction, View};
use super::error::CoreError;
use super::id::NoteHash;
use super::keys::{self, Notes, NotesByDue, Seconds};

impl NoteHash {
    /// The note about these parts, among those of a kind.
    pub fn of(kind: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [&[kind.as_bytes()], parts].concat() {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

/// Remembers something until a second, or longer if it is remembered so already. Returns whether it was
/// not remembered before.
pub fn add(
    tx: &mut dyn Transaction,
    note: NoteHash,
    until: u32,
    now: u32,
) -> Result<bool, CoreError> {
    let before = keys::get::<Notes>(tx, &(note,))?;
    if let Some(Seconds(before)) = before {
        if until <= before {
            return Ok(before <= now);
        }
        keys::delete::<NotesByDue>(tx, &(Seconds(before), note))?;
    }
    keys::put::<Notes>(tx, &(note,), &Seconds(until))?;
    keys::put::<NotesByDue>(tx, &(Seconds(until), note), &())?;
    Ok(before.is_none_or(|Seconds(before)| before <= now))
}

/// Whether something is remembered.
pub fn has(view: &dyn View, note: NoteHash, now: u32) -> Result<bool, CoreError> {
    let until = keys::get::<Notes>(view, &(note,))?;
    Ok(until.is_some_and(|Seconds(until)| now < until))
}

/// How many notes are over, at most `max`.
pub fn due(view: &dyn View, now: u32, max: usize) -> Result<usize, CoreError> {
    let due = keys::scan::<NotesByDue>(view, &(), max)?;
    let is_over = |((until, _), ()): &((Seconds, NoteHash), ())| until.0 <= now;
    Ok(due.iter().take_while(|note| is_over(note)).count())
}

/// Forgets notes that are over, at most `max`. Returns how many those were.
pub fn forget_due(tx: &mut dyn Transaction, now: u32, max: usize) -> Result<usize, CoreError> {
    let due = keys::scan::<NotesByDue>(tx, &(), max)?;
    let mut count = 0;
    for ((until, note), ()) in due {
        if now < until.0 {
            break;
        }
        keys::delete::<NotesByDue>(tx, &(until, note))?;
        keys::delete::<Notes>(tx, &(note,))?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::State;

    #[test]
    fn a_note_is_there_until_its_second_and_then_forgotten() {
        let mut state = State::default();
        let empty = state.clone();
        let (one, other) = (NoteHash::of("a", &[b"x"]), NoteHash::of("b", &[b"x"]));
        assert_ne!(one, other);
        assert_ne!(
            NoteHash::of("a", &[b"xy", b""]),
            NoteHash::of("a", &[b"x", b"y"])
        );
        assert!(add(&mut state, one, 10, 5).unwrap());
        assert!(!add(&mut state, one, 10, 5).unwrap(), "it was here before");
        assert!(!add(&mut state, one, 8, 5).unwrap());
        assert!(!add(&mut state, one, 12, 5).unwrap());
        assert!(add(&mut state, other, 11, 5).unwrap());
        assert!(has(&state, one, 11).unwrap() && !has(&state, one, 12).unwrap());
        assert!(!has(&state, NoteHash::of("c", &[]), 0).unwrap());
        assert_eq!(forget_due(&mut state, 10, 9).unwrap(), 0);
        assert_eq!(due(&state, 12, 9).unwrap(), 2);
        assert_eq!(forget_due(&mut state, 12, 1).unwrap(), 1);
        assert!(!has(&state, other, 0).unwrap());
        assert!(add(&mut state, one, 20, 12).unwrap(), "it was over");
        assert_eq!(forget_due(&mut state, 20, 9).unwrap(), 1);
        assert!(state == empty);
    }
}
