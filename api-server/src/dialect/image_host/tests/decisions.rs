//! The questions that the document leaves open, as docs/api/image-host.md §10 decides them, where no
//! other test shows the decision already.

use super::*;

#[tokio::test]
async fn file_names_have_three_spellings_everywhere() {
    let server = Server::new();
    let user = server.user("a").await;
    let md5 = md5_of(b"x");
    assert_eq!(server.upload(&user, "f", b"x").await, 0);
    for spelling in ["filename", "fileName", "file_name"] {
        let body = with(&user.label(&md5, "f"), "filename", None);
        let body = with(&body, spelling, Some(json!("f")));
        assert_eq!(server.code("/api/dealfile?cmd=pv", body.clone()).await, 0);
        assert_eq!(server.code("/api/md5", body).await, 5);
    }
    assert_eq!(server.files(&user).await[0]["pv"], 3);
}

#[tokio::test]
async fn a_share_of_this_content_and_name_by_anybody_is_3() {
    let server = Server::new();
    let (first, second) = (server.user("a").await, server.user("b").await);
    let md5 = md5_of(b"x");
    assert_eq!(server.upload(&first, "f", b"x").await, 0);
    assert_eq!(server.upload(&second, "f", b"x").await, 0);
    let share = "/api/dealfile?cmd=share";
    assert_eq!(server.code(share, first.label(&md5, "f")).await, 0);
    assert_eq!(server.code(share, second.label(&md5, "f")).await, 3);
    assert_eq!(server.files(&second).await[0]["share_status"], 0);
    // What another has deleted stays shared; what the sharer deletes does not.
    let delete = "/api/dealfile?cmd=del";
    assert_eq!(server.code(delete, second.label(&md5, "f")).await, 0);
    assert_eq!(server.shared().await.len(), 1);
    assert_eq!(server.code(delete, first.label(&md5, "f")).await, 0);
    assert!(server.shared().await.is_empty());
}

#[tokio::test]
async fn what_nobody_shares_cannot_be_saved() {
    let server = Server::new();
    let (owner, other) = (server.user("a").await, server.user("b").await);
    assert_eq!(server.upload(&owner, "f", b"x").await, 0);
    let body = other.bare_label(&md5_of(b"x"), "f");
    assert_eq!(server.code("/api/dealsharefile?cmd=save", body).await, 1);
}

#[tokio::test]
async fn types_come_from_the_rows_own_name() {
    let server = Server::new();
    let user = server.user("a").await;
    for (name, kind) in [
        ("A.JPG", "jpg"),
        ("archive.tar.gz", "gz"),
        (".bashrc", "bashrc"),
        ("Makefile", "null"),
        ("dot.", "null"),
    ] {
        assert_eq!(server.upload(&user, name, b"x").await, 0);
        assert_eq!(
            server.files(&user).await.pop().unwrap()["type"],
            json!(kind),
            "{name}"
        );
    }
}

#[tokio::test]
async fn nicks_need_not_be_unique_and_names_are_compared_exactly() {
    let server = Server::new();
    for name in ["Qingfu", "qingfu", " qingfu", "ｑｉｎｇｆｕ"] {
        let body = json!({"userName": name, "nickName": "n", "firstPwd": PASSWORD});
        assert_eq!(server.code("/api/reg", body).await, 0, "{name}");
    }
    let body = json!({"userName": "qingfu", "nickName": "n", "firstPwd": PASSWORD});
    assert_eq!(server.code("/api/reg", body).await, 2);
}

#[tokio::test]
async fn the_last_of_repeated_members_counts_and_unknown_ones_do_not() {
    let server = Server::new();
    let user = server.user("a").await;
    let body = format!(
        "\u{feff}{{\"user\":\"x\",\"user\":\"a\",\"token\":\"{}\",\"cout\":[{{}}]}} // end",
        user.token
    );
    let answer = server.post("/api/myfiles?cmd=count", body).await.json();
    assert_eq!(answer, json!({"code": 0, "total": 0}));
}

#[tokio::test]
async fn names_that_could_be_markup_come_back_as_they_are() {
    let server = Server::new();
    let user = server.user("a").await;
    let name = "\"><script>alert(1)</script>\\😀\u{2028}.html";
    let md5 = md5_of(b"x");
    let head = format!("user=\"a\" filename=\"{name}\" md5=\"{md5}\" size=1");
    assert_eq!(server.code_of("/api/upload", literal(&head, b"x")).await, 0);
    assert_eq!(server.files(&user).await[0]["file_name"], json!(name));
    let shared = server.code("/api/dealfile?cmd=share", user.label(&md5, name));
    assert_eq!(shared.await, 0);
    assert_eq!(server.shared().await[0]["file_name"], json!(name));
}
