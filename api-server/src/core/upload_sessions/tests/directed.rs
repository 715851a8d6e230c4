//! Cases of upload sessions.

use super::*;
use crate::core::testing::moment;

const NOW: u32 = 1_000;

fn id(number: u8) -> UploadId {
    UploadId([number; 16])
}

fn new(account: AccountId, name: &str, size: u64) -> NewUpload {
    NewUpload {
        account,
        kind: UploadKind::Sliced,
        place: Place {
            folder: FolderNumber::ROOT,
            name: name.parse().unwrap(),
            conflict: Conflict::Refuse,
        },
        size,
        slice_size: SLICE_SIZE,
        md5: None,
        sha1: None,
    }
}

/// An account with a session of a size that has a staging blob.
fn staged(size: u64) -> (State, AccountId, FileId) {
    let mut state = State::default();
    let account = user(&mut state, "king");
    open(&mut state, id(1), &new(account, "a", size), NOW).unwrap();
    uploads::announce(&mut state, &blob(1), 7, NOW).unwrap();
    set_staging(&mut state, account, id(1), &blob(1), NOW).unwrap();
    (state, account, blob(1))
}

fn contradicts<T: std::fmt::Debug>(result: &Result<T, CoreError>) -> bool {
    matches!(
        result,
        Err(CoreError::Catalog(CatalogError::Contradiction(_)))
    )
}

#[test]
fn slices_have_one_length_but_the_last_one() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    for (number, size, lens) in [
        (1, 0, vec![]),
        (2, 1, vec![1]),
        (3, SLICE_SIZE, vec![SLICE_SIZE]),
        (4, SLICE_SIZE + 1, vec![SLICE_SIZE, 1]),
        (
            5,
            3 * SLICE_SIZE - 1,
            vec![SLICE_SIZE, SLICE_SIZE, SLICE_SIZE - 1],
        ),
    ] {
        let new = new(account, &format!("{number}"), size);
        let record = open(&mut state, id(number), &new, NOW).unwrap();
        assert_eq!(record.slices(), lens.len() as u64);
        assert_eq!(record.slice_len(0), None);
        for (number, len) in (1..).zip(&lens) {
            assert_eq!(record.slice_len(number), Some(*len), "{size}");
        }
        assert_eq!(record.slice_len(lens.len() as u64 + 1), None);
        assert_eq!(record.slice_len(u64::MAX), None);
    }
}

#[test]
fn a_slice_sent_again_with_the_same_bytes_changes_the_time_and_what_is_staged() {
    let (mut state, account, staging) = staged(2 * SLICE_SIZE);
    let add = |state: &mut State, content, offset, now| {
        let slice = slice_of(content, offset, SLICE_SIZE);
        let advance = Advance {
            from: hashes(&[]),
            to: hashes(&[content]),
        };
        add_slice(
            state,
            account,
            id(1),
            &staging,
            1,
            &slice,
            Some(advance),
            now,
        )
        .unwrap();
        get(state, account, id(1), now).unwrap()
    };
    let first = add(&mut state, 5, 0, NOW);
    let again = add(&mut state, 5, 16, NOW + 9);
    let renewed = UploadRecord {
        renewed: NOW + 9,
        // Both copies take space.
        staged: 2 * SLICE_SIZE,
        ..first
    };
    assert_eq!(again, renewed);
    assert_eq!(slice(&state, id(1), 1).unwrap().unwrap().offset, 0);
    // Other bytes take their place, and the hashes begin anew with them.
    let other = add(&mut state, 6, 32, NOW + 9);
    assert_eq!((other.received, other.hashed), (1, 1));
    assert_eq!(other.hashes, hashes(&[6]));
    assert_eq!(slice(&state, id(1), 1).unwrap().unwrap().offset, 32);
}

#[test]
fn hashes_of_bytes_that_are_not_there_any_more_are_not_taken() {
    let (mut state, account, staging) = staged(3 * SLICE_SIZE);
    let add = |state: &mut State, staging: &FileId, number, content, offset| {
        let slice = slice_of(content, offset, SLICE_SIZE);
        add_slice(state, account, id(1), staging, number, &slice, None, NOW).unwrap();
        slice
    };
    let advance = |from: &[u8], content| Advance {
        from: hashes(from),
        to: hashes(&[from, &[content]].concat()),
    };
    let first = add(&mut state, &staging, 1, 1, 0);
    let second = add(&mut state, &staging, 2, 2, 16);
    add_hashes(&mut state, id(1), 1, &[first], advance(&[], 1)).unwrap();
    // Somebody reads the second slice. Meanwhile the first one is replaced and hashed once more.
    let other = add(&mut state, &staging, 1, 9, 32);
    add_hashes(&mut state, id(1), 1, &[other], advance(&[], 9)).unwrap();
    let late = add_hashes(&mut state, id(1), 2, &[second], advance(&[1], 2));
    assert!(matches!(late, Err(CoreError::UploadChanged)));
    // Somebody reads the first slice. Meanwhile storage loses all, and other bytes come to its place.
    lose_staging(&mut state, account, id(1), &staging, NOW).unwrap();
    let record = get(&state, account, id(1), NOW).unwrap();
    assert_eq!(
        (record.received, record.hashed, record.staging),
        (0, 0, None)
    );
    uploads::announce(&mut state, &blob(2), 7, NOW).unwrap();
    let staging = set_staging(&mut state, account, id(1), &blob(2), NOW).unwrap();
    add(&mut state, &staging, 1, 3, 0);
    let late = add_hashes(&mut state, id(1), 1, &[first], advance(&[], 1));
    assert!(matches!(late, Err(CoreError::UploadChanged)));
    assert_eq!(get(&state, account, id(1), NOW).unwrap().hashed, 0);
}

#[test]
fn a_run_counts_as_a_whole_or_not_at_all() {
    let (mut state, account, staging) = staged(5 * SLICE_SIZE);
    let add = |state: &mut State, number, content, offset| {
        let slice = slice_of(content, offset, SLICE_SIZE);
        add_slice(state, account, id(1), &staging, number, &slice, None, NOW).unwrap();
        slice
    };
    let numbers = [3, 1, 2, 5];
    let mut slices = numbers.map(|number| {
        let content = u8::try_from(number).unwrap();
        add(&mut state, number, content, number * SLICE_SIZE)
    });
    slices.sort_by_key(|slice| slice.offset);
    let [first, second, third, fifth] = slices;
    // The fourth one is missing.
    let run = slices_behind(&state, id(1), 0, 9).unwrap();
    assert_eq!(run, [first, second, third]);
    assert_eq!(slices_behind(&state, id(1), 1, 1).unwrap(), [second]);
    assert_eq!(slices_behind(&state, id(1), 3, 9).unwrap(), []);
    assert_eq!(slices_behind(&state, id(1), 4, 9).unwrap(), [fifth]);
    let advance = |content: &[u8]| Advance {
        from: hashes(&[]),
        to: hashes(content),
    };
    let with_gap = [first, second, third, fifth];
    let refused = add_hashes(&mut state, id(1), 1, &with_gap, advance(&[1, 2, 3, 5]));
    assert!(matches!(refused, Err(CoreError::UploadChanged)));
    // While they are read the one in the middle is replaced, which nothing but itself tells.
    let other = add(&mut state, 2, 9, 6 * SLICE_SIZE);
    let late = add_hashes(&mut state, id(1), 1, &run, advance(&[1, 2, 3]));
    assert!(matches!(late, Err(CoreError::UploadChanged)));
    let record = get(&state, account, id(1), NOW).unwrap();
    assert_eq!((record.hashed, record.hashes), (0, hashes(&[])));
    let run = [first, other, third];
    add_hashes(&mut state, id(1), 1, &run, advance(&[1, 9, 3])).unwrap();
    let record = get(&state, account, id(1), NOW).unwrap();
    assert_eq!((record.hashed, record.hashes), (3, hashes(&[1, 9, 3])));
}

#[test]
fn of_two_staging_blobs_one_is_kept_and_one_that_was_given_up_never() {
    let (mut state, account, staging) = staged(SLICE_SIZE);
    uploads::announce(&mut state, &blob(2), 7, NOW).unwrap();
    let kept = set_staging(&mut state, account, id(1), &blob(2), NOW).unwrap();
    assert_eq!(kept, staging);
    let orphans = uploads::orphans(&state, None, 9).unwrap();
    assert_eq!(orphans.len(), 1);
    assert_eq!(
        (orphans[0].0, orphans[0].1.state),
        (blob(2), OrphanState::Garbage)
    );
    // It may be gone at any moment, so nobody can have it any more.
    open(&mut state, id(2), &new(account, "b", 1), NOW).unwrap();
    for blob in [blob(2), blob(3)] {
        let refused = attempt(&mut state, |tx| set_staging(tx, account, id(2), &blob, NOW));
        assert!(contradicts(&refused), "{refused:?}");
        let refused = attempt(&mut state, |tx| {
            complete(tx, account, id(2), &digests(1, 1), Some(&blob), moment())
        });
        assert!(contradicts(&refused), "{refused:?}");
    }
}

#[test]
fn an_upload_that_is_being_committed_takes_no_bytes_and_may_be_completed_later() {
    let (mut state, account, staging) = staged(SLICE_SIZE);
    let slice = slice_of(1, 0, SLICE_SIZE);
    add_slice(&mut state, account, id(1), &staging, 1, &slice, None, NOW).unwrap();
    commit_to(&mut state, account, id(1), &blob(2), NOW).unwrap();
    let late = add_slice(&mut state, account, id(1), &staging, 1, &slice, None, NOW);
    assert!(matches!(late, Err(CoreError::UploadClosed)));
    // Its name is taken by now: the session is as it was, and so are its blobs.
    let root = FolderNumber::ROOT;
    let taken = tree::make_folder(&mut state, account, root, "a".parse().unwrap(), moment());
    let before = state.clone();
    let refused = attempt(&mut state, |tx| {
        complete(
            tx,
            account,
            id(1),
            &digests(1, 16),
            Some(&blob(2)),
            moment(),
        )
    });
    assert!(matches!(refused, Err(CoreError::NameInUse(_))));
    assert_eq!(state, before);
    trash::put(&mut state, account, taken.unwrap().0, moment()).unwrap();
    let file = complete(
        &mut state,
        account,
        id(1),
        &digests(1, 16),
        Some(&blob(2)),
        moment(),
    )
    .unwrap();
    assert_eq!(files::get(&state, account, file).unwrap().blob, blob(2));
    let again = complete(
        &mut state,
        account,
        id(1),
        &digests(1, 16),
        Some(&blob(2)),
        moment(),
    );
    assert!(matches!(again, Err(CoreError::UploadDone(done)) if done == file));
    let orphans = uploads::orphans(&state, None, 9).unwrap();
    assert_eq!(orphans.len(), 1);
    assert_eq!(orphans[0].0, staging);
}

#[test]
fn room_is_reserved_from_the_beginning_and_given_back_at_the_end() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    accounts::set_quota(&mut state, account, Some(100)).unwrap();
    open(&mut state, id(1), &new(account, "a", 60), NOW).unwrap();
    let refused = attempt(&mut state, |tx| {
        open(tx, id(2), &new(account, "b", 41), NOW)
    });
    assert!(matches!(refused, Err(CoreError::OverQuota { .. })));
    open(&mut state, id(2), &new(account, "b", 40), NOW).unwrap();
    open(&mut state, id(3), &new(account, "c", 0), NOW).unwrap();
    assert_eq!(
        accounts::holdings(&state, account).unwrap().upload_bytes,
        100
    );
    // What it reserved itself does not stand in its way.
    uploads::announce(&mut state, &blob(1), 7, NOW).unwrap();
    let digests = digests(1, 60);
    complete(
        &mut state,
        account,
        id(1),
        &digests,
        Some(&blob(1)),
        moment(),
    )
    .unwrap();
    let holdings = accounts::holdings(&state, account).unwrap();
    assert_eq!((holdings.bytes, holdings.upload_bytes), (60, 40));
    give_up(&mut state, account, id(2), NOW).unwrap();
    assert_eq!(accounts::holdings(&state, account).unwrap().upload_bytes, 0);
    // An upload that replaces a file counts what that frees.
    let mut replacing = new(account, "a", 101);
    replacing.place.conflict = Conflict::Replace;
    let refused = attempt(&mut state, |tx| open(tx, id(4), &replacing, NOW));
    assert!(matches!(refused, Err(CoreError::OverQuota { .. })));
    replacing.size = 100;
    open(&mut state, id(4), &replacing, NOW).unwrap();
}

#[test]
fn a_session_that_is_renewed_is_looked_at_again() {
    let (mut state, account, staging) = staged(2 * SLICE_SIZE);
    assert!(due(&state, NOW + LIFE - 1, 9).unwrap().is_empty());
    let slice = slice_of(1, 0, SLICE_SIZE);
    add_slice(
        &mut state,
        account,
        id(1),
        &staging,
        1,
        &slice,
        None,
        NOW + 50,
    )
    .unwrap();
    let looks = due(&state, NOW + LIFE, 9).unwrap();
    assert_eq!(looks, [(NOW + LIFE, id(1))]);
    expire(&mut state, NOW + LIFE, id(1), NOW + LIFE).unwrap();
    assert!(get(&state, account, id(1), NOW + LIFE).is_ok());
    let looks = due(&state, NOW + LIFE + 50, 9).unwrap();
    assert_eq!(looks, [(NOW + LIFE + 50, id(1))]);
    // Over is over, whether somebody looked or not.
    let over = get(&state, account, id(1), NOW + LIFE + 50);
    assert!(matches!(over, Err(CoreError::NoUpload)));
    expire(&mut state, NOW + LIFE + 50, id(1), NOW + LIFE + 50).unwrap();
    assert_eq!(find(&state, id(1)).unwrap(), None);
    let orphans = uploads::orphans(&state, None, 9).unwrap();
    assert_eq!((orphans.len(), orphans[0].0), (1, staging));
}

#[test]
fn an_upload_in_order_is_found_by_its_name_and_has_a_number_beforehand() {
    let mut state = State::default();
    let account = user(&mut state, "king");
    let in_order = NewUpload {
        kind: UploadKind::InOrder,
        ..new(account, "a", 60)
    };
    let record = open(&mut state, id(1), &in_order, NOW).unwrap();
    let name = in_order.place.name.clone();
    let (found, _) = by_name(&state, account, &name, NOW).unwrap().unwrap();
    assert_eq!(found, id(1));
    assert_eq!(by_name(&state, account, &name, NOW + LIFE).unwrap(), None);
    uploads::announce(&mut state, &blob(1), 7, NOW).unwrap();
    let digests = digests(1, 60);
    let file = complete(
        &mut state,
        account,
        id(1),
        &digests,
        Some(&blob(1)),
        moment(),
    );
    assert_eq!(Some(file.unwrap()), record.file);
    assert_eq!(by_name(&state, account, &name, NOW).unwrap(), None);
    let slices = open(&mut state, id(2), &new(account, "b", 60), NOW).unwrap();
    assert_eq!(slices.file, None);
    assert_eq!(by_name(&state, account, &slices.name, NOW).unwrap(), None);
}

#[test]
fn of_too_many_keys_one_is_void_and_all_end_with_the_session() {
    let (mut state, account, _) = staged(1);
    let key = |number: u8| UploadKeyHash([number; 32]);
    for number in 0..=64 {
        add_key(&mut state, id(1), key(number)).unwrap();
    }
    let valid = |state: &State| {
        (0..=64)
            .filter(|number| by_key(state, &key(*number), NOW).is_ok())
            .count()
    };
    assert_eq!(valid(&state), 64);
    assert!(
        by_key(&state, &key(64), NOW).is_ok(),
        "the newest one is good"
    );
    assert!(matches!(
        by_key(&state, &key(64), NOW + LIFE),
        Err(CoreError::NoUpload)
    ));
    give_up(&mut state, account, id(1), NOW).unwrap();
    assert_eq!(valid(&state), 0);
}

#[test]
fn slices_blocks_and_what_is_sent_again_have_limits() {
    let (mut state, account, staging) = staged(100_000);
    let refused = attempt(&mut state, |tx| {
        let new = new(account, "b", SLICE_SIZE * SLICES_MAX + 1);
        open(tx, id(2), &new, NOW)
    });
    assert!(matches!(refused, Err(CoreError::TooManySlices(SLICES_MAX))));
    let most = new(account, "c", SLICE_SIZE * SLICES_MAX);
    open(&mut state, id(3), &most, NOW).unwrap();
    let add = |state: &mut State, offset| {
        let block = NewBlock {
            offset,
            record: slice_of(1, offset, 1),
            cut: None,
        };
        add_block(state, account, id(1), &staging, &block, NOW)
    };
    for offset in 0..BLOCKS_MAX {
        add(&mut state, offset).unwrap();
    }
    let before = state.clone();
    let refused = attempt(&mut state, |tx| {
        let block = NewBlock {
            offset: BLOCKS_MAX,
            record: slice_of(1, BLOCKS_MAX, 1),
            cut: None,
        };
        add_block(tx, account, id(1), &staging, &block, NOW)
    });
    assert!(matches!(refused, Err(CoreError::TooManySlices(BLOCKS_MAX))));
    assert_eq!(state, before);
    // Blocks that others took the place of do not count, once they are out of the way.
    assert!(matches!(add(&mut state, 1), Err(CoreError::UploadChanged)));
    while !take_back(&mut state, account, id(1), &staging, 1, NOW).unwrap() {}
    let record = add(&mut state, 1).unwrap();
    assert_eq!((record.blocks, record.received), (2, 2));
    // Bytes do: as many as there are, and some, may be sent again.
    let most = 2 * record.size + RESENT_MAX - record.staged;
    assert!(record.check_staged(most).is_ok());
    let refused = record.check_staged(most + 1);
    assert!(matches!(refused, Err(CoreError::SentTooOften)));
}

#[test]
fn many_blocks_are_forgotten_to_the_last_one_in_steps() {
    const COUNT: usize = 4 * leftovers::AT_ONCE + 1;
    let (mut state, account, staging) = staged(5_000);
    let add = |state: &mut State, staging: &FileId, offset| {
        let block = NewBlock {
            offset,
            record: slice_of(1, offset, 1),
            cut: None,
        };
        add_block(state, account, id(1), staging, &block, NOW).map(drop)
    };
    for offset in 0..COUNT as u64 {
        add(&mut state, &staging, offset).unwrap();
    }
    let kept = |state: &State| keys::scan::<Slices>(state, &(), 99).unwrap().len();
    restart(&mut state, account, id(1), NOW).unwrap();
    assert_eq!(kept(&state), COUNT - leftovers::AT_ONCE);
    // Nobody sees what is left.
    assert!(slices(&state, id(1)).unwrap().is_empty());
    assert_eq!(slice(&state, id(1), COUNT as u64 - 1).unwrap(), None);
    assert_eq!(
        slices_behind(&state, id(1), COUNT as u64 - 2, 9).unwrap(),
        []
    );
    assert_eq!(block_at(&state, id(1), COUNT as u64 - 1).unwrap(), None);
    assert_eq!(get(&state, account, id(1), NOW).unwrap().received, 0);
    // The upload goes on when nothing is left, and not before.
    uploads::announce(&mut state, &blob(2), 7, NOW).unwrap();
    let early = attempt(&mut state, |tx| {
        set_staging(tx, account, id(1), &blob(2), NOW)
    });
    assert!(matches!(early, Err(CoreError::UploadChanged)));
    assert_eq!(left(&state, 9).unwrap(), [id(1)]);
    let mut steps = 1;
    while !forget_left(&mut state, id(1)).unwrap() {
        steps += 1;
    }
    assert_eq!(steps, COUNT.div_ceil(leftovers::AT_ONCE) - 1);
    assert_eq!((kept(&state), left(&state, 9).unwrap()), (0, vec![]));
    set_staging(&mut state, account, id(1), &blob(2), NOW).unwrap();
    add(&mut state, &blob(2), 0).unwrap();
    assert_eq!(slices(&state, id(1)).unwrap().len(), 1);
    // One that is given up leaves what it must to whoever forgets it.
    for offset in 1..COUNT as u64 {
        add(&mut state, &blob(2), offset).unwrap();
    }
    give_up(&mut state, account, id(1), NOW).unwrap();
    assert_eq!(left(&state, 9).unwrap(), [id(1)]);
    while !forget_left(&mut state, id(1)).unwrap() {}
    assert_eq!(kept(&state), 0);
}

#[test]
fn after_too_many_attempts_the_oldest_name_of_a_blob_is_given_up() {
    let (mut state, account, staging) = staged(SLICE_SIZE);
    for number in 10..=10 + UploadState::BLOBS_MAX as u64 {
        commit_to(&mut state, account, id(1), &blob(number), NOW).unwrap();
    }
    let orphans = uploads::orphans(&state, None, 99).unwrap();
    assert_eq!((orphans.len(), orphans[0].0), (1, blob(10)));
    let refused = attempt(&mut state, |tx| {
        complete(
            tx,
            account,
            id(1),
            &digests(1, 16),
            Some(&blob(10)),
            moment(),
        )
    });
    assert!(contradicts(&refused), "{refused:?}");
    complete(
        &mut state,
        account,
        id(1),
        &digests(1, 16),
        Some(&blob(12)),
        moment(),
    )
    .unwrap();
    let orphans = uploads::orphans(&state, None, 99).unwrap();
    let orphans: BTreeSet<_> = orphans.into_iter().map(|(blob, _)| blob).collect();
    assert!(orphans.contains(&staging) && !orphans.contains(&blob(12)));
    assert_eq!(orphans.len(), UploadState::BLOBS_MAX + 1);
}
