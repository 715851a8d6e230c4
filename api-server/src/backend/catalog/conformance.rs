//! What every [`Catalog`] must do. Runs on the embedded one and on the double.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test suite")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

use tokio::task::JoinSet;

use crate::core::catalog::{Catalog, CatalogError, Direction, View};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

const END: &[u8] = &[0xff; 40];

/// What the work of these tests answers when it does not want to go on.
#[derive(Debug)]
enum Refusal {
    Catalog(CatalogError),
    Work(u32),
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

/// Checks catalogs that `fresh` makes, each empty, and that `close` closes; panics at the first
/// difference. Needs a runtime of several threads.
pub async fn check<C: Catalog>(fresh: impl AsyncFn() -> C, close: impl AsyncFn(&C)) {
    a_transaction_sees_its_own_changes(&fresh().await).await;
    a_refused_transaction_leaves_nothing(&fresh().await).await;
    a_panic_leaves_nothing_and_harms_nobody_else(&fresh().await).await;
    scans_keep_their_bounds_over_kept_and_new_entries(&fresh().await).await;
    keys_and_values_may_be_odd(&fresh().await).await;
    reserved_keys_are_neither_changed_nor_shown(&fresh().await).await;
    a_read_sees_what_was_acknowledged(&fresh().await).await;
    a_read_sees_one_state(&fresh().await).await;
    transactions_are_serial(&fresh().await).await;
    refusals_among_others_leave_nothing(&fresh().await).await;
    the_answer_is_of_the_run_that_counts(&fresh().await).await;
    a_transaction_that_nobody_waits_for_is_whole(&fresh().await).await;
    let closed = fresh().await;
    close(&closed).await;
    a_closed_catalog_refuses(&closed).await;
}

fn scan(
    view: &dyn View,
    from: &[u8],
    to: &[u8],
    direction: Direction,
) -> Result<Entries, CatalogError> {
    let mut found = Vec::new();
    view.scan(from, to, direction, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn entries(of: &[(&str, &str)]) -> Entries {
    of.iter()
        .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

async fn put(catalog: &impl Catalog, of: &'static [(&'static str, &'static str)]) {
    let write = catalog.write(move |transaction| {
        for (key, value) in of {
            transaction.put(key.as_bytes(), value.as_bytes())?;
        }
        Ok::<_, CatalogError>(())
    });
    write.await.unwrap();
}

async fn all(catalog: &impl Catalog) -> Entries {
    let read = catalog.read(|view| scan(view, &[], END, Direction::Ascending));
    read.await.unwrap()
}

async fn a_transaction_sees_its_own_changes(catalog: &impl Catalog) {
    put(catalog, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let write = catalog.write(|transaction| {
        transaction.put(b"b", b"new")?;
        transaction.put(b"bb", b"between")?;
        transaction.delete(b"c")?;
        transaction.delete(b"never was")?;
        transaction.put(b"d", b"first")?;
        transaction.put(b"d", b"second")?;
        transaction.put(b"e", b"gone again")?;
        transaction.delete(b"e")?;
        assert_eq!(transaction.get(b"a")?.unwrap(), b"1");
        assert_eq!(transaction.get(b"b")?.unwrap(), b"new");
        assert_eq!(transaction.get(b"c")?, None);
        assert_eq!(transaction.get(b"d")?.unwrap(), b"second");
        assert_eq!(transaction.get(b"e")?, None);
        scan(transaction, b"a", b"z", Direction::Ascending)
    });
    let seen = write.await.unwrap();
    let expected = entries(&[("a", "1"), ("b", "new"), ("bb", "between"), ("d", "second")]);
    assert_eq!(seen, expected);
    assert_eq!(all(catalog).await, expected);
}

async fn a_refused_transaction_leaves_nothing(catalog: &impl Catalog) {
    put(catalog, &[("a", "1"), ("b", "2")]).await;
    let write = catalog.write(|transaction| {
        transaction.put(b"a", b"changed")?;
        transaction.delete(b"b")?;
        transaction.put(b"c", b"new")?;
        Err::<(), _>(Refusal::Work(7))
    });
    assert!(matches!(write.await, Err(Refusal::Work(7))));
    assert_eq!(all(catalog).await, entries(&[("a", "1"), ("b", "2")]));
    let write = catalog.write(|transaction| {
        assert_eq!(transaction.get(b"a")?.unwrap(), b"1");
        assert_eq!(transaction.get(b"b")?.unwrap(), b"2");
        assert_eq!(transaction.get(b"c")?, None);
        Ok::<_, Refusal>(())
    });
    write.await.unwrap();
    let read = catalog.read(|_| Err::<(), _>(Refusal::Work(8)));
    assert!(matches!(read.await, Err(Refusal::Work(8))));
}

async fn a_panic_leaves_nothing_and_harms_nobody_else(catalog: &impl Catalog) {
    put(catalog, &[("a", "1")]).await;
    let write = catalog.write(|transaction| {
        transaction.put(b"a", b"changed")?;
        transaction.put(b"b", b"new")?;
        assert_eq!(transaction.get(b"b")?, None, "this failure is wanted");
        Ok::<_, Refusal>(())
    });
    assert!(matches!(
        write.await,
        Err(Refusal::Catalog(CatalogError::Database(_)))
    ));
    put(catalog, &[("c", "3")]).await;
    assert_eq!(all(catalog).await, entries(&[("a", "1"), ("c", "3")]));
}

/// Every range, direction and number of entries over kept entries, removed ones and new ones.
async fn scans_keep_their_bounds_over_kept_and_new_entries(catalog: &impl Catalog) {
    put(
        catalog,
        &[("b", "b"), ("d", "d"), ("dd", "dd"), ("h", "h"), ("j", "j")],
    )
    .await;
    let write = catalog.write(|transaction| {
        transaction.put(b"a", b"new")?;
        transaction.put(b"d", b"new")?;
        transaction.delete(b"dd")?;
        transaction.put(b"f", b"new")?;
        transaction.delete(b"g")?;
        transaction.put(b"k", b"new")?;
        check_scans(transaction)
    });
    write.await.unwrap();
    let read = catalog.read(|view| check_scans(view));
    read.await.unwrap();
}

fn check_scans(view: &dyn View) -> Result<(), CatalogError> {
    let model: BTreeMap<_, _> = entries(&[
        ("a", "new"),
        ("b", "b"),
        ("d", "new"),
        ("f", "new"),
        ("h", "h"),
        ("j", "j"),
        ("k", "new"),
    ])
    .into_iter()
    .collect();
    let bounds = [
        "", "a", "a\0", "b", "c", "d", "dd", "e", "f", "g", "h", "i", "j", "k", "l",
    ];
    for (from, to) in bounds.iter().flat_map(|from| {
        bounds
            .iter()
            .map(move |to| (from.as_bytes(), to.as_bytes()))
    }) {
        let mut expected: Entries = model
            .iter()
            .filter(|(key, _)| from <= key.as_slice() && key.as_slice() < to)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for direction in [Direction::Ascending, Direction::Descending] {
            assert_eq!(scan(view, from, to, direction)?, expected, "{direction:?}");
            for count in 1..=expected.len() {
                let mut found = Vec::new();
                let visit = &mut |key: &[u8], value: &[u8]| {
                    found.push((key.to_vec(), value.to_vec()));
                    if found.len() == count {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                };
                view.scan(from, to, direction, visit)?;
                assert_eq!(found, expected[..count], "a break ends the scan");
            }
            expected.reverse();
        }
    }
    Ok(())
}

async fn keys_and_values_may_be_odd(catalog: &impl Catalog) {
    let odd: Entries = vec![
        (vec![1], vec![]),
        (vec![1, 0], vec![0]),
        (vec![1, 0, 0], b"zeros".to_vec()),
        (vec![7; 4096], vec![9; 100_000]),
        (
            [vec![7; 4096], vec![0]].concat(),
            b"longer by a zero".to_vec(),
        ),
        (vec![0xff; 30], vec![0xff]),
    ];
    let to_put = odd.clone();
    let write = catalog.write(move |transaction| {
        for (key, value) in &to_put {
            transaction.put(key, value)?;
        }
        scan(transaction, &[], END, Direction::Ascending)
    });
    assert_eq!(write.await.unwrap(), odd);
    assert_eq!(all(catalog).await, odd);
    let asked = odd.clone();
    let read = catalog.read(move |view| {
        for (key, value) in &asked {
            assert_eq!(
                view.get(key)?.as_ref(),
                Some(value),
                "an empty value is a value"
            );
        }
        assert_eq!(view.get(&[1, 0, 0, 0])?, None);
        Ok::<_, CatalogError>(())
    });
    read.await.unwrap();
}

async fn reserved_keys_are_neither_changed_nor_shown(catalog: &impl Catalog) {
    for key in [&b""[..], b"\0", b"\0version"] {
        let write = catalog.write(move |transaction| {
            transaction.put(b"other", b"")?;
            // Passing over the failure does not save the transaction.
            let _ = transaction.put(key, b"value");
            Ok::<_, CatalogError>(())
        });
        assert!(matches!(write.await, Err(CatalogError::Contradiction(_))));
        let read = catalog.read(move |view| view.get(key));
        assert_eq!(read.await.unwrap(), None);
    }
    assert_eq!(all(catalog).await, []);
}

async fn a_read_sees_what_was_acknowledged(catalog: &impl Catalog) {
    for round in 0_u32..100 {
        let write = catalog.write(move |transaction| transaction.put(b"k", &round.to_be_bytes()));
        write.await.unwrap();
        let read = catalog.read(|view| view.get(b"k"));
        assert_eq!(read.await.unwrap().unwrap(), round.to_be_bytes());
    }
}

fn number(view: &dyn View, key: &[u8]) -> Result<u32, CatalogError> {
    let value = view.get(key)?;
    Ok(value.map_or(0, |value| u32::from_be_bytes(value.try_into().unwrap())))
}

/// Transactions move amounts between accounts; no read ever sees a sum that is not zero.
async fn a_read_sees_one_state(catalog: &impl Catalog) {
    const ACCOUNTS: u8 = 4;
    let mut tasks = JoinSet::new();
    for account in 0..ACCOUNTS {
        let catalog = catalog.clone();
        tasks.spawn(async move {
            for _ in 0..50 {
                let write = catalog.write(move |transaction| {
                    let (from, to) = ([1, account], [1, (account + 1) % ACCOUNTS]);
                    let less = number(transaction, &from)?.wrapping_sub(1);
                    transaction.put(&from, &less.to_be_bytes())?;
                    let more = number(transaction, &to)?.wrapping_add(1);
                    transaction.put(&to, &more.to_be_bytes())
                });
                write.await.unwrap();
            }
        });
    }
    while !tasks.is_empty() {
        let read = catalog.read(|view| {
            let mut one_by_one = 0_u32;
            for account in 0..ACCOUNTS {
                one_by_one = one_by_one.wrapping_add(number(view, &[1, account])?);
            }
            let scanned = scan(view, &[1], &[2], Direction::Descending)?
                .into_iter()
                .map(|(_, value)| u32::from_be_bytes(value.try_into().unwrap()))
                .fold(0_u32, u32::wrapping_add);
            Ok::<_, CatalogError>((one_by_one, scanned))
        });
        assert_eq!(read.await.unwrap(), (0, 0));
        while let Some(ended) = tasks.try_join_next() {
            ended.unwrap();
        }
        tokio::task::yield_now().await;
    }
}

async fn transactions_are_serial(catalog: &impl Catalog) {
    const CALLERS: u32 = 16;
    const ROUNDS: u32 = 50;
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let catalog = catalog.clone();
        tasks.spawn(async move {
            let mut drawn = Vec::new();
            for _ in 0..ROUNDS {
                let write = catalog.write(|transaction| {
                    let next = number(transaction, b"counter")? + 1;
                    transaction.put(b"counter", &next.to_be_bytes())?;
                    Ok::<_, CatalogError>(next)
                });
                drawn.push(write.await.unwrap());
            }
            assert!(drawn.is_sorted());
            drawn
        });
    }
    let mut drawn: Vec<u32> = tasks.join_all().await.concat();
    drawn.sort_unstable();
    let expected: Vec<u32> = (1..=CALLERS * ROUNDS).collect();
    assert_eq!(drawn, expected, "nobody draws what another has drawn");
}

/// Refused transactions run between others, so that they share groups where there are groups.
async fn refusals_among_others_leave_nothing(catalog: &impl Catalog) {
    let mut tasks = JoinSet::new();
    for caller in 0_u32..64 {
        let catalog = catalog.clone();
        tasks.spawn(async move {
            let write = catalog.write(move |transaction| {
                let seen = number(transaction, b"sum")?;
                assert!(seen.is_multiple_of(2), "only even numbers are kept");
                transaction.put(b"sum", &(seen + caller).to_be_bytes())?;
                transaction.put(&[1, caller.to_be_bytes()[3]], b"")?;
                if caller.is_multiple_of(2) {
                    Ok(())
                } else {
                    Err(Refusal::Work(caller))
                }
            });
            match write.await {
                Ok(()) => assert!(caller.is_multiple_of(2)),
                Err(Refusal::Work(number)) => assert_eq!(number, caller),
                Err(Refusal::Catalog(error)) => panic!("{error}"),
            }
        });
    }
    tasks.join_all().await;
    let expected: u32 = (0..64).step_by(2).sum();
    let read = catalog.read(|view| {
        let kept = scan(view, &[1], &[2], Direction::Ascending)?.len();
        Ok::<_, CatalogError>((number(view, b"sum")?, kept))
    });
    assert_eq!(read.await.unwrap(), (expected, 32));
}

async fn the_answer_is_of_the_run_that_counts(catalog: &impl Catalog) {
    let mut runs = 0_u32;
    let write = catalog.write(move |transaction| {
        runs += 1;
        let seen = number(transaction, b"runs")?;
        assert_eq!(seen, 0, "each run begins on a fresh state");
        transaction.put(b"runs", &runs.to_be_bytes())?;
        Ok::<_, CatalogError>(runs)
    });
    let answered = write.await.unwrap();
    let read = catalog.read(|view| number(view, b"runs"));
    assert_eq!(read.await.unwrap(), answered);

    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let read = catalog.read(move |view| {
        let run = counted.fetch_add(1, Ordering::Relaxed) + 1;
        number(view, b"runs").map(|_| run)
    });
    assert_eq!(read.await.unwrap(), runs.load(Ordering::Relaxed));
}

async fn a_transaction_that_nobody_waits_for_is_whole(catalog: &impl Catalog) {
    for round in 0_u8..20 {
        let write = catalog.write(move |transaction| {
            transaction.put(&[1, round], b"")?;
            transaction.put(&[2, round], b"")
        });
        let mut write = Box::pin(write);
        // Polled once and dropped, as when a client goes away.
        let _ = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(write);
    }
    put(catalog, &[("last", "")]).await;
    let read = catalog.read(|view| {
        let second = |(key, _): (Vec<u8>, Vec<u8>)| key[1];
        let of = |kind: u8| scan(view, &[kind], &[kind + 1], Direction::Ascending);
        let first: Vec<u8> = of(1)?.into_iter().map(second).collect();
        let other: Vec<u8> = of(2)?.into_iter().map(second).collect();
        Ok::<_, CatalogError>((first, other))
    });
    let (first, other) = read.await.unwrap();
    assert_eq!(first, other);
}

async fn a_closed_catalog_refuses(catalog: &impl Catalog) {
    let write = catalog.write(|transaction| transaction.put(b"k", b"v"));
    assert!(matches!(write.await, Err(CatalogError::Closed)));
    let read = catalog.read(|view| view.get(b"k"));
    assert!(matches!(read.await, Err(CatalogError::Closed)));
}
