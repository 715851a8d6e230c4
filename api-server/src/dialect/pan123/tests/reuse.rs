//! Content that is had by naming its digest. Source: docs/api/pan123.md §4.3, §6 (`sha1_reuse`).

use sha1::{Digest as _, Sha1};

use super::*;
use crate::core::files::Reuse;
use crate::service::{Rate, RateSettings};

const SHA1_REUSE: &str = "/upload/v2/file/sha1_reuse";
const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

fn sha1_of(content: &[u8]) -> String {
    crate::core::id::Sha1(Sha1::digest(content).into()).to_string()
}

#[tokio::test]
async fn everybodys_content_or_only_ones_own_is_had_by_its_digest() {
    for reuse in [Reuse::Global, Reuse::Own] {
        let server = Server::with(ServiceSettings {
            reuse,
            ..ServiceSettings::default()
        });
        let (user, other) = (server.user("a").await, server.user("b").await);
        let content = bytes(SLICE, 1);
        server.upload(&user, "a", &content).await;
        let is_global = reuse == Reuse::Global;
        let created = server.create(&other, "b", &content).await;
        assert_eq!(created.data()["reuse"], is_global);
        let own = server.create(&user, "c", &content).await;
        assert_eq!(own.data()["reuse"], true);
        let sha1 = json!({
            "parentFileID": 0, "filename": "d", "sha1": sha1_of(&content), "size": SLICE,
        });
        let answer = server.call(&other, SHA1_REUSE, sha1).await;
        assert_eq!(answer["reuse"], is_global);
        assert_eq!(answer["fileID"].as_u64().unwrap() != 0, is_global);
    }
}

#[tokio::test]
async fn digest_and_size_must_both_fit_and_the_bytes_must_have_come() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let announced = bytes(SLICE, 2);
    server.upload(&user, "a", &content).await;
    server.open(&user, "announced", &announced).await;
    let create = "/upload/v2/file/create";
    let longer = with(announcement("b", &content), &json!({"size": SLICE + 1}));
    assert_eq!(server.call(&user, create, longer).await["reuse"], false);
    let again = server.create(&user, "c", &announced).await;
    assert_eq!(again.data()["reuse"], false, "nobody sent these bytes");
}

#[tokio::test]
async fn content_stays_as_long_as_somebody_has_it() {
    let server = Server::new();
    let (user, other) = (server.user("a").await, server.user("b").await);
    let content = bytes(SLICE, 1);
    let first = server.upload(&user, "a", &content).await;
    let second = server.create(&other, "b", &content).await.data()["fileID"]
        .as_u64()
        .unwrap();
    for (who, file) in [(&user, first), (&other, second)] {
        assert_eq!(
            server.create(who, "probe", &content).await.data()["reuse"],
            true
        );
        let ids = json!({"fileIDs": [file]});
        server.call(who, "/api/v1/file/trash", ids.clone()).await;
        server.call(who, "/api/v1/file/delete", ids).await;
        let probe = server.rows(who, 0).await[0]["fileId"].clone();
        let ids = json!({"fileIDs": [probe]});
        server.call(who, "/api/v1/file/trash", ids.clone()).await;
        server.call(who, "/api/v1/file/delete", ids).await;
    }
    let third = server.create(&user, "c", &content).await;
    assert_eq!(third.data()["reuse"], false, "its last owner is gone");
}

#[tokio::test]
async fn a_file_without_bytes_is_there_at_once_if_its_digest_is_right() {
    let server = Server::new();
    let user = server.user("a").await;
    let body = announcement("empty", b"");
    assert_eq!(body["etag"], EMPTY_MD5);
    let data = server
        .call(&user, "/upload/v2/file/create", body.clone())
        .await;
    assert_eq!(data["reuse"], true);
    let file = data["fileID"].as_u64().unwrap();
    assert!(server.content(&user, file).await.is_empty());
    let wrong = with(body, &json!({"etag": md5_of(b"x"), "filename": "wrong"}));
    assert_eq!(server.code(&user, "/upload/v2/file/create", wrong).await, 1);
}

#[tokio::test]
async fn who_guesses_digests_is_not_answered_any_more() {
    let server = Server::with(ServiceSettings {
        rates: RateSettings {
            misses_per_user: Rate {
                burst: 3,
                per: Duration::from_hours(1),
            },
            ..RateSettings::default()
        },
        ..ServiceSettings::default()
    });
    let (user, other) = (server.user("a").await, server.user("b").await);
    let content = bytes(SLICE, 1);
    server.upload(&user, "a", &content).await;
    for seed in 10..13 {
        server.open(&other, "guess", &bytes(SLICE, seed)).await;
    }
    let created = server.create(&other, "b", &content).await;
    assert_eq!(
        created.data()["reuse"],
        false,
        "no look any more, and no refusal"
    );
}

#[tokio::test]
async fn a_name_is_checked_before_a_digest_is_looked_up() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    server.upload(&user, "a", &content).await;
    for name in ["a", "unknown"] {
        let sha1 = if name == "a" {
            sha1_of(&content)
        } else {
            "0".repeat(40)
        };
        let body = json!({"parentFileID": 0, "filename": "a", "sha1": sha1, "size": SLICE});
        assert_eq!(server.code(&user, SHA1_REUSE, body).await, 5060, "{name}");
    }
    let bad = json!({"parentFileID": 0, "filename": "b", "sha1": "xyz", "size": SLICE});
    assert_eq!(server.code(&user, SHA1_REUSE, bad).await, 1);
    let nowhere = json!({
        "parentFileID": 99, "filename": "b", "sha1": sha1_of(&content), "size": SLICE,
    });
    assert_eq!(server.code(&user, SHA1_REUSE, nowhere).await, 1);
}
