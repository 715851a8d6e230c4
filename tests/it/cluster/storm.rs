//! Everything at once for a while: nodes, trackers and an API server are killed, paused and cut off
//! under load, in an order that a seed decides.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use common::env::clock;

use super::harness::{Cluster, Network, Plan, seed};
use super::load::{Findings, Worker, check_each_alone, summary};
use super::member::Member;
use super::process::Process;
use super::uploader::Uploader;
use crate::support::chance::Chance;
use crate::support::deadline::{StopAtEnd, within};
use crate::support::tell;

/// Seconds of faults unless `HAYLOFT_TEST_STORM_SECONDS` says otherwise.
const SECONDS: u64 = 45;

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
    /// The same, and clients do not reach it either where there are cables.
    Unplug,
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

/// What the storm is let loose on.
struct Target {
    cluster: Cluster,
    api: Process,
}

impl Target {
    fn process(&mut self, member: Member) -> &mut Process {
        match member {
            Member::Tracker(number) => &mut self.cluster.trackers[number - 1],
            Member::Node(number) => &mut self.cluster.nodes[number - 1],
            Member::Api => &mut self.api,
            Member::Client => panic!("clients stay"),
        }
    }

    fn begin(&mut self, Active { fault, member, .. }: Active) {
        match fault {
            Fault::Kill => self.process(member).kill(),
            Fault::Pause => self.process(member).pause(),
            Fault::Unplug => self.cluster.unplug(member),
            Fault::CutIn | Fault::CutOut | Fault::CutBoth => {
                for other in self.cluster.members() {
                    if fault != Fault::CutOut {
                        self.cluster.cut(other, member);
                    }
                    if fault != Fault::CutIn {
                        self.cluster.cut(member, other);
                    }
                }
            }
        }
    }

    fn end(&mut self, Active { fault, member, .. }: Active) {
        match fault {
            Fault::Kill => self.process(member).spawn(),
            Fault::Pause => self.process(member).resume(),
            // What cut another member off too is free a little earlier, which does no harm.
            Fault::Unplug | Fault::CutIn | Fault::CutOut | Fault::CutBoth => {
                self.cluster.heal(member);
            }
        }
    }

    fn wait_ready(&mut self) {
        let (trackers, nodes) = (&mut self.cluster.trackers, &mut self.cluster.nodes);
        for process in trackers.iter_mut().chain(nodes).chain([&mut self.api]) {
            process.wait_ready();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_a_storm_of_kills_pauses_and_cuts() {
    rage(Network::Proxied);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_storm_that_pulls_cables() {
    if Cluster::can_have_namespaces() {
        rage(Network::Namespaces);
    } else {
        tell("no cables are pulled: the storm behind a proxy has to do");
    }
}

fn rage(network: Network) {
    let seconds = std::env::var("HAYLOFT_TEST_STORM_SECONDS").map_or(SECONDS, |text| {
        text.parse()
            .expect("HAYLOFT_TEST_STORM_SECONDS is a number")
    });
    let seed = seed();
    let mut chance = Chance::new(seed);
    let cluster = Cluster::start(Plan {
        network,
        ..Plan::default()
    });
    let (mut api, address) = cluster.api("");
    api.start();
    let mut workers = Worker::crowd(&cluster, &mut chance);
    let mut uploader = Uploader::register(address, chance.bits());
    let mut target = Target { cluster, api };
    let findings = Findings::default();
    let stop = AtomicBool::new(false);
    let history = std::thread::scope(|scope| {
        let (stop, findings) = (&stop, &findings);
        for worker in &mut workers {
            scope.spawn(move || worker.run(stop, findings));
        }
        let uploader = &mut uploader;
        scope.spawn(move || uploader.run(stop, findings));
        let _guard = StopAtEnd(stop);
        storm(&mut target, &mut chance, Duration::from_secs(seconds))
    });
    println!("{}", history.join("\n"));
    target.cluster.wait_copied();
    uploader.check();
    check_each_alone(&mut target.cluster, &mut workers, &findings);
    tell(format_args!(
        "storm of {seconds} s ({network:?}) with seed {seed}: {} faults; {}; {}",
        history.len(),
        summary(&workers),
        uploader.summary()
    ));
    findings.expect_none(seed);
}

/// Does harm for so long, takes all of it back, and tells what it did.
fn storm(target: &mut Target, chance: &mut Chance, length: Duration) -> Vec<String> {
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
            target.end(fault);
        }
        if let Some(fault) = draw(chance, &active, now()) {
            history.push(format!("at {} ms: {fault}", now().as_millis()));
            target.begin(fault);
            active.push(fault);
        }
        // The time between faults is part of what the seed decides.
        let _ = within(
            Duration::from_millis(300 + chance.below(1200)),
            || None::<()>,
        );
    }
    for fault in active {
        target.end(fault);
    }
    target.wait_ready();
    history
}

/// A fault that leaves clients at least one node and one tracker.
fn draw(chance: &mut Chance, active: &[Active], now: Duration) -> Option<Active> {
    let member = match chance.below(10) {
        0..2 => Member::Tracker(1 + chance.place(2)),
        2 => Member::Api,
        _ => Member::Node(1 + chance.place(3)),
    };
    let (fault, longest) = match chance.below(10) {
        0..4 => (Fault::Kill, 3000),
        4..6 => (Fault::Pause, 5000),
        6 => (Fault::CutIn, 5000),
        7 => (Fault::CutOut, 5000),
        8 => (Fault::CutBoth, 5000),
        _ => (Fault::Unplug, 5000),
    };
    let end = now + Duration::from_millis(1 + chance.below(longest));
    if active.iter().any(|fault| fault.member == member) {
        return None;
    }
    let takes_away = |fault| matches!(fault, Fault::Kill | Fault::Pause | Fault::Unplug);
    let is_away = |active: &&Active| takes_away(active.fault);
    let away = active.iter().filter(is_away);
    let may_go = match member {
        Member::Tracker(_) => !active
            .iter()
            .any(|fault| matches!(fault.member, Member::Tracker(_))),
        Member::Api => true,
        Member::Node(_) | Member::Client => {
            away.filter(|fault| matches!(fault.member, Member::Node(_)))
                .count()
                < 2
        }
    };
    let goes = !takes_away(fault) || may_go;
    goes.then_some(Active { fault, member, end })
}
