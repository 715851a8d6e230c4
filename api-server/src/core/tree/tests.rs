//! Cases of the tree. Random histories are in the tests of the trash.

use super::*;
use crate::core::files::{Claim, Conflict, FileOrder, Naming, Place, Reuse};
use crate::core::id::{ContentHash, Md5, PictureLink, Sha1};
use crate::core::name::FileName;
use crate::core::testing::{State, add_file, at, attempt, digests, moment, user};
use crate::core::uploads::Digests;
use crate::core::{contents, pictures, shares, uploads};

const ROOT: FolderNumber = FolderNumber::ROOT;

fn name(text: &str) -> EntryName {
    text.parse().unwrap()
}

/// `count` names, each of which can be a folder in the one before.
fn names(prefix: &str, count: usize) -> Vec<EntryName> {
    (0..count)
        .map(|level| name(&format!("{prefix}{level}")))
        .collect()
}

fn place(folder: FolderNumber, text: &str, conflict: Conflict) -> Place {
    Place {
        folder,
        name: name(text),
        conflict,
    }
}

/// Folders `prefix0`, in it `prefix1`, and so on. Returns the first and the last one.
fn nest(
    state: &mut State,
    account: AccountId,
    prefix: &str,
    count: usize,
) -> (FolderNumber, FolderNumber) {
    let names = names(prefix, count);
    let last = make_path(state, account, ROOT, &names, moment()).unwrap();
    let first = follow(state, account, ROOT, &names[..1]).unwrap().unwrap();
    (first, last)
}

#[test]
fn folders_are_as_deep_as_they_may_be_and_no_deeper() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let depth = usize::try_from(DEPTH_MAX).unwrap();
    let (_, last) = nest(&mut state, account, "a", depth);
    assert_eq!(ancestors(&state, account, last).unwrap().len(), depth);
    assert_eq!(path(&state, account, last).unwrap().len(), depth);
    add_file(
        &mut state,
        account,
        &at(last, "file"),
        &digests(1, 5),
        moment(),
    )
    .unwrap();
    let (top, _) = ancestors(&state, account, last).unwrap().pop().unwrap();
    let top = folder(&state, account, top).unwrap();
    assert_eq!((top.files, top.folders, top.bytes), (1, DEPTH_MAX - 1, 5));

    let before = state.clone();
    let refused = attempt(&mut state, |tx| {
        make_folder(tx, account, last, name("b"), moment())
    });
    assert!(matches!(refused, Err(CoreError::TooDeep(DEPTH_MAX))));
    // Nothing of a path is made if all of it cannot be.
    let names = names("b", depth + 1);
    let refused = attempt(&mut state, |tx| {
        make_path(tx, account, ROOT, &names, moment())
    });
    assert!(matches!(refused, Err(CoreError::TooDeep(DEPTH_MAX))));
    assert_eq!(state, before);
}

#[test]
fn what_is_moved_or_restored_takes_its_levels_along() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let depth = usize::try_from(DEPTH_MAX).unwrap();
    let (_, bottom) = nest(&mut state, account, "deep", depth - 10);
    let (fits, _) = nest(&mut state, account, "fits", 10);
    let (long, _) = nest(&mut state, account, "long", 11);
    let (short, _) = nest(&mut state, account, "short", 1);
    let refused = attempt(&mut state, |tx| {
        move_to(tx, account, &[long.0], bottom, moment())
    });
    assert!(matches!(refused, Err(CoreError::TooDeep(_))));
    move_to(&mut state, account, &[fits.0], bottom, moment()).unwrap();
    // What came into a folder by a move counts as much as what was made there.
    move_to(&mut state, account, &[long.0], short, moment()).unwrap();
    assert_eq!(folder(&state, account, short).unwrap().height, 11);
    let refused = attempt(&mut state, |tx| {
        move_to(tx, account, &[short.0], bottom, moment())
    });
    assert!(matches!(refused, Err(CoreError::TooDeep(_))));
    trash::put(&mut state, account, short.0, moment()).unwrap();
    let refused = attempt(&mut state, |tx| {
        trash::restore(tx, account, short.0, Some(bottom), moment())
    });
    assert!(matches!(refused, Err(CoreError::TooDeep(_))));
    trash::restore(&mut state, account, short.0, None, moment()).unwrap();
}

#[test]
fn a_folder_goes_neither_into_itself_nor_below_itself() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let (first, last) = nest(&mut state, account, "a", 3);
    let middle = follow(&state, account, ROOT, &names("a", 2))
        .unwrap()
        .unwrap();
    let other = make_folder(&mut state, account, ROOT, name("other"), moment()).unwrap();
    let before = state.clone();
    for to in [first, middle, last] {
        let refused = attempt(&mut state, |tx| {
            // The first one could be moved, and is not, since the second one cannot.
            move_to(tx, account, &[other.0, first.0], to, moment())
        });
        assert!(matches!(refused, Err(CoreError::IntoItself)), "{to}");
        assert_eq!(state, before);
    }
    // Into the folder where it is, and twice in one call, is nothing to do.
    move_to(&mut state, account, &[first.0, other.0], ROOT, moment()).unwrap();
    assert_eq!(state, before);
    move_to(&mut state, account, &[other.0, other.0], last, moment()).unwrap();
    assert_eq!(folder(&state, account, first).unwrap().folders, 3);
}

#[test]
fn ten_thousand_files_of_one_name_are_not_looked_at_one_by_one() {
    const FILES: u64 = 10_000;
    let mut state = State::default();
    let account = user(&mut state, "king");
    let naming = Naming::Place(place(ROOT, "image.png", Conflict::Keep));
    let add = |state: &mut State, number: u64| {
        let mut moment = moment();
        // Chance decides how lists are built: each entry has its own.
        moment.chance = number.wrapping_mul(0x2545_f491_4f6c_dd1d);
        add_file(state, account, &naming, &digests(1, 7), moment).unwrap()
    };
    for number in 0..FILES {
        add(&mut state, number);
    }
    let (asked, visited) = (state.asked(), state.visited());
    add(&mut state, FILES);
    // A name and a label are looked for; a number among n is found within 16 + 2 log n looks, each of
    // them for a folder and for a file. The rest is what any file costs.
    let (asked, visited) = (state.asked() - asked, state.visited() - visited);
    assert!(
        asked < 3 * (16 + 2 * 14) + 100,
        "{asked} keys were asked for"
    );
    assert!(visited < 3_000, "{visited} entries were visited");
    let listed = files::page(
        &state,
        account,
        FileOrder::Created,
        Direction::Ascending,
        0,
        1,
    );
    assert_eq!(listed.unwrap().total, FILES + 1);
    let page = page(&state, account, ROOT, Direction::Ascending, 0, 1).unwrap();
    assert_eq!(page.total, FILES + 1);

    let mut steps = 0;
    let free = free_number(|number| {
        steps += 1;
        Ok(number <= FILES)
    });
    assert_eq!(free.unwrap(), FILES + 1);
    assert!(steps < 50, "{steps} numbers were tried");
    // Small gaps are found.
    let free = free_number(|number| Ok(number != 3 && number < 9));
    assert_eq!(free.unwrap(), 3);
}

#[test]
fn a_file_that_is_renamed_keeps_its_label_if_it_is_shared() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let [plain, shared, pictured] = [1, 2, 3].map(|content: u8| {
        let old = at(ROOT, &format!("old{content}"));
        add_file(&mut state, account, &old, &digests(content, 1), moment()).unwrap()
    });
    let label = |text: &str| -> FileName { text.parse().unwrap() };
    shares::share(&mut state, account, Md5([2; 16]), &label("old2"), moment()).unwrap();
    let link = PictureLink([1; 16]);
    let (md5, old) = (Md5([3; 16]), label("old3"));
    pictures::share(&mut state, account, md5, &old, link, moment()).unwrap();
    for (file, expected) in [(plain, "new1"), (shared, "old2"), (pictured, "old3")] {
        let (record, _) = files::get_any(&state, account, file).unwrap();
        let new = name(&format!("new{}", record.content.0[0]));
        rename(&mut state, account, file.0, new.clone(), moment()).unwrap();
        let found = files::find(&state, account, record.md5, &label(expected)).unwrap();
        assert_eq!((found.0, &found.1.entry), (file, &new));
    }
    // The share is still there under the label, and a share that ended binds nothing.
    shares::cancel(&mut state, account, Md5([2; 16]), &label("old2")).unwrap();
    rename(&mut state, account, shared.0, name("free"), moment()).unwrap();
    assert_eq!(
        files::get(&state, account, shared).unwrap().name,
        label("free")
    );
    // Two files of the same bytes cannot have one label, in whatever folders they are.
    let folder = make_folder(&mut state, account, ROOT, name("f"), moment()).unwrap();
    let twin = add_file(
        &mut state,
        account,
        &at(folder, "x"),
        &digests(1, 1),
        moment(),
    )
    .unwrap();
    rename(&mut state, account, twin.0, name("new1"), moment()).unwrap();
    let twin = files::get(&state, account, twin).unwrap();
    assert_eq!((twin.entry, twin.name), (name("new1"), label("new1(1)")));
}

#[test]
fn a_file_replaced_by_its_own_bytes_keeps_them() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let naming = Naming::Place(place(ROOT, "a", Conflict::Replace));
    let add = |state: &mut State, content| {
        add_file(state, account, &naming, &digests(content, 1), moment()).unwrap()
    };
    let first = add(&mut state, 1);
    let second = add(&mut state, 1);
    assert_ne!(first, second);
    assert!(matches!(
        files::get(&state, account, first),
        Err(CoreError::NoFile)
    ));
    let content = contents::get(&state, &ContentHash([1; 32]))
        .unwrap()
        .unwrap();
    assert_eq!(content.references, 1);
    assert_eq!(uploads::orphans(&state, None, 9).unwrap(), []);
    add(&mut state, 2);
    assert_eq!(contents::get(&state, &ContentHash([1; 32])).unwrap(), None);
    let orphans = uploads::orphans(&state, None, 9).unwrap();
    assert_eq!(orphans.len(), 1);
    assert_eq!(orphans[0].0, content.blob);
    // A folder is never replaced.
    let folder = make_folder(&mut state, account, ROOT, name("f"), moment()).unwrap();
    let naming = Naming::Place(place(ROOT, "f", Conflict::Replace));
    let refused = add_file(&mut state, account, &naming, &digests(2, 1), moment());
    let Err(CoreError::NameInUse(taken)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(taken, Entry::Folder(folder));
}

#[test]
fn the_quota_is_exact_and_counts_what_a_replaced_file_frees() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    accounts::set_quota(&mut state, account, Some(100)).unwrap();
    let add = |state: &mut State, text: &str, content, size| {
        let naming = Naming::Place(place(ROOT, text, Conflict::Replace));
        add_file(state, account, &naming, &digests(content, size), moment())
    };
    add(&mut state, "a", 1, 60).unwrap();
    let refused = add(&mut state, "b", 2, 41);
    assert!(matches!(
        refused,
        Err(CoreError::OverQuota {
            quota: 100,
            used: 60,
            size: 41
        })
    ));
    add(&mut state, "b", 3, 40).unwrap();
    assert!(matches!(
        add(&mut state, "c", 4, 1),
        Err(CoreError::OverQuota { .. })
    ));
    // Full to the last byte: 60 for 60 is possible, 61 is not.
    add(&mut state, "a", 5, 60).unwrap();
    assert!(matches!(
        add(&mut state, "a", 6, 61),
        Err(CoreError::OverQuota { .. })
    ));
    add(&mut state, "empty", 7, 0).unwrap();
    // What is in the trash takes its room until it is removed.
    let row = child(&state, account, ROOT, &name("b")).unwrap().unwrap();
    trash::put(&mut state, account, row.number(), moment()).unwrap();
    assert!(matches!(
        add(&mut state, "c", 4, 1),
        Err(CoreError::OverQuota { .. })
    ));
    let holdings = accounts::holdings(&state, account).unwrap();
    assert_eq!((holdings.bytes, holdings.trash_bytes), (60, 40));
    trash::purge(&mut state, account, row.number(), moment()).unwrap();
    add(&mut state, "c", 4, 40).unwrap();
    // With less than none, nothing is still possible, and so is what replaces more.
    accounts::set_quota(&mut state, account, Some(10)).unwrap();
    add(&mut state, "nothing", 7, 0).unwrap();
    assert!(matches!(
        add(&mut state, "c", 8, 39),
        Err(CoreError::OverQuota { .. })
    ));
    let folder = make_folder(&mut state, account, ROOT, name("f"), moment());
    folder.unwrap();
}

#[test]
fn content_is_had_by_a_digest_and_its_size() {
    let mut state = State::default();
    let (king, queen) = (user(&mut state, "king"), user(&mut state, "queen"));
    add_file(&mut state, king, &at(ROOT, "a"), &digests(1, 10), moment()).unwrap();
    let claims = [Claim::Md5(Md5([1; 16])), Claim::Sha1(Sha1([1; 20]))];
    let claim = |state: &mut State, account, claim, size, text: &str, reuse| {
        let place = place(ROOT, text, Conflict::Refuse);
        attempt(state, |tx| {
            files::add_claimed(tx, account, claim, size, place, reuse, moment())
        })
    };
    for by in claims {
        for (account, size, reuse) in [
            (queen, 10, Reuse::Own),
            (queen, 11, Reuse::Global),
            (king, 11, Reuse::Own),
        ] {
            let refused = claim(&mut state, account, by, size, "b", reuse);
            assert!(
                matches!(refused, Err(CoreError::NoContent)),
                "{by:?} {size} {reuse:?}"
            );
        }
    }
    for (text, by) in ["b", "c"].into_iter().zip(claims) {
        claim(&mut state, king, by, 10, text, Reuse::Own).unwrap();
        claim(&mut state, queen, by, 10, text, Reuse::Global).unwrap();
        // By now it is one's own.
        let own = format!("own {text}");
        claim(&mut state, queen, by, 10, &own, Reuse::Own).unwrap();
        let refused = claim(&mut state, king, by, 10, text, Reuse::Own);
        assert!(matches!(refused, Err(CoreError::NameInUse(_))));
    }
    // What is in the trash is not had by its digest under that setting.
    let rows = page(&state, queen, ROOT, Direction::Ascending, 0, 9)
        .unwrap()
        .rows;
    for row in rows {
        trash::put(&mut state, queen, row.entry().number(), moment()).unwrap();
    }
    for by in claims {
        let refused = claim(&mut state, queen, by, 10, "d", Reuse::Own);
        assert!(matches!(refused, Err(CoreError::NoContent)));
    }
}

#[test]
fn of_contents_that_collide_none_is_had_by_the_digest() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    // The same MD5 as content 1; the one has its size, too, the other has not.
    let twin = Digests {
        md5: Md5([1; 16]),
        ..digests(2, 10)
    };
    let longer = Digests {
        md5: Md5([1; 16]),
        ..digests(3, 11)
    };
    // The same SHA-1 and size as content 1.
    let other = Digests {
        sha1: Sha1([1; 20]),
        ..digests(4, 10)
    };
    let claim = |state: &mut State, claim, size| {
        let place = place(ROOT, "claimed", Conflict::Keep);
        let number = attempt(state, |tx| {
            files::add_claimed(tx, account, claim, size, place, Reuse::Global, moment())
        })?;
        Ok::<_, CoreError>(files::get(state, account, number)?.content.0[0])
    };
    let (md5, sha1) = (Claim::Md5(Md5([1; 16])), Claim::Sha1(Sha1([1; 20])));
    add_file(
        &mut state,
        account,
        &at(ROOT, "1"),
        &digests(1, 10),
        moment(),
    )
    .unwrap();
    add_file(&mut state, account, &at(ROOT, "3"), &longer, moment()).unwrap();
    assert_eq!(claim(&mut state, md5, 10).unwrap(), 1);
    assert_eq!(claim(&mut state, md5, 11).unwrap(), 3);
    add_file(&mut state, account, &at(ROOT, "2"), &twin, moment()).unwrap();
    assert!(matches!(
        claim(&mut state, md5, 10),
        Err(CoreError::NoContent)
    ));
    assert_eq!(claim(&mut state, md5, 11).unwrap(), 3);
    assert_eq!(claim(&mut state, sha1, 10).unwrap(), 1);
    add_file(&mut state, account, &at(ROOT, "4"), &other, moment()).unwrap();
    assert!(matches!(
        claim(&mut state, sha1, 10),
        Err(CoreError::NoContent)
    ));
}

#[test]
fn a_search_in_steps_misses_nothing_and_finds_nothing_twice() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let mut expected = Vec::new();
    for number in 0..40_u8 {
        // Files and folders, in the tree, in the trash, and below what is in the trash.
        let text = match number % 4 {
            0 | 1 => format!("Ärger {number}"),
            _ => format!("other {number}"),
        };
        let entry = if number % 5 == 0 {
            let folder = make_folder(&mut state, account, ROOT, name(&text), moment()).unwrap();
            let inner = at(folder, "ÄRGER inside");
            let inner = add_file(&mut state, account, &inner, &digests(1, 1), moment()).unwrap();
            expected.push(inner.0);
            folder.0
        } else {
            let file = at(ROOT, &text);
            add_file(&mut state, account, &file, &digests(2, 1), moment())
                .unwrap()
                .0
        };
        if number % 3 == 0 {
            trash::put(&mut state, account, entry, moment()).unwrap();
        }
        if text.starts_with('Ä') {
            expected.push(entry);
        }
    }
    expected.sort_unstable();
    for (count, steps) in [
        (1, 1),
        (2, 3),
        (3, 2),
        (100, 1),
        (1, 100),
        (5, 7),
        (100, 100),
    ] {
        let (mut found, mut after) = (Vec::new(), Some(0));
        while let Some(behind) = after {
            let (rows, next) = search(
                &state,
                account,
                "äRGER",
                Match::Contains,
                behind,
                count,
                steps,
            )
            .unwrap();
            assert!(rows.len() <= count);
            found.extend(rows.iter().map(|row| row.entry().number()));
            assert!(next.is_none_or(|next| behind < next), "it goes on");
            after = next;
        }
        assert_eq!(found, expected, "{count} of {steps}");
    }
    let (rows, _) = search(&state, account, "Ärger 4", Match::Equals, 0, 9, 99).unwrap();
    assert_eq!(rows.len(), 1);
    let (rows, _) = search(&state, account, "ärger 4", Match::Equals, 0, 9, 99).unwrap();
    assert_eq!(rows, []);
}

#[test]
fn a_copy_is_a_file_of_its_own_of_the_same_bytes() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let file = add_file(
        &mut state,
        account,
        &at(ROOT, "a"),
        &digests(1, 9),
        moment(),
    )
    .unwrap();
    let folder = make_folder(&mut state, account, ROOT, name("f"), moment()).unwrap();
    let to = |folder| place(folder, "a", Conflict::Refuse);
    let refused = attempt(&mut state, |tx| {
        files::copy(tx, account, file, to(ROOT), moment())
    });
    assert!(matches!(refused, Err(CoreError::NameInUse(_))));
    let copy = files::copy(&mut state, account, file, to(folder), moment()).unwrap();
    files::remove(&mut state, account, file, 5).unwrap();
    let copy = files::get(&state, account, copy).unwrap();
    assert_eq!((copy.folder, copy.size), (folder, 9));
    assert_eq!(copy.name.as_str(), "a(1)");
    assert_eq!(uploads::orphans(&state, None, 1).unwrap(), []);
}

#[test]
fn what_belongs_to_one_account_is_nothing_to_another() {
    let mut state = State::default();
    let (king, queen) = (user(&mut state, "king"), user(&mut state, "queen"));
    let folder = make_folder(&mut state, king, ROOT, name("f"), moment()).unwrap();
    add_file(&mut state, king, &at(folder, "a"), &digests(1, 9), moment()).unwrap();
    let before = state.clone();
    assert!(matches!(
        find(&state, queen, folder.0),
        Err(CoreError::NoEntry)
    ));
    let page = page(&state, queen, folder, Direction::Ascending, 0, 9);
    assert!(matches!(page, Err(CoreError::NoFolder)));
    let refused = rename(&mut state, queen, folder.0, name("g"), moment());
    assert!(matches!(refused, Err(CoreError::NoEntry)));
    let refused = move_to(&mut state, queen, &[folder.0], ROOT, moment());
    assert!(matches!(refused, Err(CoreError::NoEntry)));
    let refused = trash::put(&mut state, queen, folder.0, moment());
    assert!(matches!(refused, Err(CoreError::NoEntry)));
    assert_eq!(state, before);
}
