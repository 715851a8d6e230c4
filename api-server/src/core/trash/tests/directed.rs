//! Cases of the trash.

use super::*;
use crate::core::testing::{add_file, at, digests, moment};

const ROOT: FolderNumber = FolderNumber::ROOT;

fn folder(state: &mut State, account: AccountId, parent: FolderNumber, text: &str) -> FolderNumber {
    tree::make_folder(state, account, parent, text.parse().unwrap(), moment()).unwrap()
}

fn file(state: &mut State, account: AccountId, parent: FolderNumber, text: &str) -> FileNumber {
    add_file(state, account, &at(parent, text), &digests(1, 10), moment()).unwrap()
}

/// Numbers of what is in the trash.
fn trash(state: &State, account: AccountId) -> Vec<u64> {
    let page = page(state, account, Direction::Ascending, 0, 100).unwrap();
    let rows = page.rows.iter();
    rows.map(|found| found.row.entry().number()).collect()
}

fn listed(state: &State, account: AccountId) -> u64 {
    accounts::holdings(state, account).unwrap().files
}

#[test]
fn what_went_to_the_trash_before_its_folder_stays_there_by_itself() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let outer = folder(&mut state, account, ROOT, "outer");
    let inner = folder(&mut state, account, outer, "inner");
    let deep = file(&mut state, account, inner, "deep");
    let flat = file(&mut state, account, outer, "flat");
    put(&mut state, account, inner.0, moment()).unwrap();
    put(&mut state, account, outer.0, moment()).unwrap();
    assert_eq!(trash(&state, account), [inner.0, outer.0]);
    assert_eq!(listed(&state, account), 0);
    // What is in a folder in the trash is not there by itself.
    for entry in [deep.0, flat.0] {
        let refused = restore(&mut state, account, entry, None, moment());
        assert!(matches!(refused, Err(CoreError::NotInTrash)));
        let refused = purge(&mut state, account, entry, moment());
        assert!(matches!(refused, Err(CoreError::NotInTrash)));
        let refused = put(&mut state, account, entry, moment());
        assert!(matches!(refused, Err(CoreError::NoEntry)));
    }
    // Its folder is in the trash, and then it is gone.
    let refused = restore(&mut state, account, inner.0, None, moment());
    assert!(matches!(refused, Err(CoreError::NoFolder)));
    purge(&mut state, account, outer.0, moment()).unwrap();
    assert_eq!(trash(&state, account), [inner.0]);
    let refused = restore(&mut state, account, inner.0, None, moment());
    assert!(matches!(refused, Err(CoreError::NoFolder)));
    restore(&mut state, account, inner.0, Some(ROOT), moment()).unwrap();
    assert!(trash(&state, account).is_empty());
    assert_eq!(listed(&state, account), 1);
    let row = tree::find_in_tree(&state, account, deep.0).unwrap();
    assert_eq!(row.parent(), inner);
    assert!(matches!(
        tree::find(&state, account, flat.0),
        Err(CoreError::NoEntry)
    ));
    let holdings = accounts::holdings(&state, account).unwrap();
    assert_eq!((holdings.bytes, holdings.trash_bytes), (10, 0));
}

#[test]
fn what_comes_back_takes_a_free_name_and_a_free_label_and_no_shares() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let first = file(&mut state, account, ROOT, "a.png");
    let label: FileName = "a.png".parse().unwrap();
    shares::share(&mut state, account, Md5([1; 16]), &label, moment()).unwrap();
    put(&mut state, account, first.0, moment()).unwrap();
    assert_eq!(shares::total(&state).unwrap(), 0);
    let second = file(&mut state, account, ROOT, "a.png");
    let restored = restore(&mut state, account, first.0, None, moment()).unwrap();
    assert!(restored.is_renamed);
    let record = files::get(&state, account, first).unwrap();
    assert_eq!(record.entry.as_str(), "a(1).png");
    assert_eq!(record.name.as_str(), "a(1).png");
    assert_eq!((record.share, record.trashed), (None, None));
    assert_eq!(
        files::find(&state, account, Md5([1; 16]), &label)
            .unwrap()
            .0,
        second
    );
    // Elsewhere the name is free.
    put(&mut state, account, first.0, moment()).unwrap();
    let other = folder(&mut state, account, ROOT, "other");
    let restored = restore(&mut state, account, first.0, Some(other), moment()).unwrap();
    assert!(!restored.is_renamed);
    assert_eq!(files::get(&state, account, first).unwrap().folder, other);
    let refused = restore(&mut state, account, first.0, None, moment());
    assert!(matches!(refused, Err(CoreError::NotInTrash)));
    let refused = restore(&mut state, account, 999, None, moment());
    assert!(matches!(refused, Err(CoreError::NoEntry)));
}

#[test]
fn a_folder_with_much_in_it_is_dealt_with_in_steps() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let outer = folder(&mut state, account, ROOT, "outer");
    let inner = folder(&mut state, account, outer, "inner");
    let count = 2 * STEPS_AT_ONCE as u64;
    for number in 0..count {
        let parent = if number % 2 == 0 { outer } else { inner };
        file(&mut state, account, parent, &format!("{number}"));
    }
    let finish = |state: &mut State| {
        let mut rounds = 0;
        while !work(state, account, STEPS_AT_ONCE, moment()).unwrap() {
            rounds += 1;
        }
        assert!(0 < rounds && rounds < 4, "{rounds} rounds");
    };
    put(&mut state, account, outer.0, moment()).unwrap();
    // The tree knows at once; the lists follow.
    assert_eq!(accounts::holdings(&state, account).unwrap().bytes, 0);
    assert!(0 < listed(&state, account));
    assert_eq!(tasks(&state, 9).unwrap()[0], (account, outer));
    finish(&mut state);
    assert_eq!(listed(&state, account), 0);
    restore(&mut state, account, outer.0, None, moment()).unwrap();
    assert!(listed(&state, account) < count);
    finish(&mut state);
    assert_eq!(listed(&state, account), count);
    put(&mut state, account, outer.0, moment()).unwrap();
    purge(&mut state, account, outer.0, moment()).unwrap();
    assert!(accounts::holdings(&state, account).unwrap().trash_bytes < 10 * count);
    while !work(&mut state, account, STEPS_AT_ONCE, moment()).unwrap() {}
    let usage = accounts::usage(&state, account).unwrap();
    assert_eq!(
        (usage.files, usage.folders, usage.bytes, usage.trash_bytes),
        (0, 0, 0, 0)
    );
}

#[test]
fn a_folder_that_is_being_removed_is_gone_for_everybody() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let outer = folder(&mut state, account, ROOT, "outer");
    let inner = folder(&mut state, account, outer, "inner");
    let flat = file(&mut state, account, outer, "flat");
    let deep = file(&mut state, account, inner, "deep");
    // The lists do not follow, and of the removal only what is in the outer folder itself is done.
    put_in_steps(&mut state, account, outer.0, 0, moment()).unwrap();
    purge_in_steps(&mut state, account, outer.0, 3, moment()).unwrap();
    assert_eq!(tasks(&state, 9).unwrap(), [(account, inner)]);
    for gone in [outer, inner] {
        assert!(matches!(
            tree::find(&state, account, gone.0),
            Err(CoreError::NoEntry)
        ));
        let refused = restore(&mut state, account, gone.0, Some(ROOT), moment());
        assert!(matches!(refused, Err(CoreError::NoEntry)));
        let refused = purge(&mut state, account, gone.0, moment());
        assert!(matches!(refused, Err(CoreError::NoEntry)));
        let page = tree::page(&state, account, gone, Direction::Ascending, 0, 9);
        assert!(matches!(page, Err(CoreError::NoFolder)));
    }
    for file in [flat, deep] {
        let found = tree::find(&state, account, file.0);
        assert!(matches!(found, Err(CoreError::NoEntry)));
    }
    // A file that is still listed can be removed by whoever knows its label, and counts once.
    assert_eq!(listed(&state, account), 1);
    let holdings = accounts::holdings(&state, account).unwrap();
    assert_eq!((holdings.bytes, holdings.trash_bytes), (0, 10));
    files::remove(&mut state, account, deep, 5).unwrap();
    let holdings = accounts::holdings(&state, account).unwrap();
    assert_eq!((holdings.bytes, holdings.trash_bytes), (0, 0));
    assert!(work(&mut state, account, 100, moment()).unwrap());
    let holdings = accounts::holdings(&state, account).unwrap();
    assert_eq!((holdings.bytes, holdings.trash_bytes), (0, 0));
    assert!(matches!(
        tree::find(&state, account, flat.0),
        Err(CoreError::NoEntry)
    ));
}

#[test]
fn a_search_finds_nothing_below_a_folder_that_goes_though_it_is_listed_still() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let outer = folder(&mut state, account, ROOT, "outer");
    let inner = folder(&mut state, account, outer, "inner");
    for number in 0..3 * STEPS_AT_ONCE {
        file(&mut state, account, inner, &format!("hit {number}"));
    }
    let kept = file(&mut state, account, ROOT, "hit");
    let find = |state: &State| {
        let (rows, next) = files::search(state, account, "hit", None, 1_000).unwrap();
        assert_eq!(next, None);
        for (_, file) in &rows {
            tree::path(state, account, file.folder).unwrap();
        }
        rows.len()
    };
    assert_eq!(find(&state), 1 + 3 * STEPS_AT_ONCE);
    put(&mut state, account, outer.0, moment()).unwrap();
    assert!(1 < listed(&state, account), "the work is not done");
    assert_eq!(find(&state), 1);
    purge(&mut state, account, outer.0, moment()).unwrap();
    assert!(1 < listed(&state, account), "the work is not done");
    assert_eq!(find(&state), 1);
    while !work(&mut state, account, STEPS_AT_ONCE, moment()).unwrap() {}
    assert_eq!(listed(&state, account), 1);
    let (rows, _) = files::search(&state, account, "hit", None, 9).unwrap();
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [kept]);
}

#[test]
fn what_is_moved_out_of_a_folder_that_just_came_back_is_listed_again() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let outer = folder(&mut state, account, ROOT, "outer");
    let inner = folder(&mut state, account, outer, "inner");
    let flat = file(&mut state, account, outer, "flat");
    file(&mut state, account, inner, "deep");
    put(&mut state, account, outer.0, moment()).unwrap();
    restore_in_steps(&mut state, account, outer.0, None, 0, moment()).unwrap();
    assert_eq!(listed(&state, account), 0);
    tree::move_to(&mut state, account, &[inner.0, flat.0], ROOT, moment()).unwrap();
    assert!(work(&mut state, account, 100, moment()).unwrap());
    assert_eq!(listed(&state, account), 2);
}

#[test]
fn accounts_with_work_come_one_after_the_other() {
    let mut state = State::default();
    let accounts = ["king", "queen", "knave"].map(|name| user(&mut state, name));
    for account in accounts {
        for text in ["a", "b"] {
            let parent = folder(&mut state, account, ROOT, text);
            file(&mut state, account, parent, "file");
            put_in_steps(&mut state, account, parent.0, 0, moment()).unwrap();
        }
    }
    let with_work = |state: &State, after, max| accounts_with_work(state, after, max).unwrap();
    let [king, queen, knave] = accounts;
    assert_eq!(with_work(&state, None, 9), [king, queen, knave]);
    assert_eq!(with_work(&state, None, 2), [king, queen]);
    assert_eq!(with_work(&state, Some(queen), 2), [knave]);
    assert!(work(&mut state, queen, 100, moment()).unwrap());
    assert_eq!(with_work(&state, Some(king), 9), [knave]);
}
