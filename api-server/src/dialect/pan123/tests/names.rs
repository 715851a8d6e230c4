//! Names, folders, conflicts, paths, as `create` sees them. Source: docs/api/pan123.md §3.

use super::*;
use crate::core::trash;

const CREATE: &str = "/upload/v2/file/create";

#[tokio::test]
async fn bad_names_leave_no_trace_and_odd_ones_come_back_as_they_were() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(10, 1);
    let long = "长".repeat(256);
    for name in [
        "", " ", "\u{3000}", ".", "..", "a/b", "a\\b", "a:b", "a*b", "a?b", "a\"b", "a|b", "a<b",
        "a>b", "a\nb", "\u{1}", "\u{7f}", &long,
    ] {
        let body = announcement(name, &content);
        assert_eq!(server.code(&user, CREATE, body).await, 1, "{name:?}");
        if !name.is_empty() {
            let body = json!({"name": name, "parentID": 0});
            let code = server.code(&user, "/upload/v1/file/mkdir", body).await;
            assert_eq!(code, 1, "{name:?}");
        }
    }
    let longest = "长".repeat(255);
    let odd = [
        " a ", ".x", "%2e+", "😀", "“q”", "A", "a", "e\u{301}", "é", &longest,
    ];
    for (seed, name) in (2..).zip(odd) {
        server.upload(&user, name, &bytes(10, seed)).await;
    }
    assert_eq!(
        server.names(&user, 0).await,
        odd,
        "case and normal forms are told apart"
    );
}

#[tokio::test]
async fn a_parent_is_a_live_folder_of_ones_own() {
    let server = Server::new();
    let (user, other) = (server.user("a").await, server.user("b").await);
    let content = bytes(SLICE, 1);
    let file = server.upload(&user, "file", &content).await;
    let trashed = server.mkdir(&user, 0, "trashed").await;
    let below = server.mkdir(&user, trashed, "below").await;
    server
        .call(&user, "/api/v1/file/trash", json!({"fileIDs": [trashed]}))
        .await;
    // Numbers belong to their account: this one is nobody's here.
    for _ in 0..20 {
        let name = format!("{}", common::env::entropy::random_u64());
        server.mkdir(&other, 0, &name).await;
    }
    let foreign = server.rows(&other, 0).await.last().unwrap()["fileId"].clone();
    for parent in [
        json!(999),
        json!(file),
        foreign,
        json!(trashed),
        json!(below),
    ] {
        let body = with(
            announcement("x", &bytes(5, 9)),
            &json!({"parentFileID": parent}),
        );
        let before = server.state();
        let reply = server.post(&user, CREATE, body).await;
        assert_eq!(
            (reply.code(), reply.message()),
            (1, "parentFileID不存在"),
            "{parent}"
        );
        assert_eq!(server.state(), before);
    }
    let folder = server.mkdir(&user, 0, "folder").await;
    let body = with(
        announcement("x", &content),
        &json!({"parentFileID": folder.to_string()}),
    );
    assert_eq!(server.call(&user, CREATE, body).await["reuse"], true);
    assert_eq!(server.names(&user, folder).await, ["x"]);
}

#[tokio::test]
async fn a_taken_name_is_refused_kept_beside_or_replaced() {
    let server = Server::new();
    let user = server.user("a").await;
    let (old, new) = (bytes(SLICE, 1), bytes(SLICE, 2));
    let first = server.upload(&user, "a.tar.gz", &old).await;
    server.mkdir(&user, 0, "folder").await;
    server.upload(&user, "new", &new).await;
    for none in [
        json!({}),
        json!({"duplicate": null}),
        json!({"duplicate": 0}),
    ] {
        for name in ["a.tar.gz", "folder"] {
            let body = with(announcement(name, &new), &none);
            assert_eq!(
                server.code(&user, CREATE, body).await,
                5060,
                "{name} {none}"
            );
        }
    }
    for (name, kept) in [
        ("a.tar.gz", "a.tar(1).gz"),
        ("a.tar.gz", "a.tar(2).gz"),
        ("folder", "folder(1)"),
    ] {
        let body = with(announcement(name, &new), &json!({"duplicate": 1}));
        let file = server.call(&user, CREATE, body).await["fileID"].clone();
        let detail = format!("/api/v1/file/detail?fileID={file}");
        assert_eq!(server.get(&user, &detail).await.data()["filename"], kept);
    }
    let body = with(announcement("folder", &new), &json!({"duplicate": 2}));
    assert_eq!(
        server.code(&user, CREATE, body).await,
        1,
        "a folder is never replaced"
    );
    let body = with(announcement("a.tar.gz", &new), &json!({"duplicate": 2}));
    let file = server.call(&user, CREATE, body).await["fileID"]
        .as_u64()
        .unwrap();
    assert_eq!(server.content(&user, file).await, new);
    let gone = format!("/api/v1/file/detail?fileID={first}");
    assert_eq!(
        server.get(&user, &gone).await.code(),
        5066,
        "it is not in the trash either"
    );
}

#[tokio::test]
async fn a_file_is_replaced_at_the_end_and_stays_if_that_does_not_come() {
    let server = Server::new();
    let user = server.user("a").await;
    let (old, new) = (bytes(SLICE, 1), bytes(2 * SLICE, 2));
    let first = server.upload(&user, "a", &old).await;
    let body = with(announcement("a", &new), &json!({"duplicate": 2}));
    let begin = || async {
        let data = server.call(&user, CREATE, body.clone()).await;
        data["preuploadID"].as_str().unwrap().to_owned()
    };
    // The second slice is another one than what was announced.
    let id = begin().await;
    server.slice(&user, &id, 1, &new[..SLICE]).await.data();
    server.slice(&user, &id, 2, &bytes(SLICE, 3)).await.data();
    assert_eq!(server.complete(&user, &id).await.code(), 20105);
    assert_eq!(server.content(&user, first).await, old);
    let id = begin().await;
    server.slice(&user, &id, 1, &new[..SLICE]).await.data();
    assert_eq!(server.content(&user, first).await, old, "until the end");
    server.slice(&user, &id, 2, &new[SLICE..]).await.data();
    let file = server.completed(&user, &id).await;
    assert_eq!(server.names(&user, 0).await, ["a"]);
    assert_eq!(server.content(&user, file).await, new);
}

#[tokio::test]
async fn of_two_uploads_to_one_name_the_second_to_end_loses() {
    let server = Server::new();
    let user = server.user("a").await;
    let (one, two) = (bytes(SLICE, 1), bytes(SLICE, 2));
    let first = server.open(&user, "a", &one).await;
    let second = server.open(&user, "a", &two).await;
    server.slice(&user, &first, 1, &one).await.data();
    server.slice(&user, &second, 1, &two).await.data();
    let winner = server.completed(&user, &second).await;
    assert_eq!(server.complete(&user, &first).await.code(), 5060);
    assert_eq!(
        server.complete(&user, &first).await.code(),
        20101,
        "its bytes are gone"
    );
    assert_eq!(server.names(&user, 0).await, ["a"]);
    assert_eq!(server.content(&user, winner).await, two);
}

#[tokio::test]
async fn a_name_in_the_trash_is_free() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let file = server.upload(&user, "a", &content).await;
    let account = user.account;
    server
        .service
        .change(move |tx, moment| trash::put(tx, account, file, moment))
        .await
        .unwrap();
    let again = server.create(&user, "a", &content).await;
    assert_eq!(again.code(), 0);
    assert_eq!(server.names(&user, 0).await, ["a"]);
}

#[tokio::test]
async fn paths_make_the_folders_that_are_missing_and_each_once() {
    let server = Server::new();
    let user = server.user("a").await;
    let path = |name: &str, content: &[u8]| {
        with(announcement(name, content), &json!({"containDir": true}))
    };
    let ids = {
        let mut ids = Vec::new();
        for (seed, name) in (1..).zip(["/你好/123/a.mp4", "你好//123/b.mp4", "/你好/c.mp4"]) {
            let content = bytes(SLICE, seed);
            let data = server.call(&user, CREATE, path(name, &content)).await;
            let id = data["preuploadID"].as_str().unwrap().to_owned();
            server.slice(&user, &id, 1, &content).await.data();
            ids.push(id);
        }
        ids
    };
    let [row] = &server.rows(&user, 0).await[..] else {
        panic!("one folder")
    };
    assert_eq!(
        (&row["filename"], &row["type"]),
        (&json!("你好"), &json!(1))
    );
    for id in ids {
        server.completed(&user, &id).await;
    }
    let hello = row["fileId"].as_u64().unwrap();
    assert_eq!(server.names(&user, hello).await, ["123", "c.mp4"]);
    let inner = server.rows(&user, hello).await[0]["fileId"]
        .as_u64()
        .unwrap();
    assert_eq!(server.names(&user, inner).await, ["a.mp4", "b.mp4"]);
    let content = bytes(SLICE, 9);
    for bad in [
        "a/../b",
        "./a",
        "a/",
        "/",
        "你好/c.mp4/d",
        "你好/123/a.mp4/x/y",
        "a/b?/c",
    ] {
        assert_eq!(
            server.code(&user, CREATE, path(bad, &content)).await,
            1,
            "{bad}"
        );
    }
    let taken = path("你好/123/a.mp4", &content);
    assert_eq!(server.code(&user, CREATE, taken).await, 5060);
    let too_large = with(
        path("new/folders/a", &content),
        &json!({"size": 11_u64 << 30}),
    );
    assert_eq!(server.code(&user, CREATE, too_large).await, 20106);
}

#[tokio::test]
async fn a_refusal_for_lack_of_room_makes_no_folder() {
    let server = Server::new();
    let user = server.user_with("a", Some(SLICE as u64), Scopes::ALL).await;
    let body = with(
        announcement("new/folder/a", &bytes(SLICE + 1, 1)),
        &json!({"containDir": true}),
    );
    assert_eq!(server.code(&user, CREATE, body).await, 20107);
    assert!(server.names(&user, 0).await.is_empty());
}
