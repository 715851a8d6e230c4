//! The store against a tiny model, over a disk that crashes.
//!
//! The engine is driven synchronously; one seed decides every step, and a failure prints it.

mod failures;
mod golden;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use common::digest::Crc32;
use common::id::{Extension, NewBlob, NodeNumber, RemoteName, VolumePath};
use tokio::sync::oneshot;

use super::compact::CompactionReport;
use super::*;
use crate::disk::{CrashStyle, MemoryDisk};
use crate::error::StoreError;
use crate::format::{IndexKey, Manifest, PartId, SUPERBLOCK_LEN, Segment, VolumeNumber};
use crate::index::MemoryIndex;
use crate::metrics::StoreMetrics;
use crate::volume::VolumeState;

type TestEngine = Engine<MemoryDisk, MemoryIndex>;

const VOLUME_LEN: u64 = 64 * 1024;
const DISK_LEN: u64 = 64 * VOLUME_LEN;

/// A small generator: the same seed gives the same history.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bytes(&mut self, len_max: u64) -> Vec<u8> {
        let len = self.below(len_max + 1);
        (0..len)
            .map(|_| u8::try_from(self.below(256)).unwrap())
            .collect()
    }
}

fn settings(durability: Durability) -> EngineSettings {
    EngineSettings {
        volume_len: VOLUME_LEN,
        durability,
        reserve: Reserve::Bytes(0),
        store: [1; 16],
    }
}

fn open(disk: &MemoryDisk, index: &MemoryIndex, durability: Durability) -> (TestEngine, Recovery) {
    let metrics = StoreMetrics::unread();
    let shared = Shared::new(VolumePath(0), disk.clone(), index.clone(), metrics);
    Engine::open(Arc::new(shared), settings(durability)).expect("the store opens")
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
        crc: Crc32::of(bytes),
        payload,
    }
}

fn delete(number: u64) -> Change {
    Change::Delete {
        key: key(number),
        time: 2,
    }
}

fn edit(number: u64, edit: Edit) -> Change {
    Change::Edit {
        key: key(number),
        time: 3,
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
        change: Box::new(move |_| bytes),
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
            manifest,
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
            .expect("part is there");
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

/// What the store must hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    blobs: BTreeMap<u64, Entry>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Entry {
    bytes: Vec<u8>,
    metadata: Vec<u8>,
    is_appender: bool,
}

impl Model {
    fn check(&self, engine: &TestEngine, numbers: u64) {
        for number in 0..numbers {
            let expected = self.blobs.get(&number);
            let found = read(engine, number).expect("readable");
            assert_eq!(
                found.as_ref(),
                expected.map(|entry| &entry.bytes),
                "blob {number}"
            );
            let metadata = expected
                .map(|entry| entry.metadata.clone())
                .unwrap_or_default();
            assert_eq!(
                read_metadata(engine, number),
                metadata,
                "metadata of {number}"
            );
        }
    }
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

const NUMBERS: u64 = 12;

/// One history: random changes, compactions, crashes and reopenings, then the model is asked.
fn history(seed: u64) {
    let mut random = Random(seed);
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let durability = match random.below(3) {
        0 => Durability::Os,
        1 => Durability::Interval,
        _ => Durability::Always,
    };
    // A power cut may take what was acknowledged unless durability is `always`.
    let crash = match (durability, random.below(2)) {
        (Durability::Always, 0) => CrashStyle::Power,
        _ => CrashStyle::Process,
    };
    let (mut engine, _) = open(&disk, &index, durability);
    let mut model = Model::default();
    for _ in 0..random.below(60) + 10 {
        step(
            &mut engine,
            &disk,
            &index,
            durability,
            crash,
            &mut model,
            &mut random,
        );
    }
    model.check(&engine, NUMBERS);
    check_accounts(&engine);
    engine.make_durable().unwrap();
    drop(engine);

    index.wipe();
    let (engine, recovery) = open(&disk, &index, durability);
    assert!(disk_is_empty(&engine) || recovery.mode == RecoveryMode::Rebuilt);
    model.check(&engine, NUMBERS);
}

fn disk_is_empty(engine: &TestEngine) -> bool {
    engine.shared().volumes().is_empty()
}

fn step(
    engine: &mut TestEngine,
    disk: &MemoryDisk,
    index: &MemoryIndex,
    durability: Durability,
    crash: CrashStyle,
    model: &mut Model,
    random: &mut Random,
) {
    let number = random.below(NUMBERS);
    let known = model.blobs.get(&number).cloned();
    match random.below(20) {
        0..5 => {
            let bytes = random.bytes(9000);
            let stored = submit(engine, blob(number, &bytes));
            match known {
                Some(_) => assert!(matches!(stored, Err(StoreError::Exists))),
                None => {
                    stored.expect("stored");
                    model.blobs.insert(
                        number,
                        Entry {
                            bytes,
                            ..Entry::default()
                        },
                    );
                }
            }
        }
        5..7 if known.is_none() => {
            let bytes = random.bytes(5000);
            create_appender(engine, number, &bytes).expect("created");
            let entry = Entry {
                bytes,
                is_appender: true,
                ..Entry::default()
            };
            model.blobs.insert(number, entry);
        }
        5..9 => {
            let bytes = random.bytes(3000);
            let result = submit(engine, edit(number, Edit::Append(inline(&bytes))));
            apply(model, number, result, |entry| {
                entry.bytes.extend_from_slice(&bytes)
            });
        }
        9 => {
            let bytes = random.bytes(3000);
            let len = known.as_ref().map_or(0, |entry| entry.bytes.len() as u64);
            let offset = random.below(len + 1);
            let content = inline(&bytes);
            let result = submit(engine, edit(number, Edit::Modify { offset, content }));
            apply(model, number, result, |entry| {
                let at = usize::try_from(offset).unwrap();
                let end = (at + bytes.len()).min(entry.bytes.len());
                entry.bytes.splice(at..end, bytes.iter().copied());
            });
        }
        10 => {
            let len = random.below(9000);
            let result = submit(engine, edit(number, Edit::Truncate { len }));
            apply(model, number, result, |entry| {
                entry.bytes.resize(usize::try_from(len).unwrap(), 0);
            });
        }
        11 => {
            let bytes = random.bytes(300);
            let result = submit(engine, metadata(number, bytes.clone()));
            match model.blobs.get_mut(&number) {
                Some(entry) => {
                    result.expect("metadata stored");
                    entry.metadata = bytes;
                }
                None => assert!(matches!(result, Err(StoreError::NotFound))),
            }
        }
        12..15 => {
            let result = submit(engine, delete(number));
            match model.blobs.remove(&number) {
                Some(_) => drop(result.expect("deleted")),
                None => assert!(matches!(result, Err(StoreError::NotFound))),
            }
        }
        15 => {
            // An upload that never ends.
            let bytes = random.bytes(5000);
            let payload = Bytes::from(bytes);
            let crc = Crc32::of(&payload);
            drop(
                submit(
                    engine,
                    Change::Part {
                        time: 1,
                        payload,
                        crc,
                    },
                )
                .expect("part stored"),
            );
        }
        16 => {
            let volumes = engine.shared().volumes();
            if let Some(pick) = volumes.get(usize::try_from(random.next() % 64).unwrap_or(0)) {
                compact(engine, pick.number());
            }
        }
        17 => {
            engine.make_durable().expect("durable");
            reopen(engine, disk, index, durability);
        }
        _ => {
            if random.below(4) == 0 {
                disk.crash(crash, || random.next());
                if random.below(4) == 0 {
                    index.wipe();
                } else {
                    index.crash(|| random.next());
                }
                reopen(engine, disk, index, durability);
                model.check(engine, NUMBERS);
            }
        }
    }
}

fn apply(
    model: &mut Model,
    number: u64,
    result: Result<Answer, StoreError>,
    change: impl FnOnce(&mut Entry),
) {
    match model.blobs.get_mut(&number) {
        Some(entry) if entry.is_appender => {
            result.expect("changed");
            change(entry);
        }
        Some(_) => assert!(matches!(result, Err(StoreError::NotAppender))),
        None => assert!(matches!(result, Err(StoreError::NotFound))),
    }
}

fn reopen(engine: &mut TestEngine, disk: &MemoryDisk, index: &MemoryIndex, durability: Durability) {
    let (opened, recovery) = open(disk, index, durability);
    assert_eq!(recovery.lost, [], "nothing acknowledged is lost");
    *engine = opened;
}

#[test]
fn random_histories_with_crashes_equal_the_model() {
    let count = std::env::var("HAYLOFT_HISTORIES")
        .ok()
        .and_then(|n| n.parse().ok());
    let first = std::env::var("HAYLOFT_SEED")
        .ok()
        .and_then(|n| n.parse::<u64>().ok());
    let count: u64 = if first.is_some() {
        1
    } else {
        count.unwrap_or(4000)
    };
    for seed in first.unwrap_or(0)..first.unwrap_or(0) + count {
        if std::panic::catch_unwind(|| history(seed)).is_err() {
            panic!("history failed; run it alone with HAYLOFT_SEED={seed}");
        }
    }
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
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
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
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
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
            manifest,
        },
    );
    assert!(matches!(stored, Err(StoreError::Conflict)));
}

#[test]
fn flipped_bits_are_an_error_never_wrong_bytes() {
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
    let bytes = vec![7; 5000];
    submit(&mut engine, blob(1, &bytes)).unwrap();
    submit(&mut engine, blob(2, &bytes)).unwrap();
    disk.corrupt(VolumeNumber(1), SUPERBLOCK_LEN as u64 + 2000, |bytes| {
        bytes[0] ^= 1
    });
    assert!(matches!(read(&engine, 1), Err(StoreError::Read(_))));
    assert_eq!(read(&engine, 2).unwrap().unwrap(), bytes);
    let volume = engine.shared().volume(VolumeNumber(1)).unwrap();
    let report = scrub_volume(engine.shared(), volume).unwrap();
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.records, 2);
}

#[test]
fn damage_in_the_middle_is_reported_with_its_extent() {
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
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
        bytes[..600].fill(0xaa)
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
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
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
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
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
        expected,
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
        expected,
        crc: Crc32::of(b"hello"),
    };
    assert!(matches!(
        submit(&mut engine, edit(2, stale)),
        Err(StoreError::Conflict)
    ));
}

#[test]
fn abandoned_parts_become_garbage() {
    let disk = MemoryDisk::new(DISK_LEN);
    let index = MemoryIndex::default();
    let (mut engine, _) = open(&disk, &index, Durability::Always);
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
