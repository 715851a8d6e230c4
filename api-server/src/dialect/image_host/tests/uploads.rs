//! Uploads: formats, what is refused, and that nothing stays behind.

use common::code::ErrorCode;

use super::*;
use crate::backend::Step;

async fn refused(server: &Server, body: Vec<u8>) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    assert_eq!(server.code_of("/api/upload", body).await, 1, "{shown}");
}

#[tokio::test]
async fn fields_may_stand_before_or_behind_the_file() {
    let server = Server::new();
    let user = server.user("a").await;
    let file = form(&[("behind.txt", b"1")], &[("user", "a")]);
    assert_eq!(server.code_of("/api/upload", file).await, 0);
    let all = form(&[], &[("user", "a"), ("size", "1"), ("unknown", "x")]);
    let fields = String::from_utf8(all)
        .unwrap()
        .replace("--BOUNDARY--\r\n", "");
    let before = [fields.into_bytes(), form(&[("before.txt", b"1")], &[])].concat();
    assert_eq!(server.code_of("/api/upload", before).await, 0);
    let names: Vec<_> = server.files(&user).await;
    let names: Vec<_> = names
        .iter()
        .map(|row| row["file_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["behind.txt", "before.txt"]);
    assert_eq!(server.blobs.ids().len(), 1, "one content is stored once");
}

#[tokio::test]
async fn any_content_comes_back_as_it_was() {
    let server = Server::new();
    let user = server.user("a").await;
    let long: Vec<u8> = (0..UPLOAD_SIZE_MAX).map(|at| (at % 251) as u8).collect();
    let contents: [&[u8]; 5] = [
        b"",
        b"\r\n",
        b"\0\r\n------WebKitFormBoundarynHRBTFoUv<p3Tewg\r\n",
        b"--BOUNDARY-\r\n--BOUND",
        &long,
    ];
    for (at, content) in contents.into_iter().enumerate() {
        let (md5, size) = (md5_of(content), content.len());
        let head = format!("user=\"a\" filename=\"{at}\" md5=\"{md5}\" size={size}");
        let sent = server.code_of("/api/upload", literal(&head, content));
        assert_eq!(sent.await, 0, "{at}");
        let row = server.files(&user).await.pop().unwrap();
        assert_eq!((&row["md5"], &row["size"]), (&json!(md5), &json!(size)));
        let blob = row["url"]
            .as_str()
            .unwrap()
            .strip_prefix("http://img.example/");
        let blob = server.blobs.bytes(&blob.unwrap().parse().unwrap()).unwrap();
        assert_eq!(blob, content);
    }
    assert_eq!(server.upload(&user, "again", &long).await, 0);
    assert_eq!(server.upload(&user, "again", &long).await, 0);
    assert_eq!(server.files(&user).await.len(), 6);
}

#[tokio::test]
async fn names_are_labels_of_1_to_128_characters() {
    let server = Server::new();
    let user = server.user("a").await;
    for name in [
        "图".repeat(128),
        "../../etc/passwd".to_owned(),
        "<b>.html".to_owned(),
    ] {
        assert_eq!(server.upload(&user, &name, name.as_bytes()).await, 0);
        let row = server.files(&user).await.pop().unwrap();
        assert_eq!(row["file_name"], json!(name));
    }
    for name in [
        "",
        &"图".repeat(129),
        &"a".repeat(5000),
        "a\u{1}b",
        "%0D%0Ax",
    ] {
        refused(&server, browser_form(&user, name, b"x")).await;
    }
}

#[tokio::test]
async fn forms_that_say_too_little_or_contradict_themselves_are_refused() {
    let server = Server::new();
    let user = server.user("a").await;
    let file: &[(&str, &[u8])] = &[("a.txt", b"abc")];
    let md5 = md5_of(b"abc");
    let long = "a".repeat(33);
    for fields in [
        &[][..],
        &[("user", "")],
        &[("user", "nobody")],
        &[("user", &long)],
        &[("user", "a\0")],
        &[("user", "a"), ("md5", PASSWORD)],
        &[("user", "a"), ("md5", "")],
        &[("user", "a"), ("md5", "x")],
        &[("user", "a"), ("size", "2")],
        &[("user", "a"), ("size", "4")],
        &[("user", "a"), ("size", "")],
        &[("user", "a"), ("size", "-3")],
        &[("user", "a"), ("size", "99999999999999999999999")],
        &[("user", "a"), ("size", "3"), ("md5", &md5[..31])],
        &[("user", "a"), ("token", "x")],
        &[("user", "a"), ("token", "x\0")],
        &[("user", "a"), ("user", "a")],
    ] {
        refused(&server, form(file, fields)).await;
    }
    let fields: &[_] = &[("user", "a")];
    refused(&server, form(&[], fields)).await;
    refused(&server, form(&[file[0], file[0]], fields)).await;
    let good = form(file, fields);
    let text = String::from_utf8(good.clone()).unwrap();
    refused(&server, text.replace("--BOUNDARY--\r\n", "").into_bytes()).await;
    refused(
        &server,
        text.replacen("--BOUNDARY", "--OTHER", 1).into_bytes(),
    )
    .await;
    // Cut anywhere, up to the last byte of the closing delimiter.
    for len in 0..good.len() - 2 {
        refused(&server, good[..len].to_vec()).await;
    }
    let request = HttpRequest::post("/api/upload")
        .header("content-type", "multipart/form-data; boundary=WRONG")
        .body(good.clone())
        .unwrap();
    assert_eq!(server.send(HOME, request).await.code(), 1);
    for parameters in [
        "user=\"a\" filename=\"f\" size=2",
        "user=\"a\" filename=\"f\" size=4",
        "user=\"a\" filename=\"f\" size=x",
        "user=\"a\" filename=\"f\" md5=\"00\"",
        "user=\"nobody\" filename=\"f\" size=3",
        "user=\"a\" size=3",
        "filename=\"f\" size=3",
    ] {
        refused(&server, literal(parameters, b"abc")).await;
    }
    assert!(server.files(&user).await.is_empty());
    assert_eq!(server.blobs.ids(), []);
    assert_eq!(server.code("/api/md5", user.label(&md5, "a.txt")).await, 1);
    assert_eq!(server.code_of("/api/upload", good).await, 0);
}

#[tokio::test]
async fn files_that_are_too_large_are_refused_as_early_as_can_be() {
    let server = Server::new();
    let user = server.user("a").await;
    let max = usize::try_from(UPLOAD_SIZE_MAX).unwrap();
    let before = server.state();
    for body in [
        browser_form(&user, "a", &vec![0; max + 1]),
        vec![b'x'; 10 * 1024 * 1024],
        literal(&format!("user=\"a\" filename=\"f\" size={}", max + 1), b"x"),
    ] {
        let reply = server.post("/api/upload", body).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (413, 1));
        assert_eq!(server.state(), before);
    }
    assert_eq!(server.upload(&user, "a", &vec![0; max]).await, 0);
}

#[tokio::test]
async fn a_failure_of_storage_is_a_fault_and_leaves_nothing() {
    let server = Server::new();
    let user = server.user("a").await;
    for step in [Step::Begin, Step::Write, Step::Finish] {
        server.blobs.fail(step, ErrorCode::NoSpace);
        let before = server.state();
        let reply = server
            .post("/api/upload", browser_form(&user, "a", b"abc"))
            .await;
        assert_eq!((reply.status.as_u16(), reply.code()), (500, 1), "{step:?}");
        assert_eq!(server.state(), before, "{step:?}");
        server.blobs.heal();
    }
    server.blobs.fail(Step::Commit, ErrorCode::Unavailable);
    let reply = server
        .post("/api/upload", browser_form(&user, "a", b"abc"))
        .await;
    assert_eq!((reply.status.as_u16(), reply.code()), (500, 1));
    server.blobs.heal();
    assert!(server.files(&user).await.is_empty());
    assert_eq!(
        server
            .code("/api/md5", user.label(&md5_of(b"abc"), "a"))
            .await,
        1
    );
    assert_eq!(server.blobs.ids(), []);
    assert_eq!(server.upload(&user, "a", b"abc").await, 0);
}

#[tokio::test]
async fn a_stranger_is_heard_only_for_a_while() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = vec![7; usize::try_from(UNKNOWN_SENDER_LEN_MAX).unwrap() + 1];
    // Who sends it stands behind the file, so nobody knows whether it will be taken.
    refused(&server, form(&[("long", &content)], &[("user", "a")])).await;
    let short = &content[1..];
    let behind = form(&[("short", short)], &[("user", "a")]);
    assert_eq!(server.code_of("/api/upload", behind).await, 0);
    // A name in front, of a user who is logged in from there, and a token in the target are enough.
    let md5 = md5_of(&content);
    let head = format!("user=\"a\" filename=\"named\" md5=\"{md5}\"");
    assert_eq!(
        server
            .code_of("/api/upload", literal(&head, &content))
            .await,
        0
    );
    let target = format!("/api/upload?token={}", user.token);
    let behind = form(&[("proved", &content)], &[("user", "a")]);
    assert_eq!(server.code_of(&target, behind).await, 0);
    assert_eq!(server.blobs.ids().len(), 2);
}
