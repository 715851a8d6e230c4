//! Checks and rebuilds of stores whose index was falsified. Damaged volumes: tests/it/offline.rs.

use bytes::Bytes;
use common::digest::Crc32;
use tempfile::TempDir;

use super::*;
use crate::format::{Extent, IndexValue, PartId, RecordKind, ReplayPosition, Superblock, Version};
use crate::index::{Batch, Index as _};
use crate::metrics::StoreMetrics;
use crate::node::{StoreOptions, open_store};
use crate::store::{Change, Condition, Durability, PathStore, Reserve};

const BLOBS: [&[u8]; 3] = [b"one", b"two", b"three"];
const BIG: &[u8] = b"big";

struct Fixture {
    place: Place,
    _directory: TempDir,
}

fn settings() -> IndexSettings {
    IndexSettings::new(1024 * 1024)
}

fn options() -> StoreOptions {
    StoreOptions {
        store: [7; 16],
        durability: Durability::Always,
        volume_len: 1024 * 1024,
        reserve: Reserve::Bytes(0),
        index: settings(),
    }
}

impl Fixture {
    /// Three blobs of one record, one of three parts, and one that was deleted.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place {
            directory: directory.path().to_owned(),
            volume_path: VolumePath(0),
            group: "group1".parse().unwrap(),
            store: [7; 16],
        };
        let metrics = StoreMetrics::unread();
        let opened = open_store(&place.directory, place.volume_path, &options(), metrics);
        let (store, committer) = PathStore::start(opened.unwrap().engine).unwrap();
        for key in BLOBS.into_iter().chain([b"gone" as &[u8]]) {
            let payload = Bytes::from(key.repeat(100));
            let crc = Crc32::of(&payload);
            let change = Change::Blob {
                key: key.to_vec(),
                time: 1,
                version: Version::default(),
                payload,
                crc,
                condition: Condition::Asked,
            };
            store.submit(change).await.unwrap();
        }
        let change = Change::Delete {
            key: b"gone".to_vec(),
            time: 2,
            version: Version::default(),
            condition: Condition::Asked,
        };
        store.submit(change).await.unwrap();
        let mut parts = store.parts(3);
        for part in 0..3_u8 {
            parts.push(Bytes::from(vec![part; 1000])).await.unwrap();
        }
        let version = Version::default();
        let finished = parts.finish(BIG.to_vec(), version, Condition::Asked);
        finished.await.unwrap();
        drop(parts);
        store.submit(Change::Close).await.unwrap();
        drop(store);
        committer.join();
        Self {
            place,
            _directory: directory,
        }
    }

    fn check(&self) -> PathReport {
        let mut walked = 0;
        let mut expected = 0;
        let report = check(
            &self.place,
            ScanDepth::Verify,
            &settings(),
            &mut |step| match step {
                Progress::Expect(bytes) => expected += bytes,
                Progress::Walked(bytes) => walked += bytes,
            },
        );
        assert!(0 < walked && walked <= expected, "{walked} of {expected}");
        report.unwrap()
    }

    /// Changes the index behind the store's back.
    fn falsify(&self, change: impl FnOnce(&RocksIndex, &mut Batch)) {
        let index = RocksIndex::open(&self.place.index(), &settings()).unwrap();
        let mut batch = Batch::default();
        change(&index, &mut batch);
        index.apply(&batch).unwrap();
        index.flush().unwrap();
    }

    fn rebuild(&self) -> Rebuilt {
        rebuild(&self.place, &options(), StoreMetrics::unread()).unwrap()
    }

    fn id(&self, key: &[u8]) -> String {
        self.place.id(key)
    }
}

fn affected_ids(report: &PathReport) -> Vec<&str> {
    let affected = report.affected.iter();
    affected.map(|blob| blob.id.as_str()).collect()
}

#[tokio::test]
async fn a_closed_store_is_sound() {
    let report = Fixture::new().await.check();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.blobs, report.volumes), (4, 1));
    assert_eq!((report.pending_records, report.unowned_parts), (0, 0));
}

#[tokio::test]
async fn a_blob_that_the_index_forgot_is_named_and_comes_back_by_a_rebuild() {
    let fixture = Fixture::new().await;
    fixture.falsify(|_, batch| batch.delete(IndexKey::Blob(b"two").encode()));
    let report = fixture.check();
    assert_eq!(report.not_in_index, [fixture.id(b"two")]);
    assert!(!report.is_sound());
    let rebuilt = fixture.rebuild();
    assert!(
        rebuilt.is_lost_complete && rebuilt.lost.is_empty(),
        "{rebuilt:?}"
    );
    assert!(fixture.check().is_sound());
}

#[tokio::test]
async fn a_deleted_blob_that_the_index_shows_is_named_and_goes_by_a_rebuild() {
    let fixture = Fixture::new().await;
    // "gone" is the fourth record, each of them behind the one before.
    let mut offset = crate::format::SUPERBLOCK_LEN as u64;
    for key in BLOBS {
        offset += crate::format::record_len(key.len(), key.len() * 100);
    }
    let value = IndexValue {
        kind: RecordKind::Blob,
        extent: Extent {
            volume: VolumeNumber(1),
            offset,
            payload_len: 400,
        },
        version: Version::default(),
    };
    fixture.falsify(|_, batch| {
        batch.put(IndexKey::Blob(b"gone").encode(), value.encode().to_vec());
    });
    let report = fixture.check();
    assert_eq!(report.deleted_in_index, [fixture.id(b"gone")]);
    let rebuilt = fixture.rebuild();
    assert_eq!(rebuilt.lost, [], "deleted is not lost");
    assert!(fixture.check().is_sound());
}

#[tokio::test]
async fn an_entry_that_leads_nowhere_is_named_and_is_lost_by_a_rebuild() {
    let fixture = Fixture::new().await;
    let value = IndexValue {
        kind: RecordKind::Blob,
        extent: Extent {
            volume: VolumeNumber(1),
            offset: 8 * 1000,
            payload_len: 10,
        },
        version: Version::default(),
    };
    fixture.falsify(|_, batch| {
        batch.put(IndexKey::Blob(b"ghost").encode(), value.encode().to_vec());
    });
    let report = fixture.check();
    assert_eq!(affected_ids(&report), [fixture.id(b"ghost")]);
    assert!(report.affected[0].why.contains("no such record"));
    let rebuilt = fixture.rebuild();
    assert_eq!(rebuilt.lost.len(), 1);
    assert_eq!(rebuilt.lost[0].id, fixture.id(b"ghost"));
    assert!(fixture.check().is_sound());
}

#[tokio::test]
async fn a_blob_with_a_missing_part_is_named_with_the_part() {
    let fixture = Fixture::new().await;
    let mut missing = PartId::HOLE;
    fixture.falsify(|index, batch| {
        crate::index::each(index, IndexKey::PART, |key, _| {
            if let IndexKey::Part(part) = key {
                missing = part;
            }
            Ok::<_, IndexError>(())
        })
        .unwrap();
        batch.delete(IndexKey::Part(missing).encode());
    });
    let report = fixture.check();
    assert_eq!(affected_ids(&report), [fixture.id(BIG)]);
    let why = &report.affected[0].why;
    assert!(
        why.contains(&format!("part {} is missing", missing.0)),
        "{why}"
    );
    fixture.rebuild();
    assert!(fixture.check().is_sound());
}

#[tokio::test]
async fn parts_without_a_blob_are_counted_and_are_no_damage() {
    let fixture = Fixture::new().await;
    fixture.falsify(|index, batch| {
        let key = IndexKey::Blob(b"one").encode();
        let value = index.get(&key).unwrap().unwrap();
        let value = IndexValue::decode(&value).unwrap();
        let part = IndexValue {
            kind: RecordKind::Part,
            ..value
        };
        let key = IndexKey::Part(PartId(999)).encode();
        batch.put(key, part.encode().to_vec());
    });
    let report = fixture.check();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.unowned_parts, 1);
}

#[tokio::test]
async fn records_behind_the_watermark_are_pending_and_are_not_compared() {
    let fixture = Fixture::new().await;
    fixture.falsify(|index, batch| {
        let key = IndexKey::Replay.encode();
        let mut position = ReplayPosition::decode(&index.get(&key).unwrap().unwrap()).unwrap();
        position.applied.offset = crate::format::SUPERBLOCK_LEN as u64;
        position.synced = position.applied;
        batch.put(key, position.encode().to_vec());
        for name in [BIG].into_iter().chain(BLOBS) {
            batch.delete(IndexKey::Blob(name).encode());
        }
    });
    let report = fixture.check();
    assert!(report.is_sound(), "{report:?}");
    // Four blobs, a tombstone, three parts, a manifest.
    assert_eq!((report.pending_records, report.blobs), (9, 0));
}

#[tokio::test]
async fn a_malformed_index_is_a_finding_and_checksums_are_compared_all_the_same() {
    let fixture = Fixture::new().await;
    fixture.falsify(|_, batch| {
        batch.put(IndexKey::Blob(b"one").encode(), b"not a value".to_vec());
    });
    let report = fixture.check();
    assert!(matches!(report.index, IndexState::Damaged(_)), "{report:?}");
    assert_eq!(report.records, 9);
    let rebuilt = fixture.rebuild();
    assert!(!rebuilt.is_lost_complete, "the old index could not be read");
    assert!(fixture.check().is_sound());
}

#[tokio::test]
async fn an_interrupted_repair_still_knows_the_index_from_before() {
    let fixture = Fixture::new().await;
    let value = IndexValue {
        kind: RecordKind::Blob,
        extent: Extent {
            volume: VolumeNumber(9),
            offset: 4096,
            payload_len: 10,
        },
        version: Version::default(),
    };
    fixture.falsify(|_, batch| {
        batch.put(IndexKey::Blob(b"ghost").encode(), value.encode().to_vec());
    });
    // As a repair leaves it that ended right after it had put the old index aside.
    let old = fixture.place.root().join("index.before-repair");
    std::fs::rename(fixture.place.index(), &old).unwrap();
    std::fs::create_dir(fixture.place.index()).unwrap();
    let rebuilt = fixture.rebuild();
    assert_eq!(rebuilt.lost[0].id, fixture.id(b"ghost"));
    assert!(rebuilt.lost[0].why.contains("missing"), "{rebuilt:?}");
    assert!(!old.exists());
    assert!(fixture.check().is_sound());
}

#[tokio::test]
async fn what_a_failed_write_left_behind_the_end_of_a_volume_is_no_record() {
    let fixture = Fixture::new().await;
    // The last record of the volume, the manifest, is made such a remnant by the next volume.
    let index = RocksIndex::open(&fixture.place.index(), &settings()).unwrap();
    let value = index.get(&IndexKey::Blob(BIG).encode()).unwrap().unwrap();
    drop(index);
    let next = Superblock {
        volume_path: VolumePath(0),
        number: VolumeNumber(2),
        len: options().volume_len,
        first_sequence: 100,
        created: 1,
        store: [7; 16],
        previous_end: IndexValue::decode(&value).unwrap().extent.offset,
    };
    let disk = OsDisk::open(&fixture.place.volumes()).unwrap();
    disk.create(next.number, next.len, &next.encode()).unwrap();
    let report = fixture.check();
    assert_eq!(report.records, 8, "the ninth is none");
    assert_eq!(affected_ids(&report), [fixture.id(BIG)]);
}

#[tokio::test]
async fn a_start_forgets_the_index_of_an_interrupted_repair() {
    let fixture = Fixture::new().await;
    let old = fixture.place.root().join("index.before-repair");
    std::fs::create_dir(&old).unwrap();
    let metrics = StoreMetrics::unread();
    drop(open_store(&fixture.place.directory, VolumePath(0), &options(), metrics).unwrap());
    assert!(!old.exists());
}

#[test]
fn a_volume_path_that_is_not_there_is_an_error_and_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place {
        directory: directory.path().join("disk"),
        volume_path: VolumePath(0),
        group: "group1".parse().unwrap(),
        store: [0; 16],
    };
    let checked = check(&place, ScanDepth::Verify, &settings(), &mut |_| {});
    assert!(matches!(checked, Err(CheckError::Missing { .. })));
    assert!(!place.directory.exists());
}
