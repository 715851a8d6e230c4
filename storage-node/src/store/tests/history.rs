//! Random histories against a tiny model, with crashes among the steps.
//!
//! One seed decides every step; a failure prints it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use super::*;
use crate::index::Index as _;

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
    /// The appender `number` ends, and `target` has these bytes of it.
    fn arrange(&mut self, number: u64, target: u64, bytes: Vec<u8>) {
        self.blobs.remove(&number);
        let entry = Entry {
            bytes,
            // Any manifest can be edited: what is no appender any more is known by its name only.
            is_appender: true,
            ..Entry::default()
        };
        self.blobs.insert(target, entry);
    }

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

/// What the random steps of one history work on.
struct History {
    disk: MemoryDisk,
    index: MemoryIndex,
    durability: Durability,
    crash: CrashStyle,
    engine: TestEngine,
    model: Model,
    random: Random,
}

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
    let (engine, _) = open(&disk, &index, durability);
    let mut history = History {
        disk,
        index,
        durability,
        crash,
        engine,
        model: Model::default(),
        random,
    };
    for _ in 0..history.random.below(60) + 10 {
        history.step();
    }
    let History { engine, model, .. } = &mut history;
    model.check(engine, NUMBERS);
    check_accounts(engine);
    check_owners(engine, crash);
    engine.make_durable().unwrap();

    history.index.wipe();
    let (engine, recovery) = open(&history.disk, &history.index, durability);
    assert!(disk_is_empty(&engine) || recovery.mode == RecoveryMode::Rebuilt);
    history.model.check(&engine, NUMBERS);
    check_owners(&engine, crash);
}

/// No part belongs to two blobs, none that a blob needs is missing, and none is kept for nobody. Only
/// where a power cut left damage may a rebuild keep parts, for repair.
fn check_owners(engine: &TestEngine, crash: CrashStyle) {
    let scan = |prefix, visit: &mut dyn FnMut(IndexKey<'_>)| {
        let index = &engine.shared().index;
        let each = &mut |key: &[u8], _: &[u8]| {
            visit(IndexKey::decode(key).unwrap());
            ControlFlow::Continue(())
        };
        index.scan(prefix, &[], each).unwrap();
    };
    let mut owned = BTreeSet::new();
    scan(IndexKey::BLOB, &mut |key| {
        let (value, record) = engine.shared().read(key).unwrap().expect("it is there");
        if value.kind != crate::format::RecordKind::Manifest {
            return;
        }
        let manifest = Manifest::decode(&record.payload).unwrap();
        for part in plan::parts_of(&manifest) {
            assert!(owned.insert(part), "{part:?} has two owners");
            let found = engine.shared().locate_part(part).unwrap();
            assert!(found.is_some(), "{part:?} is lost");
        }
    });
    scan(IndexKey::OPEN_PART, &mut |key| {
        if let IndexKey::OpenPart(part) = key {
            assert!(owned.insert(part), "{part:?} is owned and open");
        }
    });
    scan(IndexKey::PART, &mut |key| {
        if let IndexKey::Part(part) = key {
            let is_kept = owned.contains(&part) || crash == CrashStyle::Power;
            assert!(is_kept, "{part:?} belongs to nobody");
        }
    });
}

fn disk_is_empty(engine: &TestEngine) -> bool {
    engine.shared().volumes().is_empty()
}

impl History {
    fn step(&mut self) {
        let Self {
            disk,
            index,
            durability,
            crash,
            engine,
            model,
            random,
        } = self;
        let number = random.below(NUMBERS);
        let known = model.blobs.get(&number).cloned();
        match random.below(24) {
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
                reopen(engine, disk, index, *durability);
            }
            20..22 => self.extend(number),
            22 => self.arrange(number),
            23 => self.cut_off(number),
            _ => {
                if random.below(4) == 0 {
                    disk.crash(*crash, || random.next());
                    if random.below(4) == 0 {
                        index.wipe();
                    } else {
                        index.crash(|| random.next());
                    }
                    reopen(engine, disk, index, *durability);
                    model.check(engine, NUMBERS);
                }
            }
        }
    }

    /// New content of one to four parts at the end of an appender.
    fn extension(&mut self) -> (Vec<u8>, Content) {
        let (mut bytes, mut segments) = (Vec::new(), Vec::new());
        for _ in 0..=self.random.below(4) {
            let mut part = self.random.bytes(2000);
            part.push(1);
            let payload = Bytes::copy_from_slice(&part);
            let crc = Crc32::of(&part);
            let stored = Change::Part {
                time: 1,
                payload,
                crc,
            };
            let Ok(Answer::Part(name)) = submit(&mut self.engine, stored) else {
                panic!("a part is stored and has a name")
            };
            segments.push(Segment {
                part: name,
                start: 0,
                len: u32::try_from(part.len()).unwrap(),
            });
            bytes.extend_from_slice(&part);
        }
        let crc = Crc32::of(&bytes);
        (bytes, Content::Parts { segments, crc })
    }

    fn extend(&mut self, number: u64) {
        let (bytes, content) = self.extension();
        let parts = match &content {
            Content::Parts { segments, .. } => segments.iter().map(|it| it.part).collect(),
            Content::Inline(_) => Vec::new(),
        };
        let result = submit(&mut self.engine, edit(number, Edit::Append(content)));
        if let (Ok(answer), Some(entry)) = (&result, self.model.blobs.get(&number)) {
            let offset = entry.bytes.len() as u64;
            assert_eq!(*answer, Answer::Appended { offset });
        }
        if result.is_err() {
            submit(&mut self.engine, Change::Abandon(parts)).unwrap();
        }
        apply(&mut self.model, number, result, |entry| {
            entry.bytes.extend_from_slice(&bytes);
        });
    }

    /// Up to six ranges of `bytes`, in any order, and what they make.
    fn ranges(&mut self, bytes: &[u8]) -> (Vec<Range<u64>>, Vec<u8>) {
        let (mut ranges, mut arranged) = (Vec::new(), Vec::new());
        for _ in 0..self.random.below(7) {
            let from = self.random.below(bytes.len() as u64 + 1);
            let to = from + self.random.below(bytes.len() as u64 - from + 1);
            if from < to {
                ranges.push(from..to);
                let at = |offset: u64| usize::try_from(offset).unwrap();
                arranged.extend_from_slice(&bytes[at(from)..at(to)]);
            }
        }
        (ranges, arranged)
    }

    /// An arrangement of the appender `number` under the next free number.
    fn arrange(&mut self, number: u64) {
        let bytes = match self.model.blobs.get(&number) {
            Some(entry) => entry.bytes.clone(),
            None => Vec::new(),
        };
        let (ranges, arranged) = self.ranges(&bytes);
        let taken = &self.model.blobs;
        let Some(target) = (0..NUMBERS).find(|it| *it != number && !taken.contains_key(it)) else {
            return;
        };
        let beyond = Edit::Arrange {
            key: key(target),
            ranges: vec![0..1, 0..bytes.len() as u64 + 1],
            crc: Crc32(0),
        };
        submit(&mut self.engine, edit(number, beyond)).unwrap_err();
        let change = Edit::Arrange {
            key: key(target),
            ranges,
            crc: Crc32::of(&arranged),
        };
        let result = submit(&mut self.engine, edit(number, change));
        let is_done = result.is_ok();
        apply(&mut self.model, number, result, |_| {});
        if is_done {
            self.model.arrange(number, target, arranged);
        }
    }

    /// The power, or the process, ends in the middle of an extension or an arrangement: it happened
    /// wholly or not at all.
    fn cut_off(&mut self, number: u64) {
        let Some(entry) = self.model.blobs.get(&number).filter(|it| it.is_appender) else {
            return;
        };
        let before = entry.bytes.clone();
        let free = (0..NUMBERS).find(|it| !self.model.blobs.contains_key(it));
        let mut after = self.model.clone();
        let change = if let Some(target) = free.filter(|_| self.random.below(2) == 0) {
            let (ranges, arranged) = self.ranges(&before);
            let crc = Crc32::of(&arranged);
            after.arrange(number, target, arranged);
            let key = key(target);
            Edit::Arrange { key, ranges, crc }
        } else {
            let (bytes, content) = self.extension();
            if let Some(entry) = after.blobs.get_mut(&number) {
                entry.bytes.extend_from_slice(&bytes);
            }
            Edit::Append(content)
        };
        self.disk.cut_power_at_next_sync();
        let result = submit(&mut self.engine, edit(number, change));
        let random = &mut self.random;
        self.disk.crash(self.crash, || random.next());
        if random.below(4) == 0 {
            self.index.wipe();
        } else {
            self.index.crash(|| random.next());
        }
        reopen(&mut self.engine, &self.disk, &self.index, self.durability);
        let found = read(&self.engine, number).expect("readable");
        if found.as_ref() != Some(&before) || result.is_ok() {
            self.model = after;
        }
        self.model.check(&self.engine, NUMBERS);
        check_owners(&self.engine, self.crash);
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
