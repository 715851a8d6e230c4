//! Every process is restarted, one after the other, and no client notices.

use super::harness::{Cluster, Plan, seed};
use super::load::Access;
use super::steady::Steady;
use crate::support::deadline::StopAtEnd;
use crate::support::tell;

#[test]
fn a_rolling_restart_fails_no_request_of_a_client_that_tries_once_more() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan::default());
    let access = Access::to(&cluster);
    let steady = Steady::default();
    std::thread::scope(|scope| {
        let _guard = StopAtEnd(&steady.stop);
        steady.start(scope, &access, seed);
        for idx in 0..cluster.trackers.len() {
            cluster.trackers[idx].terminate();
            cluster.trackers[idx].start();
            cluster.wait_whole();
        }
        for idx in 0..cluster.nodes.len() {
            cluster.nodes[idx].terminate();
            cluster.nodes[idx].start();
            cluster.wait_whole();
        }
    });
    tell(format_args!(
        "rolling restart with seed {seed}: {}",
        steady.summary()
    ));
    for kept in steady.blobs.lock().unwrap().iter() {
        assert!(
            access.download(&kept.id).unwrap() == kept.content(),
            "{}",
            kept.id
        );
    }
    steady.expect_no_failures(seed);
}
