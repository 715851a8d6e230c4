//! Who does not know the cluster secret neither joins, nor reports, nor greets.

use bytes::BytesMut;
use common::rpc::allowed_hosts::AllowedHosts;
use common::rpc::auth::{AuthError, NO_IDENTITY, Purpose};
use common::secret::Secrets;
use common::wire::report::{HelloAnswer, TrackerHello};
use common::wire::tracker::Request;
use common::wire::{Command, Status};
use tracker::Settings;

use crate::support::{Client, Node, Running, encoded, join, report, secrets, settings};

/// The bodies of what only members may send.
fn commands() -> [(Command, BytesMut); 3] {
    let (mut a_report, mut hello) = (BytesMut::new(), BytesMut::new());
    report().encode(&mut a_report);
    TrackerHello {
        instance: 1,
        told_by: 0,
        position: 0,
        changes: 0,
    }
    .encode(&mut hello);
    [
        (Command::NodeJoin, encoded(&join(1, "group1"))),
        (Command::NodeReport, a_report),
        (Command::TrackerHello, hello),
    ]
}

async fn groups(tracker: &Running) -> usize {
    tracker
        .client()
        .await
        .body(Request::ListAllGroups)
        .await
        .len()
}

#[tokio::test]
async fn a_stranger_cannot_join_report_or_greet() {
    let tracker = Running::start(settings());
    let mut client = tracker.client().await;
    for (command, body) in commands() {
        let (status, _) = client.raw(command as u8, &body).await;
        assert_eq!(status, Status::ACCESS, "{command:?}");
    }
    assert_eq!(groups(&tracker).await, 0);
    // It is still a client.
    assert_eq!(client.status(Request::ActiveTest).await, Status::OK);
}

#[tokio::test]
async fn another_secret_is_refused_and_the_connection_ends() {
    let tracker = Running::start(settings());
    let identity = join(1, "group1").identity;
    let refused = Client::member(
        tracker.address(),
        identity,
        &Secrets::default(),
        Purpose::Report,
    )
    .await;
    assert!(matches!(refused.map(|_| ()), Err(AuthError::Refused)));
    assert_eq!(groups(&tracker).await, 0);
}

#[tokio::test]
async fn a_member_sends_only_what_it_came_for() {
    let tracker = Running::start(settings());
    let identity = join(1, "group1").identity;
    for (purpose, allowed) in [
        (
            Purpose::Report,
            &[Command::NodeJoin, Command::NodeReport][..],
        ),
        (Purpose::Hello, &[Command::TrackerHello]),
        (Purpose::Control, &[]),
    ] {
        let member = Client::member(tracker.address(), identity, &secrets(), purpose).await;
        let mut member = member.unwrap();
        for (command, body) in commands() {
            let (status, _) = member.raw(command as u8, &body).await;
            let expected = if allowed.contains(&command) {
                Status::OK
            } else {
                Status::ACCESS
            };
            assert_eq!(status, expected, "{purpose} {command:?}");
        }
    }
    let nowhere = Client::member(tracker.address(), identity, &secrets(), Purpose::Replicate).await;
    assert!(matches!(
        nowhere.map(|_| ()),
        Err(AuthError::NotTaken { .. })
    ));
}

#[tokio::test]
async fn what_a_member_sends_malformed_is_invalid_and_the_connection_stays() {
    let tracker = Running::start(settings());
    for (purpose, command, body) in [
        (Purpose::Report, Command::NodeJoin, &b"\0\x01short"[..]),
        (Purpose::Hello, Command::TrackerHello, b""),
    ] {
        let member = Client::member(tracker.address(), NO_IDENTITY, &secrets(), purpose).await;
        let mut member = member.unwrap();
        let (status, _) = member.raw(command as u8, body).await;
        assert_eq!(status, Status::INVALID, "{command:?}");
        assert_eq!(member.status(Request::ActiveTest).await, Status::OK);
    }
}

#[tokio::test]
async fn a_member_cannot_join_as_another_node() {
    let tracker = Running::start(settings());
    let identity = join(2, "group1").identity;
    let member = Client::member(tracker.address(), identity, &secrets(), Purpose::Report).await;
    let body = encoded(&join(1, "group1"));
    let (status, _) = member.unwrap().raw(Command::NodeJoin as u8, &body).await;
    assert_eq!(status, Status::ACCESS);
    assert_eq!(groups(&tracker).await, 0);
}

#[tokio::test]
async fn a_member_of_a_secret_that_is_being_changed_is_one() {
    let old = secrets();
    let tracker = Running::start(Settings {
        secrets: Secrets {
            previous: Some(old.current.clone()),
            ..Secrets::default()
        },
        ..settings()
    });
    let member = Client::member(tracker.address(), NO_IDENTITY, &old, Purpose::Hello).await;
    let mut hello = BytesMut::new();
    TrackerHello {
        instance: 1,
        told_by: 0,
        position: 0,
        changes: 0,
    }
    .encode(&mut hello);
    let (status, body) = member
        .unwrap()
        .raw(Command::TrackerHello as u8, &hello)
        .await;
    assert_eq!(status, Status::OK);
    assert!(HelloAnswer::decode(&body).is_ok());
}

#[tokio::test]
async fn a_client_that_is_not_in_the_list_is_closed_and_nodes_are_not_bound_by_it() {
    let tracker = Running::start(Settings {
        allowed_hosts: AllowedHosts::nobody(),
        ..settings()
    });
    let mut client = tracker.client().await;
    client.send(Command::ActiveTest as u8, &[]).await;
    assert!(client.is_ended().await);
    let _node = Node::start(tracker.address(), 1, "group1").await;
    let control =
        Client::member(tracker.address(), NO_IDENTITY, &secrets(), Purpose::Control).await;
    assert!(
        !control
            .unwrap()
            .body(Request::ListAllGroups)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn only_the_first_request_can_ask_for_authentication() {
    let tracker = Running::start(settings());
    let mut client = tracker.client().await;
    assert_eq!(client.status(Request::ActiveTest).await, Status::OK);
    let (status, _) = client.raw(Command::Authenticate as u8, &[0; 51]).await;
    assert_eq!(status, Status::INVALID);
}
