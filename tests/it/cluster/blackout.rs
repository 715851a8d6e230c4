//! All nodes at once.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::harness::{Cluster, Plan, seed};
use super::load::{Findings, Worker, acknowledged, check_each_alone, summary};
use crate::support::chance::Chance;
use crate::support::deadline::{StopAtEnd, within};
use crate::support::tell;

/// How often all nodes are killed.
const ROUNDS: u64 = 2;

#[test]
fn everything_acknowledged_is_there_after_kill_9_of_all_nodes_at_once() {
    let seed = seed();
    let mut chance = Chance::new(seed);
    let mut cluster = Cluster::start(Plan::default());
    let mut workers = Worker::crowd(&cluster, &mut chance);
    let findings = Findings::default();
    for _ in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _guard = StopAtEnd(&stop);
            for worker in &mut workers {
                let (stop, findings) = (&stop, &findings);
                scope.spawn(move || worker.run(stop, findings));
            }
            // When it strikes is part of what the seed decides.
            let _ = within(
                Duration::from_millis(3000 + chance.below(2000)),
                || None::<()>,
            );
            for node in &mut cluster.nodes {
                node.kill();
            }
        });
        for node in &mut cluster.nodes {
            node.spawn();
        }
        for node in &mut cluster.nodes {
            node.wait_ready();
        }
        cluster.wait_whole();
    }
    let changes = acknowledged(&workers);
    assert!(100 < changes, "only {changes} changes were acknowledged");
    cluster.wait_copied();
    check_each_alone(&mut cluster, &mut workers, &findings);
    tell(format_args!(
        "{ROUNDS} blackouts with seed {seed}: {}",
        summary(&workers)
    ));
    findings.expect_none(seed);
}
