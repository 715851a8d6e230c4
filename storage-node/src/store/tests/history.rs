//! Random histories against a tiny model, with crashes among the steps.
//!
//! One seed decides every step; a failure prints it.

use std::collections::BTreeMap;

use super::*;

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
            if known.is_some() {
                assert!(matches!(stored, Err(StoreError::Exists)));
            } else {
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
                entry.bytes.extend_from_slice(&bytes);
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
            let part = Change::Part {
                time: 1,
                payload,
                crc,
            };
            submit(engine, part).expect("part stored");
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
        assert!(
            std::panic::catch_unwind(|| history(seed)).is_ok(),
            "history failed; run it alone with HAYLOFT_SEED={seed}"
        );
    }
}
