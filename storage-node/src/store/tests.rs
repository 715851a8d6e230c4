//! The store over a disk that crashes, driven synchronously.

mod arrangements;
mod failures;
mod golden;
mod history;

use std::sync::Arc;

use bytes::Bytes;
use common::digest::Crc32;
use common::id::{Extension, NewBlob, NodeNumber, RemoteName, VolumePath};
use tokio::sync::oneshot;

use super::compact::CompactionReport;
use super::*;
use crate::disk::{CrashStyle, MemoryDisk};
use crate::error::StoreError;
use crate::format::{
    Extent, IndexKey, Manifest, PartId, RECORD_HEADER_LEN, SUPERBLOCK_LEN, Segment, Stamp, Version,
    VolumeNumber,
};
use crate::index::MemoryIndex;
use crate::metrics::StoreMetrics;
use crate::volume::VolumeState;

type TestEngine = Engine<MemoryDisk, MemoryIndex>;

const VOLUME_LEN: u64 = 64 * 1024;
const DISK_LEN: u64 = 64 * VOLUME_LEN;

fn settings(durability: Durability) -> EngineSettings {
    EngineSettings {
        volume_len: VOLUME_LEN,
        durability,
        reserve: Reserve::Bytes(0),
        store: [1; 16],
        log: 7,
    }
}

fn open(disk: &MemoryDisk, index: &MemoryIndex, durability: Durability) -> (TestEngine, Recovery) {
    let metrics = StoreMetrics::unread();
    let shared = Shared::new(VolumePath(0), disk.clone(), index.clone(), metrics);
    Engine::open(Arc::new(shared), settings(durability)).expect("the store opens")
}

/// An empty disk and index, and a durable store over them.
fn fresh() -> (MemoryDisk, MemoryIndex, TestEngine) {
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let (engine, _) = open(&disk, &index, Durability::Always);
    (disk, index, engine)
}

fn submit(engine: &mut TestEngine, change: Change) -> Result<Answer, StoreError> {
    submit_all(engine, vec![change]).pop().expect("one answer")
}

fn submit_all(engine: &mut TestEngine, changes: Vec<Change>) -> Vec<Result<Answer, StoreError>> {
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    for change in changes {
        let (reply, answer) = oneshot::channel();
        requests.push(Request { change, reply });
        answers.push(answer);
    }
    engine.commit(requests);
    answers
        .into_iter()
        .map(|mut answer| answer.try_recv().expect("answered"))
        .collect()
}

fn key(number: u64) -> Vec<u8> {
    let new = NewBlob {
        volume_path: VolumePath(0),
        source: NodeNumber::try_from(7).unwrap(),
        time: 1_700_000_000,
        size: None,
        crc: Crc32(0),
        extension: Extension::default(),
        random: number << 32,
    };
    RemoteName::generate(&new).to_key()
}

fn blob(number: u64, bytes: &[u8]) -> Change {
    let payload = Bytes::copy_from_slice(bytes);
    Change::Blob {
        key: key(number),
        time: 1,
        version: Version::default(),
        crc: Crc32::of(bytes),
        payload,
        condition: Condition::Asked,
    }
}

fn delete(number: u64) -> Change {
    Change::Delete {
        key: key(number),
        time: 2,
        version: Version::default(),
        condition: Condition::Asked,
    }
}

fn edit(number: u64, edit: Edit) -> Change {
    Change::Edit {
        key: key(number),
        time: 3,
        base: None,
        version: Version::default(),
        edit,
    }
}

fn inline(bytes: &[u8]) -> Content {
    Content::Inline(Bytes::copy_from_slice(bytes))
}

fn metadata(number: u64, bytes: Vec<u8>) -> Change {
    Change::Metadata {
        key: key(number),
        time: 4,
        version: Version::default(),
        change: Box::new(move |_| Some(bytes)),
        condition: Condition::Asked,
    }
}

/// Creates an appender of one part, or of none when `bytes` is empty.
fn create_appender(engine: &mut TestEngine, number: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let mut manifest = Manifest::default();
    manifest.crc = Some(Crc32::of(bytes));
    if !bytes.is_empty() {
        let payload = Bytes::copy_from_slice(bytes);
        let part = Change::Part {
            time: 1,
            crc: Crc32::of(bytes),
            payload,
        };
        let Answer::Part(part) = submit(engine, part)? else {
            panic!("a part has a name")
        };
        let len = u32::try_from(bytes.len()).unwrap();
        manifest
            .push(Segment {
                part,
                start: 0,
                len,
            })
            .unwrap();
    }
    submit(
        engine,
        Change::Manifest {
            key: key(number),
            time: 1,
            version: Version::default(),
            manifest,
            condition: Condition::Asked,
        },
    )
    .map(drop)
}

/// All bytes of a blob by way of the index, verified.
fn read(engine: &TestEngine, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let name = key(number);
    let Some((value, record)) = engine.shared().read(IndexKey::Blob(&name))? else {
        return Ok(None);
    };
    if value.kind != crate::format::RecordKind::Manifest {
        return Ok(Some(record.payload.to_vec()));
    }
    let manifest = Manifest::decode(&record.payload).unwrap();
    let mut bytes = Vec::new();
    for segment in manifest.segments() {
        if segment.part == PartId::HOLE {
            bytes.resize(bytes.len() + segment.len as usize, 0);
            continue;
        }
        let (_, part) = engine
            .shared()
            .read(IndexKey::Part(segment.part))?
            .unwrap_or_else(|| {
                panic!(
                    "part {:?} of blob {number} is there, manifest at {:?}",
                    segment.part, value.extent
                )
            });
        let start = segment.start as usize;
        bytes.extend_from_slice(&part.payload[start..start + segment.len as usize]);
    }
    if let Some(crc) = manifest.crc {
        assert_eq!(
            crc,
            Crc32::of(&bytes),
            "the manifest's checksum is that of its bytes"
        );
    }
    Ok(Some(bytes))
}

fn read_metadata(engine: &TestEngine, number: u64) -> Vec<u8> {
    let name = key(number);
    let found = engine.shared().read(IndexKey::Metadata(&name)).unwrap();
    found
        .map(|(_, record)| record.payload.to_vec())
        .unwrap_or_default()
}

/// Statistics equal what a walk over index and volumes finds. Tombstones count until compaction has
/// carried or dropped them, also in a volume that had to stay.
fn check_accounts(engine: &TestEngine) {
    let shared = engine.shared();
    for volume in shared.volumes() {
        let (mut live, mut tombstones) = (0, 0);
        let mut scanner = crate::volume::Scanner::new(
            volume.file(),
            volume.number(),
            SUPERBLOCK_LEN as u64,
            crate::volume::ScanDepth::Headers,
        );
        while scanner.offset() < volume.committed_end() {
            let record = match scanner.next_item().unwrap() {
                crate::volume::ScanItem::Record(record) => record,
                crate::volume::ScanItem::Damage(_) => continue,
                crate::volume::ScanItem::End { .. } => break,
            };
            let name = match record.header.kind {
                crate::format::RecordKind::Blob | crate::format::RecordKind::Manifest => {
                    IndexKey::Blob(&record.key)
                }
                crate::format::RecordKind::Metadata => IndexKey::Metadata(&record.key),
                crate::format::RecordKind::Part => IndexKey::Part(PartId(record.header.sequence)),
                crate::format::RecordKind::Tombstone => {
                    tombstones += record.header.record_len();
                    continue;
                }
                crate::format::RecordKind::Filler => continue,
            };
            let found = shared.locate(name).unwrap();
            if found.is_some_and(|v| {
                (v.extent.volume, v.extent.offset) == (volume.number(), record.offset)
            }) {
                live += record.header.record_len();
            }
        }
        let counted = shared.volume_stats(volume.number()).live_bytes;
        let number = volume.number();
        let bounds = live..=live + tombstones;
        assert!(
            bounds.contains(&counted),
            "{counted} live bytes of volume {number}: {bounds:?}"
        );
    }
}

/// Compacts through a committer-less engine: the same steps that the background work takes.
fn compact(engine: &mut TestEngine, number: VolumeNumber) -> CompactionReport {
    submit(engine, Change::Seal).unwrap();
    let mut report = CompactionReport::default();
    let Some(volume) = engine.shared().volume(number) else {
        return report;
    };
    let plan = compact::plan_volume(engine.shared(), &volume).expect("readable volume");
    let Some(changes) = plan else { return report };
    report.moved = changes.len() as u64;
    for answer in submit_all(engine, changes) {
        if answer.is_err() {
            return report;
        }
    }
    if submit(engine, Change::RemoveVolume(number)).is_ok() {
        report.freed = volume.committed_end();
    }
    report
}

#[test]
fn a_full_disk_is_an_error_and_deleting_goes_on() {
    let disk = MemoryDisk::new(4 * VOLUME_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    let bytes = vec![7; 10_000];
    let mut stored = 0;
    let error = loop {
        match submit(&mut engine, blob(stored, &bytes)) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the disk must fill up");
    };
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
    assert!(0 < stored);
    for number in 0..stored {
        assert_eq!(read(&engine, number).unwrap().unwrap(), bytes);
        submit(&mut engine, delete(number)).expect("deleting needs no free space of its own");
    }
    for number in 1..4 {
        compact(&mut engine, VolumeNumber(number));
    }
    submit(&mut engine, blob(stored, &bytes)).expect("the space is back");
}

#[test]
fn a_failed_sync_poisons_the_volume_and_the_next_takes_over() {
    let (disk, _, mut engine) = fresh();
    submit(&mut engine, blob(1, b"before")).unwrap();
    disk.fail_syncs(true);
    assert!(matches!(
        submit(&mut engine, blob(2, b"lost")),
        Err(StoreError::Commit(_))
    ));
    assert_eq!(
        read(&engine, 2).unwrap(),
        None,
        "what failed is not visible"
    );
    disk.fail_syncs(false);
    submit(&mut engine, blob(3, b"after")).unwrap();
    let volumes = engine.shared().volumes();
    assert_eq!(volumes[0].state(), VolumeState::Poisoned);
    assert_eq!(volumes[1].state(), VolumeState::Active);
    assert_eq!(read(&engine, 1).unwrap().unwrap(), b"before");
    assert_eq!(read(&engine, 3).unwrap().unwrap(), b"after");
}

#[test]
fn parts_of_a_poisoned_volume_make_no_blob() {
    let (disk, _, mut engine) = fresh();
    let part = Change::Part {
        time: 1,
        payload: Bytes::from_static(b"x"),
        crc: Crc32::of(b"x"),
    };
    let Answer::Part(part) = submit(&mut engine, part).unwrap() else {
        panic!("no part")
    };
    disk.fail_syncs(true);
    submit(&mut engine, blob(2, b"fails")).unwrap_err();
    disk.fail_syncs(false);
    let mut manifest = Manifest::default();
    manifest
        .push(Segment {
            part,
            start: 0,
            len: 1,
        })
        .unwrap();
    let stored = submit(
        &mut engine,
        Change::Manifest {
            key: key(3),
            time: 1,
            version: Version::default(),
            condition: Condition::Asked,
            manifest,
        },
    );
    assert!(matches!(stored, Err(StoreError::Conflict)));
}

#[test]
fn flipped_bits_are_an_error_never_wrong_bytes() {
    let (disk, _, mut engine) = fresh();
    let bytes = vec![7; 5000];
    submit(&mut engine, blob(1, &bytes)).unwrap();
    submit(&mut engine, blob(2, &bytes)).unwrap();
    disk.corrupt(VolumeNumber(1), SUPERBLOCK_LEN as u64 + 2000, |bytes| {
        bytes[0] ^= 1;
    });
    assert!(matches!(read(&engine, 1), Err(StoreError::Read(_))));
    assert_eq!(read(&engine, 2).unwrap().unwrap(), bytes);
    let volume = engine.shared().volume(VolumeNumber(1)).unwrap();
    let report = scrub_volume(engine.shared(), volume).unwrap();
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.records, 2);
}

#[test]
fn a_rotten_tombstone_brings_nothing_back() {
    let (disk, index, mut engine) = fresh();
    submit(&mut engine, blob(1, b"deleted")).unwrap();
    submit(&mut engine, Change::Seal).unwrap();
    submit(&mut engine, delete(1)).unwrap();
    let name = key(1);
    let tombstone = engine.shared().locate(IndexKey::Tombstone(&name));
    let Extent { volume, offset, .. } = tombstone.unwrap().unwrap().extent;
    assert_eq!(volume, VolumeNumber(2));
    let payload = offset + (RECORD_HEADER_LEN + name.len()) as u64;
    disk.corrupt(volume, payload, |bytes| bytes[0] ^= 1);
    let rebuilt = |mut engine: TestEngine| {
        engine.make_durable().unwrap();
        drop(engine);
        index.wipe();
        let (engine, recovery) = open(&disk, &index, Durability::Always);
        assert_eq!(recovery.mode, RecoveryMode::Rebuilt);
        assert_eq!(read(&engine, 1).unwrap(), None);
        engine
    };
    engine = rebuilt(engine);
    // Its volume can go; what it says cannot, as long as the blob lies in another one.
    assert!(0 < compact(&mut engine, volume).freed);
    rebuilt(engine);
}

#[test]
fn what_lies_where_no_header_can_be_read_is_to_be_repaired() {
    let (disk, _, mut engine) = fresh();
    submit(&mut engine, blob(1, b"one")).unwrap();
    create_appender(&mut engine, 2, b"two").unwrap();
    submit(&mut engine, metadata(2, b"m".to_vec())).unwrap();
    submit(&mut engine, blob(3, b"three")).unwrap();
    submit(&mut engine, delete(3)).unwrap();
    submit(&mut engine, blob(4, b"four")).unwrap();
    let names: Vec<Vec<u8>> = (1..=4).map(key).collect();
    let part = PartId(engine.next_sequence - 6);
    let hurt = [
        IndexKey::Blob(&names[0]),
        IndexKey::Metadata(&names[1]),
        IndexKey::Part(part),
        IndexKey::Tombstone(&names[2]),
    ];
    assert_eq!(
        engine.shared().look_at_part(part).unwrap(),
        PartState::Sound
    );
    for name in hurt {
        let extent = engine.shared().locate(name).unwrap().unwrap().extent;
        disk.corrupt(extent.volume, extent.offset + 3, |bytes| bytes[0] ^= 1);
    }
    let scrub = |engine: &TestEngine| {
        let volume = engine.shared().volume(VolumeNumber(1)).unwrap();
        scrub_volume(engine.shared(), volume).unwrap();
        engine.shared().take_damaged()
    };
    assert_eq!(scrub(&engine), hurt.map(IndexKey::encode).into());
    assert_eq!(engine.shared().look_at_part(part).unwrap(), PartState::Gone);

    // A tombstone needs nobody's help.
    let again = Change::Delete {
        key: key(3),
        time: 9,
        version: Version::default(),
        condition: Condition::Repair,
    };
    let live = |engine: &TestEngine| {
        let stats = engine.shared().volume_stats(VolumeNumber(1));
        stats.live_bytes
    };
    let before = live(&engine);
    submit(&mut engine, again).unwrap();
    assert_eq!(live(&engine), before, "one for the other");
    let left = [hurt[0], hurt[1], hurt[2]].map(IndexKey::encode);
    assert_eq!(scrub(&engine), left.into());
}

#[test]
fn an_append_outlives_that_an_older_part_of_its_file_rots() {
    // At the same time as the part it may be what a power cut tore, and is no promise then.
    for (time, is_kept) in [(1, false), (100, true)] {
        let disk = MemoryDisk::new(DISK_LEN);
        let index = MemoryIndex::default();
        let (mut engine, _) = open(&disk, &index, Durability::Always);
        create_appender(&mut engine, 1, b"one").unwrap();
        let append = Change::Edit {
            key: key(1),
            time,
            base: None,
            version: Version::first(Stamp(5)),
            edit: Edit::Append(inline(b"two")),
        };
        submit(&mut engine, append).unwrap();
        let name = key(1);
        let (_, record) = engine
            .shared()
            .read(IndexKey::Blob(&name))
            .unwrap()
            .unwrap();
        let part = Manifest::decode(&record.payload).unwrap().segments()[0].part;
        let extent = engine.shared().locate_part(part).unwrap().unwrap();
        let payload = extent.offset + RECORD_HEADER_LEN as u64;
        disk.corrupt(extent.volume, payload, |bytes| bytes[0] ^= 1);
        drop(engine);
        index.wipe();
        let (engine, _) = open(&disk, &index, Durability::Always);
        let version = engine.shared().version_of(IndexKey::Blob(&name)).unwrap();
        assert_eq!(version.is_some(), is_kept, "{version:?}");
        if is_kept {
            assert_eq!(version, Some(Version::first(Stamp(5))));
            assert!(matches!(read(&engine, 1), Err(StoreError::Read(_))));
            let damaged = engine.shared().take_damaged();
            assert_eq!(damaged, [IndexKey::Part(part).encode()].into());
        }
    }
}

#[test]
fn damage_in_the_middle_is_reported_with_its_extent() {
    let (disk, index, mut engine) = fresh();
    for number in 0..3 {
        submit(&mut engine, blob(number, &[7; 1000])).unwrap();
    }
    let name = key(1);
    let hurt = engine
        .shared()
        .locate(IndexKey::Blob(&name))
        .unwrap()
        .unwrap()
        .extent;
    engine.make_durable().unwrap();
    drop(engine);
    disk.corrupt(VolumeNumber(1), hurt.offset, |bytes| {
        bytes[..600].fill(0xaa);
    });
    index.wipe();
    let (engine, recovery) = open(&disk, &index, Durability::Always);
    assert_eq!(recovery.mode, RecoveryMode::Rebuilt);
    assert_eq!(recovery.damage.len(), 1);
    assert_eq!(recovery.damage[0].range.start, hurt.offset);
    assert_eq!(read(&engine, 0).unwrap().unwrap(), [7; 1000]);
    assert_eq!(read(&engine, 1).unwrap(), None);
    assert_eq!(read(&engine, 2).unwrap().unwrap(), [7; 1000]);
}

#[test]
fn a_missing_volume_is_reported_and_the_rest_is_served() {
    use crate::disk::Disk as _;
    let (disk, index, mut engine) = fresh();
    submit(&mut engine, blob(1, b"gone")).unwrap();
    submit(&mut engine, Change::Seal).unwrap();
    submit(&mut engine, blob(2, b"here")).unwrap();
    engine.make_durable().unwrap();
    drop(engine);
    disk.remove(VolumeNumber(1)).unwrap();
    let (engine, recovery) = open(&disk, &index, Durability::Always);
    assert_eq!(recovery.missing, [(VolumeNumber(1), 1)]);
    assert!(
        matches!(read(&engine, 1), Err(StoreError::Read(_))),
        "an error, not \"no such blob\""
    );
    assert_eq!(read(&engine, 2).unwrap().unwrap(), b"here");
}

#[test]
fn a_thousand_small_appends_keep_a_short_manifest() {
    let disk = MemoryDisk::new(256 * VOLUME_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Os);
    create_appender(&mut engine, 1, b"").unwrap();
    let mut expected = Vec::new();
    for number in 0..1000_u32 {
        let bytes = number.to_be_bytes();
        expected.extend_from_slice(&bytes);
        submit(&mut engine, edit(1, Edit::Append(inline(&bytes)))).unwrap();
    }
    assert_eq!(read(&engine, 1).unwrap().unwrap(), expected);
    let name = key(1);
    let (_, record) = engine
        .shared()
        .read(IndexKey::Blob(&name))
        .unwrap()
        .unwrap();
    let manifest = Manifest::decode(&record.payload).unwrap();
    assert!(
        manifest.segments().len() <= 40,
        "{} segments",
        manifest.segments().len()
    );
    check_accounts(&engine);
}

#[test]
fn a_renamed_appender_keeps_its_bytes_and_only_one_name() {
    let (disk, index, mut engine) = fresh();
    create_appender(&mut engine, 1, b"hello").unwrap();
    submit(&mut engine, metadata(1, b"m".to_vec())).unwrap();
    let name = key(1);
    let expected = engine
        .shared()
        .locate(IndexKey::Blob(&name))
        .unwrap()
        .unwrap()
        .extent;
    let rename = Edit::Rename {
        key: key(2),
        expected: Some(expected),
        crc: Crc32::of(b"hello"),
    };
    submit(&mut engine, edit(1, rename)).unwrap();
    for rebuilt in [false, true] {
        if rebuilt {
            engine.make_durable().unwrap();
            index.wipe();
            engine = open(&disk, &index, Durability::Always).0;
        }
        assert_eq!(read(&engine, 1).unwrap(), None);
        assert_eq!(read_metadata(&engine, 1), b"");
        assert_eq!(read(&engine, 2).unwrap().unwrap(), b"hello");
    }
    let stale = Edit::Rename {
        key: key(3),
        expected: Some(expected),
        crc: Crc32::of(b"hello"),
    };
    assert!(matches!(
        submit(&mut engine, edit(2, stale)),
        Err(StoreError::Conflict)
    ));
}

#[test]
fn a_new_name_that_was_deleted_before_it_came_does_not_come_back() {
    let (_, _, mut engine) = fresh();
    create_appender(&mut engine, 1, b"hello").unwrap();
    // Another node renamed the blob and deleted it, and the second was heard of first.
    let news = Change::Delete {
        key: key(2),
        time: 4,
        version: Version::first(Stamp(9)),
        condition: Condition::Newer,
    };
    submit(&mut engine, news).unwrap();
    let rename = Edit::Rename {
        key: key(2),
        expected: None,
        crc: Crc32::of(b"hello"),
    };
    let arrange = Edit::Arrange {
        key: key(2),
        ranges: vec![3..5, 0..3],
        crc: Crc32::of(b"lohel"),
    };
    for late in [rename, arrange] {
        let late = Change::Edit {
            key: key(1),
            time: 3,
            base: Some(Version::default()),
            version: Version::first(Stamp(8)),
            edit: late,
        };
        let refused = submit(&mut engine, late);
        assert!(matches!(refused, Err(StoreError::Deleted)), "{refused:?}");
        assert_eq!(read(&engine, 2).unwrap(), None);
    }
}

#[test]
fn abandoned_parts_become_garbage() {
    let (_, _, mut engine) = fresh();
    let payload = Bytes::from(vec![1; 1000]);
    let crc = Crc32::of(&payload);
    let part = Change::Part {
        time: 1,
        payload,
        crc,
    };
    let Answer::Part(part) = submit(&mut engine, part).unwrap() else {
        panic!("no part")
    };
    assert!(0 < engine.shared().status().live_bytes);
    submit(&mut engine, Change::Abandon(vec![part])).unwrap();
    assert_eq!(engine.shared().status().live_bytes, 0);
    assert_eq!(engine.shared().locate_part(part).unwrap(), None);
}
