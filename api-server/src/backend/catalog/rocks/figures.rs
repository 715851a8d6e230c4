//! Figures of the catalog, printed and not judged. They are not part of a normal test run:
//! `cargo test --release -p api-server figures -- --ignored --nocapture --test-threads=1`. They use the directory for temporary files, so
//! `TMPDIR` chooses the disk.

use std::ops::ControlFlow;

use common::env::clock;
use prometheus::Registry;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::core::catalog::Direction;

const FILES: u32 = 1_000_000;
/// Files of the user whose pages are read.
const FILES_OF_ONE: u32 = 100_000;
const PAGE: usize = 20;

fn open(data_dir: &TempDir, durability: Durability) -> RocksCatalog {
    let settings = CatalogSettings {
        durability,
        ..CatalogSettings::new(data_dir.path())
    };
    RocksCatalog::open(&settings, &Registry::new()).unwrap()
}

/// Numbers without order, the same in each run.
struct Mixed(u64);

impl Mixed {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u32::try_from((self.0 >> 33) % u64::from(end)).unwrap()
    }
}

fn list_key(user: u32, number: u32) -> Vec<u8> {
    [b"L", &user.to_be_bytes()[..], &number.to_be_bytes()].concat()
}

fn content_key(number: u32) -> Vec<u8> {
    [b"C", &blake3::hash(&number.to_be_bytes()).as_bytes()[..]].concat()
}

/// Median and 99th percentile. Means would show what else the machine does. Forgets the times.
fn spread(times: &mut Vec<Duration>) -> String {
    times.sort_unstable();
    let median = times[times.len() / 2];
    let most = times[times.len() * 99 / 100];
    times.clear();
    format!("{median:.1?}, 99 % {most:.1?}")
}

/// Resident memory of this process in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<u64>().unwrap() / 1024
}

/// One transaction as dialects make them: three looks, four changes, one of them a counter.
async fn transact(catalog: &RocksCatalog, number: u32) {
    let write = catalog.write(move |transaction| {
        let user = number % 64;
        let counter = [b"N", &user.to_be_bytes()[..]].concat();
        let seen = transaction.get(&counter)?;
        let count = seen.map_or(0, |value| u32::from_be_bytes(value.try_into().unwrap())) + 1;
        transaction.get(&list_key(user, number))?;
        transaction.get(&content_key(number))?;
        transaction.put(&counter, &count.to_be_bytes())?;
        transaction.put(&list_key(user, number), &[7; 150])?;
        transaction.put(&content_key(number), &[7; 100])?;
        transaction.put(&[b"T", &number.to_be_bytes()[..]].concat(), &[7; 20])
    });
    write.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn transactions_a_second() {
    for (durability, rounds) in [
        (Durability::Always, 300),
        (Durability::Interval(Duration::from_secs(1)), 3000),
        (Durability::Os, 3000),
    ] {
        for callers in [1, 16, 64] {
            let data_dir = TempDir::new().unwrap();
            let catalog = open(&data_dir, durability);
            let started = clock::monotonic();
            let mut tasks = JoinSet::new();
            for caller in 0..callers {
                let catalog = catalog.clone();
                tasks.spawn(async move {
                    let mut waited = Vec::new();
                    for round in 0..rounds {
                        let started = clock::monotonic();
                        transact(&catalog, caller * rounds + round).await;
                        waited.push(started.elapsed());
                    }
                    waited
                });
            }
            let mut waited = tasks.join_all().await.concat();
            let rate = f64::from(callers * rounds) / started.elapsed().as_secs_f64();
            let metrics = &catalog.shared.metrics;
            println!(
                "{durability:?}, {callers} callers: {rate:.0} transactions/s, median {}; \
                 {} groups, each {:.2} ms of writing",
                spread(&mut waited),
                metrics.group_transactions.get_sample_count(),
                metrics.write_seconds.get_sample_sum() * 1e3
                    / f64::from(u32::try_from(metrics.write_seconds.get_sample_count()).unwrap()),
            );
            catalog.close().await;
        }
    }
}

async fn fill(catalog: &RocksCatalog) {
    let mut mixed = Mixed(1);
    for first in (0..FILES).step_by(500) {
        let shift = mixed.below(1000);
        let write = catalog.write(move |transaction| {
            for number in first..first + 500 {
                // Every tenth file belongs to one user, the others to a thousand.
                let user = if number % 10 == 0 {
                    0
                } else {
                    1 + (number + shift) % 1000
                };
                transaction.put(&list_key(user, number), &[7; 150])?;
                transaction.put(&content_key(number), &[7; 100])?;
            }
            Ok::<_, CatalogError>(())
        });
        write.await.unwrap();
    }
}

async fn page(catalog: &RocksCatalog, user: u32, from: u32, direction: Direction) -> usize {
    let read = catalog.read(move |view| {
        let mut seen = (0, 0);
        let (from, to) = match direction {
            Direction::Ascending => (list_key(user, from), list_key(user, u32::MAX)),
            Direction::Descending => (list_key(user, 0), list_key(user, from)),
        };
        view.scan(&from, &to, direction, &mut |key, value| {
            seen = (seen.0 + 1, seen.1 + key.len() + value.len());
            if seen.0 == PAGE {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok::<_, CatalogError>(seen.1)
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn reads_of_a_million_files() {
    const READS: u32 = 20_000;
    let data_dir = TempDir::new().unwrap();
    let catalog = open(&data_dir, Durability::Os);
    let started = clock::monotonic();
    fill(&catalog).await;
    println!(
        "filled in {:?}, {} MiB resident",
        started.elapsed(),
        resident()
    );
    let db = catalog.shared.open_db().unwrap();
    db.wait_for_compact(&rocksdb::WaitForCompactOptions::default())
        .unwrap();
    drop(db);
    catalog.close().await;
    let catalog = open(&data_dir, Durability::Os);
    let waited = || catalog.shared.metrics.reads_waited.get();
    let mut mixed = Mixed(2);
    let mut times = Vec::new();
    for (name, user_count, pages, direction) in [
        (
            "first look at pages of one user",
            1,
            FILES_OF_ONE,
            Direction::Ascending,
        ),
        ("pages of one user", 1, FILES_OF_ONE, Direction::Ascending),
        (
            "pages of one user, backwards",
            1,
            FILES_OF_ONE,
            Direction::Descending,
        ),
        ("the same page", 1, 1, Direction::Ascending),
        (
            "first pages of a thousand users",
            1000,
            1,
            Direction::Ascending,
        ),
        (
            "first pages of a thousand users again",
            1000,
            1,
            Direction::Ascending,
        ),
    ] {
        let before = waited();
        let mut len = 0;
        for _ in 0..READS {
            let from = FILES / 2 + 5 * mixed.below(pages);
            let user = mixed.below(user_count);
            let started = clock::monotonic();
            len = page(&catalog, user, from, direction).await;
            times.push(started.elapsed());
        }
        let waited = waited() - before;
        println!(
            "{name}: {}, {len} bytes, {waited} waited",
            spread(&mut times)
        );
    }
    for (name, first, count) in [
        ("the same value", 0, 1),
        ("values without order", 0, FILES),
        ("values that are not there", FILES, FILES),
    ] {
        let before = waited();
        for _ in 0..READS {
            let number = first + mixed.below(count);
            let started = clock::monotonic();
            let read = catalog.read(move |view| view.get(&content_key(number)));
            assert_eq!(read.await.unwrap().is_some(), number < FILES);
            times.push(started.elapsed());
        }
        let waited = waited() - before;
        println!("{name}: {}, {waited} waited", spread(&mut times));
    }
    println!("{} MiB resident", resident());
}

/// A ranking in which one entry at the top moves with each view.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn the_top_of_a_ranking_that_moves() {
    let data_dir = TempDir::new().unwrap();
    let catalog = open(&data_dir, Durability::Os);
    let key = |count: u32, id: u32| {
        [
            b"R",
            &(u32::MAX - count).to_be_bytes()[..],
            &id.to_be_bytes(),
        ]
        .concat()
    };
    let write = catalog.write(move |transaction| {
        for id in 0..10_000 {
            transaction.put(&key(id % 100, id), b"")?;
        }
        Ok::<_, CatalogError>(())
    });
    write.await.unwrap();
    let mut counts = [100_u32; 10];
    let mut times = Vec::new();
    for round in 1..=100_000 {
        let hot = round % 10;
        let count = counts[hot];
        counts[hot] += 1;
        let id = 20_000 + u32::try_from(hot).unwrap();
        let write = catalog.write(move |transaction| {
            transaction.delete(&key(count, id))?;
            transaction.put(&key(count + 1, id), b"")
        });
        write.await.unwrap();
        if round % 10 == 0 {
            let started = clock::monotonic();
            let read = catalog.read(|view| {
                let mut seen = 0;
                view.scan(b"R", b"S", Direction::Ascending, &mut |_, _| {
                    seen += 1;
                    if seen == PAGE {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })?;
                Ok::<_, CatalogError>(())
            });
            read.await.unwrap();
            times.push(started.elapsed());
        }
        if round % 20_000 == 0 {
            println!("{round} moves: top {PAGE} in {}", spread(&mut times));
        }
    }
}
