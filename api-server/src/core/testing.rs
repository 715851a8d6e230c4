//! A catalog for unit tests: an ordered map without isolation, which counts what scans visit.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use common::id::FileId;

use super::accounts::{self, PasswordHash, Profile};
use super::catalog::{CatalogError, Direction, Transaction, View, Visitor};
use super::error::CoreError;
use super::files::{Conflict, Naming, Place};
use super::id::{AccountId, ContentHash, FileNumber, FolderNumber, Md5, Sha1};
use super::moment::Moment;
use super::uploads::{self, Added, Digests};

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    visited: Cell<u64>,
    asked: Cell<u64>,
}

impl State {
    /// Keys that were asked for so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.get()
    }

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
        self.asked.set(self.asked.get() + 1);
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

/// Runs one step on a copy, and keeps the copy if it succeeds: a transaction.
pub(crate) fn attempt<T>(
    state: &mut State,
    work: impl FnOnce(&mut dyn Transaction) -> Result<T, CoreError>,
) -> Result<T, CoreError> {
    let mut copy = state.clone();
    let done = work(&mut copy)?;
    *state = copy;
    Ok(done)
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

/// A name of a blob.
pub(crate) fn blob(number: u64) -> FileId {
    // Any text of the right shape is a name; the number makes it another one.
    format!("group1/M00/00/00/rBAAD18AISGAP6QrAAACRhizVvQ{number:05}.h")
        .parse()
        .unwrap()
}

/// The digests of content that differs from other content in everything.
pub(crate) fn digests(content: u8, size: u64) -> Digests {
    Digests {
        hash: ContentHash([content; 32]),
        md5: Md5([content; 16]),
        sha1: Sha1([content; 20]),
        size,
    }
}

/// Adds a file. Content that is not there yet comes with a blob of its number.
pub(crate) fn add_file(
    state: &mut State,
    account: AccountId,
    naming: &Naming,
    digests: &Digests,
    moment: Moment,
) -> Result<FileNumber, CoreError> {
    let added = match uploads::add_known(state, account, naming, digests, moment) {
        Err(CoreError::NoContent) => {
            let blob = blob(digests.hash.0[0].into());
            attempt(state, |tx| {
                uploads::announce(tx, &blob, 7, moment.now)?;
                let completed = uploads::complete(tx, account, naming, digests, &blob, moment);
                Ok(completed?.0)
            })?
        }
        added => added?,
    };
    match added {
        Added::New(number) => Ok(number),
        Added::Before => Err(CoreError::FileExists),
    }
}

/// A place whose name must be free.
pub(crate) fn at(folder: FolderNumber, name: &str) -> Naming {
    Naming::Place(Place {
        folder,
        name: name.parse().unwrap(),
        conflict: Conflict::Refuse,
    })
}
