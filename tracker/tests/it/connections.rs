//! How connections live and end. Source: docs/wire.md, connection life.

use std::time::Duration;

use bytes::BytesMut;
use common::limits;
use common::wire::tracker::{Request, Scope, StoreTarget};
use common::wire::{Command, Header, Status};
use tracker::Settings;

use crate::support::{Client, Node, Running, settings};

#[tokio::test]
async fn twenty_thousand_pipelined_queries_are_answered_in_order() {
    const COUNT: usize = 20_000;
    let tracker = Running::start(settings());
    let _nodes = [
        Node::start(tracker.address(), 1, "group1").await,
        Node::start(tracker.address(), 2, "group1").await,
    ];
    let stream = tokio::net::TcpStream::connect(tracker.address())
        .await
        .unwrap();
    let (reading, writing) = stream.into_split();
    let mut requests = BytesMut::new();
    for idx in 0..COUNT {
        let request = match idx % 4 {
            3 => Request::ActiveTest,
            _ => Request::QueryStore {
                group: None,
                scope: Scope::One,
            },
        };
        request.encode(&mut requests);
    }
    let sending = tokio::spawn(async move {
        let mut writing = writing;
        tokio::io::AsyncWriteExt::write_all(&mut writing, &requests)
            .await
            .unwrap();
        writing
    });
    let mut client = common::rpc::Connection::new(
        tokio::io::join(reading, tokio::io::sink()),
        crate::support::DEADLINE,
    );
    let mut stored = 0;
    for idx in 0..COUNT {
        let header = client.header().await.unwrap().unwrap();
        assert_eq!(header.status, 0);
        let body = client.body(&header, 100).await.unwrap();
        if idx % 4 == 3 {
            assert_eq!(body.len(), 0);
        } else {
            // Round robin shows the order in which they were answered.
            stored += 1;
            let node = StoreTarget::decode(&body).unwrap().node;
            let expected = if stored % 2 == 1 {
                "10.0.0.1"
            } else {
                "10.0.0.2"
            };
            assert_eq!(node.address.as_str(), expected, "answer {idx}");
        }
    }
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn a_request_in_single_bytes_is_answered() {
    let tracker = Running::start(settings());
    let mut client = tracker.client().await;
    for byte in Header::request(Command::ActiveTest, 0).encode() {
        client.0.send(&[byte]).await.unwrap();
    }
    assert_eq!(client.receive().await.0, Status::OK);
}

#[tokio::test]
async fn quit_and_headers_that_cannot_be_answered_end_the_connection_without_a_byte() {
    let tracker = Running::start(settings());
    let too_long = (limits::PACKET_LEN_MAX - 9) as u64;
    let header = |body_len: u64| {
        let mut bytes = Header::request(Command::ActiveTest, 0).encode();
        bytes[..8].copy_from_slice(&body_len.to_be_bytes());
        bytes
    };
    let quit = Header::request(Command::Quit, 0).encode();
    for packet in [quit, header(u64::MAX), header(1 << 32), header(too_long)] {
        let mut client = tracker.client().await;
        client.0.send(&packet).await.unwrap();
        assert!(client.is_ended().await, "{packet:?}");
    }
    // One byte less is a wrong length like any other.
    let mut client = tracker.client().await;
    let body = vec![0; limits::PACKET_LEN_MAX - 10];
    let (status, _) = client.raw(Command::ActiveTest as u8, &body).await;
    assert_eq!(status, Status::INVALID);
}

#[tokio::test]
async fn answers_before_a_quit_are_sent() {
    let tracker = Running::start(settings());
    let mut client = tracker.client().await;
    let mut packets = BytesMut::new();
    Request::ActiveTest.encode(&mut packets);
    Request::Quit.encode(&mut packets);
    client.0.send(&packets).await.unwrap();
    assert_eq!(client.receive().await.0, Status::OK);
    assert!(client.is_ended().await);
}

#[tokio::test]
async fn new_and_half_sent_connections_time_out_but_idle_ones_stay() {
    let network_timeout = Duration::from_millis(100);
    let tracker = Running::start(Settings {
        network_timeout,
        ..settings()
    });
    let mut idle = tracker.client().await;
    assert_eq!(idle.status(Request::ActiveTest).await, Status::OK);
    let mut mute = tracker.client().await;
    let mut half = tracker.client().await;
    half.0.send(&[0; 5]).await.unwrap();
    assert!(mute.is_ended().await);
    assert!(half.is_ended().await);
    // A second mute one takes a whole timeout more, which the idle one outlives.
    assert!(tracker.client().await.is_ended().await);
    assert_eq!(idle.status(Request::ActiveTest).await, Status::OK);
}

#[tokio::test]
async fn one_connection_more_than_allowed_is_told_so_closed_and_counted() {
    let settings = Settings {
        connections_max: 1,
        ..settings()
    };
    let registry = settings.registry.clone();
    let tracker = Running::start(settings);
    let mut first = tracker.client().await;
    assert_eq!(first.status(Request::ActiveTest).await, Status::OK);
    let mut refused = Client::connect(tracker.address()).await;
    assert_eq!(refused.receive().await.0, Status::BUSY);
    assert!(refused.is_ended().await);
    assert_eq!(first.status(Request::ActiveTest).await, Status::OK);
    let families = registry.gather();
    let refused = families
        .iter()
        .find(|family| family.name() == "hayloft_tracker_connections_refused_total")
        .unwrap();
    let count = refused.get_metric()[0].get_counter().get_value();
    assert_eq!(count.to_string(), "1");
}

#[tokio::test]
async fn stopping_ends_idle_connections() {
    let tracker = Running::start(settings());
    let mut client = tracker.client().await;
    assert_eq!(client.status(Request::ActiveTest).await, Status::OK);
    tracker.stop().await;
    assert!(client.is_ended().await);
}
