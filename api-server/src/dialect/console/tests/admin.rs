//! What administrators see and do.

use super::*;
use crate::backend::{ClusterState, GroupState, NodeState, Step};
use crate::service::RegistrationPolicy;
use common::code::ErrorCode;
use common::wire::cluster::{
    ClusterStatus, GroupStatus, NodeStatus as NodeStatusTold, PathStatus, Progress, RefusedNode,
    TrackerStatus,
};
use common::wire::tracker::{Counter, NodeStatus, ReadWriteMode, StorageCounters};

fn node(id: &str, address: &str, status: NodeStatus, mode: ReadWriteMode) -> NodeState {
    let counter = |success| Counter {
        total: 100,
        success,
    };
    NodeState {
        id: id.to_owned(),
        address: address.to_owned(),
        port: 23_000,
        status,
        mode,
        version: "6.15.0".to_owned(),
        joined: 1,
        started: 2,
        last_heartbeat: 3,
        last_change: 4,
        space_total: 1_000,
        space_free: 400,
        space_reserved: 50,
        volume_path_count: 1,
        connection_count: 7,
        counters: StorageCounters {
            upload: counter(1),
            download: counter(2),
            delete: counter(3),
            upload_bytes: counter(4),
            download_bytes: counter(5),
            ..StorageCounters::default()
        },
    }
}

fn cluster() -> ClusterState {
    ClusterState {
        groups: vec![GroupState {
            name: "group1".parse().unwrap(),
            space_total: 1_000,
            space_free: 400,
            space_reserved: 50,
            readable_count: 1,
            writable_count: 1,
            nodes: vec![
                node("100", "192.0.2.7", NodeStatus::Active, ReadWriteMode::Both),
                node(
                    "101",
                    "2001:db8::7",
                    NodeStatus::WaitSync,
                    ReadWriteMode::Both,
                ),
                node("102", "", NodeStatus::Active, ReadWriteMode::Read),
            ],
        }],
        status: status(),
    }
}

/// What a tracker tells of the second node.
fn status() -> ClusterStatus {
    let node = NodeStatusTold {
        number: 101,
        reasons: vec!["rebuilding: 1.1 GiB of 7.8 GiB".to_owned()],
        lag_ms: 75,
        under_replicated: 6,
        unverified_age_s: 7,
        paths: vec![PathStatus {
            path: "M00".to_owned(),
            total_bytes: 9,
            free_bytes: 8,
            rebuild: Progress {
                done: 1_204,
                total: 8_000,
            },
            ..PathStatus::default()
        }],
        ..NodeStatusTold::default()
    };
    ClusterStatus {
        trackers: vec![TrackerStatus {
            address: "192.0.2.1:22122".to_owned(),
            is_alive: true,
            ..TrackerStatus::default()
        }],
        groups: vec![GroupStatus {
            name: "group1".to_owned(),
            is_draining: true,
            nodes: vec![node],
            ..GroupStatus::default()
        }],
        refused: vec![RefusedNode {
            number: 100,
            address: "192.0.2.8:23000".to_owned(),
            reason: "number taken by 192.0.2.7:23000".to_owned(),
            ..RefusedNode::default()
        }],
    }
}

#[tokio::test]
async fn the_overview_adds_up_and_shows_the_cluster() {
    let fixture = Fixture::new();
    fixture.blobs.set_cluster(cluster());
    let (user, other) = (fixture.user("king").await, fixture.user("queen").await);
    fixture.file(&user, "a", "123").await;
    fixture.file(&other, "a", "123").await;
    fixture.file(&other, "b", "12345").await;
    let said = fixture.get(&user, "admin/overview").await.ok();
    assert!(said["uptime_seconds"].is_u64());
    for (name, expected) in [
        ("accounts", 2),
        ("files", 3),
        ("bytes", 11),
        ("shares", 0),
        ("pictures", 0),
    ] {
        assert_eq!(said[name], expected, "{name}");
    }
    let groups = said["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0]["name"], "group1");
    assert_eq!(
        (&groups[0]["total_bytes"], &groups[0]["free_bytes"]),
        (&json!(1_000), &json!(400))
    );
    let nodes = &groups[0]["nodes"];
    let expected = json!({
        "id": "100", "address": "192.0.2.7:23000", "state": "active", "version": "6.15.0",
        "total_bytes": 1_000, "free_bytes": 400, "uploads": 1, "downloads": 2, "deletes": 3,
        "upload_bytes": 4, "download_bytes": 5, "last_report": 3,
        "reasons": [], "lag_ms": 0, "under_replicated": 0, "unverified_seconds": 0, "paths": [],
    });
    assert_eq!(nodes[0], expected);
    assert_eq!(groups[0]["draining"], true);
    assert_eq!(
        nodes[1]["reasons"],
        json!(["rebuilding: 1.1 GiB of 7.8 GiB"])
    );
    assert_eq!(
        (&nodes[1]["lag_ms"], &nodes[1]["under_replicated"]),
        (&json!(75), &json!(6))
    );
    let path = json!({
        "name": "M00", "total_bytes": 9, "free_bytes": 8, "complete": false, "read_only": false,
        "rebuild_done": 1_204, "rebuild_total": 8_000,
    });
    assert_eq!(nodes[1]["paths"], json!([path]));
    assert_eq!(
        said["trackers"],
        json!([{ "address": "192.0.2.1:22122", "alive": true }])
    );
    assert_eq!(
        said["refused"][0]["reason"],
        "number taken by 192.0.2.7:23000"
    );
    assert_eq!(column(nodes, "state"), ["active", "wait_sync", "read_only"]);
    assert_eq!(
        column(nodes, "address"),
        ["192.0.2.7:23000", "[2001:db8::7]:23000", ""]
    );

    // Sums are made every few seconds only, however often the page asks.
    fixture.file(&user, "c", "1").await;
    let again = fixture.get(&user, "admin/overview").await.ok();
    assert_eq!(again["files"], 3);
    fixture.blobs.fail(Step::Cluster, ErrorCode::Unavailable);
    fixture
        .get(&user, "admin/overview")
        .await
        .refused(503, "unavailable");
}

#[tokio::test]
async fn sums_go_over_more_accounts_than_one_read() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    fixture.file(&user, "a", "123").await;
    let mut last = None;
    for number in 0..300 {
        last = Some(fixture.user(&format!("user {number}")).await);
    }
    fixture.file(&last.unwrap(), "a", "12").await;
    let said = fixture.get(&user, "admin/overview").await.ok();
    let sums = (&said["accounts"], &said["files"], &said["bytes"]);
    assert_eq!(sums, (&json!(301), &json!(2), &json!(5)));
}

#[tokio::test]
async fn accounts_are_listed_in_the_order_of_registration() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let other = fixture.user("queen").await;
    fixture.file(&other, "a", "123").await;
    fixture
        .set_standing(other.actor.account, Standing::Disabled)
        .await;
    let page = fixture.get(&user, "admin/accounts").await.ok();
    assert_eq!(column(&page["accounts"], "user"), ["king", "queen"]);
    let queen = &page["accounts"][1];
    let expected = json!({
        "user": "queen", "nick": "queen", "created": queen["created"], "administrator": false,
        "disabled": true, "files": 1, "bytes": 3, "quota": null, "used": 3,
    });
    assert_eq!((&page["total"], queen), (&json!(2), &expected));
    let page = fixture
        .get(&user, "admin/accounts?start=1&count=1")
        .await
        .ok();
    assert_eq!(column(&page["accounts"], "user"), ["queen"]);
    let page = fixture.get(&user, "admin/accounts?start=9").await.ok();
    assert_eq!(page, json!({"total": 2, "accounts": []}));
}

#[tokio::test]
async fn members_have_no_administrators_calls() {
    let fixture = Fixture::new();
    let _king = fixture.user("king").await;
    let queen = fixture.user("queen").await;
    let before = fixture.catalog.snapshot();
    for path in ["admin/overview", "admin/accounts"] {
        fixture.get(&queen, path).await.refused(403, "forbidden");
    }
    for path in [
        "admin/accounts",
        "admin/accounts/queen",
        "admin/accounts/queen/password",
    ] {
        let said = fixture
            .post(&queen, path, json!({"administrator": true}))
            .await;
        said.refused(403, "forbidden");
    }
    assert_eq!(fixture.catalog.snapshot(), before);
}

#[tokio::test]
async fn standings_are_changed_by_others_and_disabling_ends_sessions() {
    let fixture = Fixture::new();
    let king = fixture.user("king").await;
    let queen = fixture.user("quéen/1").await;
    let path = "admin/accounts/qu%C3%A9en%2F1";
    fixture
        .post(&king, path, json!({"administrator": true}))
        .await
        .done();
    fixture.get(&queen, "admin/accounts").await.ok();
    fixture
        .post(&king, path, json!({"administrator": false}))
        .await
        .done();
    fixture
        .get(&queen, "admin/accounts")
        .await
        .refused(403, "forbidden");
    fixture
        .post(&king, path, json!({"disabled": true}))
        .await
        .done();
    fixture
        .get(&queen, "me")
        .await
        .refused(401, "session_ended");
    let both = json!({"administrator": true});
    fixture
        .post(&king, path, both)
        .await
        .refused(400, "bad_request");
    fixture
        .post(&king, path, json!({"disabled": false}))
        .await
        .done();
    let queen = fixture.session(queen.actor).await;
    assert_eq!(fixture.get(&queen, "me").await.ok()["administrator"], false);
    fixture.post(&king, path, json!({})).await.done();

    let own = fixture.post(
        &king,
        "admin/accounts/king",
        json!({"administrator": false}),
    );
    own.await.refused(409, "own_account");
    let nobody = fixture.post(&king, "admin/accounts/nobody", json!({"disabled": true}));
    nobody.await.refused(404, "not_found");
    let bad = fixture.post(&king, path, json!({"disabled": "yes"}));
    bad.await.refused(400, "bad_request");
    assert_eq!(fixture.get(&king, "me").await.ok()["administrator"], true);
}

#[tokio::test]
async fn administrators_make_accounts_also_where_nobody_may_register() {
    let fixture = Fixture::with(ServiceSettings {
        registration: RegistrationPolicy::Closed,
        ..ServiceSettings::default()
    });
    let king = fixture.user("king").await;
    let server = fixture.call(Method::GET, "server", None, None).await.ok();
    assert_eq!(server["registration"], false);
    let body = json!({"user": "queen", "password": PASSWORD});
    fixture
        .post(&king, "admin/accounts", body.clone())
        .await
        .done();
    fixture
        .post(&king, "admin/accounts", body)
        .await
        .refused(409, "user_exists");
    for bad in [
        json!({"user": "", "password": PASSWORD}),
        json!({"user": "a".repeat(33), "password": PASSWORD}),
        json!({"user": "a", "password": "123456"}),
        json!({"user": "a", "password": PASSWORD, "nick": "\n"}),
        json!({"user": "a"}),
    ] {
        fixture
            .post(&king, "admin/accounts", bad)
            .await
            .refused(400, "bad_request");
    }
    let page = fixture.get(&king, "admin/accounts").await.ok();
    assert_eq!(column(&page["accounts"], "user"), ["king", "queen"]);
    let log_in = |secret: &str| {
        let secret = Secret::new(secret).unwrap();
        fixture
            .service
            .log_in(address(), "queen".parse().unwrap(), secret)
    };
    let (token, session) = log_in(PASSWORD).await.unwrap();
    let queen = User {
        actor: Actor {
            account: session.account,
            user: session.user,
        },
        token: token.to_string(),
    };

    let new = json!({"new": OTHER_PASSWORD});
    let own = fixture.post(&king, "admin/accounts/king/password", new.clone());
    own.await.refused(409, "own_account");
    let nobody = fixture.post(&king, "admin/accounts/nobody/password", new.clone());
    nobody.await.refused(404, "not_found");
    fixture
        .post(&king, "admin/accounts/queen/password", new)
        .await
        .done();
    fixture
        .get(&queen, "me")
        .await
        .refused(401, "session_ended");
    assert!(log_in(PASSWORD).await.is_err());
    log_in(OTHER_PASSWORD).await.unwrap();
}
