//! Changes that are not in the database yet, laid over a view of it.
//!
//! The transactions of a group run one after another, each on what the ones before it left, and all
//! are kept in one step. So one ordered map holds the changes of the whole group, and a list of what
//! the running transaction replaced takes back only its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::is_reserved;
use crate::core::catalog::{CatalogError, Direction, Transaction, View, Visitor};

/// What a change makes of a key: a value, or nothing.
type Change = Option<Vec<u8>>;

/// What becomes of a transaction that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its changes are to be kept.
    Keep,
    /// Its changes are to be forgotten.
    Forget,
}

/// The changes of transactions that ran and are not kept yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    by_key: BTreeMap<Vec<u8>, Change>,
    /// What the running transaction replaced, oldest first; no change at all is `None`.
    replaced: Vec<(Vec<u8>, Option<Change>)>,
    /// Bytes of keys and values that were put, the replaced ones included.
    len: usize,
}

impl Changes {
    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Bytes of keys and values, at least.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Keys in ascending order, each with its new value, or `None` if it is to be removed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.by_key
            .iter()
            .map(|(key, change)| (key.as_slice(), change.as_deref()))
    }

    /// Runs one transaction on `base` under these changes, and adds its own if it says so.
    ///
    /// # Errors
    ///
    /// The first failure of the view, even if the transaction passed over it, and a panic of the
    /// transaction. It then left nothing.
    pub(super) fn attempt(
        &mut self,
        base: &dyn View,
        work: impl FnOnce(&mut dyn Transaction) -> Verdict,
    ) -> Result<Verdict, CatalogError> {
        let len = self.len;
        let mut overlay = Overlay {
            base,
            changes: self,
            failure: RefCell::new(None),
        };
        // What a panic leaves half done in the overlay is taken back below.
        let verdict = catch_unwind(AssertUnwindSafe(|| work(&mut overlay)));
        let failure = overlay.failure.into_inner();
        let result = match (verdict, failure) {
            (Ok(Verdict::Keep), Some(failure)) => Err(failure),
            (Ok(verdict), _) => Ok(verdict),
            (Err(panic), _) => Err(panicked(panic.as_ref())),
        };
        if matches!(result, Ok(Verdict::Keep)) {
            self.replaced.clear();
        } else {
            self.take_back(len);
        }
        result
    }

    fn set(&mut self, key: &[u8], change: Change) {
        self.len += key.len() + change.as_ref().map_or(0, Vec::len);
        let replaced = self.by_key.insert(key.to_vec(), change);
        self.replaced.push((key.to_vec(), replaced));
    }

    /// Makes undone what the running transaction did.
    fn take_back(&mut self, len: usize) {
        while let Some((key, change)) = self.replaced.pop() {
            match change {
                Some(change) => self.by_key.insert(key, change),
                None => self.by_key.remove(&key),
            };
        }
        self.len = len;
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Range<'_, Vec<u8>, Change> {
        self.by_key
            .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> CatalogError {
    let text = panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    CatalogError::Database(format!("a transaction panicked: {text}"))
}

/// A transaction while it runs.
struct Overlay<'a> {
    base: &'a dyn View,
    changes: &'a mut Changes,
    /// The first failure. It spoils the transaction, whatever the transaction makes of it.
    failure: RefCell<Option<CatalogError>>,
}

impl Overlay<'_> {
    fn note<T>(&self, result: Result<T, CatalogError>) -> Result<T, CatalogError> {
        if let Err(error) = &result {
            self.failure
                .borrow_mut()
                .get_or_insert_with(|| error.clone());
        }
        result
    }

    fn set(&mut self, key: &[u8], change: Change) -> Result<(), CatalogError> {
        if is_reserved(key) {
            return self.note(Err(CatalogError::Contradiction(
                "a change of a reserved key",
            )));
        }
        self.changes.set(key, change);
        Ok(())
    }
}

impl View for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        match self.changes.by_key.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.note(self.base.get(key)),
        }
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
        let changes = self.changes.range(from, to);
        let merge = Merge {
            visit,
            direction,
            is_over: false,
        };
        self.note(match direction {
            Direction::Ascending => merge.run(self.base, from, to, changes.peekable()),
            Direction::Descending => merge.run(self.base, from, to, changes.rev().peekable()),
        })
    }
}

impl Transaction for Overlay<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), CatalogError> {
        self.set(key, Some(value.to_vec()))
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), CatalogError> {
        self.set(key, None)
    }
}

/// One scan over a base and changes that come in the same order.
struct Merge<'v> {
    visit: Visitor<'v>,
    direction: Direction,
    is_over: bool,
}

impl Merge<'_> {
    fn run<'c>(
        mut self,
        base: &dyn View,
        from: &[u8],
        to: &[u8],
        mut changes: Peekable<impl Iterator<Item = (&'c Vec<u8>, &'c Change)>>,
    ) -> Result<(), CatalogError> {
        base.scan(from, to, self.direction, &mut |key, value| {
            while let Some((changed, change)) =
                changes.next_if(|(changed, _)| self.is_before(changed, key))
            {
                self.visit_change(changed, change)?;
            }
            match changes.next_if(|(changed, _)| changed.as_slice() == key) {
                Some((changed, change)) => self.visit_change(changed, change),
                None => self.visit(key, value),
            }
        })?;
        for (changed, change) in changes {
            if self.is_over || self.visit_change(changed, change).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn is_before(&self, left: &[u8], right: &[u8]) -> bool {
        match self.direction {
            Direction::Ascending => left < right,
            Direction::Descending => right < left,
        }
    }

    fn visit_change(&mut self, key: &[u8], change: &Change) -> ControlFlow<()> {
        match change {
            Some(value) => self.visit(key, value),
            None => ControlFlow::Continue(()),
        }
    }

    fn visit(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        let flow = (self.visit)(key, value);
        self.is_over = flow.is_break();
        flow
    }
}

#[cfg(test)]
mod tests;
