//! Nodes come, go, move, and are remembered.

use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use common::rpc::auth::Purpose;
use common::wire::report::{Entry, JoinAnswer, NodeIdentity, NodePhase};
use common::wire::tracker::{NodeStatus, Request, Scope, StorageRecord, decode_storages};
use common::wire::{Command, Status};
use tracker::Settings;
use tracker::cluster::Policy;

use crate::support::{
    Client, Node, Running, eventually, group, join, node_number, report, secrets, settings,
};

async fn record(client: &mut Client, number: u32) -> Option<StorageRecord> {
    let request = Request::ListStorages {
        group: group("group1"),
        node: Some(node_number(number).to_string().parse().unwrap()),
    };
    let (status, body) = client.ask(request).await;
    status.is_ok().then(|| decode_storages(&body).unwrap()[0])
}

async fn state(client: &mut Client, number: u32) -> Option<NodeStatus> {
    Some(record(client, number).await?.status)
}

fn kept_in(directory: &Path) -> Settings {
    Settings {
        state_directory: Some(directory.to_owned()),
        ..settings()
    }
}

#[tokio::test]
async fn a_closed_connection_takes_its_node_out_of_service_at_once() {
    let tracker = Running::start(settings());
    let node = Node::start(tracker.address(), 1, "group1").await;
    let mut client = tracker.client().await;
    assert_eq!(state(&mut client, 1).await, Some(NodeStatus::Active));
    drop(node);
    // Silence would take minutes with these settings.
    eventually(async || state(&mut client, 1).await == Some(NodeStatus::Offline)).await;
}

#[tokio::test]
async fn a_silent_node_goes_out_of_service_and_returns_with_a_report() {
    let settings = settings();
    let tracker = Running::start(Settings {
        policy: Policy {
            silence_max: Duration::from_millis(100),
            ..settings.policy.clone()
        },
        ..settings
    });
    let mut node = Node::start(tracker.address(), 1, "group1").await;
    let mut client = tracker.client().await;
    eventually(async || state(&mut client, 1).await == Some(NodeStatus::Offline)).await;
    let store = Request::QueryStore {
        group: None,
        scope: Scope::One,
    };
    assert_eq!(client.status(store).await, Status::NOT_FOUND);
    assert_eq!(node.report(&report()).await, Status::OK);
    assert_eq!(client.status(store).await, Status::OK);
}

#[tokio::test]
async fn a_report_without_a_join_is_denied() {
    let tracker = Running::start(settings());
    let (address, identity) = (tracker.address(), join(1, "group1").identity);
    let member = Client::member(address, identity, &secrets(), Purpose::Report).await;
    let mut client = member.unwrap();
    let mut body = BytesMut::new();
    report().encode(&mut body);
    let (status, _) = client.raw(Command::NodeReport as u8, &body).await;
    assert_eq!(status, Status::ACCESS);
}

#[tokio::test]
async fn a_replaced_session_is_told_to_join_again_and_its_end_harms_nobody() {
    let tracker = Running::start(settings());
    let mut old = Node::start(tracker.address(), 1, "group1").await;
    let mut new = Node::start(tracker.address(), 1, "group1").await;
    assert_eq!(old.report(&report()).await, Status::ACCESS);
    drop(old);
    let mut client = tracker.client().await;
    assert_eq!(new.report(&report()).await, Status::OK);
    assert_eq!(state(&mut client, 1).await, Some(NodeStatus::Active));
}

#[tokio::test]
async fn a_taken_number_a_changed_group_and_a_later_version_are_refused_by_name() {
    let tracker = Running::start(settings());
    let _node = Node::start(tracker.address(), 1, "group1").await;
    let mut thief = join(1, "group2");
    thief.identity = NodeIdentity([9; 16]);
    thief.address = None;
    let (_, answer) = Node::join(tracker.address(), thief).await;
    assert_eq!(
        answer,
        JoinAnswer::NumberTaken {
            holder: "10.0.0.1:23000".parse().unwrap(),
            yours: "127.0.0.1:23000".parse().unwrap(),
        }
    );
    let (_, answer) = Node::join(tracker.address(), join(1, "group2")).await;
    let registered = group("group1");
    assert_eq!(answer, JoinAnswer::WrongGroup { registered });

    let (address, identity) = (tracker.address(), join(2, "group1").identity);
    let member = Client::member(address, identity, &secrets(), Purpose::Report).await;
    let later = [0, 3, 1, 2, 3];
    let (status, body) = member.unwrap().raw(Command::NodeJoin as u8, &later).await;
    assert_eq!(status, Status::OK);
    assert_eq!(
        JoinAnswer::decode(&body),
        Ok(JoinAnswer::VersionTooNew { known: 2 })
    );
    let mut client = tracker.client().await;
    assert_eq!(state(&mut client, 1).await, Some(NodeStatus::Active));
}

#[tokio::test]
async fn a_restart_keeps_numbers_groups_and_removals() {
    let directory = tempfile::tempdir().unwrap();
    let tracker = Running::start(kept_in(directory.path()));
    let node = Node::start(tracker.address(), 1, "group1").await;
    let gone = Node::start(tracker.address(), 2, "group1").await;
    drop((node, gone));
    let mut client = tracker.client().await;
    eventually(async || state(&mut client, 2).await == Some(NodeStatus::Offline)).await;
    let delete = Request::DeleteStorage {
        group: group("group1"),
        node: "2".parse().unwrap(),
    };
    assert_eq!(client.status(delete).await, Status::OK);
    tracker.stop().await;

    let tracker = Running::start(kept_in(directory.path()));
    let mut client = tracker.client().await;
    assert_eq!(state(&mut client, 2).await, Some(NodeStatus::Deleted));
    let known = record(&mut client, 1).await.unwrap();
    assert_eq!(known.status, NodeStatus::Offline);
    assert_eq!((known.address.as_str(), known.port), ("10.0.0.1", 23000));
    let mut thief = join(1, "group1");
    thief.identity = NodeIdentity([9; 16]);
    let (_, answer) = Node::join(tracker.address(), thief).await;
    assert!(
        matches!(answer, JoinAnswer::NumberTaken { .. }),
        "{answer:?}"
    );
    let _node = Node::start(tracker.address(), 1, "group1").await;
    assert_eq!(state(&mut client, 1).await, Some(NodeStatus::Active));
}

#[tokio::test]
async fn a_client_of_a_tracker_that_just_began_waits_for_the_nodes_that_it_knows() {
    let directory = tempfile::tempdir().unwrap();
    let tracker = Running::start(kept_in(directory.path()));
    let store = Request::QueryStore {
        group: None,
        scope: Scope::One,
    };
    let mut client = tracker.client().await;
    let refused = client.status(store).await;
    assert_eq!(refused, Status::NOT_FOUND, "it knows no node");
    drop(Node::start(tracker.address(), 1, "group1").await);
    tracker.stop().await;

    let tracker = Running::start(kept_in(directory.path()));
    let mut client = tracker.client().await;
    let (status, _node) = tokio::join!(client.status(store), async {
        let (mut node, _) = Node::join(tracker.address(), join(1, "group1")).await;
        // It has to ask its peers first, if it has any.
        let mut begins = report();
        begins.phase = NodePhase::CatchingUp;
        begins.paths[0].is_complete = false;
        assert_eq!(node.report(&begins).await, Status::OK);
        assert_eq!(node.report(&report()).await, Status::OK);
        node
    });
    assert_eq!(status, Status::OK);
    tracker.stop().await;

    let tracker = Running::start(kept_in(directory.path()));
    let refused = tracker.client().await.status(store).await;
    assert_eq!(refused, Status::NOT_FOUND, "the node did not come back");
    tracker.stop().await;
}

#[tokio::test]
async fn a_join_that_was_answered_is_on_disk_already() {
    let directory = tempfile::tempdir().unwrap();
    let tracker = Running::start(kept_in(directory.path()));
    let _node = Node::start(tracker.address(), 77, "group1").await;
    let store = tracker::snapshot::SnapshotStore::open(directory.path()).unwrap();
    let registrations = store.load().unwrap();
    let numbers: Vec<_> = registrations
        .iter()
        .map(|entry| match entry {
            Entry::Node(node) => Some(node.number),
            Entry::Group(_) => None,
        })
        .collect();
    assert_eq!(numbers, [Some(node_number(77))]);
}

#[tokio::test]
async fn removing_is_an_error_while_it_cannot_be_stored() {
    let directory = tempfile::tempdir().unwrap();
    let state_directory = directory.path().join("state");
    let tracker = Running::start(kept_in(&state_directory));
    let node = Node::start(tracker.address(), 1, "group1").await;
    drop(node);
    let mut client = tracker.client().await;
    eventually(async || state(&mut client, 1).await == Some(NodeStatus::Offline)).await;
    // A directory where the next snapshot is to be written fails for root as well.
    std::fs::create_dir(state_directory.join("tracker-snapshot.new")).unwrap();
    let delete = Request::DeleteStorage {
        group: group("group1"),
        node: "1".parse().unwrap(),
    };
    assert_eq!(client.status(delete).await, Status::IO);
    std::fs::remove_dir(state_directory.join("tracker-snapshot.new")).unwrap();
    tracker.stop().await;
    let tracker = Running::start(kept_in(&state_directory));
    let mut client = tracker.client().await;
    // Stopping stored what could not be stored before.
    assert_eq!(state(&mut client, 1).await, Some(NodeStatus::Deleted));
}
