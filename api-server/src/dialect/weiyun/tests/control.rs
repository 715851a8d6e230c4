//! Files in packets of a block each.

use common::code::ErrorCode;

use super::block::Memory;
use super::*;
use crate::backend::Step;
use crate::backend::catalog::Fault;

const BLOCK: usize = 4;

fn content() -> Content {
    Content::new("blocks.bin", "0123456789")
}

/// A server, a user, and a key for [`content`].
async fn applied() -> (Server, User, String) {
    let server = Server::new().await;
    let user = server.user("king").await;
    let key = server.key(&user, &content(), "").await;
    (server, user, key)
}

/// Sends the block from `offset` on.
async fn send(server: &Server, key: &str, offset: usize) -> Reply {
    let content = content();
    let end = content.bytes.len().min(offset + BLOCK);
    let block = &content.bytes[offset.min(end)..end];
    let packet = packet(key, &content, offset, block);
    server.post_packet(&bmd5(block), packet).await
}

fn outcome(reply: &Reply) -> (u16, i64) {
    (reply.status.as_u16(), reply.ret())
}

#[tokio::test]
async fn blocks_in_order_make_a_file() {
    let (server, user, key) = applied().await;
    for (offset, received) in [(0, "4"), (4, "8")] {
        let reply = send(&server, &key, offset).await;
        assert_eq!(outcome(&reply), (200, 0), "{}", reply.json);
        assert_eq!(reply.data("file_cur_size"), received);
        assert_eq!(reply.data("file_size"), "10");
        assert!(server.files(&user).await.is_empty());
    }
    let reply = send(&server, &key, 8).await;
    assert_eq!(outcome(&reply), (200, 0));
    assert_eq!(reply.data("file_cur_size"), "10");
    assert!(
        reply
            .data("url")
            .starts_with("http://127.0.0.1:8080/group1/M00/")
    );
    let found = server.only_file(&user).await;
    assert_eq!(found, ("blocks.bin".to_owned(), content().bytes));
    assert_eq!(outcome(&send(&server, &key, 8).await), (409, 1022));
}

#[tokio::test]
async fn the_example_packet_is_a_whole_file() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let abc = Content::new("abc", "abc");
    let key = server.key(&user, &abc, "control").await;
    let packet = packet(&key, &abc, 0, b"abc");
    assert_eq!(packet.len(), 359);
    let reply = server
        .post_packet("bmd5=900150983cd24fb0d6963f7d28e17f72", packet)
        .await;
    assert_eq!(outcome(&reply), (200, 0));
    assert_eq!(server.only_file(&user).await.1, "abc");
}

#[tokio::test]
async fn a_file_without_bytes_is_one_empty_block() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let empty = Content::new("empty", "");
    let key = server.key(&user, &empty, "control").await;
    let reply = server.post_packet("", packet(&key, &empty, 0, b"")).await;
    assert_eq!(outcome(&reply), (200, 0));
    assert_eq!(server.only_file(&user).await.1, "");
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was() {
    let (server, user, key) = applied().await;
    send(&server, &key, 0).await;
    let again = server.apply(&user, &content(), "control").await;
    assert_eq!(again.data("file_cur_size"), "4");
    // Either key is good.
    assert_eq!(outcome(&send(&server, &key, 4).await), (200, 0));
    assert_eq!(
        outcome(&send(&server, again.data("csum"), 8).await),
        (200, 0)
    );
    assert_eq!(server.only_file(&user).await.1, content().bytes);
}

#[tokio::test]
async fn an_upload_in_blocks_may_end_as_a_form() {
    let (server, user, key) = applied().await;
    send(&server, &key, 0).await;
    assert_eq!(
        server.post_form(&key, form(&content().bytes)).await.ret(),
        0
    );
    assert_eq!(server.only_file(&user).await.1, content().bytes);
}

#[tokio::test]
async fn a_block_may_come_again_overlap_and_replace_what_follows() {
    let (server, user, key) = applied().await;
    let whole = content();
    // Offset, bytes, and how many there are then.
    for (offset, block, received) in [
        (0, "01xx", "4"),
        (4, "4567", "8"),
        // Again.
        (4, "4567", "8"),
        // Within the first one.
        (2, "23", "4"),
        // Within that.
        (3, "3456", "7"),
        (6, "67", "8"),
        // Back to a boundary.
        (3, "345", "6"),
    ] {
        let packet = packet(&key, &whole, offset, block.as_bytes());
        let reply = server.post_packet(&bmd5(block.as_bytes()), packet).await;
        assert_eq!(outcome(&reply), (200, 0), "{offset}");
        assert_eq!(reply.data("file_cur_size"), received, "{offset}");
    }
    let rest = &whole.bytes[5..];
    let reply = server.post_packet("", packet(&key, &whole, 5, rest)).await;
    assert_eq!(outcome(&reply), (200, 0), "{}", reply.json);
    assert_eq!(server.only_file(&user).await.1, whole.bytes);
}

#[tokio::test]
async fn a_gap_is_refused_and_says_where_to_go_on() {
    let (server, _, key) = applied().await;
    send(&server, &key, 0).await;
    let before = server.state();
    let reply = send(&server, &key, 5).await;
    assert_eq!(outcome(&reply), (409, 1014));
    assert_eq!(reply.data("file_cur_size"), "4");
    assert_eq!(server.state(), before);
}

#[tokio::test]
async fn wrong_bytes_are_found_at_the_end_and_the_upload_begins_anew() {
    let (server, user, key) = applied().await;
    let whole = content();
    let wrong = packet(&key, &whole, 0, b"wrong456");
    assert_eq!(outcome(&server.post_packet("", wrong).await), (200, 0));
    let reply = send(&server, &key, 8).await;
    assert_eq!(outcome(&reply), (409, 1057));
    assert!(server.files(&user).await.is_empty());
    let again = server.apply(&user, &whole, "control").await;
    assert_eq!(again.data("file_cur_size"), "0");
    let reply = server
        .post_packet("", packet(&key, &whole, 0, &whole.bytes))
        .await;
    assert_eq!(outcome(&reply), (200, 0));
    assert_eq!(server.only_file(&user).await.1, whole.bytes);
}

#[tokio::test]
async fn packets_that_do_not_fit_their_key_are_refused() {
    let (server, user, key) = applied().await;
    let whole = content();
    let other = Content::new("other", "another content");
    let others = server.key(&user, &other, "control").await;
    let before = server.state();
    let block = &whole.bytes[..4];
    for (packet, expected) in [
        // The key of another file, and another file for the key.
        (packet(&others, &whole, 0, block), (409, 1057)),
        (packet(&key, &other, 0, block), (409, 1057)),
        // More bytes than the file has.
        (packet(&key, &whole, 0, b"0123456789a"), (409, 1057)),
        // Forged, and cut.
        (packet(&"0".repeat(608), &whole, 0, block), (403, 20015)),
        (packet(&key[2..], &whole, 0, block), (403, 20015)),
    ] {
        assert_eq!(outcome(&server.post_packet("", packet).await), expected);
    }
    let mut size = packet(&key, &whole, 0, block);
    let at = size.len() - block.len() - 12;
    size[at..at + 4].copy_from_slice(&11_u32.to_be_bytes());
    assert_eq!(outcome(&server.post_packet("", size).await), (409, 1057));
    assert_eq!(server.state(), before);
}

#[tokio::test]
async fn malformed_packets_and_wrong_digests_are_400() {
    let (server, _, key) = applied().await;
    let whole = content();
    let block = &whole.bytes[..4];
    let good = || packet(&key, &whole, 0, block);
    let before = server.state();
    let mut command = good();
    command[7] = 1;
    let cut = good()[..good().len() - 1].to_vec();
    let more = [good(), vec![0]].concat();
    for packet in [command, cut, more, packet::MAGIC.to_vec()] {
        assert_eq!(outcome(&server.post_packet("", packet).await), (400, 1014));
    }
    for query in [&*bmd5(b"x"), "bmd5=x", "bmd5=%ff"] {
        assert_eq!(
            outcome(&server.post_packet(query, good()).await),
            (400, 1014)
        );
    }
    assert_eq!(server.state(), before);
    // Without the digest nothing is checked.
    assert_eq!(
        outcome(&server.post_packet("bmd5=", good()).await),
        (200, 0)
    );
}

#[tokio::test]
async fn storage_that_is_not_ready_is_503_and_nothing_is_lost() {
    let (server, user, key) = applied().await;
    send(&server, &key, 0).await;
    for (step, code, ret) in [
        (Step::Extend, ErrorCode::Unavailable, 100_009),
        (Step::ExtendWrite, ErrorCode::Busy, 1013),
        (Step::ExtendFinish, ErrorCode::Storage, 1014),
        (Step::ExtendAnswer, ErrorCode::Interrupted, 100_009),
    ] {
        server.blobs.fail(step, code);
        assert_eq!(
            outcome(&send(&server, &key, 4).await),
            (503, ret),
            "{step:?}"
        );
        server.blobs.heal();
    }
    server.catalog.fail_write(1, Fault::After);
    assert_eq!(outcome(&send(&server, &key, 4).await), (503, 1025));
    assert_eq!(outcome(&send(&server, &key, 4).await), (200, 0));
    for step in [Step::Arrange, Step::Commit, Step::CommitAnswer] {
        server.blobs.fail(step, ErrorCode::Unavailable);
        assert_eq!(
            outcome(&send(&server, &key, 8).await),
            (503, 100_009),
            "{step:?}"
        );
        server.blobs.heal();
    }
    assert_eq!(outcome(&send(&server, &key, 8).await), (200, 0));
    assert_eq!(server.only_file(&user).await.1, content().bytes);
}

#[tokio::test]
async fn an_upload_whose_end_was_lost_is_completed_by_its_last_block() {
    // The catalog fails before, and after, each of the writes that complete an upload.
    for fault in [Fault::Before, Fault::After] {
        for write in 1..6 {
            let (server, user, key) = applied().await;
            send(&server, &key, 0).await;
            send(&server, &key, 4).await;
            server.catalog.fail_write(write, fault);
            let reply = send(&server, &key, 8).await;
            server.catalog.revive();
            if reply.status == StatusCode::OK {
                assert_eq!(server.only_file(&user).await.1, content().bytes);
                continue;
            }
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
            let again = server.apply(&user, &content(), "control").await;
            if again.ret() == 1051 {
                // It was done, and only the answer was lost.
                assert_eq!(server.only_file(&user).await.1, content().bytes);
                continue;
            }
            let offset = again.data("file_cur_size").parse().unwrap();
            assert_eq!(
                offset, 8,
                "{fault:?} at {write}: the last block comes again"
            );
            let reply = send(&server, again.data("csum"), offset).await;
            assert_eq!(
                outcome(&reply),
                (200, 0),
                "{fault:?} at {write}: {}",
                reply.json
            );
            assert_eq!(server.only_file(&user).await.1, content().bytes);
        }
    }
}

#[tokio::test]
async fn blocks_wait_for_room_in_memory_and_not_for_ever() {
    let (mut server, _, key) = applied().await;
    server.dialect.memory = Memory::new(3, Duration::ZERO);
    let before = server.state();
    assert_eq!(outcome(&send(&server, &key, 0).await), (503, 100_006));
    assert_eq!(server.state(), before);
    server.dialect.memory = Memory::new(4, Duration::ZERO);
    assert_eq!(outcome(&send(&server, &key, 0).await), (200, 0));
}

#[tokio::test]
async fn a_big_file_cannot_come_in_tiny_blocks() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let mut pairs = [user.parameters(), content().parameters("control")].concat();
    for (name, value) in &mut pairs {
        if *name == "size" {
            *value = u32::MAX.to_string();
        }
    }
    let reply = server.get("/weiyun/upload_file", &pairs).await;
    let mut packet = packet(reply.data("csum"), &content(), 0, b"0123");
    let at = packet.len() - 4 - 12;
    packet[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(outcome(&server.post_packet("", packet).await), (400, 1014));
}
