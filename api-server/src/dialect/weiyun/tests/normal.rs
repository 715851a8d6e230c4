//! Whole files as forms: keys, verification, resuming.

use super::*;
use crate::core::error::CoreError;
use crate::core::upload_sessions;

fn abc() -> Content {
    Content::new("abc.txt", "abc")
}

#[tokio::test]
async fn a_file_of_any_size_arrives_and_is_described() {
    let server = Server::new().await;
    let user = server.user("king").await;
    for (name, len) in [("empty.bin", 0), ("small.bin", 1), ("图 片.jpg", 300_000)] {
        let bytes: Vec<u8> = (0..len).map(|at: u32| at.to_be_bytes()[3]).collect();
        let content = Content::new(name, bytes);
        let admitted = server.apply(&user, &content, "normal").await;
        let key = admitted.data("csum");
        let reply = server.post_form(key, form(&content.bytes)).await;
        assert_eq!(reply.ret(), 0, "{}", reply.json);
        assert_eq!(reply.data("file_name"), name);
        assert_eq!(reply.data("file_id"), admitted.data("file_id"));
        assert_eq!(reply.data("file_size"), len.to_string());
        assert_eq!(reply.data("file_cur_size"), len.to_string());
        assert_eq!(reply.data("file_sha"), content.sha());
        assert_eq!(reply.data("file_md5"), content.md5());
        assert_eq!(reply.data("file_attr"), "3");
        let files = server.files(&user).await;
        let (_, file) = files.last().unwrap();
        assert_eq!(reply.data("url"), format!("http://{HOST}/{}", file.blob));
        assert_eq!(server.blobs.bytes(&file.blob).unwrap(), content.bytes);
    }
    assert_eq!(server.files(&user).await.len(), 3);
}

#[tokio::test]
async fn nothing_is_seen_before_it_is_verified_and_wrong_bytes_leave_the_key_good() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let key = server.key(&user, &abc(), "normal").await;
    assert!(server.files(&user).await.is_empty());
    for wrong in [b"abd".as_slice(), b"ab", b"", b"abcd"] {
        let before = server.state();
        let reply = server.post_form(&key, form(wrong)).await;
        assert_eq!(reply.ret(), 1057);
        assert_eq!(
            (reply.data("file_size"), reply.data("file_cur_size")),
            ("3", "0")
        );
        assert_eq!(server.state(), before);
    }
    assert_eq!(server.post_form(&key, form(b"abc")).await.ret(), 0);
}

#[tokio::test]
async fn both_digests_are_verified() {
    let server = Server::new().await;
    let user = server.user("king").await;
    for name in ["sha", "md5"] {
        let mut pairs = [user.parameters(), abc().parameters("normal")].concat();
        for (found, value) in &mut pairs {
            if *found == name {
                value.replace_range(..1, "0");
            }
            if *found == "name" {
                name.clone_into(value);
            }
        }
        let reply = server.get("/weiyun/upload_file", &pairs).await;
        let refused = server.post_form(reply.data("csum"), form(b"abc")).await;
        assert_eq!(refused.ret(), 1057, "{name}");
    }
    assert!(server.files(&user).await.is_empty());
}

#[tokio::test]
async fn a_body_that_is_longer_than_the_file_can_be_is_not_read() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let key = server.key(&user, &abc(), "normal").await;
    let before = server.state();
    let mut body = form(b"abc");
    body.resize(3 + 64 * 1024 + 1, b'x');
    assert_eq!(server.post_form(&key, body).await.ret(), 1057);
    assert_eq!(server.state(), before);
    // Within the limit, what follows the end is passed over.
    let mut body = form(b"abc");
    body.resize(3 + 64 * 1024, b'x');
    assert_eq!(server.post_form(&key, body).await.ret(), 0);
}

#[tokio::test]
async fn a_key_is_used_once_and_is_good_for_its_file_only() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let other = Content::new("other.txt", "other");
    let (key, others) = (
        server.key(&user, &abc(), "normal").await,
        server.key(&user, &other, "normal").await,
    );
    // Of another file.
    assert_eq!(server.post_form(&others, form(b"abc")).await.ret(), 1057);
    assert_eq!(
        server
            .post_form(&key.to_uppercase(), form(b"abc"))
            .await
            .ret(),
        0
    );
    let before = server.state();
    for content in [b"abc".as_slice(), b"xyz"] {
        assert_eq!(server.post_form(&key, form(content)).await.ret(), 1022);
    }
    assert_eq!(server.state(), before);
    assert_eq!(server.post_form(&others, form(b"other")).await.ret(), 0);
}

#[tokio::test]
async fn keys_that_are_none_are_20015() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let key = server.key(&user, &abc(), "normal").await;
    let altered = format!(
        "{}{}",
        if key.starts_with('0') { "1" } else { "0" },
        &key[1..]
    );
    let before = server.state();
    for wrong in [
        "",
        &key[2..],
        &key[1..],
        &altered,
        &format!("{key}00"),
        &"0".repeat(608),
        &"z".repeat(608),
        &"0".repeat(5000),
    ] {
        assert_eq!(
            server.post_form(wrong, form(b"abc")).await.ret(),
            20015,
            "{wrong}"
        );
    }
    let request = HttpRequest::post("/ftn_handler/")
        .body(form(b"abc"))
        .unwrap();
    assert_eq!(server.send(request).await.ret(), 20015);
    assert_eq!(server.state(), before);
}

#[tokio::test]
async fn a_key_ends_a_day_after_the_last_byte_and_the_name_is_free_then() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let key = server.key(&user, &abc(), "normal").await;
    let expire = async |seconds: u32| {
        server
            .service()
            .change(move |tx, moment| {
                let later = moment.now.saturating_add(seconds);
                for (due, id) in upload_sessions::due(tx, later, 9)? {
                    upload_sessions::expire(tx, due, id, later)?;
                }
                Ok(())
            })
            .await
            .unwrap();
    };
    let other = Content::new("abc.txt", "other");
    expire(24 * 60 * 60 - 60).await;
    assert_eq!(server.apply(&user, &other, "normal").await.ret(), 1057);
    expire(24 * 60 * 60 + 60).await;
    assert_eq!(server.post_form(&key, form(b"abc")).await.ret(), 20015);
    assert_eq!(server.upload(&user, &other).await.ret(), 0);
}

#[tokio::test]
async fn applying_again_gives_another_key_for_the_same_file() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let first = server.apply(&user, &abc(), "normal").await;
    let second = server.apply(&user, &abc(), "control").await;
    assert_eq!(first.data("file_id"), second.data("file_id"));
    assert_ne!(first.data("csum"), second.data("csum"));
    assert_eq!(second.data("file_cur_size"), "0");
    // Either works; the file is complete for both.
    assert_eq!(
        server
            .post_form(first.data("csum"), form(b"abc"))
            .await
            .ret(),
        0
    );
    assert_eq!(
        server
            .post_form(second.data("csum"), form(b"abc"))
            .await
            .ret(),
        1022
    );
    assert_eq!(server.apply(&user, &abc(), "normal").await.ret(), 1051);
}

#[tokio::test]
async fn of_two_posts_with_one_key_one_wins() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let key = server.key(&user, &abc(), "normal").await;
    let post = || server.post_form(&key, form(b"abc"));
    let (one, other) = tokio::join!(post(), post());
    let mut rets = [one.ret(), other.ret()];
    rets.sort_unstable();
    assert_eq!(rets, [0, 1022]);
    assert_eq!(server.only_file(&user).await.1, "abc");
}

#[tokio::test]
async fn a_name_that_was_taken_meanwhile_is_1051_at_the_end() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let (abc, other) = (abc(), Content::new("abc.txt", "other"));
    let key = server.key(&user, &abc, "normal").await;
    // The image host takes the name.
    let mut upload = server
        .service()
        .begin_upload(common::id::Extension::of_file_name("abc.txt"));
    upload.write(other.bytes.clone()).await.unwrap();
    let naming = core_files::Naming::Label("abc.txt".parse().unwrap());
    let nothing = crate::service::Announced::default();
    upload.finish(&user.actor, naming, nothing).await.unwrap();
    let reply = server.post_form(&key, form(b"abc")).await;
    assert_eq!(reply.ret(), 1051);
    assert_eq!(reply.data("file_sha"), other.sha());
    assert_eq!(server.only_file(&user).await.1, "other");
    // What was received is gone with the upload.
    assert_eq!(server.post_form(&key, form(b"abc")).await.ret(), 20015);
}

#[tokio::test]
async fn users_do_not_meet() {
    let server = Server::new().await;
    let (king, queen) = (server.user("king").await, server.user("queen").await);
    assert_eq!(server.upload(&king, &abc()).await.ret(), 0);
    let reply = server.upload(&queen, &abc()).await;
    assert_eq!(reply.ret(), 0);
    // Knowing digests never gave a file; that the bytes are stored once is nobody's business.
    assert_eq!(server.blobs.ids().len(), 1);
    assert_eq!(server.files(&king).await.len(), 1);
    assert_eq!(server.files(&queen).await.len(), 1);
}

#[tokio::test]
async fn answers_are_written_as_the_form_asks() {
    let server = Server::new().await;
    let user = server.user("king").await;
    for (name, charset, is_ascii) in [
        ("图1.txt", "GBK", true),
        ("图2.txt", "gb2312", true),
        ("图3.txt", "Big5", false),
    ] {
        let content = Content::new(name, name);
        let key = server.key(&user, &content, "normal").await;
        let request = HttpRequest::post(format!("/ftn_handler?ukey={key}"))
            .body(form_with(charset, &content.bytes))
            .unwrap();
        let (_, _, bytes) = server.exchange(request).await;
        assert_eq!(bytes.is_ascii(), is_ascii);
        let json: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["data"]["file_name"], name);
    }
}

#[tokio::test]
async fn an_error_of_the_core_that_is_not_expected_is_still_an_answer() {
    let server = Server::new().await;
    let refusal = server
        .dialect
        .explained(AccountId(1), CoreError::TooDeep(1).into())
        .await;
    assert_eq!(refusal.ret(), Ret::Internal);
}
