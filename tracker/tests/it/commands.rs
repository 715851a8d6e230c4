//! Every client command, its answer and its errors.

use common::id::{RemoteName, VolumePath};
use common::wire::report::JoinAnswer;
use common::wire::tracker::{
    ClientDialect, FetchTarget, FetchTargets, GroupFilter, GroupResponse, GroupStatistics,
    LeaderResponse, ListingLayout, NodeIdResponse, NodeStatus, NodeStatusResponse, Parameters,
    ReadWriteMode, Request, Scope, StatusFilter, StorageFilter, StorageIds, StorageStatistics,
    StoreTarget, StoreTargets, TrackerFilter, TrackerStatistics, decode_groups, decode_storages,
};
use common::wire::{AddressWidth, Command, Status};
use tracker::{ListenerSettings, Settings};

use crate::support::{Node, Running, eventually, group, join, listener, report, settings};

/// A name whose source is no node here, so that reading falls back to any.
fn name() -> RemoteName {
    RemoteName::parse(b"M00/00/00/fgAADWw4X7CAJAB_eAAAABTYQpo217.txt").unwrap()
}

fn store(group_name: Option<&str>, scope: Scope) -> Request {
    Request::QueryStore {
        group: group_name.map(group),
        scope,
    }
}

fn fetch(group_name: &str, scope: Scope) -> Request {
    Request::QueryFetch {
        group: group(group_name),
        name: name(),
        scope,
    }
}

fn update(group_name: &str) -> Request {
    Request::QueryUpdate {
        group: group(group_name),
        name: name(),
    }
}

fn storages(group_name: &str, node: Option<&str>) -> Request {
    Request::ListStorages {
        group: group(group_name),
        node: node.map(|node| node.parse().unwrap()),
    }
}

#[tokio::test]
async fn an_empty_tracker_answers_not_found_and_empty_lists() {
    let tracker = Running::start(settings());
    let mut client = tracker.client().await;
    for request in [
        store(None, Scope::One),
        store(None, Scope::All),
        store(Some("group1"), Scope::One),
        fetch("group1", Scope::One),
        fetch("group1", Scope::All),
        update("group1"),
        Request::ListOneGroup(group("group1")),
        storages("group1", None),
        Request::DeleteGroup(group("group1")),
    ] {
        assert_eq!(
            client.status(request).await,
            Status::NOT_FOUND,
            "{request:?}"
        );
    }
    assert_eq!(client.body(Request::ListAllGroups).await.len(), 0);
    tracker.stop().await;
}

#[tokio::test]
async fn stores_and_reads_are_placed_on_the_nodes_of_the_group() {
    let tracker = Running::start(settings());
    let _one = Node::start(tracker.address(), 1, "group1").await;
    let _two = Node::start(tracker.address(), 2, "group1").await;
    let mut client = tracker.client().await;

    let body = client.body(store(None, Scope::One)).await;
    assert_eq!(body.len(), 40);
    let target = StoreTarget::decode(&body).unwrap();
    assert_eq!(target.node.address.as_str(), "10.0.0.1");
    assert_eq!((target.node.port, target.path), (23000, VolumePath(0)));

    let body = client.body(store(Some("group1"), Scope::All)).await;
    let targets = StoreTargets::decode(&body).unwrap();
    let addresses: Vec<_> = targets.nodes.iter().map(|it| it.address.as_str()).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2"]);

    let body = client.body(fetch("group1", Scope::One)).await;
    assert_eq!(body.len(), 39);
    assert_eq!(FetchTarget::decode(&body).unwrap().group, group("group1"));
    let body = client.body(fetch("group1", Scope::All)).await;
    assert_eq!(FetchTargets::decode(&body).unwrap().nodes.len(), 2);
    let body = client.body(update("group1")).await;
    assert!(FetchTarget::decode(&body).is_ok());
}

#[tokio::test]
async fn a_full_node_makes_stores_fail_with_no_space() {
    let tracker = Running::start(settings());
    let mut node = Node::start(tracker.address(), 1, "group1").await;
    let mut full = report();
    full.paths[0].free_mb = full.paths[0].reserved_mb;
    assert_eq!(node.report(&full).await, Status::OK);
    let mut client = tracker.client().await;
    for request in [store(None, Scope::One), store(Some("group1"), Scope::All)] {
        assert_eq!(client.status(request).await, Status::NO_SPACE);
    }
}

#[tokio::test]
async fn listings_show_groups_and_nodes() {
    let tracker = Running::start(settings());
    let mut node = Node::start(tracker.address(), 7, "group1").await;
    let mut told = report();
    told.counters.upload.total = 3;
    told.counters.upload.success = 2;
    told.connections.current = 5;
    told.changed_as_source = 1_700_000_001;
    node.report(&told).await;
    let mut client = tracker.client().await;

    let body = client.body(Request::ListAllGroups).await;
    assert_eq!(body.len(), 113);
    let groups = decode_groups(&body).unwrap();
    assert_eq!((groups[0].total_mb, groups[0].free_mb), (1000, 500));
    assert_eq!(groups[0].reserved_mb, 10);
    assert_eq!((groups[0].readable_count, groups[0].writable_count), (1, 1));
    assert_eq!(groups[0].storage_port, Some(23000));
    let one = client.body(Request::ListOneGroup(group("group1"))).await;
    assert_eq!(one, body);

    let body = client.body(storages("group1", None)).await;
    assert_eq!(body.len(), 487);
    let record = decode_storages(&body).unwrap()[0];
    assert_eq!(record.status, NodeStatus::Active);
    assert_eq!(record.mode, ReadWriteMode::Both);
    assert_eq!(record.id.as_str(), "7");
    assert_eq!(record.address.as_str(), "10.0.0.7");
    assert_eq!(record.counters, told.counters);
    assert_eq!(record.connections, told.connections);
    assert_eq!(record.last_source_change, 1_700_000_001);
    assert_eq!(client.body(storages("group1", Some("7"))).await, body);
    for unknown in ["8", "10.0.0.7", "x"] {
        let request = storages("group1", Some(unknown));
        assert_eq!(client.status(request).await, Status::NOT_FOUND);
    }
}

#[tokio::test]
async fn ids_addresses_and_states_are_looked_up() {
    let tracker = Running::start(settings());
    let _one = Node::start(tracker.address(), 1, "group1").await;
    let _two = Node::start(tracker.address(), 2, "group2").await;
    let mut client = tracker.client().await;

    let ids = |start, allow_empty| Request::FetchStorageIds { start, allow_empty };
    let body = client.body(ids(0, false)).await;
    assert_eq!(
        &body[8..],
        b"1 group1 10.0.0.1:23000\n2 group2 10.0.0.2:23000\n"
    );
    let rest = client.body(ids(1, true)).await;
    let rest = StorageIds::decode(&rest).unwrap();
    assert_eq!((rest.total, rest.lines.len()), (2, 1));
    assert_eq!(client.status(ids(2, true)).await, Status::INVALID);

    for host in ["10.0.0.2:23000", "10.0.0.2"] {
        let host = host.parse().unwrap();
        let group = group("group2");
        let id = client.body(Request::GetStorageId { group, host }).await;
        assert_eq!(NodeIdResponse::decode(&id).unwrap().0.as_str(), "2");
        let body = client.body(Request::GetStorageStatus { group, host }).await;
        assert_eq!(body.len(), 67);
        let status = NodeStatusResponse::decode(&body).unwrap();
        assert_eq!((status.status, status.port), (NodeStatus::Active, 23000));
    }
    let (group1, host) = (group("group1"), "10.0.0.2:23000".parse().unwrap());
    let elsewhere = Request::GetStorageId {
        group: group1,
        host,
    };
    assert_eq!(client.status(elsewhere).await, Status::NOT_FOUND);

    let of = |address: &str, port| Request::GetGroup {
        address: address.parse().unwrap(),
        port,
    };
    let body = client.body(of("10.0.0.2", 23000)).await;
    assert_eq!(GroupResponse::decode(&body).unwrap().0, group("group2"));
    for unknown in [of("10.0.0.2", 1), of("", 23000), of("nonsense", 1 << 16)] {
        assert_eq!(client.status(unknown).await, Status::NOT_FOUND);
    }
}

#[tokio::test]
async fn parameters_say_that_ids_carry_numbers_and_fit_the_c_client() {
    let tracker = Running::start(settings());
    let body = tracker.client().await.body(Request::GetParameters).await;
    assert!(body.len() < 1024);
    let parameters = Parameters::decode(&body).unwrap();
    assert_eq!(parameters.get("use_storage_id"), Some("1"));
    assert_eq!(parameters.get("use_trunk_file"), Some("0"));
    assert_eq!(parameters.get("reserved_storage_space"), Some("0MB"));
}

#[tokio::test]
async fn an_empty_list_of_ids_is_an_error_unless_allowed() {
    let tracker = Running::start(settings());
    let mut client = tracker.client().await;
    let ids = |allow_empty| Request::FetchStorageIds {
        start: 0,
        allow_empty,
    };
    assert_eq!(client.status(ids(false)).await, Status::INVALID);
    assert_eq!(client.body(ids(true)).await.as_ref(), [0; 8]);
}

#[tokio::test]
async fn statistics_are_filtered() {
    let tracker = Running::start(settings());
    let _node = Node::start(tracker.address(), 1, "group1").await;
    let (_silent, _) = Node::join(tracker.address(), join(2, "group2")).await;
    let mut client = tracker.client().await;

    let leader = client.body(Request::GetLeader).await;
    let leader = LeaderResponse::decode(&leader).unwrap().0;
    assert_eq!(leader.as_str(), tracker.address().to_string());
    let trackers = |filter| Request::TrackerStatistics(filter);
    let body = client.body(trackers(TrackerFilter::default())).await;
    let one = TrackerStatistics::decode(&body).unwrap().trackers[0];
    assert_eq!(
        (one.host, one.is_leader, one.is_active),
        (leader, true, true)
    );
    assert!(3 <= one.connections.current && one.connections.current <= one.connections.max);
    let followers = TrackerFilter {
        leader: Some(false),
        ..TrackerFilter::default()
    };
    let body = client.body(trackers(followers)).await;
    assert_eq!(TrackerStatistics::decode(&body).unwrap().trackers, []);

    for (status, expected) in [
        (None, vec!["1", "2"]),
        (Some(StatusFilter::Is(NodeStatus::Active)), vec!["1"]),
        (Some(StatusFilter::IsNot(NodeStatus::Active)), vec!["2"]),
    ] {
        let filter = StorageFilter {
            status,
            trunk_server: None,
        };
        let body = client.body(Request::StorageStatistics(filter)).await;
        let nodes = StorageStatistics::decode(&body).unwrap().nodes;
        let ids: Vec<_> = nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(ids, expected);
    }

    let with_space = GroupFilter {
        disk_available: Some(true),
        ..GroupFilter::default()
    };
    let body = client.body(Request::GroupStatistics(with_space)).await;
    let groups = GroupStatistics::decode(&body).unwrap().groups;
    assert_eq!(groups.len(), 1);
    assert_eq!(
        (groups[0].name, groups[0].available_mb),
        (group("group1"), 490)
    );
}

#[tokio::test]
async fn nodes_and_groups_are_removed_only_when_out_of_service() {
    let tracker = Running::start(settings());
    let node = Node::start(tracker.address(), 1, "group1").await;
    let mut client = tracker.client().await;
    let delete = Request::DeleteStorage {
        group: group("group1"),
        node: "1".parse().unwrap(),
    };
    let delete_group = Request::DeleteGroup(group("group1"));
    assert_eq!(client.status(delete).await, Status::BUSY);
    assert_eq!(client.status(delete_group).await, Status::BUSY);
    drop(node);
    let mut watcher = tracker.client().await;
    eventually(async || watcher.status(store(None, Scope::One)).await == Status::NOT_FOUND).await;
    // Its blobs are out of reach, which is not to say that they do not exist.
    for request in [
        fetch("group1", Scope::One),
        fetch("group1", Scope::All),
        update("group1"),
    ] {
        assert_eq!(client.status(request).await, Status::AGAIN, "{request:?}");
    }
    assert_eq!(client.status(delete).await, Status::OK);
    assert_eq!(client.status(delete).await, Status::ALREADY);
    let body = client.body(storages("group1", None)).await;
    assert_eq!(
        decode_storages(&body).unwrap()[0].status,
        NodeStatus::Deleted
    );
    // What it holds may have been deleted since, so it does not come back.
    let (_, answer) = Node::join(tracker.address(), join(1, "group1")).await;
    assert_eq!(answer, JoinAnswer::Removed);
    assert_eq!(client.status(delete_group).await, Status::OK);
    assert_eq!(client.body(Request::ListAllGroups).await.len(), 0);
    let trunk = Request::SetTrunkServer {
        group: group("group1"),
        node: None,
    };
    assert_eq!(client.status(trunk).await, Status::UNSUPPORTED);
}

#[tokio::test]
async fn wrong_lengths_and_unknown_commands_are_invalid_and_the_connection_stays() {
    let tracker = Running::start(settings());
    let mut client = tracker.client().await;
    let field = group("group1");
    let field = field.as_field().as_slice();
    for (command, body) in [
        (Command::QueryStoreAnyOne as u8, field),
        (Command::QueryStoreGroupOne as u8, &field[1..]),
        (Command::QueryFetchOne as u8, field),
        (Command::ListOneGroup as u8, b""),
        (Command::ListStorages as u8, &[b'1'; 32]),
        (Command::DeleteStorage as u8, field),
        (Command::DeleteStorage as u8, &[b'1'; 32]),
        (Command::FetchStorageIds as u8, b"\0\0\0\0"),
        (Command::ActiveTest as u8, b"x"),
        (Command::Upload as u8, b""),
        (255, b"whatever"),
    ] {
        let (status, _) = client.raw(command, body).await;
        assert_eq!(status, Status::INVALID, "{command}");
    }
    assert_eq!(client.status(Request::ActiveTest).await, Status::OK);
}

#[tokio::test]
async fn each_listener_speaks_the_dialect_of_its_clients() {
    let wide = ClientDialect {
        address: AddressWidth::V6,
        listing: ListingLayout::V5,
    };
    let tracker = Running::start(Settings {
        listeners: vec![
            listener(),
            ListenerSettings {
                dialect: wide,
                ..listener()
            },
        ],
        ..settings()
    });
    let _node = Node::start(tracker.address(), 1, "group1").await;
    let mut six = join(2, "group1");
    six.address = Some("2001:db8::2".parse().unwrap());
    let (mut six, _) = Node::join(tracker.address(), six).await;
    six.report(&report()).await;

    let mut narrow = tracker.client().await;
    let mut wide = crate::support::Client::connect(tracker.addresses[1]).await;
    let all = store(Some("group1"), Scope::All);
    assert_eq!(narrow.body(store(None, Scope::One)).await.len(), 40);
    assert_eq!(wide.body(store(None, Scope::One)).await.len(), 70);
    // Clients that cannot be told the IPv6 address are not sent there.
    assert_eq!(narrow.body(all).await.len(), 40);
    assert_eq!(wide.body(all).await.len(), 123);
    assert_eq!(narrow.body(Request::ListAllGroups).await.len(), 113);
    assert_eq!(wide.body(Request::ListAllGroups).await.len(), 105);
}
