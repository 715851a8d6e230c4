//! A catalog for unit tests: an ordered map without isolation, which counts what scans visit.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::accounts::{self, PasswordHash, Profile};
use super::catalog::{CatalogError, Direction, Transaction, View, Visitor};
use super::id::AccountId;
use super::moment::Moment;

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    visited: Cell<u64>,
}

impl State {
    /// Entries that scans visited so far.
    pub(crate) fn visited(&self) -> u64 {
        self.visited.get()
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl View for State {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.entries.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: Visitor<'_>,
    ) -> Result<(), CatalogError> {
        if to <= from {
            return Ok(());
        }
        let mut visit = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            self.visited.set(self.visited.get() + 1);
            visit(key, value)
        };
        let mut range = self.entries.range(from.to_vec()..to.to_vec());
        let _: ControlFlow<()> = match direction {
            Direction::Ascending => range.try_for_each(&mut visit),
            Direction::Descending => range.rev().try_for_each(&mut visit),
        };
        Ok(())
    }
}

impl Transaction for State {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), CatalogError> {
        self.entries.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), CatalogError> {
        self.entries.remove(key);
        Ok(())
    }
}

/// A moment for tests that do not care.
pub(crate) fn moment() -> Moment {
    Moment {
        now: 1_000,
        chance: 3,
    }
}

/// Registers somebody.
pub(crate) fn user(state: &mut dyn Transaction, name: &str) -> AccountId {
    let profile = Profile {
        nick: name.parse().unwrap(),
        email: None,
        phone: None,
    };
    let password = PasswordHash("hash".into());
    let name = name.parse().unwrap();
    accounts::register(state, name, profile, password, None, moment()).unwrap()
}
