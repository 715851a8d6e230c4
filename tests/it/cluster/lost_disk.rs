//! A node with several disks loses one: it is rebuilt by the peers while the other disks serve.

use std::fs;
use std::path::Path;

use common::id::VolumePath;
use common::wire::cluster::PathStatus;

use super::harness::{Cluster, HEALING_LIMIT, Plan, identity_file, seed};
use super::load::Access;
use super::steady::{Kept, Steady};
use crate::support::chance::Chance;
use crate::support::deadline::{StopAtEnd, eventually};
use crate::support::http::Http;
use crate::support::tell;

const DISKS: Plan = Plan {
    disks: 3,
    // So slow that trackers see a rebuild while it goes on: they hear of it once a second.
    replication: "ack_copies = 2\nrebuild_rate = \"24MiB\"",
    ..Plan::USUAL
};
/// The disk that is lost, and its volume path.
const LOST: usize = 1;
/// Small blobs in each volume path.
const SMALL: usize = 60;
/// Big blobs in the one that is lost: so many that its rebuild takes a while.
const BIG: usize = 24;
const BIG_LEN: usize = 4_000_000;

#[test]
fn a_lost_disk_is_rebuilt_alone_while_the_others_serve() {
    let seed = seed();
    let mut chance = Chance::new(seed);
    let mut cluster = Cluster::start(DISKS);
    let access = Access::to(&cluster);
    let mut kept = stored(&cluster, &access, &mut chance);
    let of_lost = kept[LOST * SMALL];
    cluster.wait_copied();
    cluster.wait_followed(3);

    let steady = Steady::default();
    let seen = std::thread::scope(|scope| {
        let _guard = StopAtEnd(&steady.stop);
        steady.start(scope, &access, seed);
        cluster.nodes[2].terminate();
        empty(&cluster.disk(3, LOST));
        cluster.nodes[2].start();
        let seen = watched(&cluster, &access, &of_lost);
        cluster.wait_whole();
        seen
    });
    tell(format_args!(
        "a lost disk with seed {seed}: {seen:?}; {}",
        steady.summary()
    ));
    steady.expect_no_failures(seed);
    assert!(
        cluster.nodes[2].log().contains("empty and was not before"),
        "it says which disk is empty"
    );

    kept.append(&mut steady.blobs.lock().unwrap());
    cluster.wait_copied();
    cluster.wait_followed(3);
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

#[test]
fn a_node_whose_identity_was_on_the_lost_disk_stays_who_it_is() {
    let seed = seed();
    let mut cluster = Cluster::start(DISKS);
    let access = Access::to(&cluster);
    let kept = Kept::store(&access, seed, 3000).unwrap();
    cluster.wait_copied();
    cluster.nodes[2].terminate();
    let before = fs::read(identity_file(&cluster.nodes[2])).unwrap();
    fs::remove_dir_all(cluster.nodes[2].data_dir()).unwrap();
    empty(&cluster.disk(3, 0));
    cluster.nodes[2].start();
    cluster.wait_whole();
    assert_eq!(fs::read(identity_file(&cluster.nodes[2])).unwrap(), before);
    cluster.wait_followed(3);
    let bytes = access.download_from(cluster.place(3), &kept.id).unwrap();
    assert!(bytes == kept.content());
}

/// Stores blobs in all volume paths, in their order.
fn stored(cluster: &Cluster, access: &Access, chance: &mut Chance) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut store = |disk: usize, len: usize| {
        let path = VolumePath(u8::try_from(disk).unwrap());
        let place = cluster.place(1 + kept.len() % 3);
        kept.push(Kept::store_in(access, place, path, chance.bits(), len).unwrap());
    };
    for number in 0..DISKS.disks * SMALL {
        store(number / SMALL, 1 + number * 50);
    }
    for _ in 0..BIG {
        store(LOST, BIG_LEN);
    }
    kept
}

fn empty(disk: &Path) {
    fs::remove_dir_all(disk).unwrap();
    fs::create_dir(disk).unwrap();
}

/// What was seen while the node was not complete.
#[derive(Debug, Default)]
struct Seen {
    /// Looks that found the lost path incomplete and the others complete.
    others_served: u64,
    /// The records that the lost path had, as they were told.
    progress: Vec<u64>,
}

/// Looks until the node is complete. Expects that a tracker which says that the lost path is not sends
/// nobody there for it, and that the others are used before it.
fn watched(cluster: &Cluster, access: &Access, of_lost: &Kept) -> Seen {
    let address = cluster.place(3).storage.into();
    let client = cluster.client_of(1);
    let mut seen = Seen::default();
    let paths = || -> Option<Vec<PathStatus>> {
        let paths = cluster.heard_of(1, 3)?.paths;
        (paths.len() == DISKS.disks).then_some(paths)
    };
    eventually("the node is complete", HEALING_LIMIT, || {
        let before = paths()?;
        let asked = client.trackers().fetch_all(&of_lost.id);
        let readers = access.runtime.block_on(asked);
        let after = paths()?;
        if after.iter().all(|path| path.is_complete) {
            return Some(());
        }
        let (lost, others): (Vec<_>, Vec<_>) = after
            .iter()
            .enumerate()
            .partition(|(disk, _)| *disk == LOST);
        let lost = lost.first()?.1;
        // Only between two equal looks it is known what the tracker thought.
        if !lost.is_complete && !before.get(LOST)?.is_complete {
            let readers = readers.unwrap_or_default();
            assert!(
                !readers.contains(&address),
                "clients read from it: {readers:?}"
            );
            if others.iter().all(|(_, it)| it.is_complete) {
                seen.others_served += 1;
                if seen.progress.last() != Some(&lost.rebuild.done) {
                    seen.progress.push(lost.rebuild.done);
                }
                assert!(lost.rebuild.done <= lost.rebuild.total, "{lost:?}");
                assert_ne!(lost.rebuild.total, 0, "{lost:?}");
            }
        }
        None
    });
    assert_ne!(
        seen.others_served, 0,
        "the other disks were to serve before"
    );
    seen
}
