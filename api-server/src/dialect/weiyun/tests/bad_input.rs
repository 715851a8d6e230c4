//! Requests that nobody should send.

use super::*;

#[tokio::test]
async fn names_follow_the_rules_of_all_dialects() {
    let server = Server::new().await;
    let user = server.user("king").await;
    let apply = async |name: &str| {
        let mut pairs = [
            user.parameters(),
            Content::new("", "abc").parameters("normal"),
        ]
        .concat();
        pairs.retain(|(found, _)| *found != "name");
        pairs.push(("name", name.to_owned()));
        server.get("/weiyun/upload_file", &pairs).await.ret()
    };
    let (longest, longer) = ("图".repeat(255), "图".repeat(256));
    for name in [
        "CON",
        "dots..",
        "trailing ",
        " a",
        "...",
        "100% + 1&2=3",
        &longest,
    ] {
        assert_eq!(apply(name).await, 0, "{name}");
    }
    for name in [
        "", " ", "\u{3000}", ".", "..", "a\nb", "a\0", "a\u{7f}", &longer,
    ] {
        assert_eq!(apply(name).await, 1014, "{name}");
    }
    for forbidden in "\\/:*?\"<>|".chars() {
        assert_eq!(apply(&format!("a{forbidden}b")).await, 1014, "{forbidden}");
    }
    assert_eq!(apply("../../etc/passwd").await, 1014);
}

#[tokio::test]
async fn broken_forms_leave_nothing() {
    let server = Server::new().await;
    let user = server.user("king").await;
    // So large that it goes to storage while it comes.
    let content = Content::new("large.bin", vec![7; 300_000]);
    let key = server.key(&user, &content, "normal").await;
    let before = server.state();
    let good = form(&content.bytes);
    for len in [0, 1, 50, 1_000, good.len() - 2, good.len() - 1] {
        assert_eq!(
            server.post_form(&key, good[..len].to_vec()).await.ret(),
            1014,
            "{len}"
        );
        assert_eq!(server.state(), before, "{len}");
    }
    let long_line = vec![b'-'; 300];
    let no_file =
        "--BOUNDARY\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nx\r\n--BOUNDARY--";
    for body in [
        long_line,
        b"ukey=x".to_vec(),
        no_file.into(),
        vec![0xab, 0xcd],
    ] {
        assert_eq!(server.post_form(&key, body).await.ret(), 1014);
        assert_eq!(server.state(), before);
    }
    assert_eq!(server.post_form(&key, good).await.ret(), 0);
}

#[tokio::test]
async fn a_query_that_is_too_long_is_refused_everywhere() {
    let server = Server::new().await;
    let long = "x".repeat(parameters::LEN_MAX + 1);
    for path in [
        "/weiyun/upload_file",
        "/weiyun/get_file_list",
        "/weiyun/delete_file",
    ] {
        let reply = server
            .send(HttpRequest::get(format!("{path}?{long}")).body("").unwrap())
            .await;
        assert_eq!(
            (reply.status, reply.ret()),
            (StatusCode::OK, 30003),
            "{path}"
        );
    }
    let request = HttpRequest::post(format!("/ftn_handler/?{long}"))
        .body("")
        .unwrap();
    assert_eq!(server.send(request).await.ret(), 30003);
}
