//! Two-step uploads by the project's own client, and by raw packets where it would not send them,
//! against a node with real files.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::client::{Content, Pool, PoolSettings, StorageClient, UploadKind};
use common::id::{Extension, FileId};
use common::wire::{Command, HEADER_LEN};

use super::*;
use crate::service::fixture::{DEADLINE, END, Fixture, MIB, chunk, content, image, until, within};
use crate::store::Reserve;

/// Header and head of a prepared upload.
fn head() -> Vec<u8> {
    let mut packet = BytesMut::new();
    PrepareHead {
        path: PathChoice::Any,
        kind: UploadKind::Normal,
        extension: Extension::default(),
    }
    .encode(&mut packet);
    packet.to_vec()
}

#[tokio::test]
async fn what_is_committed_is_there_to_the_byte_and_counted_once() {
    let fixture = Fixture::start();
    let lens = [0, 1, 64 * 1024, MIB - 1, MIB, MIB + 1, 5 * MIB + 4321];
    let mut bytes = 0;
    for (round, len) in (1..).zip(lens) {
        let content = content(len);
        let prepared = fixture.prepare(&content).await.unwrap();
        let id = *prepared.file_id();
        assert_eq!(prepared.size(), len as u64);
        assert_eq!(prepared.crc(), Crc32::of(&content));
        assert_eq!(id.name.extension(), "jpg");
        assert_eq!(fixture.uploads(), (round - 1, round - 1, bytes));
        assert_eq!(prepared.commit().await.unwrap(), id);
        bytes += len as u64;
        assert_eq!(fixture.uploads(), (round, round, bytes));
        assert_eq!(fixture.info(&id).await.unwrap().size, len as u64);
        assert!(fixture.read(&id).await == content, "{len} bytes");
    }
    let free = fixture.service.buffers.available_permits();
    assert_eq!(free, limits::UPLOAD_BUFFERS_LEN_MAX);
    fixture.stop().await;
}

#[tokio::test]
async fn a_committed_blob_survives_a_restart() {
    let fixture = Fixture::start();
    let content = content(2 * MIB + 5);
    let id = fixture.prepare(&content).await.unwrap().commit().await;
    let directory = fixture.stop().await;
    let fixture = Fixture::open(directory, DEADLINE, Reserve::Bytes(0));
    assert!(fixture.read(&id.unwrap()).await == content);
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_killed_before_the_commit_has_nothing_after_its_restart() {
    let fixture = Fixture::start();
    for len in [70_000, 3 * MIB] {
        let prepared = fixture.prepare(&content(len)).await.unwrap();
        assert_eq!(
            0 < fixture.left(),
            MIB < len,
            "long content is in open parts"
        );
        let killed = image(&fixture.directory);
        let restarted = Fixture::open(killed, DEADLINE, Reserve::Bytes(0));
        restarted.until_nothing_is_left().await;
        let missing = restarted.info(prepared.file_id()).await.unwrap_err();
        assert_eq!(missing.code(), ErrorCode::NotFound);
        restarted.stop().await;
        prepared.abandon().await;
        fixture.until_nothing_is_left().await;
    }
    let id = fixture.prepare(&content(3 * MIB)).await.unwrap().commit();
    let id = id.await.unwrap();
    let restarted = Fixture::open(image(&fixture.directory), DEADLINE, Reserve::Bytes(0));
    assert!(restarted.read(&id).await == content(3 * MIB));
    restarted.stop().await;
    fixture.stop().await;
}

#[tokio::test]
async fn nobody_sees_what_is_prepared_and_abandoned_it_leaves_nothing() {
    let fixture = Fixture::start();
    let other = StorageClient::new(Pool::new(PoolSettings::default()));
    for len in [0, 70_000, 3 * MIB] {
        let prepared = fixture.prepare(&content(len)).await.unwrap();
        let id = *prepared.file_id();
        let missing = other.file_info(&fixture.address, &id).await.unwrap_err();
        assert_eq!(missing.code(), ErrorCode::NotFound);
        prepared.abandon().await;
        fixture.until_nothing_is_left().await;
        // The connection, the only one that there may be, goes on.
        let missing = fixture.info(&id).await.unwrap_err();
        assert_eq!(missing.code(), ErrorCode::NotFound);
    }
    assert_eq!(fixture.uploads(), (0, 0, 0));
    fixture.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_before_the_commit_leaves_nothing() {
    let fixture = Fixture::start();
    for len in [1, 70_000, 3 * MIB] {
        drop(fixture.prepare(&content(len)).await.unwrap());
        fixture.until_nothing_is_left().await;
        let mut writer = fixture.begin().await;
        writer.write(content(len)).await.unwrap();
        drop(writer);
        fixture.until_nothing_is_left().await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn an_aborted_content_leaves_nothing_and_the_connection_goes_on() {
    let fixture = Fixture::start();
    for len in [1, 70_000, 3 * MIB] {
        let mut writer = fixture.begin().await;
        writer.write(content(len)).await.unwrap();
        writer.abort().await;
        fixture.until_nothing_is_left().await;
        fixture
            .client()
            .active_test(&fixture.address)
            .await
            .unwrap();
    }
    let mut raw = fixture.raw().await;
    raw.send(&[&head(), &chunk(b"hello"), &[0xff; 4]]).await;
    assert_eq!(raw.answer().await, (Status::CANCELED, Bytes::new()));
    assert_eq!(raw.ask(Command::CommitUpload).await, Status::INVALID);
    assert_eq!(raw.ask(Command::ActiveTest).await, Status::OK);
    fixture.stop().await;
}

#[tokio::test]
async fn whatever_follows_instead_of_a_commit_abandons() {
    let fixture = Fixture::start();
    let mut raw = fixture.raw().await;
    for command in [Command::ActiveTest, Command::AbandonUpload] {
        raw.send(&[&head(), &chunk(&content(MIB)), &chunk(b"more"), END])
            .await;
        let (status, body) = raw.answer().await;
        let prepared = PreparedResponse::decode(&body).unwrap();
        assert_eq!((status, prepared.size), (Status::OK, MIB as u64 + 4));
        assert_eq!(raw.ask(command).await, Status::OK);
        fixture.until_nothing_is_left().await;
        assert_eq!(raw.ask(Command::CommitUpload).await, Status::INVALID);
        assert_eq!(raw.ask(Command::AbandonUpload).await, Status::INVALID);
    }
    // A second upload forgets the first one, and a commit with a body is none.
    raw.send(&[&head(), &chunk(b"first"), END]).await;
    raw.send(&[&head(), &chunk(b"second"), END]).await;
    raw.send(&[&Header::request(Command::CommitUpload, 1).encode(), b"x"])
        .await;
    assert_eq!(raw.answer().await.0, Status::OK);
    assert_eq!(raw.answer().await.0, Status::OK);
    assert_eq!(raw.answer().await.0, Status::INVALID);
    fixture.until_nothing_is_left().await;
    fixture.stop().await;
}

#[tokio::test]
async fn content_in_any_fragmentation_is_one_content() {
    let fixture = Fixture::start();
    let content = content(2 * MIB + 100_000);
    let mut raw = fixture.raw().await;
    raw.send(&[&head()]).await;
    // Chunks of all sizes up to the limit, each in two writes.
    let mut rest = &content[..];
    for len in [1, 2, 3, 16_381, 70_000, MIB, 1, 250_000]
        .into_iter()
        .cycle()
    {
        let (piece, behind) = rest.split_at(rest.len().min(len));
        rest = behind;
        let packet = chunk(piece);
        let (head, tail) = packet.split_at(packet.len() / 2);
        raw.send(&[head]).await;
        raw.send(&[tail]).await;
        if rest.is_empty() {
            break;
        }
    }
    raw.send(&[END]).await;
    let prepared = PreparedResponse::decode(&raw.answer().await.1).unwrap();
    assert_eq!(prepared.crc, Crc32::of(&content));
    assert_eq!(raw.ask(Command::CommitUpload).await, Status::OK);
    let id = FileId {
        group: prepared.group,
        name: prepared.name,
    };
    assert!(fixture.read(&id).await == content);
    fixture.stop().await;
}

#[tokio::test]
async fn an_upload_that_nobody_decides_about_is_abandoned_after_the_network_timeout() {
    let fixture = Fixture::with(Duration::from_millis(150), Reserve::Bytes(0));
    for packet in [
        // Prepared, but never committed, be it that a commit was begun.
        [&head()[..], &chunk(&content(70_000)), END, b""],
        [&head(), &chunk(&content(70_000)), END, &[0; HEADER_LEN - 1]],
        // Never finished.
        [&head(), &chunk(&content(MIB)), &chunk(b"more"), b""],
    ] {
        let mut raw = fixture.raw().await;
        raw.send(&packet).await;
        let mut answers = 0;
        while within(raw.0.header()).await.is_ok_and(|it| {
            it.is_some_and(|header| {
                assert_eq!(header.status, 0);
                header.body_len != 0
            })
        }) {
            answers += 1;
            raw.0.take(72).await.unwrap();
        }
        assert_eq!(answers, usize::from(packet[2] == END));
        fixture.until_nothing_is_left().await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_head_or_chunk_that_is_wrong_is_refused() {
    let fixture = Fixture::start();
    let mut raw = fixture.raw().await;
    // A bad extension and a path that does not exist: the content is read over.
    for (at, byte) in [(HEADER_LEN + 1, b'/'), (HEADER_LEN, 7)] {
        let mut bad = head();
        bad[at] = byte;
        raw.send(&[&bad, &chunk(&content(300_000)), &chunk(b"more"), END])
            .await;
        assert_eq!(raw.answer().await.0, Status::INVALID);
        assert_eq!(raw.ask(Command::ActiveTest).await, Status::OK);
    }
    // A body of known length is another layout.
    raw.send(&[
        &Header::request(Command::PrepareUpload, 7).encode(),
        &[0; 7],
    ])
    .await;
    assert_eq!(raw.answer().await.0, Status::INVALID);
    assert_eq!(raw.ask(Command::ActiveTest).await, Status::OK);
    // Behind a chunk that is too long nobody knows where the next one stands.
    let too_long = limits::UPLOAD_CHUNK_LEN_MAX + 1;
    raw.send(&[&head(), &chunk(&content(70_000)), &too_long.to_be_bytes()])
        .await;
    assert_eq!(raw.answer().await.0, Status::INVALID);
    raw.expect_close().await;
    fixture.until_nothing_is_left().await;
    fixture.stop().await;
}

#[tokio::test]
async fn without_room_an_upload_is_refused_and_the_connection_goes_on() {
    let fixture = Fixture::with(DEADLINE, Reserve::Bytes(u64::MAX));
    for len in [0, 70_000, 200_000] {
        let error = fixture.prepare(&content(len)).await.unwrap_err();
        assert_eq!(error.status(), Some(Status::NO_SPACE), "{len} bytes");
        fixture
            .client()
            .active_test(&fixture.address)
            .await
            .unwrap();
    }
    // A long content is not sent to its end.
    let mut writer = fixture.begin().await;
    let piece = content(MIB);
    let error = loop {
        assert!(writer.size() < 200 * MIB as u64, "the refusal is noticed");
        if let Err(error) = writer.write(piece.clone()).await {
            break error;
        }
    };
    assert_eq!(error.status(), Some(Status::NO_SPACE));
    let (total, success, _) = fixture.uploads();
    assert_eq!((total, success), (4, 0));
    fixture.stop().await;
}

#[tokio::test]
async fn an_upload_under_way_is_finished_and_committed_while_the_node_stops() {
    let fixture = Fixture::start();
    let content = content(MIB + 300_000);
    let mut writer = fixture.begin().await;
    writer.write(content.slice(..400_000)).await.unwrap();
    until("the node receives it", || {
        fixture.service.buffers.available_permits() < limits::UPLOAD_BUFFERS_LEN_MAX
    })
    .await;
    fixture.trigger.trigger();
    writer.write(content.slice(400_000..)).await.unwrap();
    let prepared = writer.finish().await.unwrap();
    let id = prepared.commit().await.unwrap();
    let directory = fixture.stop().await;
    let fixture = Fixture::open(directory, DEADLINE, Reserve::Bytes(0));
    assert!(fixture.read(&id).await == content);
    fixture.stop().await;
}

#[tokio::test]
async fn an_upload_that_nobody_decides_about_does_not_hold_a_node_that_stops() {
    let fixture = Fixture::start();
    let mut raw = fixture.raw().await;
    raw.send(&[&head(), &chunk(&content(MIB)), &chunk(b"more"), END])
        .await;
    assert_eq!(raw.answer().await.0, Status::OK);
    fixture.trigger.trigger();
    // Far sooner than the network timeout and the drain time, which are the deadline.
    let closed = timeout(DEADLINE / 2, raw.0.header()).await;
    assert!(matches!(closed, Ok(Ok(None))), "{closed:?}");
    fixture.until_nothing_is_left().await;
    fixture.stop().await;
}

#[tokio::test]
async fn prepared_uploads_count_in_memory_what_they_keep_there_and_no_more() {
    let fixture = Fixture::start();
    let used = || limits::UPLOAD_BUFFERS_LEN_MAX - fixture.service.buffers.available_permits();
    for (len, kept) in [(100, 0), (70_000, 70_000), (MIB, MIB), (3 * MIB, 0)] {
        let prepared = fixture.prepare(&content(len)).await.unwrap();
        assert_eq!(used(), kept, "{len} bytes");
        prepared.abandon().await;
        until("the memory is free", || used() == 0).await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn prepared_and_plain_uploads_share_a_connection() {
    let fixture = Fixture::start();
    let first = fixture.prepare(&content(1000)).await.unwrap().commit();
    let first = first.await.unwrap();
    let client = fixture.client();
    let plain = client.upload(
        &fixture.address,
        None,
        UploadKind::Normal,
        Extension::default(),
        Content::from(b"plain".as_slice()),
    );
    let plain = plain.await.unwrap();
    assert_eq!(fixture.read(&plain).await, "plain");
    assert!(fixture.read(&first).await == content(1000));
    assert_eq!(fixture.uploads(), (2, 2, 1005));
    fixture.stop().await;
}
