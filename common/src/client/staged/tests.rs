//! Staged uploads against a scripted node: what leaves the client, and what it makes of answers.

use super::*;
use crate::client::StorageClient;
use crate::client::script::{NAME, Peer, client, node};
use crate::code::ErrorCode;
use crate::digest::Crc32;
use crate::id::RemoteName;
use crate::wire::storage::ChunkHead;
use crate::wire::{Header, Status};

fn staging() -> FileId {
    let name = b"M00/00/00/fwAADWsCX7eEIBKvAAAAADYQpoY497.txt";
    FileId {
        group: "group1".parse().unwrap(),
        name: RemoteName::parse(name).unwrap(),
    }
}

async fn extend(client: &StorageClient, address: &Address) -> ExtensionWriter {
    let lease = client.connect(address).await.unwrap();
    client.extend_on(lease, &staging())
}

impl Peer {
    /// Reads an extension to its end.
    async fn extension(&mut self) -> Vec<u8> {
        let header = self.0.header().await.unwrap().expect("a request");
        let expected = Header::request(Command::ExtendStaging, ExtendHead::BODY_LEN);
        assert_eq!(header, expected);
        let fixed = self.0.take(ExtendHead::FIXED_LEN).await.unwrap();
        let name = self.0.take(ExtendHead::name_len(&fixed).unwrap()).await;
        let head = ExtendHead::decode(&fixed, &name.unwrap()).unwrap();
        assert_eq!((head.group, head.name), (staging().group, staging().name));
        let received = self.chunks().await;
        assert_eq!(received.last, ChunkHead::End);
        received.content
    }

    async fn appended(&mut self, offset: u64, content: &[u8]) {
        let mut out = BytesMut::new();
        piece(offset, content).encode_response(&mut out);
        self.0.send(&out).await.unwrap();
    }
}

fn piece(offset: u64, content: &[u8]) -> Piece {
    Piece {
        offset,
        len: content.len() as u64,
        crc: Crc32::of(content),
    }
}

#[tokio::test]
async fn an_extension_tells_its_place_and_the_connection_goes_on() {
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        for offset in [7, 12] {
            assert_eq!(peer.extension().await, b"hello");
            peer.appended(offset, b"hello").await;
        }
    })
    .await;
    let client = client();
    for offset in [7, 12] {
        let mut writer = extend(&client, &address).await;
        writer.write(Bytes::from_static(b"hel")).await.unwrap();
        writer.write(Bytes::from_static(b"lo")).await.unwrap();
        assert_eq!(writer.finish().await.unwrap(), piece(offset, b"hello"));
    }
    task.await.unwrap();
}

#[tokio::test]
async fn a_node_that_appended_something_else_is_not_believed_and_a_missing_blob_is_not_found() {
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.extension().await;
        peer.answer(Status::NOT_FOUND).await;
        for claimed in [b"hellO".as_slice(), b"hell"] {
            peer.extension().await;
            peer.appended(0, claimed).await;
            peer.expect_close().await;
            peer = Peer::accept(&listener).await;
        }
        peer.extension().await;
    })
    .await;
    let client = client();
    let mut errors = Vec::new();
    for _ in 0..4 {
        let mut writer = extend(&client, &address).await;
        writer.write(Bytes::from_static(b"hello")).await.unwrap();
        errors.push(writer.finish().await.unwrap_err());
    }
    assert_eq!(errors[0].code(), ErrorCode::NotFound);
    for error in &errors[1..3] {
        let content = matches!(
            error,
            ClientError::Answer {
                source: AnswerError::Content { sent_size: 5, .. },
                ..
            }
        );
        assert!(content, "{error:?}");
    }
    assert_eq!(errors[3].code(), ErrorCode::Interrupted, "a lost answer");
    task.await.unwrap();
}

#[tokio::test]
async fn an_arrangement_is_committed_like_an_upload() {
    let pieces = [piece(5, b" world"), piece(0, b"hello")];
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        let header = peer.0.header().await.unwrap().expect("a request");
        assert_eq!(header.command, Command::ArrangeStaging as u8);
        let body = peer.0.body(&header, ArrangeRequest::BODY_LEN_MAX).await;
        let request = ArrangeRequest::decode(&body.unwrap()).unwrap();
        assert_eq!(
            (request.name, &request.pieces[..]),
            (staging().name, &pieces[..])
        );
        peer.prepared(b" worldhello").await;
        peer.expect(Command::CommitUpload).await;
        peer.answer(Status::OK).await;
        // Another content under the name is not what was asked for.
        let header = peer.0.header().await.unwrap().expect("a request");
        peer.0
            .body(&header, ArrangeRequest::BODY_LEN_MAX)
            .await
            .unwrap();
        peer.prepared(b"hello world").await;
        peer.expect_close().await;
    })
    .await;
    let client = client();
    let staging = staging();
    let arrange = || client.arrange(&address, &staging, Extension::default(), &pieces);
    let prepared = arrange().await.unwrap();
    let id = *prepared.file_id();
    assert_eq!(id.to_string().as_bytes(), [b"group1/", NAME].concat());
    assert_eq!(prepared.commit().await.unwrap(), id);
    let error = arrange().await.unwrap_err();
    assert!(matches!(error, ClientError::Answer { .. }), "{error:?}");
    task.await.unwrap();
}

#[tokio::test]
async fn what_no_node_takes_is_not_sent() {
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::ActiveTest).await;
        peer.answer(Status::OK).await;
    })
    .await;
    let client = client();
    let crumbs = vec![piece(0, b"x"); limits::ARRANGED_PIECES_MAX + 1];
    let huge = Piece {
        len: limits::BLOB_LEN_MAX,
        ..piece(0, b"")
    };
    for pieces in [&crumbs[..], &[huge, piece(0, b"x")]] {
        let staging = staging();
        let arranged = client.arrange(&address, &staging, Extension::default(), pieces);
        let error = arranged.await.unwrap_err();
        assert!(matches!(error, ClientError::TooLong { .. }), "{error:?}");
    }
    client.active_test(&address).await.unwrap();
    task.await.unwrap();
}
