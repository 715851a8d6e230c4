//! Staged uploads by the project's own client, and by raw packets where it would not send them, against
//! a node with real files.

use std::time::Duration;

use bytes::BytesMut;
use common::client::{ClientError, ExtensionWriter, Pool, PoolSettings, Prepared, StorageClient};
use common::code::ErrorCode;
use common::id::{Extension, FileId, RemoteName, VolumePath};
use common::wire::Command;
use common::wire::storage::UploadKind;

use super::*;
use crate::service::fixture::{
    DEADLINE, END, Fixture, MIB, Raw, chunk, content, image, until, within,
};
use crate::store::Reserve;

/// A client of its own, with as many connections as it likes.
fn parallel() -> StorageClient {
    StorageClient::new(Pool::new(PoolSettings::default()))
}

async fn stage(fixture: &Fixture) -> FileId {
    let client = fixture.client();
    let lease = client.connect(&fixture.address).await.unwrap();
    let writer = client.begin_upload_on(lease, None, UploadKind::Appender, Extension::default());
    writer.finish().await.unwrap().commit().await.unwrap()
}

async fn extending(fixture: &Fixture, client: &StorageClient, staging: &FileId) -> ExtensionWriter {
    let lease = client.connect(&fixture.address).await.unwrap();
    client.extend_on(lease, staging)
}

async fn extend(
    fixture: &Fixture,
    staging: &FileId,
    content: &Bytes,
) -> Result<Piece, ClientError> {
    let mut writer = extending(fixture, &fixture.client(), staging).await;
    writer.write(content.clone()).await?;
    writer.finish().await
}

async fn arrange(
    fixture: &Fixture,
    staging: &FileId,
    pieces: &[Piece],
) -> Result<Prepared, ClientError> {
    let extension = Extension::from_bytes(b"bin").unwrap();
    let client = fixture.client();
    client
        .arrange(&fixture.address, staging, extension, pieces)
        .await
}

/// Nothing but the index entry and the record of `blobs` blobs without parts of their own is left.
async fn until_blobs_are_left(fixture: &Fixture, blobs: u64) {
    until("only blobs are left", || {
        let free = fixture.service.buffers.available_permits();
        fixture.left() == 2 * blobs && free == limits::UPLOAD_BUFFERS_LEN_MAX
    })
    .await;
}

#[tokio::test]
async fn extensions_lie_one_behind_the_other_and_are_read_back() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    assert_eq!(fixture.info(&staging).await.unwrap().size, 0);
    let mut whole = Vec::new();
    for len in [1, 0, 70_000, MIB, MIB + 1, 5 * MIB + 4321] {
        let content = content(len);
        let piece = extend(&fixture, &staging, &content).await.unwrap();
        assert_eq!(piece.offset, whole.len() as u64);
        assert_eq!((piece.len, piece.crc), (len as u64, Crc32::of(&content)));
        whole.extend_from_slice(&content);
        let info = fixture.info(&staging).await.unwrap();
        assert_eq!(
            (info.size, info.crc),
            (whole.len() as u64, Crc32::of(&whole))
        );
    }
    assert!(fixture.read(&staging).await == whole);
    let counters = fixture.service.node.counters.snapshot();
    assert_eq!((counters.append.total, counters.append.success), (6, 6));
    assert_eq!(counters.append_bytes.success, whole.len() as u64);
    assert_eq!(fixture.uploads(), (1, 1, 0));
    fixture
        .client()
        .delete(&fixture.address, &staging)
        .await
        .unwrap();
    // The tombstone is counted until compaction has carried or dropped it.
    until("all parts are given back", || fixture.left() <= 1).await;
    fixture.stop().await;
}

#[tokio::test]
async fn parallel_extensions_get_ranges_of_their_own() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let client = parallel();
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..8_usize {
        let mut writer = extending(&fixture, &client, &staging).await;
        under_way.spawn(async move {
            let content = content(300_000 + number * 400_000);
            for part in content.chunks(100_000) {
                writer.write(content.slice_ref(part)).await.unwrap();
            }
            let piece = writer.finish().await.unwrap();
            assert_eq!(
                (piece.len, piece.crc),
                (content.len() as u64, Crc32::of(&content))
            );
            piece
        });
    }
    let mut pieces = within(under_way.join_all()).await;
    pieces.sort_by_key(|piece| piece.offset);
    let mut end = 0;
    let whole = fixture.read(&staging).await;
    for piece in pieces {
        assert_eq!(piece.offset, end, "no gap and no overlap");
        end = piece.end();
        let range = usize::try_from(piece.offset).unwrap()..usize::try_from(end).unwrap();
        assert_eq!(Crc32::of(&whole[range]), piece.crc);
    }
    assert_eq!(end, whole.len() as u64);
    fixture.stop().await;
}

#[tokio::test]
async fn pieces_in_another_order_make_a_blob_and_the_rest_is_given_back() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let contents = [
        content(2 * MIB),
        content(100),
        content(3 * MIB + 7),
        content(MIB),
    ];
    let mut pieces = Vec::new();
    for content in &contents {
        pieces.push(extend(&fixture, &staging, content).await.unwrap());
    }
    let order = [pieces[2], pieces[0], pieces[1]];
    let prepared = arrange(&fixture, &staging, &order).await.unwrap();
    let id = *prepared.file_id();
    let expected = [&contents[2][..], &contents[0], &contents[1]].concat();
    assert_eq!(prepared.size(), expected.len() as u64);
    assert_eq!(prepared.crc(), Crc32::of(&expected));
    assert_eq!(
        (id.name.stem().size(), id.name.stem().crc),
        (expected.len() as u64, prepared.crc())
    );
    assert_eq!(
        (id.name.extension(), id.name.volume_path()),
        ("bin", staging.name.volume_path())
    );
    // Nobody sees it, and the staging blob is what it was.
    let parallel = parallel();
    assert!(parallel.file_info(&fixture.address, &id).await.is_err());
    assert_eq!(
        parallel
            .file_info(&fixture.address, &staging)
            .await
            .unwrap()
            .size,
        contents
            .iter()
            .map(|content| content.len() as u64)
            .sum::<u64>(),
    );
    let before = fixture.left();
    assert_eq!(prepared.commit().await.unwrap(), id);
    assert!(fixture.read(&id).await == expected);
    let gone = fixture.info(&staging).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::NotFound);
    // The part of the piece that was left out: its entry and its record.
    assert_eq!(fixture.left(), before - 2);
    assert_eq!(fixture.uploads(), (1, 1, 0), "an arrangement is no upload");
    let restarted = Fixture::open(image(&fixture.directory), DEADLINE, Reserve::Bytes(0));
    assert!(restarted.read(&id).await == expected);
    restarted.stop().await;
    fixture
        .client()
        .delete(&fixture.address, &id)
        .await
        .unwrap();
    until("all parts are given back", || fixture.left() <= 1).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_piece_may_be_used_twice_or_in_part_and_no_piece_makes_an_empty_blob() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let content = content(3 * MIB);
    extend(&fixture, &staging, &content).await.unwrap();
    let piece = |start: usize, end: usize| Piece {
        offset: start as u64,
        len: (end - start) as u64,
        crc: Crc32::of(&content[start..end]),
    };
    let pieces = [
        piece(MIB - 5, 2 * MIB + 5),
        piece(7, 8),
        piece(MIB - 5, 2 * MIB + 5),
    ];
    let id = arrange(&fixture, &staging, &pieces).await.unwrap().commit();
    let id = id.await.unwrap();
    let middle = &content[MIB - 5..2 * MIB + 5];
    assert!(fixture.read(&id).await == [middle, &content[7..8], middle].concat());
    let staging = stage(&fixture).await;
    let empty = arrange(&fixture, &staging, &[]).await.unwrap().commit();
    assert_eq!(fixture.info(&empty.await.unwrap()).await.unwrap().size, 0);
    fixture.stop().await;
}

#[tokio::test]
async fn an_arrangement_that_is_not_committed_changes_nothing() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let piece = extend(&fixture, &staging, &content(2 * MIB)).await.unwrap();
    let before = fixture.left();
    let abandoned = arrange(&fixture, &staging, &[piece]).await.unwrap();
    abandoned.abandon().await;
    drop(arrange(&fixture, &staging, &[piece]).await.unwrap());
    assert_eq!(fixture.left(), before);
    // It goes on growing, and what was prepared stands for the pieces that were asked for.
    let prepared = arrange(&fixture, &staging, &[piece]).await.unwrap();
    let client = parallel();
    let mut writer = extending(&fixture, &client, &staging).await;
    writer.write(content(1000)).await.unwrap();
    assert_eq!(writer.finish().await.unwrap().offset, piece.len);
    let id = prepared.commit().await.unwrap();
    assert!(fixture.read(&id).await == content(2 * MIB));
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_given_up_or_breaks_off_leaves_the_staging_blob_as_it_was() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    for len in [1, 70_000, 3 * MIB] {
        let mut writer = extending(&fixture, &fixture.client(), &staging).await;
        writer.write(content(len)).await.unwrap();
        writer.abort().await;
        until_blobs_are_left(&fixture, 1).await;
        fixture
            .client()
            .active_test(&fixture.address)
            .await
            .unwrap();
        let mut writer = extending(&fixture, &fixture.client(), &staging).await;
        writer.write(content(len)).await.unwrap();
        drop(writer);
        until_blobs_are_left(&fixture, 1).await;
    }
    // In the middle of a chunk.
    let mut raw = fixture.raw().await;
    let long = chunk(&content(MIB));
    raw.send(&[&head(&staging), &long, &long, &long[..MIB / 2]])
        .await;
    until("parts are stored", || 2 < fixture.left()).await;
    drop(raw);
    until_blobs_are_left(&fixture, 1).await;
    assert_eq!(fixture.info(&staging).await.unwrap().size, 0);
    fixture.stop().await;
}

#[tokio::test]
async fn a_staging_blob_that_is_gone_is_not_found_by_any_step() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let piece = extend(&fixture, &staging, &content(2 * MIB)).await.unwrap();
    let client = parallel();
    // An extension and an arrangement are under way while it is deleted.
    let mut under_way = extending(&fixture, &client, &staging).await;
    under_way.write(content(2 * MIB)).await.unwrap();
    until("parts are stored", || 2 + 2 * 2 < fixture.left()).await;
    let lease = client
        .arrange(&fixture.address, &staging, Extension::default(), &[piece])
        .await
        .unwrap();
    fixture
        .client()
        .delete(&fixture.address, &staging)
        .await
        .unwrap();
    let gone = |error: ClientError| assert_eq!(error.code(), ErrorCode::NotFound, "{error:?}");
    gone(under_way.finish().await.unwrap_err());
    gone(lease.commit().await.unwrap_err());
    until("nothing is kept", || fixture.left() <= 1).await;
    gone(extend(&fixture, &staging, &content(10)).await.unwrap_err());
    gone(
        extend(&fixture, &staging, &content(3 * MIB))
            .await
            .unwrap_err(),
    );
    gone(arrange(&fixture, &staging, &[piece]).await.unwrap_err());
    fixture
        .client()
        .active_test(&fixture.address)
        .await
        .unwrap();
    fixture.stop().await;
}

#[tokio::test]
async fn an_arrangement_takes_its_staging_blob_once() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let piece = extend(&fixture, &staging, &content(1000)).await.unwrap();
    let client = parallel();
    let (extension, pieces) = (Extension::default(), [piece]);
    let mut prepared = Vec::new();
    for _ in 0..2 {
        let one = client.arrange(&fixture.address, &staging, extension, &pieces);
        prepared.push(one.await.unwrap());
    }
    let id = prepared.remove(0).commit().await.unwrap();
    let error = prepared.remove(0).commit().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(fixture.read(&id).await == content(1000));
    fixture.stop().await;
}

#[tokio::test]
async fn ranges_beyond_the_end_other_blobs_and_other_groups_are_refused() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let piece = extend(&fixture, &staging, &content(1000)).await.unwrap();
    let normal = fixture.prepare(&content(50)).await.unwrap().commit();
    let normal = normal.await.unwrap();
    let elsewhere = FileId {
        group: "group2".parse().unwrap(),
        ..staging
    };
    let code = |error: ClientError| error.code();
    for (staging, piece) in [
        (staging, Piece { len: 1001, ..piece }),
        (
            staging,
            Piece {
                offset: 1000,
                len: 1,
                ..piece
            },
        ),
        (staging, Piece { len: 0, ..piece }),
        (elsewhere, piece),
        (other_path(&staging), piece),
        (normal, piece),
    ] {
        let error = arrange(&fixture, &staging, &[piece]).await.unwrap_err();
        assert_eq!(code(error), ErrorCode::Invalid, "{staging} {piece:?}");
    }
    for target in [elsewhere, other_path(&staging), normal] {
        let error = extend(&fixture, &target, &content(MIB)).await.unwrap_err();
        assert_eq!(code(error), ErrorCode::Invalid, "{target}");
    }
    assert!(fixture.read(&staging).await == content(1000));
    fixture.stop().await;
}

/// The same name on a volume path that the node does not hold.
fn other_path(id: &FileId) -> FileId {
    let name = RemoteName::from_key(VolumePath(9), &id.name.to_key()).unwrap();
    FileId { name, ..*id }
}

/// Header and head of an extension.
fn head(staging: &FileId) -> Vec<u8> {
    let mut packet = BytesMut::new();
    ExtendHead {
        group: staging.group,
        name: staging.name,
    }
    .encode(&mut packet);
    packet.to_vec()
}

async fn is_in_step(raw: &mut Raw) {
    assert_eq!(raw.ask(Command::ActiveTest).await, Status::OK);
}

#[tokio::test]
async fn malformed_packets_are_refused_and_the_connection_stays_in_step_where_it_can() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let sound = head(&staging);
    let mut raw = fixture.raw().await;
    // A group that is none: the content is read over.
    let mut bad = sound.clone();
    bad[common::wire::HEADER_LEN] = b'/';
    raw.send(&[&bad, &chunk(&content(300_000)), END]).await;
    assert_eq!(raw.answer().await.0, Status::INVALID);
    is_in_step(&mut raw).await;
    // A body of known length is another layout.
    raw.send(&[
        &Header::request(Command::ExtendStaging, 7).encode(),
        &[0; 7],
    ])
    .await;
    assert_eq!(raw.answer().await.0, Status::INVALID);
    is_in_step(&mut raw).await;
    // Arrangements: too short, too long, and a count that is not true.
    for body_len in [0, 20, ArrangeRequest::BODY_LEN_MAX as u64 + 1] {
        let body = vec![0; usize::try_from(body_len).unwrap()];
        raw.send(&[
            &Header::request(Command::ArrangeStaging, body_len).encode(),
            &body,
        ])
        .await;
        assert_eq!(raw.answer().await.0, Status::INVALID);
        is_in_step(&mut raw).await;
    }
    // What was prepared is gone with them.
    assert_eq!(raw.ask(Command::CommitUpload).await, Status::INVALID);
    // Behind a chunk, or a name, that is too long nobody knows where the next chunk stands.
    let too_long = limits::UPLOAD_CHUNK_LEN_MAX + 1;
    raw.send(&[&sound, &chunk(&content(70_000)), &too_long.to_be_bytes()])
        .await;
    assert_eq!(raw.answer().await.0, Status::INVALID);
    raw.expect_close().await;
    let mut raw = fixture.raw().await;
    let mut bad = sound.clone();
    bad[common::wire::HEADER_LEN + limits::GROUP_NAME_LEN_MAX] = 0xff;
    raw.send(&[&bad]).await;
    assert_eq!(raw.answer().await.0, Status::INVALID);
    raw.expect_close().await;
    until_blobs_are_left(&fixture, 1).await;
    fixture.stop().await;
}

#[tokio::test]
async fn without_room_an_extension_is_refused() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let directory = fixture.stop().await;
    let fixture = Fixture::open(directory, DEADLINE, Reserve::Bytes(u64::MAX));
    // The volume that there is still takes some.
    let mut stored = 0;
    let error = loop {
        match extend(&fixture, &staging, &content(7 * MIB)).await {
            Ok(piece) => stored = piece.end(),
            Err(error) => break error,
        }
        assert!(stored < 100 * MIB as u64, "the volume must fill up");
    };
    assert_eq!(error.code(), ErrorCode::NoSpace);
    assert_eq!(fixture.info(&staging).await.unwrap().size, stored);
    fixture
        .client()
        .active_test(&fixture.address)
        .await
        .unwrap();
    let used = limits::UPLOAD_BUFFERS_LEN_MAX - fixture.service.buffers.available_permits();
    assert_eq!(used, 0);
    fixture.stop().await;
}

#[tokio::test]
async fn an_extension_without_progress_ends_after_the_network_timeout() {
    let fixture = Fixture::with(Duration::from_millis(150), Reserve::Bytes(0));
    let staging = stage(&fixture).await;
    let mut raw = fixture.raw().await;
    let long = chunk(&content(MIB));
    raw.send(&[&head(&staging), &long, &long]).await;
    raw.expect_close().await;
    until_blobs_are_left(&fixture, 1).await;
    fixture.stop().await;
}

#[tokio::test]
async fn small_blocks_are_gathered_in_few_parts() {
    let fixture = Fixture::start();
    let staging = stage(&fixture).await;
    let block = content(16 * 1024);
    let mut pieces = Vec::new();
    for _ in 0..400 {
        pieces.push(extend(&fixture, &staging, &block).await.unwrap());
    }
    // 6.25 MiB in parts of up to one: far fewer than blocks. An entry and a record each.
    assert!(
        fixture.left() < 2 * 60,
        "{} entries and records",
        fixture.left()
    );
    pieces.reverse();
    let id = arrange(&fixture, &staging, &pieces).await.unwrap().commit();
    assert!(fixture.read(&id.await.unwrap()).await == block.repeat(400));
    fixture.stop().await;
}
