use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use common::digest::Crc32;
use common::id::{Extension, GroupName, NewBlob, NodeNumber, RemoteName, VolumePath};
use common::limits;
use common::wire::AddressWidth;
use common::wire::cluster::{Order, Target};
use common::wire::report::{
    JoinAnswer, NodeIdentity, NodeJoin, NodePhase, NodeReport, PathSpace, ReportAnswer,
};
use common::wire::tracker::NodeStatus;
use proptest::prelude::*;

use super::*;

mod history;
mod operator;
mod trackers;

const WIDTH: AddressWidth = AddressWidth::V4;
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn at(seconds: u64) -> Now {
    Now {
        uptime: Duration::from_secs(seconds),
        unix: 1_700_000_000 + u32::try_from(seconds).unwrap(),
    }
}

/// Milliseconds instead of seconds.
fn at_ms(milliseconds: u64) -> Now {
    Now {
        uptime: Duration::from_millis(milliseconds),
        ..at(milliseconds / 1000)
    }
}

fn number(number: u32) -> NodeNumber {
    number.try_into().unwrap()
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn join(node: u32, in_group: &str) -> NodeJoin {
    let mut identity = [0; 16];
    identity[..4].copy_from_slice(&node.to_be_bytes());
    NodeJoin {
        identity: NodeIdentity(identity),
        number: number(node),
        group: group(in_group),
        address: Some(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + node))),
        storage_port: 23000,
        http_port: 8888,
        joined: node,
        started: 1,
        software: "0.1.0".parse().unwrap(),
        upload_priority: 10,
        volume_paths: vec![VolumePath(0), VolumePath(1)],
    }
}

fn space(path: u8, free_mb: u64) -> PathSpace {
    PathSpace {
        path: VolumePath(path),
        total_mb: 100_000,
        free_mb,
        reserved_mb: 0,
        read_only: false,
        is_complete: true,
        records: 0,
    }
}

fn serving(free_mb: u64) -> NodeReport {
    NodeReport {
        phase: NodePhase::Serving,
        readable: true,
        writable: true,
        paths: vec![space(0, free_mb), space(1, free_mb)],
        ..NodeReport::default()
    }
}

fn policy() -> Policy {
    Policy {
        store_lookup: StoreLookup::RoundRobin,
        reserved: ReservedSpace::Bytes(0),
        ..Policy::default()
    }
}

fn cluster_of(policy: Policy, nodes: &[(u32, &str, u64)]) -> (Cluster, Vec<SessionId>) {
    let mut cluster = Cluster::new(policy, Vec::new(), 1);
    let sessions = nodes
        .iter()
        .map(|(node, group, free_mb)| {
            let session = cluster
                .join(&join(*node, group), PEER, at(0))
                .unwrap()
                .session;
            cluster.report(session, serving(*free_mb), at(0)).unwrap();
            session
        })
        .collect();
    (cluster, sessions)
}

fn blob_of(node: u32, time: u32, is_appender: bool) -> RemoteName {
    RemoteName::generate(&NewBlob {
        volume_path: VolumePath(0),
        source: number(node),
        time,
        size: (!is_appender).then_some(5),
        crc: Crc32(7),
        extension: Extension::from_bytes(b"txt").unwrap(),
        random: 42,
    })
}

fn stored_on(cluster: &mut Cluster, count: usize) -> Vec<u32> {
    (0..count)
        .map(|_| cluster.store_one(None, WIDTH).unwrap().node.number.get())
        .collect()
}

#[test]
fn round_robin_goes_through_groups_nodes_and_paths_in_order() {
    let nodes = [(1, "group1", 100), (2, "group1", 100), (3, "group2", 100)];
    let (mut cluster, _) = cluster_of(policy(), &nodes);
    assert_eq!(stored_on(&mut cluster, 6), [1, 3, 2, 3, 1, 3]);
    let paths: Vec<_> = (0..4)
        .map(|_| {
            cluster
                .store_one(Some(group("group2")), WIDTH)
                .unwrap()
                .path
                .0
        })
        .collect();
    assert_eq!(paths, [1, 0, 1, 0]);
}

#[test]
fn load_balance_takes_the_group_whose_smallest_member_has_most() {
    let nodes = [(1, "a", 900), (2, "a", 100), (3, "b", 200), (4, "c", 200)];
    let (mut cluster, _) = cluster_of(
        Policy {
            store_lookup: StoreLookup::LoadBalance,
            ..policy()
        },
        &nodes,
    );
    assert_eq!(stored_on(&mut cluster, 2), [3, 3]);
}

#[test]
fn a_specified_group_is_the_only_one_asked() {
    let only = Policy {
        store_lookup: StoreLookup::Group(group("b")),
        ..policy()
    };
    let (mut cluster, sessions) = cluster_of(only, &[(1, "a", 100), (2, "b", 100)]);
    assert_eq!(stored_on(&mut cluster, 2), [2, 2]);
    cluster.leave(sessions[1]);
    assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
}

#[test]
fn first_and_priority_choose_as_they_are_called() {
    let choose = |store_server| {
        let mut cluster = Cluster::new(
            Policy {
                store_server,
                ..policy()
            },
            Vec::new(),
            1,
        );
        for (node, upload_priority) in [(1, 10), (2, 3), (3, 3)] {
            let join = NodeJoin {
                upload_priority,
                ..join(node, "g")
            };
            let session = cluster.join(&join, PEER, at(0)).unwrap().session;
            cluster.report(session, serving(10), at(0)).unwrap();
        }
        stored_on(&mut cluster, 2)
    };
    assert_eq!(choose(StoreServer::First), [1, 1]);
    assert_eq!(choose(StoreServer::Priority), [2, 2]);
}

#[test]
fn the_path_with_most_space_is_the_first_of_equals() {
    let balance = Policy {
        store_path: StorePath::LoadBalance,
        ..policy()
    };
    let (mut cluster, sessions) = cluster_of(balance, &[(1, "g", 10)]);
    assert_eq!(cluster.store_one(None, WIDTH).unwrap().path, VolumePath(0));
    let report = NodeReport {
        paths: vec![space(0, 10), space(3, 11)],
        ..serving(0)
    };
    cluster.report(sessions[0], report, at(1)).unwrap();
    assert_eq!(cluster.store_one(None, WIDTH).unwrap().path, VolumePath(3));
}

#[test]
fn no_writer_and_no_space_are_told_apart() {
    let (mut cluster, sessions) = cluster_of(policy(), &[]);
    assert_eq!(sessions.len(), 0);
    assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "a", 0), (2, "b", 10)]);
    assert_eq!(
        cluster.store_one(Some(group("a")), WIDTH),
        Err(StoreRefusal::NoSpace)
    );
    assert_eq!(stored_on(&mut cluster, 2), [2, 2]);
    cluster.leave(sessions[1]);
    assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoSpace));
    assert_eq!(
        cluster.store_one(Some(group("b")), WIDTH),
        Err(StoreRefusal::NoWriter)
    );
    assert_eq!(
        cluster.store_one(Some(group("c")), WIDTH),
        Err(StoreRefusal::NoWriter)
    );
}

#[test]
fn a_full_node_stops_neither_its_group_nor_is_chosen_and_groups_with_room_everywhere_go_first() {
    for store_lookup in [StoreLookup::RoundRobin, StoreLookup::LoadBalance] {
        let policy = Policy {
            store_lookup,
            ..policy()
        };
        let nodes = [(1, "a", 0), (2, "a", 10), (3, "b", 5)];
        let (mut cluster, sessions) = cluster_of(policy, &nodes);
        assert_eq!(stored_on(&mut cluster, 3), [3, 3, 3]);
        let stored = cluster.store_one(Some(group("a")), WIDTH).unwrap();
        assert_eq!(stored.node.number, number(2));
        let (_, all, _) = cluster.store_all(Some(group("a")), WIDTH).unwrap();
        assert_eq!(all.len(), 1, "the full one is not offered");
        cluster.leave(sessions[2]);
        assert_eq!(stored_on(&mut cluster, 3), [2, 2, 2]);
        cluster.report(sessions[1], serving(0), at(1)).unwrap();
        assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoSpace));
    }
}

#[test]
fn exactly_the_reserve_left_is_no_space() {
    let reserved = Policy {
        reserved: ReservedSpace::Bytes(20 << 20),
        ..policy()
    };
    let (mut cluster, sessions) = cluster_of(reserved, &[(1, "g", 10)]);
    assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoSpace));
    cluster.report(sessions[0], serving(11), at(1)).unwrap();
    assert!(cluster.store_one(None, WIDTH).is_ok());
}

#[test]
fn a_read_only_path_is_passed_over() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10)]);
    let mut report = serving(10);
    report.paths[0].read_only = true;
    cluster.report(sessions[0], report.clone(), at(1)).unwrap();
    for _ in 0..3 {
        assert_eq!(cluster.store_one(None, WIDTH).unwrap().path, VolumePath(1));
    }
    report.paths[1].read_only = true;
    cluster.report(sessions[0], report, at(1)).unwrap();
    assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
}

#[test]
fn all_writers_are_listed_by_number_and_the_node_turn_does_not_move() {
    let nodes = [(3, "g", 10), (1, "g", 10), (2, "g", 10)];
    let (mut cluster, sessions) = cluster_of(policy(), &nodes);
    cluster.leave(sessions[2]);
    let (name, endpoints, path) = cluster.store_all(None, WIDTH).unwrap();
    assert_eq!((name, path), (group("g"), VolumePath(0)));
    let numbers: Vec<_> = endpoints.iter().map(|it| it.number.get()).collect();
    assert_eq!(numbers, [1, 3]);
    assert_eq!(stored_on(&mut cluster, 1), [1]);
}

#[test]
fn reading_goes_to_the_source_then_to_complete_nodes_then_to_anyone() {
    let nodes = [(1, "g", 10), (2, "g", 10), (3, "g", 10)];
    let (mut cluster, sessions) = cluster_of(policy(), &nodes);
    let name = blob_of(1, 1000, false);
    let complete = NodeReport {
        complete_up_to: 1001,
        ..serving(10)
    };
    cluster.report(sessions[2], complete, at(1)).unwrap();
    let fetch = |cluster: &mut Cluster| {
        let one = cluster
            .fetch_one(&group("g"), &name, WIDTH)
            .unwrap()
            .number
            .get();
        let all = cluster.fetch_all(&group("g"), &name, WIDTH).unwrap();
        let all: Vec<_> = all.iter().map(|it| it.number.get()).collect();
        (one, all)
    };
    assert_eq!(fetch(&mut cluster), (1, vec![1, 3]));
    cluster.leave(sessions[0]);
    assert_eq!(fetch(&mut cluster), (3, vec![3]));
    cluster.leave(sessions[2]);
    assert_eq!(fetch(&mut cluster), (2, vec![2]));
    cluster.leave(sessions[1]);
    assert_eq!(cluster.fetch_one(&group("g"), &name, WIDTH), None);
    assert_eq!(cluster.fetch_all(&group("g"), &name, WIDTH), None);
    assert_eq!(cluster.fetch_one(&group("h"), &name, WIDTH), None);
}

#[test]
fn an_appender_is_read_only_from_its_source_while_that_serves() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10), (2, "g", 10)]);
    let complete = NodeReport {
        complete_up_to: u32::MAX,
        ..serving(10)
    };
    cluster.report(sessions[1], complete, at(1)).unwrap();
    let name = blob_of(1, 1000, true);
    let all = |cluster: &Cluster| cluster.fetch_all(&group("g"), &name, WIDTH).unwrap().len();
    assert_eq!(all(&cluster), 1);
    cluster.leave(sessions[0]);
    assert_eq!(
        cluster
            .fetch_one(&group("g"), &name, WIDTH)
            .unwrap()
            .number
            .get(),
        2
    );
}

#[test]
fn changes_go_to_the_source_or_the_next_writer_even_when_the_disk_is_full() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 0), (2, "g", 0)]);
    let name = blob_of(2, 1000, false);
    let update = |cluster: &mut Cluster| {
        let endpoint = cluster.update(&group("g"), &name, WIDTH);
        endpoint.map(|it| it.number.get())
    };
    assert_eq!(update(&mut cluster), Some(2));
    let read_only = NodeReport {
        writable: false,
        ..serving(0)
    };
    cluster.report(sessions[1], read_only, at(1)).unwrap();
    assert_eq!(update(&mut cluster), Some(1));
    cluster.leave(sessions[0]);
    assert_eq!(update(&mut cluster), None);
}

#[test]
fn a_taken_number_is_refused_naming_both_addresses() {
    let (mut cluster, _) = cluster_of(policy(), &[(1, "g", 10)]);
    let thief = NodeJoin {
        identity: NodeIdentity([9; 16]),
        address: Some("10.9.9.9".parse().unwrap()),
        ..join(1, "other")
    };
    let refusal = cluster.join(&thief, PEER, at(1)).unwrap_err();
    assert_eq!(
        refusal.answer(2),
        JoinAnswer::NumberTaken {
            holder: "10.0.0.1:23000".parse().unwrap(),
            yours: "10.9.9.9:23000".parse().unwrap(),
        }
    );
    assert!(cluster.group(&group("other")).is_none());
}

#[test]
fn a_moved_node_keeps_its_record_and_an_old_session_cannot_end_the_new_one() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10)]);
    let moved = NodeJoin {
        address: None,
        ..join(1, "g")
    };
    let joined = cluster
        .join(&moved, "10.7.7.7".parse().unwrap(), at(1))
        .unwrap();
    assert_eq!(joined.moved_from, Some("10.0.0.1:23000".parse().unwrap()));
    assert!(joined.replaced_live_session);
    cluster.report(joined.session, serving(10), at(1)).unwrap();
    assert!(!cluster.leave(sessions[0]));
    assert_eq!(
        cluster.report(sessions[0], serving(10), at(1)),
        Err(NotJoined)
    );
    let address: SocketAddr = "10.7.7.7:23000".parse().unwrap();
    assert_eq!(
        cluster.store_one(None, WIDTH).unwrap().node.address,
        address
    );
    assert_eq!(cluster.nodes().count(), 1);
}

#[test]
fn a_node_does_not_change_its_group_unless_its_number_was_released() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10)]);
    let refusal = cluster.join(&join(1, "h"), PEER, at(1)).unwrap_err();
    assert_eq!(
        refusal.answer(2),
        JoinAnswer::WrongGroup {
            registered: group("g")
        }
    );
    // Also once it was removed: what it holds is of the old group. A release makes it new.
    cluster.leave(sessions[0]);
    cluster.delete_node(&group("g"), number(1)).unwrap();
    let removed = cluster.join(&join(1, "h"), PEER, at(2)).unwrap_err();
    assert_eq!(removed.answer(2), JoinAnswer::Removed);
    let release = Order::Remove {
        force: false,
        release: true,
    };
    cluster.order(Target::Node(number(1)), release).unwrap();
    cluster.join(&join(1, "h"), PEER, at(2)).unwrap();
    assert_eq!(cluster.groups().count(), 1);
}

#[test]
fn a_silent_node_leaves_rotation_and_comes_back_with_its_next_report() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10)]);
    for milliseconds in (0..=2500).step_by(250) {
        assert_eq!(cluster.tick(at_ms(milliseconds)), []);
    }
    assert_eq!(cluster.tick(at_ms(2750)), [number(1)]);
    assert_eq!(cluster.tick(at_ms(3000)), []);
    assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
    let change = cluster.report(sessions[0], serving(10), at(6)).unwrap();
    assert_eq!(
        (change.from, change.to),
        (NodeStatus::Offline, NodeStatus::Active)
    );
    assert!(cluster.store_one(None, WIDTH).is_ok());
}

#[test]
fn a_tracker_that_slept_does_not_call_nodes_silent_that_it_could_not_hear() {
    let (mut cluster, _) = cluster_of(policy(), &[(1, "g", 10)]);
    cluster.tick(at(0));
    assert_eq!(cluster.tick(at(3600)), []);
    assert!(cluster.store_one(None, WIDTH).is_ok());
    // A node that stays silent afterwards is.
    cluster.tick(at_ms(3_601_000));
    cluster.tick(at_ms(3_602_000));
    assert_eq!(cluster.tick(at_ms(3_602_750)), [number(1)]);
}

#[test]
fn a_joined_node_serves_nobody_before_its_first_report() {
    let mut cluster = Cluster::new(policy(), Vec::new(), 1);
    cluster.join(&join(1, "g"), PEER, at(0)).unwrap();
    let node = cluster.nodes().next().unwrap();
    assert_eq!(node.state(), NodeStatus::Online);
    assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
}

#[test]
fn only_offline_nodes_and_groups_of_removed_nodes_are_removed() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10)]);
    let g = group("g");
    assert_eq!(
        cluster.delete_node(&g, number(2)),
        Err(OrderRefusal::NoNode(number(2)))
    );
    assert_eq!(
        cluster.delete_node(&g, number(1)),
        Err(OrderRefusal::InService(number(1)))
    );
    cluster.leave(sessions[0]);
    assert_eq!(cluster.delete_group(&g), Err(OrderRefusal::HasNodes(g)));
    assert_eq!(cluster.delete_node(&g, number(1)), Ok(()));
    assert_eq!(
        cluster.delete_node(&g, number(1)),
        Err(OrderRefusal::AlreadyRemoved(number(1)))
    );
    assert_eq!(cluster.delete_group(&g), Ok(()));
    assert_eq!(cluster.delete_group(&g), Err(OrderRefusal::NoGroup(g)));
}

#[test]
fn groups_and_nodes_end_at_their_limits() {
    let mut cluster = Cluster::new(policy(), Vec::new(), 1);
    let count = u32::try_from(limits::NODES_PER_GROUP_MAX).unwrap();
    for node in 1..=count {
        cluster.join(&join(node, "g"), PEER, at(0)).unwrap();
    }
    let one_more = join(count + 1, "g");
    assert_eq!(
        cluster.join(&one_more, PEER, at(0)),
        Err(JoinRefusal::GroupFull)
    );
    // Members come and go, and a removed one makes room.
    let again = cluster.join(&join(1, "g"), PEER, at(0)).unwrap();
    cluster.leave(again.session);
    cluster.delete_node(&group("g"), number(1)).unwrap();
    cluster.join(&one_more, PEER, at(0)).unwrap();
    let members = cluster.nodes().filter(|node| node.is_member());
    assert_eq!(members.count(), limits::NODES_PER_GROUP_MAX);

    for number in 1..limits::GROUPS_MAX {
        let node = 1000 + u32::try_from(number).unwrap();
        let joining = join(node, &format!("g{number}"));
        cluster.join(&joining, PEER, at(0)).unwrap();
    }
    assert_eq!(
        cluster.join(&join(5000, "onemore"), PEER, at(0)),
        Err(JoinRefusal::TooManyGroups)
    );
}

#[test]
fn a_restarted_cluster_knows_its_nodes_and_what_an_operator_set() {
    let (mut cluster, _) = cluster_of(policy(), &[(1, "g", 10), (2, "h", 10)]);
    let generation = cluster.generation();
    cluster
        .order(Target::Node(number(2)), Order::ReadOnly)
        .unwrap();
    assert!(generation < cluster.generation());
    let mut cluster = Cluster::new(policy(), cluster.entries(), 2);
    assert!(
        cluster
            .nodes()
            .all(|node| node.state() == NodeStatus::Offline)
    );
    let session = cluster.join(&join(2, "h"), PEER, at(0)).unwrap().session;
    cluster.report(session, serving(10), at(0)).unwrap();
    assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
    assert!(
        cluster
            .fetch_one(&group("h"), &blob_of(2, 1, false), WIDTH)
            .is_some()
    );
}

#[test]
fn rejoining_unchanged_is_no_change_to_persist() {
    let (mut cluster, _) = cluster_of(policy(), &[(1, "g", 10)]);
    let generation = cluster.generation();
    cluster.join(&join(1, "g"), PEER, at(1)).unwrap();
    assert_eq!(cluster.generation(), generation);
}

#[test]
fn a_group_is_as_big_as_its_smallest_member_and_shows_differing_ports() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 50), (2, "g", 10)]);
    let free = |cluster: &Cluster| cluster.group(&group("g")).unwrap().space().free_mb;
    assert_eq!(free(&cluster), 20);
    cluster.leave(sessions[1]);
    assert_eq!(free(&cluster), 100);
    cluster.leave(sessions[0]);
    assert_eq!(free(&cluster), 20, "the last known space stays on show");
    let g = cluster.group(&group("g")).unwrap();
    assert_eq!(g.shared_port(), Some(23000));
    let other_port = NodeJoin {
        storage_port: 1,
        ..join(1, "g")
    };
    cluster.join(&other_port, PEER, at(1)).unwrap();
    assert_eq!(cluster.group(&group("g")).unwrap().shared_port(), None);
}
