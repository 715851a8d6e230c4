//! A node that lost its disks is rebuilt by its peers while the group serves.

use std::fs;

use super::harness::{Cluster, HEALING_LIMIT, Plan, identity_file, seed};
use super::load::Access;
use super::steady::{Kept, Steady};
use crate::support::chance::Chance;
use crate::support::deadline::{StopAtEnd, eventually};
use crate::support::http::{self, Http};
use crate::support::tell;

/// What is there before the disks are lost: small blobs, and some of several records.
const SMALL: usize = 400;
const BIG: usize = 8;
const BIG_LEN: usize = 4_000_000;

#[test]
fn a_wiped_node_that_knows_who_it_is_is_rebuilt_while_the_group_serves() {
    rebuilt(wipe_all_but_identity);
}

#[test]
fn a_wiped_node_gets_its_number_again_when_it_was_released() {
    rebuilt(|cluster| {
        cluster.wait_dead(3);
        let removed = eventually("the node can be removed", HEALING_LIMIT, || {
            cluster.order(&["remove", "3", "--release-number"]).ok()
        });
        assert!(removed.contains("its number is free"), "{removed}");
        fs::remove_dir_all(cluster.nodes[2].data_dir()).unwrap();
    });
}

#[test]
fn a_wiped_node_that_reaches_no_tracker_does_not_say_that_there_is_nothing() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan::default());
    let kept = Kept::store(&Access::to(&cluster), seed, 3000).unwrap();
    cluster.nodes[2].terminate();
    wipe_all_but_identity(&cluster);
    for tracker in &mut cluster.trackers {
        tracker.terminate();
    }
    cluster.nodes[2].start();
    let answer = http::get(cluster.place(3).http, &format!("/{}", kept.id));
    assert_ne!(
        answer.status, 404,
        "it knows no peers, and so it cannot know"
    );
}

#[test]
fn a_wiped_node_is_not_called_complete_before_it_has_what_was_there() {
    let seed = seed();
    let mut cluster = Cluster::start(Plan::default());
    let access = Access::to(&cluster);
    for number in 0..SMALL as u64 {
        Kept::store(&access, seed ^ number, 3000).unwrap();
    }
    cluster.nodes[2].terminate();
    wipe_all_but_identity(&cluster);
    cluster.nodes[2].spawn();
    let records = eventually("the node is complete", HEALING_LIMIT, || {
        let node = cluster.heard_of(1, 3)?;
        let is_complete = node.paths.iter().all(|path| path.is_complete);
        is_complete.then_some(node.records)
    });
    assert!(
        SMALL as u64 <= records,
        "it calls itself complete when it has {records} of {SMALL} blobs"
    );
}

/// Deletes everything of the third node but who it is.
fn wipe_all_but_identity(cluster: &Cluster) {
    let node = &cluster.nodes[2];
    let kept = fs::read(identity_file(node)).unwrap();
    fs::remove_dir_all(node.data_dir()).unwrap();
    fs::create_dir_all(identity_file(node).parent().unwrap()).unwrap();
    fs::write(identity_file(node), kept).unwrap();
}

fn rebuilt(wipe: fn(&Cluster)) {
    let seed = seed();
    let mut chance = Chance::new(seed);
    let mut cluster = Cluster::start(Plan::default());
    let access = Access::to(&cluster);
    let mut kept: Vec<Kept> = Vec::new();
    for idx in 0..SMALL + BIG {
        let len = if idx < SMALL {
            1 + chance.place(9000)
        } else {
            BIG_LEN
        };
        kept.push(Kept::store(&access, chance.bits(), len).unwrap());
    }
    let steady = Steady::default();
    let looks = std::thread::scope(|scope| {
        let _guard = StopAtEnd(&steady.stop);
        steady.start(scope, &access, seed);
        cluster.nodes[2].terminate();
        wipe(&cluster);
        cluster.nodes[2].start();
        let looks = nobody_is_sent_to_it_too_early(&cluster, &access, &kept[0]);
        cluster.wait_whole();
        looks
    });
    tell(format_args!(
        "a wiped node with seed {seed}: incomplete in {looks} looks; {}",
        steady.summary()
    ));
    steady.expect_no_failures(seed);
    kept.append(&mut steady.blobs.lock().unwrap());
    cluster.wait_copied();
    for node in &mut cluster.nodes[..2] {
        node.terminate();
    }
    let mut http = Http::connect(cluster.place(3).http).unwrap();
    for kept in kept {
        let answer = http
            .ask("GET", &format!("/{}", kept.id), &[], None)
            .unwrap();
        assert_eq!(answer.status, 200, "{}: {}", kept.id, answer.text());
        assert!(answer.body == kept.content(), "{}", kept.id);
    }
}

/// Looks until the node is complete, and expects that a tracker which says it is not sends nobody
/// there. Tells how often it was not.
fn nobody_is_sent_to_it_too_early(cluster: &Cluster, access: &Access, blob: &Kept) -> u64 {
    let address = cluster.place(3).storage.into();
    let is_incomplete = || {
        let node = cluster.heard_of(1, 3)?;
        Some(!node.paths.iter().all(|path| path.is_complete))
    };
    // The same tracker that is looked at.
    let client = cluster.client_of(1);
    let mut looks = 0;
    eventually("the node is complete", HEALING_LIMIT, || {
        if !is_incomplete()? {
            return Some(());
        }
        let (readers, writers) = access.runtime.block_on(async {
            let trackers = client.trackers();
            let readers = trackers.fetch_all(&blob.id).await;
            (readers, trackers.store_all(None).await)
        });
        let (readers, writers) = (readers.ok()?, writers.ok()?);
        // Only between two equal looks it is known what the tracker thought.
        if is_incomplete()? {
            looks += 1;
            assert!(
                !readers.contains(&address),
                "clients read from it: {readers:?}"
            );
            let writers = writers.nodes.iter().map(|node| (*node).into());
            let writers: Vec<common::client::Address> = writers.collect();
            assert!(
                !writers.contains(&address),
                "clients write to it: {writers:?}"
            );
        }
        None
    });
    looks
}
