//! Two-step uploads against a scripted node: what leaves the client, and what it makes of answers.

use super::*;
use crate::client::error::AnswerError;
use crate::client::outgoing::{HELD_COUNT_MAX, HELD_LEN_MAX, HOLD_MAX};
use crate::client::script::{NAME, Peer, client, node};
use crate::client::{StorageClient, UploadKind};
use crate::code::ErrorCode;
use crate::id::Extension;
use crate::limits;
use crate::wire::storage::ChunkHead;
use crate::wire::{Header, Status};

async fn begin(client: &StorageClient, address: &Address) -> UploadWriter {
    let lease = client.connect(address).await.unwrap();
    let extension = Extension::from_bytes(b"txt").unwrap();
    client.begin_upload_on(lease, None, UploadKind::Normal, extension)
}

#[tokio::test]
async fn a_small_content_is_one_chunk_and_its_commit_one_more_request() {
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        let received = peer.upload().await;
        assert_eq!(received.content, b"hello world");
        assert_eq!((received.chunks, received.last), (1, ChunkHead::End));
        peer.prepared(b"hello world").await;
        peer.expect(Command::CommitUpload).await;
        peer.answer(Status::OK).await;
        // The connection goes on to the next request.
        peer.expect(Command::ActiveTest).await;
        peer.answer(Status::OK).await;
    })
    .await;
    let client = client();
    let mut writer = begin(&client, &address).await;
    for piece in ["hello", "", " ", "world"] {
        writer
            .write(Bytes::from_static(piece.as_bytes()))
            .await
            .unwrap();
    }
    assert_eq!(writer.size(), 11);
    let prepared = writer.finish().await.unwrap();
    let id = *prepared.file_id();
    assert_eq!(id.to_string().as_bytes(), [b"group1/", NAME].concat());
    assert_eq!(prepared.commit().await.unwrap(), id);
    client.active_test(&address).await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn a_long_content_leaves_in_chunks_within_the_limit() {
    let piece = Bytes::from(vec![7; 3 * limits::UPLOAD_CHUNK_LEN_MAX as usize + 5]);
    let expected = [&piece[..], b"end"].concat();
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        let received = peer.upload().await;
        assert!(received.content == expected);
        assert_eq!(received.chunks, 5);
        peer.prepared(&received.content).await;
        peer.expect(Command::AbandonUpload).await;
        peer.answer(Status::OK).await;
    })
    .await;
    let client = client();
    let mut writer = begin(&client, &address).await;
    writer.write(piece).await.unwrap();
    writer.write(Bytes::from_static(b"end")).await.unwrap();
    writer.finish().await.unwrap().abandon().await;
    task.await.unwrap();
}

#[tokio::test]
async fn content_that_comes_slowly_or_in_crumbs_is_not_held_back() {
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.head().await;
        let crumbs = u32::try_from(HELD_COUNT_MAX).unwrap().to_be_bytes();
        assert_eq!(peer.0.take(ChunkHead::LEN).await.unwrap()[..], crumbs);
        peer.0.take(HELD_COUNT_MAX).await.unwrap();
        assert_eq!(peer.0.take(ChunkHead::LEN).await.unwrap()[..], [0, 0, 0, 4]);
        assert_eq!(&peer.0.take(4).await.unwrap()[..], b"slow");
    })
    .await;
    let client = client();
    let mut writer = begin(&client, &address).await;
    for _ in 0..HELD_COUNT_MAX {
        writer.write(Bytes::from_static(b".")).await.unwrap();
    }
    writer.0.sent_at = writer.0.sent_at.checked_sub(HOLD_MAX).unwrap();
    writer.write(Bytes::from_static(b"slow")).await.unwrap();
    // Read while the content has not ended.
    task.await.unwrap();
}

#[tokio::test]
async fn a_node_that_received_something_else_is_not_believed() {
    for claimed in [b"hellO".as_slice(), b"hell", b""] {
        let (address, task) = node(async move |listener| {
            let mut peer = Peer::accept(&listener).await;
            peer.upload().await;
            peer.prepared(claimed).await;
            peer.expect_close().await;
        })
        .await;
        let client = client();
        let mut writer = begin(&client, &address).await;
        writer.write(Bytes::from_static(b"hello")).await.unwrap();
        let error = writer.finish().await.unwrap_err();
        assert!(matches!(
            error,
            ClientError::Answer {
                source: AnswerError::Content { sent_size: 5, .. },
                ..
            }
        ));
        task.await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_without_a_body_or_with_a_bad_one_is_refused() {
    let (address, task) = node(async move |listener| {
        for answer in [
            Header::success(0).encode().to_vec(),
            crate::wire::response(b"group1").to_vec(),
        ] {
            let mut peer = Peer::accept(&listener).await;
            peer.upload().await;
            peer.0.send(&answer).await.unwrap();
            peer.expect_close().await;
        }
    })
    .await;
    let client = client();
    for _ in 0..2 {
        let error = begin(&client, &address).await.finish().await.unwrap_err();
        assert!(matches!(error, ClientError::Answer { .. }), "{error:?}");
    }
    task.await.unwrap();
}

#[tokio::test]
async fn a_refusal_behind_the_end_keeps_the_connection_and_an_early_one_ends_the_sending() {
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.upload().await;
        peer.answer(Status::NO_SPACE).await;
        peer.head().await;
        peer.answer(Status::READ_ONLY).await;
        // Reads on, as a node does that wants its answer to arrive; the client must stop.
        while peer.0.piece(1 << 20).await.is_ok() {}
    })
    .await;
    let client = client();
    let error = begin(&client, &address).await.finish().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoSpace);
    let mut writer = begin(&client, &address).await;
    assert!(writer.0.lease.is_reused());
    let piece = Bytes::from(vec![0; HELD_LEN_MAX]);
    let error = loop {
        if let Err(error) = writer.write(piece.clone()).await {
            break error;
        }
    };
    assert_eq!(error.code(), ErrorCode::ReadOnly);
    // The upload is over.
    assert!(writer.write(piece).await.is_err());
    assert!(writer.finish().await.is_err());
    task.await.unwrap();
}

#[tokio::test]
async fn an_upload_given_up_before_anything_was_sent_costs_the_node_nothing() {
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.expect(Command::ActiveTest).await;
        peer.answer(Status::OK).await;
    })
    .await;
    let client = client();
    let mut writer = begin(&client, &address).await;
    writer.write(Bytes::from_static(b"hello")).await.unwrap();
    writer.abort().await;
    client.active_test(&address).await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn an_aborted_upload_keeps_its_connection_and_a_dropped_one_closes_it() {
    let long = Bytes::from(vec![1; HELD_LEN_MAX]);
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        let received = peer.upload().await;
        assert_eq!((received.chunks, received.last), (1, ChunkHead::Abort));
        peer.answer(Status::CANCELED).await;
        peer.upload().await;
        peer.prepared(b"").await;
        peer.expect_close().await;
    })
    .await;
    let client = client();
    let mut writer = begin(&client, &address).await;
    writer.write(long).await.unwrap();
    writer
        .write(Bytes::from_static(b"never sent"))
        .await
        .unwrap();
    writer.abort().await;
    drop(begin(&client, &address).await.finish().await.unwrap());
    task.await.unwrap();
}

#[tokio::test]
async fn an_upload_whose_idle_connection_dies_under_it_is_sent_again() {
    let (address, task) = node(async move |listener| {
        let mut first = Peer::accept(&listener).await;
        first.expect(Command::ActiveTest).await;
        first.answer(Status::OK).await;
        // It may have been received in full: prepared and dropped, it leaves nothing.
        first.upload().await;
        drop(first);
        let mut second = Peer::accept(&listener).await;
        let received = second.upload().await;
        assert_eq!(received.content, b"hello");
        second.prepared(b"hello").await;
        second.expect(Command::CommitUpload).await;
        second.answer(Status::OK).await;
    })
    .await;
    let client = client();
    client.active_test(&address).await.unwrap();
    let mut writer = begin(&client, &address).await;
    writer.write(Bytes::from_static(b"hello")).await.unwrap();
    writer.finish().await.unwrap().commit().await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn a_commit_is_sent_once_and_a_lost_answer_is_not_safe_to_repeat() {
    let (address, task) = node(async move |listener| {
        let mut peer = Peer::accept(&listener).await;
        peer.upload().await;
        peer.prepared(b"").await;
        peer.expect(Command::CommitUpload).await;
    })
    .await;
    let client = client();
    let prepared = begin(&client, &address).await.finish().await.unwrap();
    let error = prepared.commit().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Interrupted);
    assert!(!error.is_safe_to_repeat());
    task.await.unwrap();
}
