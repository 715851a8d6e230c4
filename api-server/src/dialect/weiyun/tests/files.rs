//! Lists, downloads and deletion.

use http::Method;

use super::*;

async fn uploaded(server: &Server, user: &User, names: &[&'static str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        let reply = server.upload(user, &Content::new(name, *name)).await;
        ids.push(reply.data("file_id").to_owned());
    }
    ids
}

fn with<'a>(user: &User, more: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    let more = more
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    user.parameters().into_iter().chain(more).collect()
}

#[tokio::test]
async fn lists_show_the_files_of_the_root_oldest_first() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let ids = uploaded(
        &server,
        &user,
        &["z.jpg", "a.mp3", "m.mp4", "b.txt", "c.png"],
    )
    .await;
    // Open uploads, files in folders and other users' are not in it.
    server
        .key(&user, &Content::new("open.jpg", "open"), "normal")
        .await;
    let other = server.user("queen").await;
    uploaded(&server, &other, &["hers.jpg"]).await;
    for (kind, expected) in [
        ("file", vec!["z.jpg", "a.mp3", "m.mp4", "b.txt", "c.png"]),
        ("photo", vec!["z.jpg", "c.png"]),
        ("music", vec!["a.mp3"]),
        ("video", vec!["m.mp4"]),
    ] {
        let path = format!("/weiyun/get_{kind}_list");
        let reply = server.get(&path, &user.parameters()).await;
        assert_eq!(reply.ret(), 0);
        let rows = reply.json["data"]["content"].as_array().unwrap();
        let names: Vec<_> = rows
            .iter()
            .map(|row| row["file_name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected);
        assert_eq!(reply.json["data"]["file_total"], expected.len());
    }
    let pairs = with(&user, &[("offset", "1"), ("number", "2")]);
    let reply = server.get("/weiyun/get_file_list", &pairs).await;
    let rows = reply.json["data"]["content"].as_array().unwrap();
    assert_eq!(reply.json["data"]["file_total"], 5);
    let row = rows[0].as_object().unwrap();
    assert_eq!(
        (&row["file_id"], &row["file_size"]),
        (&ids[1].clone().into(), &5.into())
    );
    assert_eq!((rows.len(), row.len()), (2, 4));
    for (name, value) in [
        ("offset", "x"),
        ("offset", "-1"),
        ("number", "101"),
        ("number", "x"),
    ] {
        let reply = server
            .get("/weiyun/get_file_list", &with(&user, &[(name, value)]))
            .await;
        assert_eq!(reply.ret(), 1014, "{name}={value}");
    }
    let reply = server
        .get("/weiyun/get_file_list", &with(&user, &[("offset", "99")]))
        .await;
    assert_eq!(reply.json["data"]["content"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_deleted_file_goes_to_the_trash_and_its_name_is_free() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let ids = uploaded(&server, &user, &["a.txt"]).await;
    let delete = async |path: &str| {
        let pairs = with(&user, &[("file_id", &ids[0])]);
        server.get(path, &pairs).await.ret()
    };
    assert_eq!(delete("/weiyun/delete_photo").await, 0);
    assert_eq!(delete("/weiyun/delete_file").await, 1020);
    let list = server
        .get("/weiyun/get_file_list", &user.parameters())
        .await;
    assert_eq!(list.json["data"]["file_total"], 0);
    assert_eq!(server.blobs.ids().len(), 1, "the trash has it");
    assert_eq!(
        server
            .upload(&user, &Content::new("a.txt", "new"))
            .await
            .ret(),
        0
    );
}

#[tokio::test]
async fn unknown_and_foreign_files_are_1020() {
    let server = Server::new().await;
    let (king, queen) = (server.user("king").await, server.user("queen").await);
    let ids = uploaded(&server, &king, &["a.txt"]).await;
    let before = server.state();
    for path in ["/weiyun/delete_file", "/weiyun/download_file"] {
        for (user, id) in [
            (&queen, ids[0].as_str()),
            (&king, ""),
            (&king, "x"),
            (&king, "8fb2cfad-67a9-49a8-b6b1-40014b57dbd7"),
        ] {
            let reply = server.get(path, &with(user, &[("file_id", id)])).await;
            assert_eq!(reply.ret(), 1020, "{path} {id}");
        }
        assert_eq!(server.get(path, &king.parameters()).await.ret(), 1020);
    }
    assert_eq!(server.state(), before);
}

/// Where a file can be fetched, and the cookie for it.
async fn link(server: &Server, user: &User, id: &str) -> (String, String) {
    let reply = server
        .get("/weiyun/download_file", &with(user, &[("file_id", id)]))
        .await;
    assert_eq!(reply.ret(), 0);
    let place = (
        &reply.json["data"]["dl_svr_host"],
        &reply.json["data"]["dl_svr_port"],
    );
    assert_eq!(place, (&"127.0.0.1".into(), &8080.into()));
    let cookie = format!(
        "{}={}",
        reply.data("dl_cookie_name"),
        reply.data("dl_cookie_value")
    );
    (
        format!("/ftn_handler/{}/", reply.data("dl_encrypt_url")),
        cookie,
    )
}

async fn fetch(server: &Server, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Bytes) {
    let mut request = HttpRequest::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, headers, bytes) = server.exchange(request.body("").unwrap()).await;
    (status.as_u16(), headers, bytes)
}

#[tokio::test]
async fn a_file_is_fetched_with_its_cookie_whole_or_in_ranges() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let reply = server
        .upload(&user, &Content::new("a.txt", "0123456789"))
        .await;
    let (path, cookie) = link(&server, &user, reply.data("file_id")).await;
    let others = format!("a=b; {cookie}; c=d");
    let (status, headers, bytes) = fetch(&server, &path, &[("cookie", &others)]).await;
    assert_eq!((status, bytes), (200, Bytes::from("0123456789")));
    assert_eq!(
        headers["cache-control"].to_str().unwrap().split(',').next(),
        Some("private")
    );
    // The platform's own client asks for one byte past the end.
    for (range, expected) in [
        ("bytes=0-3", "0123"),
        ("bytes=8-10", "89"),
        ("bytes=4-", "456789"),
    ] {
        let headers = [("cookie", &*cookie), ("range", range)];
        let (status, _, bytes) = fetch(&server, &path, &headers).await;
        assert_eq!((status, bytes), (206, Bytes::from(expected)), "{range}");
    }
    let without_slash = path.trim_end_matches('/');
    assert_eq!(
        fetch(&server, without_slash, &[("cookie", &cookie)])
            .await
            .0,
        200
    );
    let request = HttpRequest::builder().method(Method::HEAD).uri(&path);
    let request = request.header("cookie", &cookie).body("").unwrap();
    let (status, headers, bytes) = server.exchange(request).await;
    assert_eq!(
        (status.as_u16(), &headers["content-length"]),
        (200, &"10".parse().unwrap())
    );
    assert!(bytes.is_empty());
}

#[tokio::test]
async fn a_link_without_its_cookie_or_past_its_time_is_403() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let ids = uploaded(&server, &user, &["a.txt", "b.txt"]).await;
    let (path, cookie) = link(&server, &user, &ids[0]).await;
    let (other, others) = link(&server, &user, &ids[1]).await;
    let forged = format!("{}0", &cookie[..cookie.len() - 1]);
    let forged = if forged == cookie {
        format!("{}1", &cookie[..cookie.len() - 1])
    } else {
        forged
    };
    for headers in [
        vec![],
        vec![("cookie", &*others)],
        vec![("cookie", &*forged)],
    ] {
        assert_eq!(fetch(&server, &path, &headers).await.0, 403);
    }
    assert_eq!(fetch(&server, &other, &[("cookie", &cookie)]).await.0, 403);
    assert_eq!(
        fetch(&server, "/ftn_handler/x/", &[("cookie", &cookie)])
            .await
            .0,
        403
    );
    // A link of the past, permitted as it was then.
    let names = server.dialect.names().await.unwrap();
    let (id, now) = (ids[0].replace('-', ""), common::env::clock::unix_seconds());
    for (ends, expected) in [(now - 1, 403), (now + 60, 200)] {
        let link = format!("{id}{ends:08x}");
        let cookie = format!("FTN5K={}", names.permission(&link));
        let path = format!("/ftn_handler/{link}/");
        assert_eq!(
            fetch(&server, &path, &[("cookie", &cookie)]).await.0,
            expected
        );
    }
    // Its file may be gone by now.
    server
        .get("/weiyun/delete_file", &with(&user, &[("file_id", &ids[0])]))
        .await;
    assert_eq!(fetch(&server, &path, &[("cookie", &cookie)]).await.0, 404);
    server.blobs.fail(
        crate::backend::Step::Open,
        common::code::ErrorCode::Unavailable,
    );
    assert_eq!(fetch(&server, &other, &[("cookie", &others)]).await.0, 503);
}
