//! Extensions and arrangements, the failures that they must survive, and what they leave.

use super::*;
use crate::index::Index as _;

fn part(engine: &mut TestEngine, bytes: &[u8]) -> Segment {
    let payload = Bytes::copy_from_slice(bytes);
    let crc = Crc32::of(bytes);
    let part = Change::Part {
        time: 1,
        payload,
        crc,
    };
    let Answer::Part(part) = submit(engine, part).unwrap() else {
        panic!("a part has a name")
    };
    Segment {
        part,
        start: 0,
        len: u32::try_from(bytes.len()).unwrap(),
    }
}

/// Adds parts to the appender `number` and gives its first byte's offset.
fn extend(engine: &mut TestEngine, number: u64, parts: &[&[u8]]) -> Result<u64, StoreError> {
    let segments = parts.iter().map(|bytes| part(engine, bytes)).collect();
    let crc = Crc32::of(&parts.concat());
    let content = Content::Parts { segments, crc };
    match submit(engine, edit(number, Edit::Append(content)))? {
        Answer::Appended { offset } => Ok(offset),
        answer @ (Answer::Done | Answer::Known | Answer::Part(_)) => {
            panic!("{answer:?} tells no place")
        }
    }
}

fn arrange(number: u64, target: u64, ranges: Vec<std::ops::Range<u64>>, bytes: &[u8]) -> Change {
    let arrangement = Edit::Arrange {
        key: key(target),
        ranges,
        crc: Crc32::of(bytes),
    };
    edit(number, arrangement)
}

/// A staging blob `1` of "Hello", "wide " and "world", and what is read of `2` when it is arranged so
/// that the middle is left out.
fn staged(engine: &mut TestEngine) -> &'static [u8] {
    create_appender(engine, 1, b"").unwrap();
    assert_eq!(extend(engine, 1, &[b"wor", b"ld"]).unwrap(), 0);
    assert_eq!(extend(engine, 1, &[b"wide "]).unwrap(), 5);
    assert_eq!(extend(engine, 1, &[b"Hello "]).unwrap(), 10);
    b"Hello world"
}

const RANGES: [std::ops::Range<u64>; 2] = [10..16, 0..5];

#[test]
fn what_an_arrangement_leaves_out_is_garbage_and_its_source_is_gone() {
    let (disk, index) = (MemoryDisk::new(DISK_LEN), MemoryIndex::default());
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    let expected = staged(&mut engine);
    submit(&mut engine, metadata(1, b"m".to_vec())).unwrap();
    submit(&mut engine, arrange(1, 2, RANGES.to_vec(), expected)).unwrap();
    for rebuilt in [false, true] {
        if rebuilt {
            engine.make_durable().unwrap();
            index.wipe();
            engine = open(&disk, &index, Durability::Always).0;
        }
        assert_eq!(read(&engine, 1).unwrap(), None);
        assert_eq!(read_metadata(&engine, 1), b"");
        assert_eq!(read(&engine, 2).unwrap().unwrap(), expected);
        assert_eq!(engine.shared().status().live_records, 1 + 3);
        check_accounts(&engine);
    }
    let gone = extend(&mut engine, 1, &[b"late"]);
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
}

#[test]
fn an_arrangement_that_cannot_be_leaves_its_source_as_it_was() {
    let (disk, index) = (MemoryDisk::new(DISK_LEN), MemoryIndex::default());
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    let expected = staged(&mut engine);
    submit(&mut engine, blob(3, b"in the way")).unwrap();
    let beyond = submit(&mut engine, arrange(1, 2, vec![0..5, 5..17], b""));
    assert!(
        matches!(
            beyond,
            Err(StoreError::OutOfRange {
                offset: 17,
                len: 16
            })
        ),
        "{beyond:?}"
    );
    let taken = submit(&mut engine, arrange(1, 3, RANGES.to_vec(), expected));
    assert!(matches!(taken, Err(StoreError::Exists)), "{taken:?}");
    let other = submit(&mut engine, arrange(3, 2, vec![0..1, 1..2], b"in"));
    assert!(matches!(other, Err(StoreError::NotAppender)), "{other:?}");
    let missing = submit(&mut engine, arrange(4, 2, vec![], b""));
    assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
    disk.fail_next_write();
    submit(&mut engine, arrange(1, 2, RANGES.to_vec(), expected)).unwrap_err();
    assert_eq!(read(&engine, 1).unwrap().unwrap(), b"worldwide Hello ");
    assert_eq!(read(&engine, 2).unwrap(), None);
    submit(&mut engine, arrange(1, 2, RANGES.to_vec(), expected)).unwrap();
    assert_eq!(read(&engine, 2).unwrap().unwrap(), expected);
}

#[test]
fn an_arrangement_that_a_power_cut_tore_did_not_happen() {
    let (disk, index) = (MemoryDisk::new(DISK_LEN), MemoryIndex::default());
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    let expected = staged(&mut engine);
    disk.cut_power_at_next_sync();
    submit(&mut engine, arrange(1, 2, RANGES.to_vec(), expected)).unwrap_err();
    // The header survives, what is behind it does not.
    let mut fates = vec![0, 0, 2];
    disk.crash(CrashStyle::Power, || fates.pop().unwrap_or(0));
    index.crash(|| 0);
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    assert_eq!(read(&engine, 1).unwrap().unwrap(), b"worldwide Hello ");
    assert_eq!(read(&engine, 2).unwrap(), None);
    submit(&mut engine, arrange(1, 2, RANGES.to_vec(), expected)).unwrap();
    assert_eq!(read(&engine, 2).unwrap().unwrap(), expected);
}

#[test]
fn an_extension_that_a_power_cut_tore_did_not_happen_whatever_the_index_shows() {
    for is_wiped in [false, true] {
        let (disk, index) = (MemoryDisk::new(DISK_LEN), MemoryIndex::default());
        let (mut engine, _) = open(&disk, &index, Durability::Always);
        create_appender(&mut engine, 1, b"").unwrap();
        extend(&mut engine, 1, &[b"promised"]).unwrap();
        disk.cut_power_at_next_sync();
        extend(&mut engine, 1, &[b"lost", b"kept"]).unwrap_err();
        // The first part is gone; the second one and the manifest of both survive.
        let mut pieces = 0;
        disk.crash(CrashStyle::Power, || {
            pieces += 1;
            if pieces <= 3 { 0 } else { 2 }
        });
        if is_wiped {
            index.wipe();
        } else {
            index.crash(|| 0);
        }
        for _ in 0..2 {
            let (mut engine, recovery) = open(&disk, &index, Durability::Always);
            assert_eq!(recovery.lost, []);
            assert_eq!(read(&engine, 1).unwrap().unwrap(), b"promised");
            engine.make_durable().unwrap();
            // The next rebuild does not meet it again.
            index.wipe();
        }
    }
}

#[test]
fn a_moved_arrangement_and_a_deleted_one_keep_their_source_gone() {
    for is_deleted in [false, true] {
        let (disk, index) = (MemoryDisk::new(DISK_LEN), MemoryIndex::default());
        let (mut engine, _) = open(&disk, &index, Durability::Always);
        let expected = staged(&mut engine);
        submit(&mut engine, Change::Seal).unwrap();
        submit(&mut engine, arrange(1, 2, RANGES.to_vec(), expected)).unwrap();
        submit(&mut engine, Change::Seal).unwrap();
        if is_deleted {
            submit(&mut engine, delete(2)).unwrap();
            submit(&mut engine, Change::Seal).unwrap();
        }
        // The record of the arrangement goes; those of the staging blob stay where they were.
        assert!(0 < compact(&mut engine, VolumeNumber(2)).freed);
        engine.make_durable().unwrap();
        index.wipe();
        let (engine, recovery) = open(&disk, &index, Durability::Always);
        assert_eq!(recovery.lost, []);
        assert_eq!(read(&engine, 1).unwrap(), None, "STO-3");
        let found = read(&engine, 2).unwrap();
        assert_eq!(found.as_deref(), (!is_deleted).then_some(expected));
        let mut parts = 0;
        let count = &mut |_: &[u8], _: &[u8]| {
            parts += 1;
            std::ops::ControlFlow::Continue(())
        };
        let index = &engine.shared().index;
        index.scan(IndexKey::PART, &[], count).unwrap();
        assert_eq!(parts, if is_deleted { 0 } else { 3 });
    }
}

#[test]
fn an_arrangement_that_moved_behind_what_stands_for_it_keeps_its_parts() {
    let (disk, index) = (MemoryDisk::new(DISK_LEN), MemoryIndex::default());
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    let expected = staged(&mut engine);
    submit(&mut engine, Change::Seal).unwrap();
    submit(&mut engine, arrange(1, 2, RANGES.to_vec(), expected)).unwrap();
    // An upload that is under way pins the volume, so that it stays with a copy of what moved.
    let pin = part(&mut engine, b"pin").part;
    assert_eq!(compact(&mut engine, VolumeNumber(2)).freed, 0);
    submit(&mut engine, Change::Abandon(vec![pin])).unwrap();
    // The copy is not needed; a tombstone of the staging blob takes its place.
    submit(&mut engine, Change::Seal).unwrap();
    assert!(0 < compact(&mut engine, VolumeNumber(2)).freed);
    assert!(0 < compact(&mut engine, VolumeNumber(3)).freed);
    for _ in 0..2 {
        engine.make_durable().unwrap();
        index.wipe();
        let recovery;
        (engine, recovery) = open(&disk, &index, Durability::Always);
        assert_eq!(recovery.lost, []);
        assert_eq!(read(&engine, 1).unwrap(), None, "STO-3");
        assert_eq!(read(&engine, 2).unwrap().unwrap(), expected);
        check_accounts(&engine);
    }
}

#[test]
fn the_bytes_of_slices_that_were_sent_again_are_given_back_by_compaction() {
    let (disk, index) = (MemoryDisk::new(DISK_LEN), MemoryIndex::default());
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    create_appender(&mut engine, 1, b"").unwrap();
    let (first, second) = (vec![1; 9000], vec![2; 9000]);
    extend(&mut engine, 1, &[&first]).unwrap();
    for _ in 0..3 {
        extend(&mut engine, 1, &[&second]).unwrap();
    }
    let whole = [&second[..], &first].concat();
    submit(
        &mut engine,
        arrange(1, 2, vec![27_000..36_000, 0..9000], &whole),
    )
    .unwrap();
    let status = engine.shared().status();
    assert!(18_000 < status.garbage_bytes, "{status:?}");
    assert!(0 < compact(&mut engine, VolumeNumber(1)).freed);
    assert_eq!(read(&engine, 2).unwrap().unwrap(), whole);
    let garbage = engine.shared().status().garbage_bytes;
    assert!(garbage < 1000, "{garbage} bytes");
    check_accounts(&engine);
}
