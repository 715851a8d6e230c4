//! A whole group in one thread: the same code over a simulated network, disks and clocks.
//!
//! One seed decides everything that happens: what clients ask, which messages are lost or late, who
//! is killed, paused, cut off, and what a power cut leaves of a disk. The same seed gives the same
//! history, event by event; a failure prints its seed.

mod check;
mod clients;
mod network;
mod world;

use std::fmt::Write as _;
use std::future::Future;

use self::world::World;

/// A small generator: the same seed gives the same history.
#[derive(Debug)]
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
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// Runs to the end in virtual time.
fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// The history of one seed, as text.
fn history(seed: u64) -> String {
    let outcome = std::panic::catch_unwind(|| run(World::live(seed)));
    match outcome {
        Ok(log) => log,
        Err(cause) => {
            let mut text = String::new();
            let message = cause
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let _ = write!(text, "seed {seed}: {}", message.unwrap_or_default());
            panic!("{text}");
        }
    }
}

/// Seeds that every run looks at; `HAYLOFT_SIM_SEEDS=from..to` looks at others.
const SEEDS: std::ops::Range<u64> = 0..2000;

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
