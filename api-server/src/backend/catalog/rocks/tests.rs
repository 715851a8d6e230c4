use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::{fs, io};

use common::code::ErrorCode;
use prometheus::Registry;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::super::conformance;
use super::*;
use crate::core::catalog::Direction;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn settings(data_dir: &Path, durability: Durability) -> CatalogSettings {
    CatalogSettings {
        durability,
        memtable_len: 256 * 1024,
        ..CatalogSettings::new(data_dir)
    }
}

fn open(data_dir: &Path) -> Result<RocksCatalog, OpenError> {
    RocksCatalog::open(&settings(data_dir, Durability::Always), &Registry::new())
}

fn directory(data_dir: &TempDir) -> PathBuf {
    CatalogSettings::new(data_dir.path()).directory
}

async fn put(catalog: &RocksCatalog, key: &'static str, value: &'static str) {
    let write = catalog.write(|transaction| transaction.put(key.as_bytes(), value.as_bytes()));
    write.await.unwrap();
}

async fn all(catalog: &RocksCatalog) -> Entries {
    let read = catalog.read(|view| {
        let mut found = Entries::new();
        view.scan(&[], &[0xff; 9], Direction::Ascending, &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok::<_, CatalogError>(found)
    });
    read.await.unwrap()
}

/// Copies the directory of a database that may be open. It removes files that it no longer needs, also
/// by itself right after it was opened, so a copy that met one of them begins again.
fn copy(from: &Path, to: &Path) {
    for _ in 0..100 {
        match try_copy(from, to) {
            Ok(()) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
        fs::remove_dir_all(to).unwrap();
    }
    panic!("files go as fast as they are copied");
}

fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Files of the database whose names contain `part`.
fn named(directory: &Path, part: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(directory).unwrap();
    let mut found: Vec<PathBuf> = names
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().contains(part))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_a_catalog_whatever_the_durability() {
    for durability in [
        Durability::Os,
        Durability::Always,
        Durability::Interval(Duration::from_millis(1)),
    ] {
        let data_dir = TempDir::new().unwrap();
        let count = std::sync::atomic::AtomicU32::new(0);
        let fresh = async || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let data_dir = data_dir.path().join(number.to_string());
            RocksCatalog::open(&settings(&data_dir, durability), &Registry::new()).unwrap()
        };
        conformance::check(fresh, async |catalog| catalog.close().await).await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_closing_and_opening() {
    let data_dir = TempDir::new().unwrap();
    let catalog = open(data_dir.path()).unwrap();
    put(&catalog, "a", "1").await;
    put(&catalog, "b", "2").await;
    let kept = all(&catalog).await;
    catalog.close().await;
    catalog.close().await;
    // The closed one is still held, as by a request that ends late.
    let again = open(data_dir.path()).unwrap();
    assert_eq!(all(&again).await, kept);
    drop(catalog);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_process_that_never_closes() {
    let data_dir = TempDir::new().unwrap();
    // All stays in the log, for files that come and go cannot be copied one by one.
    let settings = CatalogSettings::new(data_dir.path());
    let catalog = RocksCatalog::open(&settings, &Registry::new()).unwrap();
    for round in 0..5 {
        let write = catalog.write(move |transaction| {
            for key in 1..=200_u8 {
                transaction.put(&[key, round], &[round; 600])?;
            }
            Ok::<_, CatalogError>(())
        });
        write.await.unwrap();
        let kept = all(&catalog).await;
        let killed = TempDir::new().unwrap();
        copy(&directory(&data_dir), &directory(&killed));
        assert_eq!(all(&open(killed.path()).unwrap()).await, kept);
    }
}

#[tokio::test]
async fn a_log_that_breaks_off_costs_only_what_it_lost() {
    let data_dir = TempDir::new().unwrap();
    let catalog = open(data_dir.path()).unwrap();
    put(&catalog, "kept", "1").await;
    let log_len = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let log = |directory: &Path| {
        let logs = named(directory, ".log");
        logs.into_iter().max_by_key(log_len).unwrap()
    };
    let kept_len = log_len(&log(&directory(&data_dir)));
    put(&catalog, "torn", "2").await;
    let damages: [fn(&mut Vec<u8>, usize); 3] = [
        |bytes, at| bytes.truncate(at),
        // Pages that never arrived, and pages that arrived before others.
        |bytes, at| bytes[at..].fill(0),
        |bytes, at| bytes[at] ^= 1,
    ];
    for damage in damages {
        let copied = TempDir::new().unwrap();
        copy(&directory(&data_dir), &directory(&copied));
        let path = log(&directory(&copied));
        let mut bytes = fs::read(&path).unwrap();
        let at = usize::try_from(kept_len).unwrap() + 12;
        assert!(at < bytes.len());
        damage(&mut bytes, at);
        fs::write(&path, bytes).unwrap();
        let reopened = open(copied.path()).unwrap();
        let kept: Vec<Vec<u8>> = all(&reopened).await.into_keys().collect();
        assert_eq!(kept, [b"kept"]);
    }
}

#[tokio::test]
async fn a_damaged_database_is_an_error_and_never_a_new_one() {
    let data_dir = TempDir::new().unwrap();
    let catalog = open(data_dir.path()).unwrap();
    put(&catalog, "a", "1").await;
    catalog.close().await;
    let check = |name: &str, damage: &dyn Fn(&Path)| {
        let copied = TempDir::new().unwrap();
        copy(&directory(&data_dir), &directory(&copied));
        damage(&directory(&copied));
        // The first refusal does not mend it either.
        for _ in 0..2 {
            let error = open(copied.path()).unwrap_err();
            assert!(error.to_string().contains("a backup"), "{name}: {error:?}");
            assert_eq!(error.code(), ErrorCode::Storage);
        }
    };
    check("no list of files", &|directory| {
        fs::remove_file(directory.join("CURRENT")).unwrap();
    });
    check("no manifest", &|directory| {
        for path in named(directory, "MANIFEST") {
            fs::remove_file(path).unwrap();
        }
    });
    check("no files", &|directory| {
        for path in named(directory, ".sst") {
            fs::remove_file(path).unwrap();
        }
    });
    check("files cut short", &|directory| {
        for path in named(directory, ".sst") {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
        }
    });
}

#[tokio::test]
async fn a_damaged_entry_is_an_error_and_not_a_missing_one() {
    let data_dir = TempDir::new().unwrap();
    let catalog = open(data_dir.path()).unwrap();
    put(&catalog, "key", "a value that is found in the file").await;
    catalog.close().await;
    for path in named(&directory(&data_dir), ".sst") {
        let mut bytes = fs::read(&path).unwrap();
        let needle = b"a value that is found";
        if let Some(at) = bytes.windows(needle.len()).position(|part| part == needle) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let catalog = open(data_dir.path()).unwrap();
    let read = catalog.read(|view| view.get(b"key")).await;
    assert!(matches!(read, Err(CatalogError::Database(_))), "{read:?}");
    let write = catalog.write(|transaction| {
        let value = transaction.get(b"key").unwrap_or_default();
        transaction.put(b"copy", &value.unwrap_or_default())
    });
    let written = write.await;
    assert!(
        matches!(written, Err(CatalogError::Database(_))),
        "{written:?}"
    );
}

#[tokio::test]
async fn a_catalog_of_another_version_or_of_nobody_is_refused() {
    type IsRight = fn(&OpenError) -> bool;
    let cases: [(Option<&[u8]>, IsRight); 4] = [
        (Some(&[0, 0, 0, 3]), |error| {
            matches!(
                error,
                OpenError::Newer {
                    found: 3,
                    known: 2,
                    ..
                }
            )
        }),
        (Some(&[0, 0, 0, 1]), |error| {
            matches!(
                error,
                OpenError::Older {
                    found: 1,
                    known: 2,
                    ..
                }
            )
        }),
        (Some(b"x"), |error| {
            matches!(error, OpenError::Foreign { .. })
        }),
        (None, |error| matches!(error, OpenError::Foreign { .. })),
    ];
    for (version, is_right) in cases {
        let data_dir = TempDir::new().unwrap();
        open(data_dir.path()).unwrap().close().await;
        let names = ["default", "counts"];
        let db = DB::open_cf(&rocksdb::Options::default(), directory(&data_dir), names).unwrap();
        match version {
            Some(version) => db.put(b"\0version", version).unwrap(),
            None => db.delete(b"\0version").unwrap(),
        }
        drop(db);
        let error = open(data_dir.path()).unwrap_err();
        assert!(is_right(&error), "{version:?}: {error}");
    }
}

#[tokio::test]
async fn a_catalog_in_use_is_refused_and_one_that_was_not_finished_is_made_anew() {
    let data_dir = TempDir::new().unwrap();
    let unfinished = directory(&data_dir).with_file_name("catalog.new");
    fs::create_dir_all(&unfinished).unwrap();
    fs::write(unfinished.join("MANIFEST-000001"), b"half").unwrap();
    // An empty directory is as good as none.
    fs::create_dir(directory(&data_dir)).unwrap();
    let catalog = open(data_dir.path()).unwrap();
    assert!(!unfinished.exists());
    let mode = fs::metadata(directory(&data_dir))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else may read it");
    let error = open(data_dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Failed { .. }), "{error:?}");
    put(&catalog, "a", "1").await;
}

#[tokio::test]
async fn a_read_waits_for_the_disk_once_and_then_finds_memory() {
    let data_dir = TempDir::new().unwrap();
    let catalog = open(data_dir.path()).unwrap();
    put(&catalog, "key", "value").await;
    catalog.close().await;
    let catalog = open(data_dir.path()).unwrap();
    for waited in [1, 1] {
        // Work that passes over the failure of the view must not answer wrongly.
        let read = catalog.read(|view| Ok::<_, CatalogError>(view.get(b"key").unwrap_or_default()));
        assert_eq!(read.await.unwrap().unwrap(), b"value");
        assert_eq!(catalog.shared.metrics.reads_waited.get(), waited);
    }
}

#[tokio::test]
async fn more_than_the_queue_takes_is_refused_as_busy() {
    let data_dir = TempDir::new().unwrap();
    let catalog = open(data_dir.path()).unwrap();
    let (release, held) = mpsc::channel::<()>();
    let (started, has_started) = oneshot::channel();
    let mut started = Some(started);
    let holder = catalog.clone();
    let holding = tokio::spawn(async move {
        let write = holder.write(move |_| {
            if let Some(started) = started.take() {
                started.send(()).unwrap();
            }
            // Ends when the test lets go.
            let _ = held.recv();
            Ok::<_, CatalogError>(())
        });
        write.await
    });
    has_started.await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..QUEUE_MAX {
        let mut write = Box::pin(catalog.write(|transaction| transaction.put(b"k", b"")));
        assert!(futures_util::FutureExt::now_or_never(&mut write).is_none());
        waiting.push(write);
    }
    let refused = catalog
        .write(|transaction| transaction.put(b"k", b""))
        .await;
    assert!(matches!(refused, Err(CatalogError::Busy)));
    drop(release);
    holding.await.unwrap().unwrap();
    for write in waiting {
        write.await.unwrap();
    }
    let metrics = &catalog.shared.metrics;
    let transactions = u64::try_from(QUEUE_MAX).unwrap() + 1;
    assert_eq!(metrics.transactions.get(), transactions);
    assert!(metrics.group_transactions.get_sample_count() < transactions / 10);
}

#[test]
fn options_that_are_set_late_are_in_force() {
    let data_dir = TempDir::new().unwrap();
    let _catalog = open(data_dir.path()).unwrap();
    // The database writes down what it uses; the newest of these files counts.
    let written = named(&directory(&data_dir), "OPTIONS-").pop().unwrap();
    let text = fs::read_to_string(written).unwrap();
    for option in [
        "memtable_op_scan_flush_trigger=500",
        "memtable_avg_op_scan_flush_trigger=50",
        "prepopulate_block_cache=kFlushOnly",
        // What was set before is still there.
        "index_type=kTwoLevelIndexSearch",
        "partition_filters=true",
        "cache_index_and_filter_blocks=true",
    ] {
        assert!(text.contains(option), "{option}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(Vec<u8>, Option<Vec<u8>>)>, bool),
    Scan(Vec<u8>, Vec<u8>, Direction, usize),
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::collection::vec(1..4_u8, 1..4);
    let value = prop::option::weighted(0.6, prop::collection::vec(any::<u8>(), 0..300));
    let direction = prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
    prop_oneof![
        8 => (prop::collection::vec((key(), value), 0..20), prop::bool::weighted(0.8))
            .prop_map(|(changes, is_kept)| Step::Write(changes, is_kept)),
        8 => (key(), key(), direction, 1..9_usize)
            .prop_map(|(from, to, direction, count)| Step::Scan(from, to, direction, count)),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

async fn check(steps: Vec<Step>) {
    let data_dir = TempDir::new().unwrap();
    let settings = settings(data_dir.path(), Durability::Os);
    let reopen = || RocksCatalog::open(&settings, &Registry::new()).unwrap();
    let mut catalog = reopen();
    let mut model = Entries::new();
    for step in steps {
        match step {
            Step::Write(changes, is_kept) => {
                if is_kept {
                    for (key, value) in changes.clone() {
                        match value {
                            Some(value) => model.insert(key, value),
                            None => model.remove(&key),
                        };
                    }
                }
                let write = catalog.write(move |transaction| {
                    for (key, value) in &changes {
                        match value {
                            Some(value) => transaction.put(key, value)?,
                            None => transaction.delete(key)?,
                        }
                    }
                    if is_kept {
                        Ok(())
                    } else {
                        Err(CatalogError::Busy)
                    }
                });
                assert_eq!(write.await.is_ok(), is_kept);
            }
            Step::Scan(from, to, direction, count) => {
                let mut expected: Vec<_> = model
                    .iter()
                    .filter(|(key, _)| from <= **key && **key < to)
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                if direction == Direction::Descending {
                    expected.reverse();
                }
                expected.truncate(count);
                let read = catalog.read(move |view| {
                    let mut found = Vec::new();
                    view.scan(&from, &to, direction, &mut |key, value| {
                        found.push((key.to_vec(), value.to_vec()));
                        if found.len() == count {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    })?;
                    for (key, value) in &found {
                        assert_eq!(view.get(key)?.as_ref(), Some(value));
                    }
                    Ok::<_, CatalogError>(found)
                });
                assert_eq!(read.await.unwrap(), expected);
            }
            Step::Flush => {
                let db = catalog.shared.open_db().unwrap();
                db.flush().unwrap();
                db.compact_range::<&[u8], &[u8]>(None, None);
            }
            Step::Reopen => {
                catalog.close().await;
                catalog = reopen();
            }
        }
    }
    assert_eq!(all(&catalog).await, model);
}

#[test]
fn it_is_a_map_under_random_transactions_and_restarts() {
    let runtime = Runtime::new().unwrap();
    let config = Config {
        cases: 24,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 0..60), |steps| {
            runtime.block_on(check(steps));
            Ok(())
        })
        .unwrap();
}
