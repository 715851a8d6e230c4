//! Orders and status, at one tracker and across several.

use std::path::Path;

use common::wire::Status;
use common::wire::cluster::{ClusterStatus, Order, OrderAnswer};
use common::wire::report::{JoinAnswer, NodeIdentity, ReportAnswer};
use common::wire::tracker::{Request, Scope};
use prometheus::Registry;
use tracker::Settings;

use crate::peers::peer;
use crate::support::{
    Client, DEADLINE, Node, Running, eventually, free_address, join, report, settings,
};

const REMOVE: Order = Order::Remove {
    force: false,
    release: false,
};
const FORCE: Order = Order::Remove {
    force: true,
    release: false,
};

fn store() -> Request {
    Request::QueryStore {
        group: None,
        scope: Scope::One,
    }
}

fn kept_in(directory: &Path) -> Settings {
    Settings {
        state_directory: Some(directory.to_owned()),
        ..settings()
    }
}

/// The reasons that the status gives for a node.
async fn reasons(client: &mut Client, number: u32) -> String {
    let status = client.cluster_status().await;
    let mut nodes = status.groups.iter().flat_map(|group| &group.nodes);
    let node = nodes.find(|node| node.number == number);
    node.map_or_else(String::new, |node| node.reasons.join("; "))
}

#[tokio::test]
async fn a_drained_node_takes_no_uploads_and_the_mark_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let tracker = Running::start(kept_in(directory.path()));
    let node = Node::start(tracker.address(), 1, "group1").await;
    let mut client = tracker.client().await;
    assert_eq!(client.status(store()).await, Status::OK);
    assert_eq!(client.order(Order::Drain, "1").await, OrderAnswer::Done);
    assert_eq!(client.status(store()).await, Status::NOT_FOUND);
    drop(node);
    tracker.stop().await;

    let tracker = Running::start(kept_in(directory.path()));
    let _node = Node::start(tracker.address(), 1, "group1").await;
    let mut client = tracker.client().await;
    assert_eq!(client.status(store()).await, Status::NOT_FOUND);
    assert_eq!(reasons(&mut client, 1).await, "draining");
    assert_eq!(client.order(Order::Undrain, "1").await, OrderAnswer::Done);
    assert_eq!(client.status(store()).await, Status::OK);
}

#[tokio::test]
async fn a_removal_waits_for_peers_and_its_node_is_told_when_it_comes_again() {
    let tracker = Running::start(settings());
    let mut leaving = Node::start(tracker.address(), 1, "group1").await;
    let mut staying = Node::start(tracker.address(), 2, "group1").await;
    let mut client = tracker.client().await;
    let refused = client.order(REMOVE, "1").await;
    assert!(
        matches!(&refused, OrderAnswer::Refused { reason } if reason.contains("drain it first")),
        "{refused:?}"
    );
    client.order(Order::Drain, "1").await;
    let mut behind = report();
    behind.paths[0].is_complete = false;
    staying.report(&behind).await;
    let waiting = client.order(REMOVE, "1").await;
    assert!(
        matches!(&waiting, OrderAnswer::Wait { reason } if reason.contains("M00")),
        "{waiting:?}"
    );
    staying.report(&report()).await;
    assert_eq!(client.order(REMOVE, "1").await, OrderAnswer::Done);
    assert_eq!(leaving.report(&report()).await, Status::ACCESS);
    let (_, answer) = Node::join(tracker.address(), join(1, "group1")).await;
    assert_eq!(answer, JoinAnswer::Removed);
    let status = client.cluster_status().await;
    assert_eq!(status.refused[0].reason, "removed by an operator");
    let unknown = client.order(Order::Drain, "9").await;
    assert!(
        matches!(&unknown, OrderAnswer::Refused { reason } if reason.contains("no node 9")),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn reports_are_answered_with_members_and_those_of_the_version_before_with_nothing() {
    let tracker = Running::start(settings());
    let mut one = Node::start(tracker.address(), 1, "group1").await;
    let _two = Node::start(tracker.address(), 2, "group1").await;
    let (status, body) = one.report_as(2, &report()).await;
    assert_eq!(status, Status::OK);
    let ReportAnswer::Members { view, members, .. } = ReportAnswer::decode(&body).unwrap() else {
        panic!("no members");
    };
    let numbers: Vec<_> = members.iter().map(|it| it.number.get()).collect();
    assert_eq!(numbers, [1, 2]);
    let mut known = report();
    known.view = view;
    let (_, body) = one.report_as(2, &known).await;
    assert_eq!(body.len(), 11);
    assert_eq!(
        ReportAnswer::decode(&body),
        Ok(ReportAnswer::Unchanged { view })
    );
    let (status, body) = one.report_as(1, &report()).await;
    assert_eq!((status, body.len()), (Status::OK, 0));
}

#[tokio::test]
async fn an_order_given_to_one_tracker_is_known_by_all_also_by_one_that_was_away() {
    let addresses = [free_address(), free_address()];
    let [first, second] = addresses;
    let one = peer(first, &addresses);
    let _node_at_one = Node::start(first, 1, "group1").await;
    let mut at_one = one.client().await;
    // The second one is away.
    assert_eq!(at_one.order(Order::ReadOnly, "1").await, OrderAnswer::Done);
    assert_eq!(
        at_one.order(Order::Drain, "group1").await,
        OrderAnswer::Done
    );
    let two = peer(second, &addresses);
    let mut at_two = two.client().await;
    eventually(async || reasons(&mut at_two, 1).await.contains("not heard")).await;
    let _node_at_two = Node::start(second, 1, "group1").await;
    assert_eq!(
        reasons(&mut at_two, 1).await,
        "draining with its group; read-only"
    );
    assert_eq!(at_two.status(store()).await, Status::NOT_FOUND);

    for (order, target) in [(Order::Writable, "1"), (Order::Undrain, "group1")] {
        assert_eq!(at_two.order(order, target).await, OrderAnswer::Done);
    }
    assert_eq!(at_two.status(store()).await, Status::OK);
    eventually(async || at_one.status(store()).await == Status::OK).await;
    assert_eq!(at_two.order(FORCE, "1").await, OrderAnswer::Done);
    eventually(async || reasons(&mut at_one, 1).await == "removed by an operator").await;
    assert_eq!(at_one.status(store()).await, Status::NOT_FOUND);
}

#[tokio::test]
async fn an_order_is_known_by_the_other_trackers_when_it_is_answered() {
    let addresses = [free_address(), free_address()];
    let start = |address| {
        let mut settings = Settings {
            peers: addresses.iter().map(ToString::to_string).collect(),
            // Longer than this test waits for anything.
            peer_interval: DEADLINE * 3,
            ..settings()
        };
        settings.listeners[0].address = address;
        Running::start(settings)
    };
    // Both listen before either greets the other one.
    let (one, two) = (start(addresses[0]), start(addresses[1]));
    let (mut at_one, mut at_two) = (one.client().await, two.client().await);
    for client in [&mut at_one, &mut at_two] {
        eventually(async || {
            let trackers = client.cluster_status().await.trackers;
            trackers.iter().filter(|tracker| tracker.is_alive).count() == 2
        })
        .await;
    }
    let _node_at_one = Node::start(one.address(), 1, "group1").await;
    let _node_at_two = Node::start(two.address(), 1, "group1").await;
    for (order, shows) in [(Order::ReadOnly, "read-only"), (Order::Writable, "")] {
        assert_eq!(at_one.order(order, "1").await, OrderAnswer::Done);
        assert_eq!(reasons(&mut at_two, 1).await, shows);
    }
    assert_eq!(at_two.order(FORCE, "1").await, OrderAnswer::Done);
    assert_eq!(reasons(&mut at_one, 1).await, "removed by an operator");

    // A tracker that is gone is waited for by nobody.
    two.stop().await;
    let done = at_one.order(Order::Drain, "group1").await;
    assert_eq!(done, OrderAnswer::Done);
}

#[tokio::test]
async fn a_number_that_two_nodes_got_from_two_trackers_is_taken_from_one_of_them() {
    let address = free_address();
    // The first tracker greets the second, which is not there yet.
    let one = Running::start(Settings {
        peers: vec![address.to_string()],
        ..settings()
    });
    let mut early = Node::start(one.address(), 1, "group1").await;
    let mut rival = join(1, "group1");
    rival.identity = NodeIdentity([0; 16]);
    rival.address = Some("10.9.9.9".parse().unwrap());
    let two = peer(address, &[one.address()]);
    let (mut late, _) = Node::join(address, rival.clone()).await;

    // Both claims are the first of their tracker, or the second tracker had heard of the first node
    // already: in any case one of the two has the number in the end, at both trackers.
    let (mut at_one, mut at_two) = (one.client().await, two.client().await);
    let mut holder = String::new();
    eventually(async || {
        let first = at_one.cluster_status().await;
        let second = at_two.cluster_status().await;
        let address = |status: &ClusterStatus| {
            let mut groups = status.groups.iter();
            groups.find_map(|group| Some(group.nodes.first()?.address.clone()))
        };
        let agreed = address(&first).filter(|it| address(&second).as_ref() == Some(it));
        let is_told = first.trackers.iter().filter(|it| it.is_alive).count() == 2;
        holder = agreed.clone().unwrap_or_default();
        agreed.is_some() && is_told
    })
    .await;
    let (loser, node) = if holder == "10.0.0.1:23000" {
        (rival, &mut late)
    } else {
        (join(1, "group1"), &mut early)
    };
    assert_eq!(node.report(&report()).await, Status::ACCESS);
    for tracker in [&one, &two] {
        let (_, answer) = Node::join(tracker.address(), loser.clone()).await;
        let JoinAnswer::NumberTaken {
            holder: taken,
            yours,
        } = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!(taken.to_string(), holder);
        assert_ne!(taken, yours);
    }
}

#[tokio::test]
async fn a_big_cluster_is_told_in_pages() {
    let tracker = Running::start(settings());
    let mut nodes = Vec::new();
    for number in 1..=40 {
        let (mut node, _) = Node::join(
            tracker.address(),
            join(number, &format!("g{:02}", number / 8)),
        )
        .await;
        let mut wide = report();
        let path = wide.paths[0];
        wide.paths = (0..=255)
            .map(|slot| common::wire::report::PathSpace {
                path: common::id::VolumePath(slot),
                ..path
            })
            .collect();
        assert_eq!(node.report(&wide).await, Status::OK);
        nodes.push(node);
    }
    let status = tracker.client().await.cluster_status().await;
    let all = status.groups.iter().flat_map(|group| &group.nodes);
    let numbers: Vec<_> = all.clone().map(|node| node.number).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    assert!(all.clone().all(|node| node.paths.len() == 256));
    assert_eq!(status.groups.len(), 6);
    assert_eq!(status.trackers.len(), 1);
}

#[tokio::test]
async fn metrics_follow_each_node_and_forget_removed_ones() {
    let registry = Registry::new();
    let tracker = Running::start(Settings {
        registry: registry.clone(),
        ..settings()
    });
    let mut node = Node::start(tracker.address(), 7, "group1").await;
    let mut told = report();
    told.lag_ms = 1234;
    told.under_replicated = 5;
    node.report(&told).await;
    let value = |name: &str| {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name)?;
        let metric = family.get_metric().first()?;
        Some(metric.get_gauge().get_value())
    };
    let lag = "hayloft_tracker_node_lag_milliseconds";
    eventually(async || value(lag) == Some(1234.0)).await;
    assert_eq!(
        value("hayloft_tracker_node_under_replicated_records"),
        Some(5.0)
    );
    let mut client = tracker.client().await;
    assert_eq!(client.order(FORCE, "7").await, OrderAnswer::Done);
    eventually(async || value(lag).is_none()).await;
}
