//! `n` kind: the last number of a kind that was given out.

use super::{Field, KeyType, Table};
use common::codec::{CodecError, Reader, Writer};

/// What is numbered. The numbers are stable: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::core) enum Counter {
    Account = 1,
    Share = 2,
    App = 3,
}

impl Field for Counter {
    fn write(&self, out: &mut Writer<'_>) {
        out.u8(*self as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.u8()? {
            1 => Ok(Self::Account),
            2 => Ok(Self::Share),
            3 => Ok(Self::App),
            _ => Err(CodecError::Field("counter")),
        }
    }
}

pub(in crate::core) struct Counters;

impl Table for Counters {
    const TYPE: KeyType = KeyType::Counter;
    type Key = (Counter,);
    type Value = u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_comes_back() {
        super::super::testing::check_table::<Counters>(&(Counter::Share,), &77);
    }
}
