//! One state of the database, as a transaction sees it.
//!
//! A look runs on a thread that may block and drives the connection itself. The transaction begins with
//! its first question, on the same way to the database; what it answered once is not asked again, for
//! within a transaction the answer is the same.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::ops::ControlFlow;

use futures_util::future::try_join;
use tokio::runtime::Handle;

use super::super::{FIRST_KEY, is_reserved};
use super::connection::Connection;
use super::error::CallError;
use crate::core::catalog::{CatalogError, Direction, View, Visitor};

/// Entries of the first question of a scan: a page and what is behind it.
const FIRST_CHUNK: i64 = 32;
/// Entries of later ones, at most. Records have less than a KiB.
const CHUNK_MAX: i64 = 1024;
/// Values that are remembered of one state.
const KNOWN_MAX: usize = 4096;
/// Bytes of a value that is remembered.
const KNOWN_LEN_MAX: usize = 4096;

/// How a transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// To look: one state, which others do not change.
    Look,
    /// To change: as if nobody else did anything meanwhile.
    Change,
}

impl Begin {
    fn sql(self) -> &'static str {
        match self {
            Self::Look => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Change => "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE",
        }
    }
}

/// One state of the database. To be used on threads that may block.
pub(super) struct PostgresView<'a> {
    connection: &'a Connection,
    runtime: &'a Handle,
    /// What the first question begins with.
    begin: Cell<Option<Begin>>,
    known: RefCell<HashMap<Vec<u8>, Option<Vec<u8>>>>,
    /// The first failure. After it nothing that is seen counts.
    failure: RefCell<Option<CallError>>,
    /// The database as messages call it.
    shown: &'a str,
}

impl<'a> PostgresView<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        runtime: &'a Handle,
        begin: Begin,
        shown: &'a str,
    ) -> Self {
        Self {
            connection,
            runtime,
            begin: Cell::new(Some(begin)),
            known: RefCell::default(),
            failure: RefCell::new(None),
            shown,
        }
    }

    /// Whether the transaction has begun, and so must be ended.
    pub(super) fn has_begun(&self) -> bool {
        self.begin.get().is_none()
    }

    /// The first failure, whatever the work made of it.
    pub(super) fn into_failure(self) -> Option<CallError> {
        self.failure.into_inner()
    }

    /// Whether there was a failure.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Asks the database, and begins the transaction on the way if nothing was asked before.
    fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CatalogError> {
        if let Some(failure) = &*self.failure.borrow() {
            return Err(failure.told(self.shown));
        }
        let answer = self.runtime.block_on(async {
            match self.begin.take() {
                // Both are sent before either is answered, in this order.
                Some(begin) => {
                    let began = self.connection.execute(begin.sql());
                    try_join(began, question).await.map(|((), answer)| answer)
                }
                None => question.await,
            }
        });
        answer.map_err(|error| {
            let told = error.told(self.shown);
            *self.failure.borrow_mut() = Some(error);
            told
        })
    }
}

impl View for PostgresView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        if is_reserved(key) {
            return Ok(None);
        }
        if let Some(known) = self.known.borrow().get(key) {
            return Ok(known.clone());
        }
        let value = self.ask(self.connection.get(key))?;
        let mut known = self.known.borrow_mut();
        if known.len() < KNOWN_MAX && value.as_ref().map_or(0, Vec::len) <= KNOWN_LEN_MAX {
            known.insert(key.to_vec(), value.clone());
        }
        Ok(value)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: Visitor<'_>,
    ) -> Result<(), CatalogError> {
        let (mut from, mut to) = (from.max(FIRST_KEY).to_vec(), to.to_vec());
        let mut max = FIRST_CHUNK;
        while from < to {
            let rows = self.ask(self.connection.range(&from, &to, direction, max))?;
            let mut last = None;
            for row in &rows {
                let entry = row.try_get(0).and_then(|key| Ok((key, row.try_get(1)?)));
                let (key, value): (&[u8], &[u8]) =
                    entry.map_err(|error| CallError::from(error).told(self.shown))?;
                if visit(key, value) == ControlFlow::Break(()) {
                    return Ok(());
                }
                last = Some(key);
            }
            let is_over = i64::try_from(rows.len()).unwrap_or(i64::MAX) < max;
            match (last, direction) {
                (Some(last), Direction::Ascending) if !is_over => {
                    // The smallest key behind it.
                    from = [last, &[0]].concat();
                }
                (Some(last), Direction::Descending) if !is_over => to = last.to_vec(),
                (Some(_) | None, Direction::Ascending | Direction::Descending) => return Ok(()),
            }
            max = (max * 4).min(CHUNK_MAX);
        }
        Ok(())
    }
}
