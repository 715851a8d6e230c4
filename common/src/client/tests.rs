//! The client against scripted servers: each test says, step by step, what a server reads and
//! answers, so that every path of a bad day can be walked.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::code::ErrorCode;
use crate::id::{Extension, FileId};
use crate::rpc::Connection;
use crate::wire::{Command, Header, Status};

const ID: &str = "group1/M00/00/00/fwAADWsCX7CAJB_eAAAABTYQpoY217.txt";
const TIMEOUT: Duration = Duration::from_secs(10);

fn id() -> FileId {
    ID.parse().unwrap()
}

fn settings() -> PoolSettings {
    PoolSettings {
        network_timeout: TIMEOUT,
        ..PoolSettings::default()
    }
}

/// One connection of a scripted server.
struct Peer(Connection<TcpStream>);

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self(Connection::new(stream, TIMEOUT))
    }

    /// Reads a request, which must be `command`, and returns its body.
    async fn expect(&mut self, command: Command) -> Vec<u8> {
        let header = self.0.header().await.unwrap().expect("a request");
        assert_eq!(Command::from_byte(header.command), Some(command));
        self.0.body(&header, 1 << 20).await.unwrap().to_vec()
    }

    async fn answer(&mut self, body: &[u8]) {
        self.0.send(&crate::wire::response(body)).await.unwrap();
    }

    async fn refuse(&mut self, status: Status) {
        self.0.send(&Header::error(status).encode()).await.unwrap();
    }

    async fn expect_close(&mut self) {
        assert!(self.0.header().await.unwrap().is_none());
    }
}

/// A server that runs `script` on its listener; the handle panics where the script does.
async fn server<F>(script: impl FnOnce(TcpListener) -> F) -> (Address, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().into();
    (address, tokio::spawn(script(listener)))
}

/// An address where nobody listens: bound once, and closed again.
async fn nobody() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().into()
}

fn group_field() -> Vec<u8> {
    b"group1\0\0\0\0\0\0\0\0\0\0".to_vec()
}

fn node(address: &Address) -> Vec<u8> {
    let mut out = address.host().as_bytes().to_vec();
    out.resize(15, 0);
    out.extend(u64::from(address.port()).to_be_bytes());
    out
}

fn holders(addresses: &[&Address]) -> Vec<u8> {
    let mut body = group_field();
    for address in addresses {
        body.extend(node(address));
    }
    body
}

fn stored() -> Vec<u8> {
    let mut body = group_field();
    body.extend(ID.split_once('/').unwrap().1.as_bytes());
    body
}

/// A tracker that answers the next queries with these bodies, over any number of connections.
async fn tracker(answers: Vec<(Command, Vec<u8>)>) -> (Address, JoinHandle<()>) {
    server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        for (command, body) in answers {
            peer.expect(command).await;
            peer.answer(&body).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_upload_goes_where_the_tracker_says_with_head_and_content() {
    let (storage, storage_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        let body = peer.expect(Command::Upload).await;
        let mut expected = vec![3];
        expected.extend(5_u64.to_be_bytes());
        expected.extend(b"txt\0\0\0hello");
        assert_eq!(body, expected);
        peer.answer(&stored()).await;
    })
    .await;
    let mut target = holders(&[&storage]);
    target.push(3);
    let (tracker, _tracker_task) = tracker(vec![(Command::QueryStoreAnyOne, target)]).await;

    let client = Client::new(vec![tracker], settings()).unwrap();
    let upload = Upload {
        extension: Extension::from_bytes(b"txt").unwrap(),
        ..Upload::default()
    };
    let stored = client.upload(&upload, b"hello".as_slice().into()).await;
    assert_eq!(stored.unwrap(), id());
    storage_task.await.unwrap();
}

#[tokio::test]
async fn a_tracker_that_finds_nothing_is_not_the_last_word() {
    let (storage, _storage_task) = server(async |_| {}).await;
    let (started, started_task) = server(async |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::QueryUpdate).await;
        peer.refuse(Status::NOT_FOUND).await;
        // And once more, when the other one finds nothing either.
        peer.expect(Command::QueryUpdate).await;
        peer.refuse(Status::NOT_FOUND).await;
    })
    .await;
    let (other, other_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::QueryUpdate).await;
        peer.answer(&holders(&[&storage])).await;
        peer.expect(Command::QueryUpdate).await;
        peer.refuse(Status::NOT_FOUND).await;
    })
    .await;
    let client = Client::new(vec![started, other], settings()).unwrap();
    let trackers = client.trackers();
    trackers.update(&id()).await.unwrap();
    let error = trackers.update(&id()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(matches!(error, ClientError::Refused { .. }), "{error}");
    started_task.await.unwrap();
    other_task.await.unwrap();
}

#[tokio::test]
async fn a_long_content_streams_through_a_bounded_buffer() {
    let len = 3 * 1024 * 1024 + 17;
    let (storage, storage_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        let header = peer.0.header().await.unwrap().unwrap();
        assert_eq!(header.body_len, 15 + len);
        peer.0.take(15).await.unwrap();
        let mut left = len;
        while 0 < left {
            let piece = peer.0.piece(usize::try_from(left).unwrap()).await.unwrap();
            assert!(piece.iter().all(|byte| *byte == b'x'));
            left -= piece.len() as u64;
        }
        peer.answer(&stored()).await;
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    let content = Content::new(tokio::io::repeat(b'x'), len);
    let kind = UploadKind::Normal;
    let stored = storages
        .upload(&storage, None, kind, Extension::default(), content)
        .await;
    assert_eq!(stored.unwrap(), id());
    storage_task.await.unwrap();
}

#[tokio::test]
async fn a_refusal_before_the_end_of_the_content_ends_the_sending() {
    let (storage, storage_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.0.header().await.unwrap().unwrap();
        peer.refuse(Status::NO_SPACE).await;
        // Reads on, as a server does that wants its answer to arrive; the client must stop.
        while peer.0.piece(1 << 20).await.is_ok() {}
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    // More than could ever be sent: only the refusal ends it.
    let content = Content::new(tokio::io::repeat(0), 1 << 43);
    let error = storages
        .upload(
            &storage,
            None,
            UploadKind::Appender,
            Extension::default(),
            content,
        )
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(Status::NO_SPACE));
    assert_eq!(error.code(), ErrorCode::NoSpace);
    storage_task.await.unwrap();
}

#[tokio::test]
async fn a_content_that_ends_early_is_an_error_and_the_connection_is_closed() {
    let (storage, storage_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        // Nothing was sent yet: the buffer was not full when the content ended.
        peer.expect_close().await;
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    let content = Content::new(b"abc".as_slice(), 10);
    let error = storages
        .upload(
            &storage,
            None,
            UploadKind::Normal,
            Extension::default(),
            content,
        )
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        ClientError::ContentShort { wanted: 10, got: 3 }
    ));
    storage_task.await.unwrap();
}

#[tokio::test]
async fn one_connection_carries_many_requests_and_ends_with_quit() {
    let (storage, storage_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::Download).await;
        peer.answer(b"hello").await;
        peer.expect(Command::Delete).await;
        peer.refuse(Status::NOT_FOUND).await;
        peer.expect(Command::Download).await;
        peer.answer(b"").await;
        peer.expect(Command::Quit).await;
    })
    .await;
    let pool = Pool::new(settings());
    let storages = StorageClient::new(pool.clone());
    let download = storages.download(&storage, &id(), 0, 0).await.unwrap();
    assert_eq!(download.len(), 5);
    assert_eq!(&download.collect(5).await.unwrap()[..], b"hello");
    let error = storages.delete(&storage, &id()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    let empty = storages.download(&storage, &id(), 0, 0).await.unwrap();
    assert!(empty.is_empty());
    pool.close().await;
    storage_task.await.unwrap();
    let closed = storages.delete(&storage, &id()).await.unwrap_err();
    assert!(matches!(closed, ClientError::Closed));
}

#[tokio::test]
async fn a_download_dropped_half_way_does_not_poison_the_next_request() {
    let (storage, storage_task) = server(async move |listener| {
        let mut first = Peer::accept(&listener).await;
        first.expect(Command::Download).await;
        first.0.send(&Header::success(10).encode()).await.unwrap();
        first.0.send(b"01234").await.unwrap();
        let mut second = Peer::accept(&listener).await;
        second.expect(Command::ActiveTest).await;
        second.answer(b"").await;
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    let mut download = storages.download(&storage, &id(), 0, 0).await.unwrap();
    assert!(download.piece().await.unwrap().is_some());
    drop(download);
    storages.active_test(&storage).await.unwrap();
    storage_task.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_replaced_unnoticed() {
    let (storage, storage_task) = server(async move |listener| {
        let mut first = Peer::accept(&listener).await;
        first.expect(Command::ActiveTest).await;
        first.answer(b"").await;
        // The next request finds this connection closed, or sees it close while it waits.
        drop(first);
        let mut second = Peer::accept(&listener).await;
        second.expect(Command::ActiveTest).await;
        second.answer(b"").await;
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    storages.active_test(&storage).await.unwrap();
    storages.active_test(&storage).await.unwrap();
    storage_task.await.unwrap();
}

#[tokio::test]
async fn a_read_whose_reused_connection_dies_under_it_is_sent_again() {
    let (storage, storage_task) = server(async move |listener| {
        let mut first = Peer::accept(&listener).await;
        first.expect(Command::ActiveTest).await;
        first.answer(b"").await;
        first.expect(Command::Download).await;
        drop(first);
        let mut second = Peer::accept(&listener).await;
        second.expect(Command::Download).await;
        second.answer(b"hello").await;
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    storages.active_test(&storage).await.unwrap();
    let download = storages.download(&storage, &id(), 0, 0).await.unwrap();
    assert_eq!(&download.collect(5).await.unwrap()[..], b"hello");
    storage_task.await.unwrap();
}

#[tokio::test]
async fn a_delete_whose_answer_is_lost_is_not_sent_again() {
    let (storage, storage_task) = server(async move |listener| {
        let mut first = Peer::accept(&listener).await;
        first.expect(Command::ActiveTest).await;
        first.answer(b"").await;
        first.expect(Command::Delete).await;
        drop(first);
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    storages.active_test(&storage).await.unwrap();
    let error = storages.delete(&storage, &id()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Interrupted);
    assert!(!error.is_safe_to_repeat());
    storage_task.await.unwrap();
}

#[tokio::test]
async fn an_old_idle_connection_is_probed_before_it_carries_a_request() {
    let (storage, storage_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        for command in [Command::Delete, Command::ActiveTest, Command::Delete] {
            peer.expect(command).await;
            peer.answer(b"").await;
        }
    })
    .await;
    let storages = StorageClient::new(Pool::new(PoolSettings {
        probe_after: Duration::ZERO,
        ..settings()
    }));
    storages.delete(&storage, &id()).await.unwrap();
    storages.delete(&storage, &id()).await.unwrap();
    storage_task.await.unwrap();
}

#[tokio::test]
async fn the_number_of_connections_per_address_is_bounded() {
    let (storage, storage_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        for _ in 0..8 {
            peer.expect(Command::ActiveTest).await;
            peer.answer(b"").await;
        }
    })
    .await;
    let storages = StorageClient::new(Pool::new(PoolSettings {
        connections_max: 1,
        ..settings()
    }));
    // Were there a second connection, nobody would accept and answer it.
    let calls = (0..8).map(|_| storages.active_test(&storage));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    storage_task.await.unwrap();
}

#[tokio::test]
async fn the_next_tracker_is_asked_when_one_is_away_or_says_again() {
    let (busy, busy_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::QueryUpdate).await;
        peer.refuse(Status::AGAIN).await;
    })
    .await;
    let node = Address::new("10.0.0.1", 23000);
    let answer = (Command::QueryUpdate, holders(&[&node]));
    let (good, good_task) = tracker(vec![answer.clone(), answer]).await;
    let pool = Pool::new(settings());
    let trackers = TrackerClient::new(vec![nobody().await, busy, good], pool).unwrap();
    assert_eq!(trackers.update(&id()).await.unwrap(), node);
    busy_task.await.unwrap();
    // The one that answered is asked first from now on.
    assert_eq!(trackers.update(&id()).await.unwrap(), node);
    good_task.await.unwrap();
}

#[tokio::test]
async fn a_refusal_by_one_tracker_is_the_answer_of_all() {
    let (first, _task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::QueryStoreAnyOne).await;
        peer.refuse(Status::NO_SPACE).await;
    })
    .await;
    let pool = Pool::new(settings());
    let trackers = TrackerClient::new(vec![first, nobody().await], pool).unwrap();
    let error = trackers.store_one(None).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoSpace);
}

#[tokio::test]
async fn without_any_tracker_the_error_says_unreachable() {
    let pool = Pool::new(settings());
    let trackers = TrackerClient::new(vec![nobody().await, nobody().await], pool).unwrap();
    let error = trackers.store_one(None).await.unwrap_err();
    assert!(error.is_unreachable());
    assert!(matches!(error, ClientError::Trackers { tried: 2, .. }));
    let none = TrackerClient::new(Vec::new(), Pool::new(settings()));
    assert!(matches!(none, Err(ClientError::NoTracker)));
}

#[tokio::test]
async fn a_download_turns_to_another_holder_when_the_first_is_away() {
    let away = nobody().await;
    let (holder, holder_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::Download).await;
        peer.answer(b"hello").await;
    })
    .await;
    let (tracker, tracker_task) = tracker(vec![
        (Command::QueryFetchOne, holders(&[&away])),
        (Command::QueryFetchAll, holders(&[&away, &holder])),
    ])
    .await;
    let client = Client::new(vec![tracker], settings()).unwrap();
    let download = client.download(&id(), 0, 0).await.unwrap();
    assert_eq!(&download.collect(10).await.unwrap()[..], b"hello");
    holder_task.await.unwrap();
    tracker_task.await.unwrap();
}

#[tokio::test]
async fn a_missing_blob_is_unavailable_while_a_holder_is_away() {
    let away = nobody().await;
    let (holder, _holder_task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::Download).await;
        peer.refuse(Status::NOT_FOUND).await;
    })
    .await;
    let (tracker, _tracker_task) = tracker(vec![
        (Command::QueryFetchOne, holders(&[&holder])),
        (Command::QueryFetchAll, holders(&[&holder, &away])),
    ])
    .await;
    let client = Client::new(vec![tracker], settings()).unwrap();
    let error = client.download(&id(), 0, 0).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable);
}

#[tokio::test]
async fn a_peer_that_speaks_another_protocol_is_named() {
    let (storage, _task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::ActiveTest).await;
        peer.0.send(b"\0\0\0\0HTTP/1.1").await.unwrap();
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    let error = storages.active_test(&storage).await.unwrap_err();
    assert!(matches!(
        error,
        ClientError::Answer {
            source: AnswerError::NotAResponse(_),
            ..
        }
    ));
}

#[tokio::test]
async fn an_answer_longer_than_any_packet_is_refused_before_it_is_read() {
    let (storage, _task) = server(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::GetMetadata).await;
        peer.0
            .send(&Header::success(1 << 40).encode())
            .await
            .unwrap();
    })
    .await;
    let storages = StorageClient::new(Pool::new(settings()));
    let error = storages.metadata(&storage, &id()).await.unwrap_err();
    assert!(matches!(
        error,
        ClientError::Connection {
            phase: Phase::Body,
            ..
        }
    ));
}
