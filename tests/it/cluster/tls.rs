//! Members that encrypt what they say to each other.

use std::fs;

use super::harness::{Cluster, Network, Plan, seed};
use super::load::Access;
use super::process::Process;
use super::steady::{Kept, Steady};
use crate::support::deadline::StopAtEnd;
use crate::support::tell;

/// What nobody between the members shall read.
const WORDS: &[u8] = b"these words were uploaded, and no member said them in the open; ";

/// What a member logs when a connection to another one begins.
const ENCRYPTED: &str = "tls=true";
const PLAIN: &str = "tls=false";

#[test]
fn what_is_uploaded_can_be_read_on_the_way_between_nodes_only_without_tls() {
    for is_encrypted in [false, true] {
        let cluster = Cluster::start(Plan {
            network: Network::Proxied,
            is_encrypted,
            ..Plan::default()
        });
        cluster.net.look_for(WORDS);
        let access = Access::to(&cluster);
        for copies in [1, 100, 20_000] {
            let content = WORDS.repeat(copies);
            let id = access.upload(&content).unwrap();
            for place in cluster.places() {
                let bytes = access.download_from(place, &id).unwrap();
                assert!(bytes == content, "{id} at {}", place.storage);
            }
        }
        let sightings = cluster.net.sightings();
        tell(format_args!(
            "encrypted: {is_encrypted}, words seen {sightings} times"
        ));
        assert_eq!(0 < sightings, !is_encrypted);
    }
}

#[test]
fn a_cluster_that_encrypts_serves_on_without_a_node_and_takes_it_back() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan {
        is_encrypted: true,
        ..Plan::default()
    });
    let access = Access::to(&cluster);
    let mut kept: Vec<Kept> = Vec::new();
    let mut store = |count: u64| {
        for number in 0..count {
            let len = if number % 10 == 0 { 3_000_000 } else { 20_000 };
            let seed = seed ^ (kept.len() as u64) << 32 ^ number;
            kept.push(Kept::store(&access, seed, len).unwrap());
        }
    };
    store(30);
    cluster.nodes[1].kill();
    cluster.wait_whole();
    store(20);
    cluster.nodes[1].start();
    cluster.wait_whole();
    for kept in &kept {
        for place in cluster.places() {
            let bytes = access.download_from(place, &kept.id).unwrap();
            assert!(bytes == kept.content(), "{} at {}", kept.id, place.storage);
        }
    }
    assert!(cluster.order(&["read-only", "3"]).is_ok());
    for member in cluster.trackers.iter().chain(&cluster.nodes) {
        let log = member.log();
        assert!(log.contains(ENCRYPTED), "{}", member.name);
        assert!(!log.contains(PLAIN), "{}", member.name);
    }
}

#[test]
fn a_cluster_is_switched_to_tls_one_member_after_the_other_and_no_client_notices() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan::default());
    let access = Access::to(&cluster);
    let steady = Steady::default();
    std::thread::scope(|scope| {
        let _guard = StopAtEnd(&steady.stop);
        steady.start(scope, &access, seed);
        for idx in 0..cluster.trackers.len() {
            switch(&mut cluster.trackers[idx]);
            cluster.wait_whole();
        }
        for idx in 0..cluster.nodes.len() {
            switch(&mut cluster.nodes[idx]);
            cluster.wait_whole();
        }
    });
    tell(format_args!(
        "switched to TLS with seed {seed}: {}",
        steady.summary()
    ));
    // The first node was connected to others before and after.
    let log = cluster.nodes[0].log();
    assert!(log.contains(PLAIN) && log.contains(ENCRYPTED));
    for kept in steady.blobs.lock().unwrap().iter() {
        let bytes = access.download(&kept.id).unwrap();
        assert!(bytes == kept.content(), "{}", kept.id);
    }
    steady.expect_no_failures(seed);
}

/// Restarts a member that encrypts from now on.
fn switch(member: &mut Process) {
    member.terminate();
    let config = fs::read_to_string(member.config()).unwrap();
    assert!(config.contains("tls = false"));
    fs::write(member.config(), config.replace("tls = false", "tls = true")).unwrap();
    member.start();
}
