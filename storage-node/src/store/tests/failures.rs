//! What one failure, in the wrong place, must not do. Each test is a history that once went wrong, or
//! would if a rule named in it were left out.

use super::*;
use crate::error::OpenError;
use crate::format::RecordKind;
use crate::index::Index as _;

/// A store on a disk and an index that tests can hurt.
struct Bench {
    disk: MemoryDisk,
    index: MemoryIndex,
    durability: Durability,
    engine: TestEngine,
}

impl Bench {
    fn new(durability: Durability) -> Self {
        let (disk, index) = (MemoryDisk::new(DISK_LEN), MemoryIndex::default());
        let (engine, _) = open(&disk, &index, durability);
        Self {
            disk,
            index,
            durability,
            engine,
        }
    }

    fn submit(&mut self, change: Change) -> Result<Answer, StoreError> {
        submit(&mut self.engine, change)
    }

    /// Ends the active volume, so that what follows lies in another.
    fn seal(&mut self) {
        self.submit(Change::Seal).unwrap();
    }

    fn compact(&mut self, number: u32) -> CompactionReport {
        compact(&mut self.engine, VolumeNumber(number))
    }

    fn reopen(&mut self) -> Recovery {
        let (engine, recovery) = open(&self.disk, &self.index, self.durability);
        self.engine = engine;
        recovery
    }

    /// Opens the store again without its index.
    fn rebuild(&mut self) -> Recovery {
        self.index.wipe();
        self.reopen()
    }

    fn read(&self, number: u64) -> Option<Vec<u8>> {
        read(&self.engine, number).expect("readable")
    }

    fn extent(&self, number: u64) -> crate::format::Extent {
        let name = key(number);
        let found = self.engine.shared().locate(IndexKey::Blob(&name)).unwrap();
        found.expect("it is in the index").extent
    }

    fn has_volume(&self, number: u32) -> bool {
        self.engine.shared().volume(VolumeNumber(number)).is_some()
    }

    fn part(&mut self, bytes: &[u8]) -> Segment {
        let payload = Bytes::copy_from_slice(bytes);
        let crc = Crc32::of(bytes);
        let part = Change::Part {
            time: 1,
            payload,
            crc,
        };
        let Answer::Part(part) = self.submit(part).unwrap() else {
            panic!("a part has a name")
        };
        let len = u32::try_from(bytes.len()).unwrap();
        Segment {
            part,
            start: 0,
            len,
        }
    }

    /// Fills the active volume until `room` bytes are left.
    fn fill_to(&mut self, number: u64, room: u64) {
        let shared = self.engine.shared();
        let overhead = crate::format::record_len(key(number).len(), 0);
        // A multiple of eight, as the overhead with its padding is: what is left is what was asked for.
        let len = shared.active_room() - room - overhead;
        let payload = vec![7; usize::try_from(len).unwrap()];
        self.submit(blob(number, &payload)).unwrap();
        assert_eq!(self.engine.shared().active_room(), room);
    }
}

fn append(number: u64, bytes: &[u8]) -> Change {
    edit(number, Edit::Append(inline(bytes)))
}

#[test]
fn a_short_record_does_not_vouch_for_a_long_one_beside_it() {
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, b"short")).unwrap();
    bench.submit(blob(2, &[7; 5000])).unwrap();
    let hurt = bench.extent(2);
    assert!(hurt.offset / 4096 == bench.extent(1).offset / 4096);
    let corrupt = |bytes: &mut [u8]| bytes[0] ^= 1;
    bench.disk.corrupt(hurt.volume, hurt.offset + 3000, corrupt);
    let (short, long) = (key(1), key(2));
    let shared = bench.engine.shared();
    assert!(shared.try_read(IndexKey::Blob(&short)).is_ok());
    let read = shared.try_read(IndexKey::Blob(&long));
    assert!(matches!(read, Err(StoreError::Read(_))), "STO-4");
}

#[test]
fn a_blob_whose_part_was_repaired_behind_it_survives_a_crash_and_a_rebuild() {
    let mut bench = Bench::new(Durability::Always);
    let content = [5; 300];
    create_appender(&mut bench.engine, 1, &content).unwrap();
    let name = key(1);
    let shared = bench.engine.shared();
    let (_, record) = shared.read(IndexKey::Blob(&name)).unwrap().unwrap();
    let part = Manifest::decode(&record.payload).unwrap().segments()[0].part;
    let from = shared.locate_part(part).unwrap().unwrap();
    let (_, sound) = shared.read(IndexKey::Part(part)).unwrap().unwrap();
    let corrupt = |bytes: &mut [u8]| bytes[0] ^= 1;
    bench.disk.corrupt(
        from.volume,
        from.offset + sound.header.payload_start(),
        corrupt,
    );
    let state = bench.engine.shared().look_at_part(part).unwrap();
    let PartState::Rotten { header, extent } = state else {
        panic!("{state:?}");
    };
    assert_eq!(extent, from);
    bench
        .submit(Change::Move(MovedRecord {
            header,
            key: Vec::new(),
            payload: Bytes::copy_from_slice(&content),
            from,
        }))
        .unwrap();
    assert_eq!(bench.read(1).unwrap(), content);
    // What the index had in memory only.
    bench.index.crash(|| 0);
    bench.reopen();
    assert_eq!(bench.read(1).unwrap(), content);
    bench.rebuild();
    assert_eq!(bench.read(1).unwrap(), content);
}

#[test]
fn no_manifest_is_stored_when_its_part_could_not_be_synced() {
    let mut bench = Bench::new(Durability::Always);
    create_appender(&mut bench.engine, 1, b"hello").unwrap();
    // The part fits into the volume and its manifest does not, so the volume is sealed in between.
    let part = [8; 1000];
    bench.fill_to(2, crate::format::record_len(0, 1000));
    bench.disk.fail_next_sync();
    let appended = bench.submit(append(1, &part));
    assert!(appended.is_err(), "the part is in a volume that failed");
    assert_eq!(bench.read(1).unwrap(), b"hello");
    bench.disk.crash(CrashStyle::Power, || 0);
    bench.index.crash(|| 0);
    bench.reopen();
    assert_eq!(bench.read(1).unwrap(), b"hello");
}

#[test]
fn no_manifest_is_stored_when_its_part_could_not_be_written() {
    let mut bench = Bench::new(Durability::Always);
    create_appender(&mut bench.engine, 1, b"hello").unwrap();
    bench.fill_to(2, crate::format::record_len(0, 1000));
    bench.disk.fail_next_write();
    assert!(bench.submit(append(1, &[8; 1000])).is_err());
    assert_eq!(bench.read(1).unwrap(), b"hello");
}

#[test]
fn a_blob_keeps_parts_that_are_abandoned_after_it_took_them() {
    let mut bench = Bench::new(Durability::Always);
    create_appender(&mut bench.engine, 1, b"hello ").unwrap();
    let segment = bench.part(b"world");
    let content = Content::Parts {
        segments: vec![segment],
        crc: Crc32::of(b"world"),
    };
    // A connection ends while its change waits for the committer: both arrive in one round.
    let changes = vec![
        edit(1, Edit::Append(content)),
        Change::Abandon(vec![segment.part]),
    ];
    for answer in submit_all(&mut bench.engine, changes) {
        answer.unwrap();
    }
    assert_eq!(bench.read(1).unwrap(), b"hello world");
    check_accounts(&bench.engine);
}

#[test]
fn a_store_does_not_open_when_the_index_takes_no_changes() {
    let mut bench = Bench::new(Durability::Always);
    bench.engine.make_durable().unwrap();
    bench.submit(blob(1, b"acknowledged")).unwrap();
    bench.index.crash(|| 0);
    bench.index.fail(true);
    let metrics = StoreMetrics::unread();
    let shared = Shared::new(
        VolumePath(0),
        bench.disk.clone(),
        bench.index.clone(),
        metrics,
    );
    let opened = Engine::open(Arc::new(shared), settings(Durability::Always));
    assert!(matches!(opened, Err(OpenError::Store(_))), "{opened:?}");
    bench.index.fail(false);
    bench.reopen();
    assert_eq!(bench.read(1).unwrap(), b"acknowledged");
}

#[test]
fn a_volume_stays_until_what_moved_out_of_it_was_synced() {
    for sealed in [false, true] {
        let mut bench = Bench::new(Durability::Os);
        bench.submit(blob(1, b"durable")).unwrap();
        bench.engine.make_durable().unwrap();
        bench.seal();
        let volume = bench.engine.shared().volume(VolumeNumber(1)).unwrap();
        let moves = compact::plan_volume(bench.engine.shared(), &volume).unwrap();
        for moved in submit_all(&mut bench.engine, moves.unwrap()) {
            moved.unwrap();
        }
        if sealed {
            bench.seal();
        }
        bench.disk.fail_next_sync();
        let remove = || Change::RemoveVolume(VolumeNumber(1));
        assert!(bench.submit(remove()).is_err());
        // The second sync of the same bytes would say yes and mean nothing.
        assert!(bench.submit(remove()).is_err(), "sealed: {sealed}");
        bench.disk.crash(CrashStyle::Power, || 0);
        bench.index.crash(|| 0);
        bench.reopen();
        assert_eq!(bench.read(1).unwrap(), b"durable");
    }
}

#[test]
fn a_sync_that_failed_in_the_background_is_not_made_good_by_a_later_one() {
    for sealed in [false, true] {
        let mut bench = Bench::new(Durability::Interval);
        bench.submit(blob(1, b"not durable")).unwrap();
        if sealed {
            bench.seal();
        }
        bench.submit(Change::SyncFailed(VolumeNumber(1))).unwrap();
        assert!(bench.engine.make_durable().is_err(), "sealed: {sealed}");
        bench.submit(blob(2, b"elsewhere")).unwrap();
        assert_eq!(bench.extent(2).volume, VolumeNumber(2));
        let volume = bench.engine.shared().volume(VolumeNumber(1)).unwrap();
        assert_eq!(volume.state(), VolumeState::Poisoned, "VOL-5");
    }
}

#[test]
fn a_delete_that_failed_is_not_carried_out_by_compaction() {
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, b"kept")).unwrap();
    bench.seal();
    bench.submit(blob(2, b"before")).unwrap();
    bench.disk.fail_next_sync();
    assert!(bench.submit(delete(1)).is_err());
    bench.submit(blob(3, b"after")).unwrap();
    assert_eq!(bench.read(1).unwrap(), b"kept");
    bench.compact(2);
    assert_eq!(bench.read(1).unwrap(), b"kept");
}

#[test]
fn a_delete_that_failed_is_not_carried_out_by_recovery_once_others_were_acknowledged() {
    for wiped in [false, true] {
        let mut bench = Bench::new(Durability::Always);
        create_appender(&mut bench.engine, 1, b"hello ").unwrap();
        bench.engine.make_durable().unwrap();
        bench.disk.fail_next_sync();
        assert!(bench.submit(delete(1)).is_err());
        bench.submit(append(1, b"world")).unwrap();
        bench.disk.crash(CrashStyle::Process, || 0);
        if wiped {
            bench.index.wipe();
        } else {
            bench.index.crash(|| 0);
        }
        bench.reopen();
        assert_eq!(bench.read(1).unwrap(), b"hello world", "wiped: {wiped}");
    }
}

#[test]
fn a_change_that_the_index_refused_does_not_return_under_later_ones() {
    let mut bench = Bench::new(Durability::Always);
    create_appender(&mut bench.engine, 1, b"hello ").unwrap();
    bench.engine.make_durable().unwrap();
    bench.index.fail(true);
    assert!(bench.submit(delete(1)).is_err());
    bench.index.fail(false);
    // Nothing is acknowledged until a restart decided what became of the delete.
    assert!(bench.submit(append(1, b"world")).is_err());
    bench.rebuild();
    let found = bench.read(1);
    assert!(found.is_none() || found.as_deref() == Some(b"hello "));
}

#[test]
fn a_volume_whose_last_record_is_damaged_is_kept() {
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, b"sound")).unwrap();
    bench.submit(blob(2, b"header rotten")).unwrap();
    bench.seal();
    let hurt = bench.extent(2);
    let corrupt = |bytes: &mut [u8]| bytes[5] ^= 1;
    bench.disk.corrupt(hurt.volume, hurt.offset, corrupt);
    let volume = bench.engine.shared().volume(hurt.volume).unwrap();
    let report = scrub_volume(bench.engine.shared(), volume).unwrap();
    assert_eq!(report.damage.len(), 1, "{report:?}");
    assert_eq!(report.damage[0].range.start, hurt.offset);
    assert_eq!(bench.compact(1).freed, 0);
    assert!(bench.has_volume(1));
}

#[test]
fn a_renamed_appender_does_not_get_its_old_name_back() {
    let mut bench = Bench::new(Durability::Always);
    create_appender(&mut bench.engine, 1, b"hello").unwrap();
    bench.submit(metadata(1, b"m".to_vec())).unwrap();
    bench.seal();
    let expected = bench.extent(1);
    let rename = Edit::Rename {
        key: key(2),
        expected: Some(expected),
        crc: Crc32::of(b"hello"),
    };
    bench.submit(edit(1, rename)).unwrap();
    // The record of the rename moves; the one that it ended stays where it was.
    assert!(0 < bench.compact(2).freed);
    bench.engine.make_durable().unwrap();
    bench.rebuild();
    assert_eq!(bench.read(1), None, "STO-3");
    assert_eq!(read_metadata(&bench.engine, 1), b"");
    assert_eq!(bench.read(2).unwrap(), b"hello");
}

#[test]
fn an_old_name_stays_gone_when_the_new_one_was_deleted_and_compacted() {
    let mut bench = Bench::new(Durability::Always);
    create_appender(&mut bench.engine, 1, b"hello").unwrap();
    bench.seal();
    let expected = bench.extent(1);
    let rename = Edit::Rename {
        key: key(2),
        expected: Some(expected),
        crc: Crc32::of(b"hello"),
    };
    bench.submit(edit(1, rename)).unwrap();
    bench.seal();
    bench.submit(delete(2)).unwrap();
    bench.seal();
    assert!(0 < bench.compact(2).freed, "the record of the rename");
    bench.engine.make_durable().unwrap();
    bench.rebuild();
    assert_eq!(bench.read(1), None, "STO-3");
    assert_eq!(bench.read(2), None);
}

#[test]
fn a_tombstone_stays_while_an_older_version_of_its_blob_does() {
    let mut bench = Bench::new(Durability::Always);
    create_appender(&mut bench.engine, 1, b"first version").unwrap();
    bench.seal();
    bench.submit(edit(1, Edit::Truncate { len: 0 })).unwrap();
    bench.seal();
    bench.submit(delete(1)).unwrap();
    bench.seal();
    assert!(0 < bench.compact(2).freed, "the second version");
    bench.compact(3);
    bench.engine.make_durable().unwrap();
    bench.rebuild();
    assert_eq!(bench.read(1), None, "STO-3");
}

#[test]
fn a_tombstone_stays_while_the_volume_that_its_blob_moved_out_of_does() {
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, b"moved")).unwrap();
    bench.part(b"an upload that is under way pins the volume");
    assert_eq!(bench.compact(1).freed, 0);
    assert_eq!(bench.extent(1).volume, VolumeNumber(2));
    bench.seal();
    bench.submit(delete(1)).unwrap();
    bench.seal();
    bench.compact(2);
    bench.compact(3);
    bench.engine.make_durable().unwrap();
    bench.rebuild();
    assert_eq!(bench.read(1), None, "STO-3");
}

#[test]
fn a_rotten_record_does_not_keep_a_store_from_being_rebuilt() {
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, b"deleted")).unwrap();
    let hurt = bench.extent(1);
    bench.submit(blob(2, b"kept")).unwrap();
    bench.seal();
    bench.submit(delete(1)).unwrap();
    bench.compact(2);
    let corrupt = |bytes: &mut [u8]| bytes[hurt.payload_len as usize + 60] ^= 1;
    bench.disk.corrupt(hurt.volume, hurt.offset, corrupt);
    bench.engine.make_durable().unwrap();
    bench.rebuild();
    assert_eq!(bench.read(1), None);
    assert_eq!(bench.read(2).unwrap(), b"kept");
}

#[test]
fn what_a_power_cut_took_from_under_the_index_is_reported_and_its_place_is_used_again() {
    let mut bench = Bench::new(Durability::Os);
    bench.submit(blob(1, b"durable")).unwrap();
    bench.engine.make_durable().unwrap();
    bench.submit(blob(2, b"only in memory")).unwrap();
    // The index reached its disk by itself, the volume did not.
    bench.index.flush().unwrap();
    bench.disk.crash(CrashStyle::Power, || 0);
    let recovery = bench.reopen();
    assert_eq!(recovery.lost.len(), 1);
    assert_eq!(bench.read(1).unwrap(), b"durable");
    assert_eq!(bench.read(2), None);
    // Acknowledged with this durability means that it survives the end of the process.
    bench.submit(blob(3, b"new")).unwrap();
    bench.disk.crash(CrashStyle::Process, || 0);
    bench.index.crash(|| 0);
    bench.reopen();
    assert_eq!(bench.read(3).unwrap(), b"new");
}

#[test]
fn an_appender_falls_back_to_what_was_durable() {
    let mut bench = Bench::new(Durability::Os);
    create_appender(&mut bench.engine, 1, b"hello").unwrap();
    bench.submit(metadata(1, b"old".to_vec())).unwrap();
    bench.engine.make_durable().unwrap();
    bench.submit(append(1, b" world")).unwrap();
    bench.submit(metadata(1, b"new".to_vec())).unwrap();
    bench.index.flush().unwrap();
    bench.disk.crash(CrashStyle::Power, || 0);
    let recovery = bench.reopen();
    assert_eq!(recovery.mode, RecoveryMode::Rebuilt, "IDX-1");
    assert_eq!(recovery.lost, []);
    assert_eq!(bench.read(1).unwrap(), b"hello");
    assert_eq!(read_metadata(&bench.engine, 1), b"old");
    check_accounts(&bench.engine);
}

#[test]
fn a_manifest_without_its_parts_does_not_replace_a_whole_one() {
    for then in [Durability::Os, Durability::Always] {
        // What a power cut in the middle of one group can leave: here the group is not synced, so
        // that the disk can lose its first pieces and keep its last.
        let mut bench = Bench::new(Durability::Os);
        create_appender(&mut bench.engine, 1, b"hello").unwrap();
        bench.engine.make_durable().unwrap();
        let content = inline(b"Jupiter");
        let change = Edit::Modify { offset: 0, content };
        bench.submit(edit(1, change)).unwrap();
        let mut fates = vec![2, 2, 2, 0, 0, 0];
        let power_cut = || fates.pop().unwrap();
        bench.disk.crash(CrashStyle::Power, power_cut);
        bench.index.crash(|| 0);
        bench.durability = then;
        bench.reopen();
        assert_eq!(bench.read(1).unwrap(), b"hello");
        bench.submit(append(1, b" world")).unwrap();
        assert_eq!(bench.read(1).unwrap(), b"hello world");
        bench.engine.make_durable().unwrap();
        bench.rebuild();
        assert_eq!(bench.read(1).unwrap(), b"hello world", "STO-2");
    }
}

#[test]
fn flushing_after_a_kill_makes_durable_what_the_killed_process_wrote() {
    let mut bench = Bench::new(Durability::Os);
    bench.submit(blob(1, b"written, not synced")).unwrap();
    bench.index.flush().unwrap();
    bench.disk.crash(CrashStyle::Process, || 0);
    bench.reopen();
    bench.engine.make_durable().unwrap();
    bench.disk.crash(CrashStyle::Power, || 0);
    bench.index.crash(|| 0);
    bench.reopen();
    assert_eq!(bench.read(1).unwrap(), b"written, not synced");
}

#[test]
fn volume_numbers_are_never_used_twice() {
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, b"x")).unwrap();
    bench.submit(delete(1)).unwrap();
    bench.seal();
    assert!(0 < bench.compact(1).freed);
    bench.engine.make_durable().unwrap();
    bench.reopen();
    bench.submit(blob(2, b"y")).unwrap();
    assert_eq!(bench.extent(2).volume, VolumeNumber(2));
}

#[test]
fn a_rotten_manifest_is_reported_by_a_rebuild_and_its_parts_stay_for_repair() {
    let mut bench = Bench::new(Durability::Always);
    create_appender(&mut bench.engine, 1, b"hello").unwrap();
    let hurt = bench.extent(1);
    bench.seal();
    bench.submit(blob(2, b"later")).unwrap();
    bench.engine.make_durable().unwrap();
    let name = key(1);
    let (_, record) = bench
        .engine
        .shared()
        .read(IndexKey::Blob(&name))
        .unwrap()
        .unwrap();
    let part = Manifest::decode(&record.payload).unwrap().segments()[0].part;
    let at = hurt.offset + record.header.payload_start();
    let corrupt = |bytes: &mut [u8]| bytes[9] ^= 1;
    bench.disk.corrupt(hurt.volume, at, corrupt);
    let recovery = bench.rebuild();
    assert_eq!(recovery.unverified.len(), 1);
    assert_eq!(recovery.unverified[0].1, hurt);
    assert!(bench.engine.shared().locate_part(part).unwrap().is_some());
    // Nor does the next start take them for an upload that was under way.
    bench.engine.make_durable().unwrap();
    bench.reopen();
    assert!(bench.engine.shared().locate_part(part).unwrap().is_some());
}

#[test]
fn a_volume_of_a_newer_version_is_refused_and_a_flipped_version_is_damage() {
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, b"x")).unwrap();
    bench.engine.make_durable().unwrap();
    bench.disk.corrupt(VolumeNumber(1), 0, |bytes| bytes[9] = 3);
    bench.reopen();
    assert_eq!(
        bench.read(1).unwrap(),
        b"x",
        "one flipped byte costs nothing"
    );
    bench.disk.corrupt(VolumeNumber(1), 0, |bytes| {
        let crc_at = crate::format::SUPERBLOCK_FIELDS_LEN;
        let crc = Crc32::of(&bytes[..crc_at]).0.to_be_bytes();
        bytes[crc_at..crc_at + 4].copy_from_slice(&crc);
    });
    let metrics = StoreMetrics::unread();
    let shared = Shared::new(
        VolumePath(0),
        bench.disk.clone(),
        bench.index.clone(),
        metrics,
    );
    let opened = Engine::open(Arc::new(shared), settings(Durability::Always));
    assert!(
        matches!(opened, Err(OpenError::Version { .. })),
        "{opened:?}"
    );
}

#[test]
fn what_a_volume_file_that_was_cut_short_held_is_named() {
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, &[1; 5000])).unwrap();
    bench.submit(blob(2, &[2; 5000])).unwrap();
    bench.seal();
    bench.submit(blob(3, &[3; 5000])).unwrap();
    bench.engine.make_durable().unwrap();
    let lost = bench.extent(2);
    bench.disk.cut(VolumeNumber(1), 12_288);
    let recovery = bench.reopen();
    assert_eq!(recovery.damage.len(), 1);
    let found: Vec<_> = recovery.lost.iter().map(|(_, extent)| *extent).collect();
    assert_eq!(found, [lost]);
    assert_eq!(bench.read(1).unwrap(), [1; 5000]);
    assert_eq!(bench.read(3).unwrap(), [3; 5000]);
}

#[test]
fn uploads_do_not_use_the_space_that_deletes_are_given() {
    let disk = MemoryDisk::new(6 * VOLUME_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    let mut stored = 0;
    // Each round, an upload finds the disk full and a delete is let through.
    for round in 0..20 {
        while submit(&mut engine, blob(stored, &[7; 9000])).is_ok() {
            stored += 1;
            assert!(stored < 200, "the disk must fill up");
        }
        submit(&mut engine, delete(round)).expect("a delete is let through");
    }
    let freed = (1..8).map(|number| compact(&mut engine, VolumeNumber(number)).freed);
    assert!(0 < freed.sum::<u64>(), "STO-5: compaction has room to work");
    for number in 20..stored {
        assert_eq!(read(&engine, number).unwrap().unwrap(), [7; 9000]);
    }
}

#[test]
fn a_header_with_the_last_sequence_number_is_no_record() {
    let header = crate::format::RecordHeader {
        kind: RecordKind::Blob,
        moved: false,
        sequence: u64::MAX,
        time: 0,
        version: Version::default(),
        key_len: 0,
        payload_len: 0,
        payload_crc: Crc32(0),
    };
    let mut bytes = bytes::BytesMut::new();
    header.encode(VolumeNumber(1), b"", &mut bytes);
    let mut bench = Bench::new(Durability::Always);
    bench.submit(blob(1, b"x")).unwrap();
    bench.engine.make_durable().unwrap();
    let volume = bench.engine.shared().volume(VolumeNumber(1)).unwrap();
    bench
        .disk
        .corrupt(VolumeNumber(1), volume.committed_end(), |tail| {
            tail[..bytes.len()].copy_from_slice(&bytes);
        });
    bench.reopen();
    bench.submit(blob(2, b"y")).unwrap();
    assert_eq!(bench.read(2).unwrap(), b"y");
}
