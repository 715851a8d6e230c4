use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use proptest::prelude::*;

use super::*;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A base that is a map, or that fails.
#[derive(Default)]
struct Base {
    entries: Entries,
    fails: bool,
}

impl View for Base {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        if self.fails {
            return Err(CatalogError::Database("wanted".to_owned()));
        }
        Ok(self.entries.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: Visitor<'_>,
    ) -> Result<(), CatalogError> {
        if self.fails {
            return Err(CatalogError::Database("wanted".to_owned()));
        }
        for (key, value) in listed(&self.entries, from, to, direction, usize::MAX) {
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn listed(
    entries: &Entries,
    from: &[u8],
    to: &[u8],
    direction: Direction,
    count: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    if to <= from {
        return Vec::new();
    }
    let range = entries
        .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
        .map(|(key, value)| (key.clone(), value.clone()));
    match direction {
        Direction::Ascending => range.take(count).collect(),
        Direction::Descending => range.rev().take(count).collect(),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Get(Vec<u8>),
    Scan(Vec<u8>, Vec<u8>, Direction, usize),
}

/// Few and short keys, so that they meet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..4_u8, 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop::collection::vec(any::<u8>(), 0..3);
    let direction = prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
    prop_oneof![
        3 => (key(), value).prop_map(|(key, value)| Step::Put(key, value)),
        2 => key().prop_map(Step::Delete),
        1 => key().prop_map(Step::Get),
        2 => (key(), key(), direction, 1..9_usize)
            .prop_map(|(from, to, direction, count)| Step::Scan(from, to, direction, count)),
    ]
}

/// Carries one step out on a transaction and on the model, and compares what they show.
fn check(transaction: &mut dyn Transaction, model: &mut Entries, step: &Step) {
    match step {
        Step::Put(key, value) => {
            transaction.put(key, value).unwrap();
            model.insert(key.clone(), value.clone());
        }
        Step::Delete(key) => {
            transaction.delete(key).unwrap();
            model.remove(key);
        }
        Step::Get(key) => {
            assert_eq!(transaction.get(key).unwrap(), model.get(key).cloned());
        }
        Step::Scan(from, to, direction, count) => {
            let mut found = Vec::new();
            let visit = &mut |key: &[u8], value: &[u8]| {
                found.push((key.to_vec(), value.to_vec()));
                if found.len() == *count {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            transaction.scan(from, to, *direction, visit).unwrap();
            assert_eq!(found, listed(model, from, to, *direction, *count));
        }
    }
}

proptest! {
    #[test]
    fn a_group_of_transactions_is_a_map(
        base in prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 0..3), 0..12),
        group in prop::collection::vec((prop::collection::vec(step(), 0..12), any::<bool>()), 0..6),
    ) {
        let mut model = base.clone();
        let base = Base { entries: base, fails: false };
        let mut changes = Changes::default();
        for (steps, is_kept) in &group {
            let mut after = model.clone();
            let verdict = if *is_kept { Verdict::Keep } else { Verdict::Forget };
            let answer = changes.attempt(&base, |transaction| {
                for step in steps {
                    check(transaction, &mut after, step);
                }
                verdict
            });
            prop_assert_eq!(answer.unwrap(), verdict);
            if *is_kept {
                model = after;
            }
        }
        let mut kept = base.entries;
        for (key, value) in changes.iter() {
            match value {
                Some(value) => kept.insert(key.to_vec(), value.to_vec()),
                None => kept.remove(key),
            };
        }
        prop_assert_eq!(kept, model);
    }
}

#[test]
fn a_failure_of_the_base_spoils_a_transaction_that_passes_over_it() {
    let base = Base {
        fails: true,
        ..Base::default()
    };
    let mut changes = Changes::default();
    let answer = changes.attempt(&base, |transaction| {
        transaction.put(b"a", b"").unwrap();
        assert!(transaction.get(b"a").unwrap().is_some());
        let _ = transaction.get(b"b");
        Verdict::Keep
    });
    assert!(matches!(answer, Err(CatalogError::Database(_))));
    assert!(changes.is_empty());
    assert_eq!(changes.len(), 0);

    let refused = changes.attempt(&base, |transaction| {
        transaction.put(b"a", b"").unwrap();
        let scanned = transaction.scan(b"a", b"z", Direction::Ascending, &mut |_, _| {
            ControlFlow::Continue(())
        });
        assert!(scanned.is_err());
        Verdict::Forget
    });
    assert_eq!(refused.unwrap(), Verdict::Forget, "its own answer counts");
}

#[test]
fn what_a_panic_says_is_in_the_error() {
    let mut changes = Changes::default();
    for text in ["plain", "put together"] {
        let answer = changes.attempt(&Base::default(), |transaction| {
            transaction.put(b"a", b"").unwrap();
            assert!(text != "plain", "plain");
            panic!("put {}", "together");
        });
        let Err(CatalogError::Database(message)) = answer else {
            panic!("{answer:?}");
        };
        assert!(message.contains(text), "{message}");
        assert!(changes.is_empty());
    }
}
