//! Marks, removal, members, completeness per volume path: what operators and nodes are promised.

use super::*;

const REMOVE: Order = Order::Remove {
    force: false,
    release: false,
};
const FORCE: Order = Order::Remove {
    force: true,
    release: false,
};
const RELEASE: Order = Order::Remove {
    force: false,
    release: true,
};

fn node(of: u32) -> Target {
    Target::Node(number(of))
}

fn in_group(name: &str) -> Target {
    Target::Group(group(name))
}

fn stranger(number: u32, in_group: &str) -> NodeJoin {
    NodeJoin {
        identity: NodeIdentity([9; 16]),
        address: Some("10.9.9.9".parse().unwrap()),
        ..join(number, in_group)
    }
}

/// A report of a node that lacks everything in one volume path.
fn without(path: usize) -> NodeReport {
    let mut report = serving(10);
    report.phase = NodePhase::Recovering;
    report.paths[path].is_complete = false;
    report.rebuild.done = 1_204 << 20;
    report.rebuild.total = 8_000 << 20;
    report
}

fn all(cluster: &Cluster, path: u8) -> Vec<u32> {
    let name = RemoteName::generate(&NewBlob {
        volume_path: VolumePath(path),
        source: number(99),
        time: 1000,
        size: Some(5),
        crc: Crc32(7),
        extension: Extension::from_bytes(b"txt").unwrap(),
        random: 42,
    });
    let nodes = cluster.fetch_all(&group("g"), &name, WIDTH);
    let nodes = nodes.unwrap_or_default();
    nodes.iter().map(|it| it.number.get()).collect()
}

#[test]
fn a_draining_node_or_group_takes_no_uploads_and_serves_reads_and_changes() {
    for target in [node(1), in_group("g")] {
        let (mut cluster, _) = cluster_of(policy(), &[(1, "g", 10)]);
        cluster.order(target, Order::Drain).unwrap();
        assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
        assert_eq!(
            cluster.store_all(None, WIDTH).unwrap_err(),
            StoreRefusal::NoWriter
        );
        let (g, name) = (group("g"), blob_of(1, 1000, false));
        assert!(cluster.fetch_one(&g, &name, WIDTH).is_some());
        assert!(cluster.update(&g, &name, WIDTH).is_some());
        cluster.order(target, Order::Undrain).unwrap();
        assert_eq!(stored_on(&mut cluster, 1), [1]);
    }
}

#[test]
fn a_read_only_node_or_group_serves_reads_only() {
    for target in [node(1), in_group("g")] {
        let (mut cluster, _) = cluster_of(policy(), &[(1, "g", 10)]);
        cluster.order(target, Order::ReadOnly).unwrap();
        assert_eq!(cluster.store_one(None, WIDTH), Err(StoreRefusal::NoWriter));
        let (g, name) = (group("g"), blob_of(1, 1000, false));
        assert!(cluster.fetch_one(&g, &name, WIDTH).is_some());
        assert!(cluster.update(&g, &name, WIDTH).is_none());
        cluster.order(target, Order::Writable).unwrap();
        assert_eq!(stored_on(&mut cluster, 1), [1]);
    }
}

#[test]
fn an_order_that_is_obeyed_already_is_no_change() {
    let (mut cluster, _) = cluster_of(policy(), &[(1, "g", 10)]);
    cluster.order(node(1), Order::Drain).unwrap();
    let generation = cluster.generation();
    cluster.order(node(1), Order::Drain).unwrap();
    assert_eq!(cluster.generation(), generation);
    assert_eq!(
        cluster.order(node(7), Order::Drain),
        Err(OrderRefusal::NoNode(number(7)))
    );
    assert_eq!(
        cluster.order(in_group("h"), Order::Drain),
        Err(OrderRefusal::NoGroup(group("h")))
    );
}

#[test]
fn a_node_is_used_only_for_the_volume_paths_in_which_it_is_complete() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10), (2, "g", 10)]);
    let behind = NodeReport {
        complete_up_to: u32::MAX,
        ..without(1)
    };
    cluster.report(sessions[0], behind, at(0)).unwrap();
    let whole = NodeReport {
        complete_up_to: u32::MAX,
        ..serving(10)
    };
    cluster.report(sessions[1], whole, at(0)).unwrap();
    assert_eq!(all(&cluster, 0), [1, 2]);
    assert_eq!(all(&cluster, 1), [2]);
    for _ in 0..8 {
        let placement = cluster.store_one(None, WIDTH).unwrap();
        assert!((placement.node.number, placement.path) != (number(1), VolumePath(1)));
    }
    // It asks its peers, so it is better than nobody.
    cluster.leave(sessions[1]);
    assert_eq!(all(&cluster, 1), [1]);
    let reasons = cluster.node(number(1)).unwrap();
    let reasons = reasons.reasons(cluster.policy().reserved, at(0));
    assert_eq!(
        reasons,
        ["rebuilding: 1.1 GiB of 7.8 GiB", "M01: incomplete"]
    );
}

#[test]
fn a_node_goes_only_when_drained_and_when_its_peers_have_everything() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10)]);
    assert_eq!(
        cluster.order(node(1), REMOVE),
        Err(OrderRefusal::NotDraining(node(1)))
    );
    cluster.order(node(1), Order::Drain).unwrap();
    assert_eq!(
        cluster.order(node(1), REMOVE),
        Err(OrderRefusal::NoPeer(number(1)))
    );
    let peer = cluster.join(&join(2, "g"), PEER, at(0)).unwrap().session;
    cluster.report(peer, without(1), at(0)).unwrap();
    let refusal = cluster.order(node(1), REMOVE).unwrap_err();
    assert!(refusal.is_wait());
    assert_eq!(
        refusal.to_string(),
        "waiting for the peers of node 1: no peer is complete in M01; \
         node 2 lacks 1 volume paths, 1.1 GiB of 7.8 GiB"
    );
    cluster.report(peer, serving(10), at(0)).unwrap();
    cluster.order(node(1), REMOVE).unwrap();

    // Its session is over, it does not come back, and nobody gets its number.
    assert_eq!(
        cluster.report(sessions[0], serving(10), at(0)),
        Err(NotJoined)
    );
    let refusal = cluster.join(&join(1, "g"), PEER, at(1)).unwrap_err();
    assert_eq!(refusal.answer(2), JoinAnswer::Removed);
    let refusal = cluster.join(&stranger(1, "g"), PEER, at(1)).unwrap_err();
    assert_eq!(
        refusal.answer(2),
        JoinAnswer::NumberTaken {
            holder: "10.0.0.1:23000".parse().unwrap(),
            yours: "10.9.9.9:23000".parse().unwrap(),
        }
    );
    assert_eq!(cluster.refused().count(), 2);
    cluster.order(node(1), RELEASE).unwrap();
    cluster.join(&stranger(1, "g"), PEER, at(1)).unwrap();
    assert_eq!(cluster.refused().count(), 1);
    // Who does not try again is not shown for ever.
    cluster.tick(at(61));
    assert_eq!(cluster.refused().count(), 1);
    cluster.tick(at(62));
    assert_eq!(cluster.refused().count(), 0);
    let members = cluster.nodes().filter(|node| node.is_member());
    assert_eq!(members.count(), 2);
}

#[test]
fn a_dead_node_goes_without_draining_and_a_lost_one_by_force() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10), (2, "g", 10)]);
    cluster.leave(sessions[0]);
    let degraded = NodeReport {
        under_replicated: 5,
        ..serving(10)
    };
    cluster.report(sessions[1], degraded, at(0)).unwrap();
    cluster.order(node(1), REMOVE).unwrap();
    assert_eq!(
        cluster.order(node(2), FORCE),
        Ok(()),
        "even the last one goes by force"
    );
    assert_eq!(
        cluster.order(node(2), FORCE),
        Err(OrderRefusal::AlreadyRemoved(number(2)))
    );
}

#[test]
fn a_group_goes_only_when_drained_and_empty() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10), (2, "h", 10)]);
    let g = in_group("g");
    assert_eq!(cluster.order(g, REMOVE), Err(OrderRefusal::NotDraining(g)));
    cluster.order(g, Order::Drain).unwrap();
    let holding = NodeReport {
        blobs: 1_234,
        ..serving(10)
    };
    cluster.report(sessions[0], holding, at(0)).unwrap();
    let refusal = cluster.order(g, REMOVE).unwrap_err();
    assert!(refusal.is_wait());
    assert!(refusal.to_string().contains("holds 1,234 records"));
    cluster.report(sessions[0], serving(10), at(0)).unwrap();
    cluster.order(g, REMOVE).unwrap();
    let names: Vec<_> = cluster.groups().map(|it| it.name().to_string()).collect();
    assert_eq!(names, ["h"]);
    // A new node begins the group anew, without the marks of before.
    let joined = cluster.join(&join(3, "g"), PEER, at(0)).unwrap();
    cluster.report(joined.session, serving(10), at(0)).unwrap();
    assert!(cluster.store_one(Some(group("g")), WIDTH).is_ok());
}

#[test]
fn a_silent_node_of_a_group_keeps_it_from_being_removed() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10), (2, "g", 10)]);
    cluster.order(in_group("g"), Order::Drain).unwrap();
    cluster.leave(sessions[1]);
    assert_eq!(
        cluster.order(in_group("g"), REMOVE),
        Err(OrderRefusal::Unheard {
            group: group("g"),
            node: number(2)
        })
    );
}

#[test]
fn members_are_told_when_they_change_and_only_then() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 10)]);
    let ReportAnswer::Members { view, members, .. } =
        cluster.members_answer(sessions[0], 0, at(60))
    else {
        panic!("a node without a view was told nothing");
    };
    assert_eq!(members.len(), 1);
    cluster.report(sessions[0], serving(9), at(1)).unwrap();
    let unchanged = ReportAnswer::Unchanged { view };
    assert_eq!(cluster.members_answer(sessions[0], view, at(60)), unchanged);

    let peer = cluster.join(&join(2, "g"), PEER, at(1)).unwrap().session;
    cluster.join(&join(3, "other"), PEER, at(1)).unwrap();
    cluster.report(peer, serving(9), at(1)).unwrap();
    cluster.order(node(2), Order::Drain).unwrap();
    let told = |cluster: &Cluster, known| match cluster.members_answer(sessions[0], known, at(60)) {
        ReportAnswer::Members {
            members, removed, ..
        } => (members, removed),
        other @ (ReportAnswer::Nothing | ReportAnswer::Unchanged { .. }) => panic!("{other:?}"),
    };
    let (members, removed) = told(&cluster, view);
    let seen: Vec<_> = members
        .iter()
        .map(|it| (it.number.get(), it.is_alive, it.marks.draining))
        .collect();
    assert_eq!(seen, [(1, true, false), (2, true, true)]);
    assert_eq!(removed, []);
    cluster.leave(peer);
    assert!(!told(&cluster, view).0[1].is_alive);
    cluster.order(node(2), FORCE).unwrap();
    let (members, removed) = told(&cluster, view);
    assert_eq!((members.len(), removed.len()), (1, 1));
    assert_eq!(removed[0].number, number(2));
}

#[test]
fn what_an_operator_should_know_of_a_node_is_said_in_words() {
    let (mut cluster, sessions) = cluster_of(policy(), &[(1, "g", 0), (2, "g", 10)]);
    let reasons = |cluster: &Cluster, of: u32, now| {
        let node = cluster.node(number(of)).unwrap();
        node.reasons(cluster.policy().reserved, now).join("; ")
    };
    assert_eq!(reasons(&cluster, 1, at(0)), "full");
    assert_eq!(reasons(&cluster, 2, at(0)), "");
    cluster.order(node(1), Order::Drain).unwrap();
    cluster.order(in_group("g"), Order::ReadOnly).unwrap();
    assert_eq!(
        reasons(&cluster, 1, at(0)),
        "draining; read-only with its group; full"
    );
    cluster.leave(sessions[1]);
    assert_eq!(
        reasons(&cluster, 2, at(12)),
        "silent for 12 s; read-only with its group"
    );
    let cluster = Cluster::new(policy(), cluster.entries(), 2);
    assert_eq!(
        reasons(&cluster, 2, at(0)),
        "not heard since this tracker started"
    );
}
