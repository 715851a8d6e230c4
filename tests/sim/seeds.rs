//! The tests: many seeds, and some of them twice.

use std::cell::Cell;
use std::future::Future;
use std::sync::Once;

use crate::world::World;

/// Seeds that every run looks at; `HAYLOFT_SIM_SEEDS=from..to` looks at others.
const SEEDS: std::ops::Range<u64> = 0..4000;

/// Runs to the end in virtual time.
fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(work)
}

thread_local! {
    /// Whether anything panicked on this thread, be it in a task that nobody waits for.
    static HAS_PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Has panics of tasks noticed too.
fn notice_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            HAS_PANICKED.set(true);
            print(info);
        }));
    });
}

/// The history of one seed, as text.
fn history(seed: u64) -> String {
    notice_panics();
    HAS_PANICKED.set(false);
    match std::panic::catch_unwind(|| run(World::live(seed))) {
        Ok(log) => {
            assert!(!HAS_PANICKED.get(), "seed {seed}: a task panicked\n{log}");
            log
        }
        Err(cause) => {
            let message = cause
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            panic!("seed {seed}: {}", message.unwrap_or_default());
        }
    }
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("HAYLOFT_SIM_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = text.split_once("..").expect("HAYLOFT_SIM_SEEDS=from..to");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn no_seed_loses_damages_or_brings_back_what_was_acknowledged() {
    let seeds = seeds();
    let half = seeds.start.midpoint(seeds.end);
    std::thread::scope(|scope| {
        for part in [seeds.start..half, half..seeds.end] {
            scope.spawn(move || {
                for seed in part {
                    history(seed);
                }
            });
        }
    });
}

#[test]
fn one_seed_gives_one_history() {
    for seed in (0..30).chain([1_000_003]) {
        let (first, second) = (history(seed), history(seed));
        assert!(100 < first.len(), "something happened: {first}");
        let differs = first
            .lines()
            .zip(second.lines())
            .find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
    }
}
