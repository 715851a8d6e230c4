//! Who belongs to a cluster: a second node with a number and a node with another secret do not.

use std::time::Duration;

use super::harness::{Cluster, Place, Plan};
use super::load::Access;
use super::steady::Kept;
use crate::support::deadline::eventually;

/// Time for a refusal to be logged.
const SAID_LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_second_node_with_a_number_is_refused_and_both_addresses_are_named() {
    let cluster = Cluster::start(Plan::default());
    let place = new_place(&cluster);
    let mut second = cluster.node("second", 3, place, "secret");
    second.start();
    let (holder, own) = (cluster.announced(3), place.storage.to_string());
    let both = |text: &str| text.contains(&holder) && text.contains(&own);
    let line = eventually("the second node says both addresses", SAID_LIMIT, || {
        line_with(&second.log(), both)
    });
    assert!(line.contains("remedy"), "{line}");
    for tracker in &cluster.trackers {
        eventually("both trackers say both addresses", SAID_LIMIT, || {
            line_with(&tracker.log(), both)
        });
    }
    let status = cluster.order(&["status"]).unwrap();
    let line = line_with(&status, both);
    assert!(
        line.is_some(),
        "no line with {holder} and {own} in:\n{status}"
    );
    let nodes = cluster.status(1).unwrap().groups.remove(0).nodes;
    let addresses: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    assert!(!addresses.contains(&own.as_str()), "{addresses:?}");
    cluster.wait_whole();
    second.terminate();
}

#[test]
fn a_stranger_cannot_join_and_a_strange_tracker_is_not_reported_to() {
    let plan = Plan {
        trackers: 1,
        nodes: 2,
        ..Plan::default()
    };
    let mut cluster = Cluster::start(plan);
    cluster.write_secret("other");
    let mut stranger = cluster.node("stranger", 7, new_place(&cluster), "other");
    stranger.start();
    eventually("the stranger says why", SAID_LIMIT, || {
        line_with(&stranger.log(), |line| line.contains("cluster] secret"))
    });
    let tracker = &cluster.trackers[0];
    eventually("the tracker says who", SAID_LIMIT, || {
        line_with(&tracker.log(), |line| line.contains("cluster secret"))
    });

    // A tracker with the stranger's secret among those of a node of ours.
    let strange = cluster.free_port(60);
    let mut strange_tracker = cluster.tracker_at("strange-tracker", strange, "other");
    strange_tracker.start();
    cluster.nodes[1].terminate();
    let trackers = [
        cluster.tracker_addresses()[0].to_string(),
        strange.to_string(),
    ];
    cluster.nodes[1] = cluster.node_with("node2", 2, cluster.place(2), "secret", &trackers);
    cluster.nodes[1].start();
    eventually(
        "the node says that it does not report there",
        SAID_LIMIT,
        || {
            let is_it = |line: &str| line.contains(&strange.to_string()) && line.contains("secret");
            line_with(&cluster.nodes[1].log(), is_it)
        },
    );
    cluster.wait_whole();
    let access = Access::to(&cluster);
    let kept = Kept::store(&access, 1, 3000).unwrap();
    assert!(access.download(&kept.id).unwrap() == kept.content());
    let status = cluster.status_at(strange).unwrap();
    assert_eq!(status.groups, [], "nobody reports to the strange tracker");
    let status = cluster.status(1).unwrap();
    let numbers = status.groups.iter().flat_map(|group| &group.nodes);
    let numbers: Vec<u32> = numbers.map(|node| node.number).collect();
    assert_eq!(numbers, [1, 2], "{status:?}");
    stranger.terminate();
    strange_tracker.terminate();
}

fn new_place(cluster: &Cluster) -> Place {
    Place {
        storage: cluster.free_port(70),
        http: cluster.free_port(70),
    }
}

fn line_with(text: &str, is_it: impl Fn(&str) -> bool) -> Option<String> {
    text.lines().find(|line| is_it(line)).map(str::to_owned)
}
