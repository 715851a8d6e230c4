//! Everything at once for a while: nodes and trackers are killed, paused and cut off under load, in
//! an order that a seed decides.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::env::clock;

use super::harness::{Cluster, Plan, seed};
use super::load::{Findings, Worker, check_each_alone, summary};
use super::proxy::Member;
use crate::support::chance::Chance;
use crate::support::deadline::within;
use crate::support::tell;

/// Seconds of faults unless `HAYLOFT_TEST_STORM_SECONDS` says otherwise.
const SECONDS: u64 = 60;

/// What is done to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// `kill -9`, and a start.
    Kill,
    /// SIGSTOP, and SIGCONT.
    Pause,
    /// Nothing reaches it.
    CutIn,
    /// Nothing from it arrives.
    CutOut,
    CutBoth,
}

/// A fault, and when it ends.
#[derive(Clone, Copy, Debug)]
struct Active {
    fault: Fault,
    member: Member,
    /// Since the beginning of the storm.
    end: Duration,
}

impl fmt::Display for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} of {:?} until {} ms",
            self.fault,
            self.member,
            self.end.as_millis()
        )
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_a_storm_of_kills_pauses_and_cuts() {
    let seconds = std::env::var("HAYLOFT_TEST_STORM_SECONDS").map_or(SECONDS, |text| {
        text.parse()
            .expect("HAYLOFT_TEST_STORM_SECONDS is a number")
    });
    let seed = seed();
    let mut chance = Chance::new(seed);
    let mut cluster = Cluster::start(Plan {
        is_proxied: true,
        ..Plan::default()
    });
    let mut workers = Worker::crowd(&cluster, &mut chance);
    let findings = Findings::default();
    let stop = AtomicBool::new(false);
    let history = std::thread::scope(|scope| {
        for worker in &mut workers {
            let (stop, findings) = (&stop, &findings);
            scope.spawn(move || worker.run(stop, findings));
        }
        // Clients end whatever happens, else a failure would wait for them for ever.
        let _guard = Stop(&stop);
        storm(&mut cluster, &mut chance, Duration::from_secs(seconds))
    });
    println!("{}", history.join("\n"));
    cluster.wait_copied();
    check_each_alone(&mut cluster, &mut workers, &findings);
    tell(format_args!(
        "storm of {seconds} s with seed {seed}: {} faults; {}",
        history.len(),
        summary(&workers)
    ));
    findings.expect_none(seed);
}

/// Sets the flag when it goes.
pub(super) struct Stop<'a>(pub(super) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does harm for so long, takes all of it back, and tells what it did.
fn storm(cluster: &mut Cluster, chance: &mut Chance, length: Duration) -> Vec<String> {
    let began = clock::monotonic();
    let now = || clock::monotonic().saturating_duration_since(began);
    let mut active: Vec<Active> = Vec::new();
    let mut history = Vec::new();
    while now() < length {
        let (over, goes_on) = active
            .into_iter()
            .partition(|fault: &Active| fault.end <= now());
        active = goes_on;
        for fault in over {
            end(cluster, fault);
        }
        if let Some(fault) = draw(chance, &active, now()) {
            history.push(format!("at {} ms: {fault}", now().as_millis()));
            begin(cluster, fault);
            active.push(fault);
        }
        // The time between faults is part of what the seed decides.
        let _ = within(
            Duration::from_millis(300 + chance.below(1200)),
            || None::<()>,
        );
    }
    for fault in active {
        end(cluster, fault);
    }
    for process in cluster.trackers.iter_mut().chain(&mut cluster.nodes) {
        process.wait_ready();
    }
    history
}

/// A fault that leaves clients at least one node and one tracker.
fn draw(chance: &mut Chance, active: &[Active], now: Duration) -> Option<Active> {
    let member = match chance.below(10) {
        0..2 => Member::Tracker(1 + chance.place(2)),
        _ => Member::Node(1 + chance.place(3)),
    };
    let (fault, longest) = match chance.below(10) {
        0..4 => (Fault::Kill, 3000),
        4..6 => (Fault::Pause, 5000),
        6 => (Fault::CutIn, 5000),
        7 => (Fault::CutOut, 5000),
        _ => (Fault::CutBoth, 5000),
    };
    let end = now + Duration::from_millis(1 + chance.below(longest));
    if active.iter().any(|fault| fault.member == member) {
        return None;
    }
    let is_away = |fault: &&Active| matches!(fault.fault, Fault::Kill | Fault::Pause);
    let away = active.iter().filter(is_away);
    let may_go = match member {
        Member::Tracker(_) => !active
            .iter()
            .any(|fault| matches!(fault.member, Member::Tracker(_))),
        Member::Node(_) | Member::Client => {
            away.filter(|fault| matches!(fault.member, Member::Node(_)))
                .count()
                < 2
        }
    };
    let goes = !matches!(fault, Fault::Kill | Fault::Pause) || may_go;
    goes.then_some(Active { fault, member, end })
}

fn begin(cluster: &mut Cluster, Active { fault, member, .. }: Active) {
    match fault {
        Fault::Kill => process(cluster, member).kill(),
        Fault::Pause => process(cluster, member).pause(),
        Fault::CutIn | Fault::CutOut | Fault::CutBoth => cluster.net.change(|cuts| {
            for other in members() {
                if fault != Fault::CutOut {
                    cuts.insert((other, member));
                }
                if fault != Fault::CutIn {
                    cuts.insert((member, other));
                }
            }
        }),
    }
}

fn end(cluster: &mut Cluster, Active { fault, member, .. }: Active) {
    match fault {
        Fault::Kill => process(cluster, member).spawn(),
        Fault::Pause => process(cluster, member).resume(),
        // What cut another member off too is free a little earlier, which does no harm.
        Fault::CutIn | Fault::CutOut | Fault::CutBoth => cluster
            .net
            .change(|cuts| cuts.retain(|(from, to)| ![*from, *to].contains(&member))),
    }
}

fn members() -> impl Iterator<Item = Member> {
    let trackers = (1..=2).map(Member::Tracker);
    trackers.chain((1..=3).map(Member::Node))
}

fn process(cluster: &mut Cluster, member: Member) -> &mut super::process::Process {
    match member {
        Member::Tracker(number) => &mut cluster.trackers[number - 1],
        Member::Node(number) => &mut cluster.nodes[number - 1],
        Member::Client => panic!("clients stay"),
    }
}
