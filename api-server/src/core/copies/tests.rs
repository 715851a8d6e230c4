//! Copies of many entries: whatever is in the way, each step counts once, and a copy comes to an end
//! that can be asked for.

use std::collections::BTreeMap;

use super::*;
use crate::core::testing::{State, add_file, at, attempt, digests, moment, user};
use crate::core::trash;

/// An account with a folder of so many files, each fifty of them in another folder below it.
fn scene(files: u64) -> (State, AccountId, FolderNumber) {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let top = folder(&mut state, account, FolderNumber::ROOT, "top");
    let mut inner = top;
    for number in 0..files {
        if number % 50 == 49 {
            inner = folder(&mut state, account, inner, "inner");
        }
        let naming = at(inner, &format!("{number}"));
        add_file(&mut state, account, &naming, &digests(1, 10), moment()).unwrap();
    }
    (state, account, top)
}

fn folder(state: &mut State, account: AccountId, to: FolderNumber, name: &str) -> FolderNumber {
    tree::make_folder(state, account, to, name.parse().unwrap(), moment()).unwrap()
}

/// What is below a folder: the path of each entry.
fn below(state: &State, account: AccountId, top: FolderNumber) -> BTreeMap<String, bool> {
    let mut paths = BTreeMap::new();
    let mut left = vec![(top, String::new())];
    while let Some((number, path)) = left.pop() {
        for (row, is_trashed) in tree::by_number(state, account, number, 0, 10_000).unwrap() {
            let path = format!("{path}/{}", row.name());
            if let EntryRow::Folder(number, _) = row {
                left.push((number, path.clone()));
            }
            paths.insert(path, is_trashed);
        }
    }
    paths
}

/// Does what whoever works does, and dies after each step, before or after it counts. Returns the steps.
fn finish(state: &mut State, account: AccountId) -> usize {
    for step in 1.. {
        let lost = attempt(&mut state.clone(), |tx| work(tx, account, moment()));
        let done = attempt(state, |tx| work(tx, account, moment()));
        assert_eq!(format!("{lost:?}"), format!("{done:?}"));
        match done {
            Ok(true) => return step,
            Ok(false) => {}
            Err(_) => attempt(state, |tx| fail(tx, account)).unwrap(),
        }
    }
    unreachable!("numbers have no end");
}

#[test]
fn a_copy_is_made_in_steps_of_which_each_counts_once() {
    let (mut state, account, top) = scene(230);
    let target = folder(&mut state, account, FolderNumber::ROOT, "target");
    let task = begin(&mut state, account, &[top.0], target)
        .unwrap()
        .unwrap();
    assert_eq!(
        self::state(&state, account, task).unwrap(),
        Some(CopyState::Waiting)
    );
    assert_eq!(accounts_with_work(&state, None, 9).unwrap(), [account]);
    assert!(!work(&mut state, account, moment()).unwrap());
    assert_eq!(
        self::state(&state, account, task).unwrap(),
        Some(CopyState::Running)
    );
    assert!(3 < finish(&mut state, account), "one step was too much");
    assert_eq!(
        self::state(&state, account, task).unwrap(),
        Some(CopyState::Done)
    );
    assert_eq!(accounts_with_work(&state, None, 9).unwrap(), []);
    let (_, copy) = tree::by_number(&state, account, target, 0, 9)
        .unwrap()
        .into_iter()
        .map(|(row, _)| (row.name().to_string(), row.entry().number()))
        .next()
        .unwrap();
    let copied = below(&state, account, FolderNumber(copy));
    assert_eq!(copied.len(), 230 + 4);
    assert_eq!(copied, below(&state, account, top));
    let other = user(&mut state, "queen");
    assert_eq!(self::state(&state, other, task).unwrap(), None);
    assert_eq!(self::state(&state, account, task + 1).unwrap(), None);
}

#[test]
fn entries_that_are_many_are_no_step_of_their_own() {
    let (mut state, account, top) = scene(0);
    let numbers: Vec<u64> = (0..220)
        .map(|number| {
            let naming = at(top, &format!("{number}"));
            add_file(&mut state, account, &naming, &digests(1, 10), moment())
                .unwrap()
                .0
        })
        .collect();
    let task = begin(&mut state, account, &numbers, FolderNumber::ROOT)
        .unwrap()
        .unwrap();
    assert_eq!(finish(&mut state, account), 3);
    assert_eq!(
        self::state(&state, account, task).unwrap(),
        Some(CopyState::Done)
    );
    let rows = tree::by_number(&state, account, FolderNumber::ROOT, 0, 1_000).unwrap();
    assert_eq!(rows.len(), 1 + 220);
}

#[test]
fn what_cannot_be_copied_ends_a_copy_and_leaves_nothing_to_do() {
    let (mut state, account, top) = scene(150);
    let states = |state: &State, tasks: &[u64]| -> Vec<CopyState> {
        let states = tasks.iter().map(|task| self::state(state, account, *task));
        states.map(|state| state.unwrap().unwrap()).collect()
    };
    let inner = tree::by_number(&state, account, top, 0, 100).unwrap();
    let inner = inner.iter().find_map(|(row, _)| match row {
        EntryRow::Folder(number, _) => Some(*number),
        EntryRow::File(..) => None,
    });
    // Into itself; more than one copy may make; and one that goes on behind them.
    let into_itself = begin(&mut state, account, &[top.0], inner.unwrap())
        .unwrap()
        .unwrap();
    let too_many = vec![top.0; 2];
    let too_many = begin(&mut state, account, &too_many, FolderNumber::ROOT)
        .unwrap()
        .unwrap();
    let right = begin(&mut state, account, &[inner.unwrap().0], top)
        .unwrap()
        .unwrap();
    finish(&mut state, account);
    assert_eq!(
        states(&state, &[into_itself, too_many, right]),
        [CopyState::Failed, CopyState::Failed, CopyState::Done]
    );
    assert_eq!(accounts_with_work(&state, None, 9).unwrap(), []);
    // What went to the trash before its turn came.
    let gone = begin(&mut state, account, &[top.0], FolderNumber::ROOT)
        .unwrap()
        .unwrap();
    trash::put(&mut state, account, top.0, moment()).unwrap();
    finish(&mut state, account);
    assert_eq!(states(&state, &[gone]), [CopyState::Failed]);
}

#[test]
fn copies_are_bounded_whether_they_are_at_their_end_or_not() {
    let (mut state, account, top) = scene(1);
    let begin = |state: &mut State| begin(state, account, &[top.0], FolderNumber::ROOT).unwrap();
    let first: Vec<Option<u64>> = (0..UNDER_WAY_MAX).map(|_| begin(&mut state)).collect();
    assert!(first.iter().all(Option::is_some));
    assert_eq!(begin(&mut state), None);
    let mut last = None;
    for _ in 0..2 * ENDED_MAX {
        finish(&mut state, account);
        last = begin(&mut state);
        assert!(last.is_some());
    }
    let kept = keys::scan::<CopyTasks>(&state, &account, 1_000)
        .unwrap()
        .len();
    assert_eq!(kept, ENDED_MAX);
    assert_eq!(
        self::state(&state, account, first[0].unwrap()).unwrap(),
        None
    );
    let last = self::state(&state, account, last.unwrap()).unwrap();
    assert_eq!(last, Some(CopyState::Waiting));
}
