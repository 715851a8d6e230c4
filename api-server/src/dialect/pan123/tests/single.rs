//! Uploads in one request. Source: docs/api/pan123.md §5.2.

use super::*;
use crate::backend::Step;
use common::code::ErrorCode;

const SINGLE: &str = "/upload/v2/file/single/create";

/// What a form of an upload says besides the bytes, in the usual order.
fn fields<'a>(name: &'a str, md5: &'a str, size: &'a str) -> [Part<'a>; 4] {
    [
        Part::Field("parentFileID", "0"),
        Part::Field("filename", name),
        Part::Field("etag", md5),
        Part::Field("size", size),
    ]
}

impl Server {
    async fn single(&self, user: &User, name: &str, content: &[u8], more: &[Part<'_>]) -> Reply {
        let (md5, size) = (md5_of(content), content.len().to_string());
        let mut parts = fields(name, &md5, &size).to_vec();
        parts.extend(more);
        parts.push(Part::File("file", name, content));
        let before = self.state();
        let reply = self.form(user, SINGLE, &parts).await;
        if reply.code() != 0 {
            assert_eq!(self.state(), before, "a refusal leaves no trace");
            parts.rotate_right(1);
            let first = self.form(user, SINGLE, &parts).await;
            assert_eq!(first.code(), reply.code(), "bytes first");
            assert_eq!(self.state(), before, "a refusal leaves no trace");
        }
        reply
    }
}

#[tokio::test]
async fn files_of_all_sizes_come_back_as_they_were() {
    let server = Server::new();
    let user = server.user("a").await;
    for (seed, len) in (1..).zip([0, 1, 255, SLICE, 300_000, 1_000_000]) {
        let content = bytes(len, seed);
        let name = format!("{len}.bin");
        let reply = server.single(&user, &name, &content, &[]).await;
        assert_eq!(reply.data()["completed"], true, "{len}");
        let file = reply.data()["fileID"].as_u64().unwrap();
        assert_eq!(server.content(&user, file).await, content);
    }
    assert_eq!(server.names(&user, 0).await.len(), 6);
    assert_eq!(server.blobs.prepared_count(), 0);
}

#[tokio::test]
async fn bytes_that_are_not_the_announced_ones_leave_nothing() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(300_000, 1);
    let (md5, size) = (md5_of(&content), content.len().to_string());
    let other = md5_of(b"other");
    for (md5, size) in [
        (other.as_str(), size.as_str()),
        (&md5, "299999"),
        (&md5, "300001"),
        (&md5, "0"),
    ] {
        let mut parts = fields("a", md5, size).to_vec();
        parts.push(Part::File("file", "a", &content));
        for _ in 0..2 {
            let before = server.state();
            let reply = server.form(&user, SINGLE, &parts).await;
            assert_eq!(
                (reply.code(), reply.message()),
                (20105, "文件上传失败"),
                "{md5} {size}"
            );
            assert_eq!(server.state(), before);
            parts.rotate_right(1);
        }
    }
    let created = server.create(&user, "b", &content).await;
    assert_eq!(
        created.data()["reuse"],
        false,
        "the digest is not remembered"
    );
}

#[tokio::test]
async fn what_is_wrong_with_the_rest_is_said_wherever_the_bytes_stand() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(300_000, 1);
    server
        .single(&user, "taken", &bytes(5, 9), &[])
        .await
        .data();
    server.mkdir(&user, 0, "folder").await;
    for (name, more, code) in [
        ("taken", vec![], 5060),
        ("folder", vec![], 5060),
        ("folder", vec![Part::Field("duplicate", "2")], 1),
        ("a/b", vec![], 1),
        ("a:b", vec![], 1),
        ("a", vec![Part::Field("duplicate", "7")], 1),
        ("a", vec![Part::Field("containDir", "maybe")], 1),
        ("taken/a", vec![Part::Field("containDir", "true")], 1),
        ("../a", vec![Part::Field("containDir", "true")], 1),
        ("a", vec![Part::Field("parentFileID", "77")], 1),
        ("a", vec![Part::Field("size", "1073741825")], 20106),
    ] {
        let reply = server.single(&user, name, &content, &more).await;
        assert_eq!(reply.code(), code, "{name} {more:?}");
    }
    for left_out in 0..4 {
        let (md5, size) = (md5_of(&content), content.len().to_string());
        let mut parts = fields("a", &md5, &size).to_vec();
        parts.remove(left_out);
        parts.push(Part::File("file", "a", &content));
        assert_eq!(
            server.form(&user, SINGLE, &parts).await.code(),
            1,
            "{left_out}"
        );
    }
    let (md5, size) = (md5_of(&content), content.len().to_string());
    let reply = server.form(&user, SINGLE, &fields("a", &md5, &size)).await;
    assert_eq!(
        (reply.code(), reply.message()),
        (1, "the body has no part file")
    );
    assert_eq!(server.names(&user, 0).await, ["taken", "folder"]);
}

#[tokio::test]
async fn names_that_are_taken_are_kept_beside_or_replaced_and_paths_made() {
    let server = Server::new();
    let user = server.user("a").await;
    server.single(&user, "a.txt", b"old", &[]).await.data();
    let keep = [Part::Field("duplicate", "1")];
    server.single(&user, "a.txt", b"kept", &keep).await.data();
    let replace = [Part::Field("duplicate", "2")];
    let reply = server.single(&user, "a.txt", b"new", &replace).await;
    let file = reply.data()["fileID"].as_u64().unwrap();
    assert_eq!(server.names(&user, 0).await, ["a(1).txt", "a.txt"]);
    assert_eq!(server.content(&user, file).await, &b"new"[..]);
    let path = [Part::Field("containDir", "True")];
    for (name, content) in [("/x/y/b", b"1"), ("x/y/c", b"2")] {
        server.single(&user, name, content, &path).await.data();
    }
    let x = server.rows(&user, 0).await[2]["fileId"].as_u64().unwrap();
    let y = server.rows(&user, x).await[0]["fileId"].as_u64().unwrap();
    assert_eq!(server.names(&user, y).await, ["b", "c"]);
}

#[tokio::test]
async fn content_that_is_here_is_read_and_checked_all_the_same() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(300_000, 1);
    server.single(&user, "a", &content, &[]).await.data();
    let blobs = server.blobs.ids();
    let reply = server.single(&user, "b", &content, &[]).await;
    assert_eq!(reply.data()["completed"], true);
    assert_eq!(server.blobs.ids(), blobs, "stored once");
    let (md5, size) = (md5_of(&content), content.len().to_string());
    let mut parts = fields("c", &md5, &size).to_vec();
    let other = bytes(300_000, 2);
    parts.push(Part::File("file", "c", &other));
    assert_eq!(
        server.form(&user, SINGLE, &parts).await.code(),
        20105,
        "possession is needed"
    );
}

#[tokio::test]
async fn an_account_without_room_keeps_nothing() {
    let server = Server::new();
    let user = server.user_with("a", Some(300_000), Scopes::ALL).await;
    server
        .single(&user, "a", &bytes(200_000, 1), &[])
        .await
        .data();
    let path = [Part::Field("containDir", "1")];
    let reply = server.single(&user, "x/b", &bytes(100_001, 2), &path).await;
    assert_eq!(reply.code(), 20107);
    assert_eq!(server.names(&user, 0).await, ["a"]);
}

#[tokio::test]
async fn a_failure_of_storage_is_500_and_leaves_nothing() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(300_000, 1);
    for step in [Step::Begin, Step::Write, Step::Finish] {
        server.blobs.fail(step, ErrorCode::NoSpace);
        let reply = server.single(&user, "a", &content, &[]).await;
        assert_eq!(
            (reply.status, reply.code()),
            (StatusCode::OK, 500),
            "{step:?}"
        );
        server.blobs.heal();
    }
    server.single(&user, "a", &content, &[]).await.data();
}
