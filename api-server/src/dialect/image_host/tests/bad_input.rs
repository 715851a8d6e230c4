//! Requests that are wrong: each gets its code and leaves no trace.

use super::*;

/// A body with `name` set to each thing that no text of `max` characters is.
fn bad_texts(body: &Value, name: &str, max: usize) -> Vec<Value> {
    let values = [
        None,
        Some(json!(null)),
        Some(json!("")),
        Some(json!("a".repeat(max + 1))),
        Some(json!("😀".repeat(max + 1))),
        Some(json!("图".repeat(100_000))),
        Some(json!("a\0b")),
        Some(json!("a\nb")),
        Some(json!("a\u{7f}b")),
        Some(json!(1)),
        Some(json!(1.5)),
        Some(json!(true)),
        Some(json!(["a"])),
        Some(json!({"a": "b"})),
    ];
    values.map(|value| with(body, name, value)).to_vec()
}

/// The same for digests and links.
fn bad_digests(body: &Value, name: &str) -> Vec<Value> {
    let mut bodies = bad_texts(body, name, 32);
    for text in ["e10adc", &PASSWORD[..31], &"g".repeat(32), &"图".repeat(32)] {
        bodies.push(with(body, name, Some(json!(text))));
    }
    bodies.push(with(body, name, Some(json!(format!(" {PASSWORD}")))));
    bodies
}

/// The same for numbers of rows.
fn bad_numbers(body: &Value, name: &str, least: i64) -> Vec<Value> {
    let values = [
        None,
        Some(json!(null)),
        Some(json!(least - 1)),
        Some(json!(i64::MIN)),
        Some(json!(-1e300)),
        Some(json!(1.5)),
        Some(json!("")),
        Some(json!("x")),
        Some(json!("1.0")),
        Some(json!(" 1")),
        Some(json!("1\0")),
        Some(json!(true)),
        Some(json!([1])),
        Some(json!({"a": 1})),
    ];
    values.map(|value| with(body, name, value)).to_vec()
}

async fn all_are(server: &Server, target: &str, bodies: Vec<Value>, code: u64) {
    for body in bodies {
        let found = server.code(target, body.clone()).await;
        let shown: String = body.to_string().chars().take(200).collect();
        assert_eq!(found, code, "{target} {shown}");
    }
}

#[tokio::test]
async fn registrations_with_bad_members_are_refused() {
    let server = Server::new();
    let good = json!({
        "email": "a@b.c", "firstPwd": PASSWORD, "nickName": "n", "phone": "1", "userName": "u"
    });
    all_are(&server, "/api/reg", bad_texts(&good, "userName", 32), 1).await;
    all_are(&server, "/api/reg", bad_texts(&good, "nickName", 32), 1).await;
    for value in [
        json!(null),
        json!(""),
        json!(7),
        json!("x".repeat(129)),
        json!([]),
    ] {
        let body = with(&good, "firstPwd", Some(value));
        assert_eq!(server.code("/api/reg", body).await, 1);
    }
    for value in [json!("1".repeat(17)), json!(7), json!("1\0"), json!({})] {
        let body = with(&good, "phone", Some(value));
        assert_eq!(server.code("/api/reg", body).await, 1);
    }
    for value in ["a", "a@b", "a@b@c.d", "@b.c", "a b@c.d", "a@b.c\0"] {
        let body = with(&good, "email", Some(json!(value)));
        assert_eq!(server.code("/api/reg", body).await, 1, "{value}");
    }
    assert_eq!(
        server
            .code("/api/reg", with(&good, "email", Some(json!(7))))
            .await,
        1
    );
    let long = json!(format!("{}@b.c", "a".repeat(251)));
    assert_eq!(
        server
            .code("/api/reg", with(&good, "email", Some(long)))
            .await,
        1
    );
    // At the limits, with characters of several bytes, and without what may be left out.
    let longest = json!({
        "userName": "图".repeat(32), "nickName": "😀".repeat(32), "firstPwd": "图".repeat(128),
        "phone": "1".repeat(16), "email": ""
    });
    assert_eq!(server.code("/api/reg", longest).await, 0);
    let least = json!({"userName": "l", "nickName": "n", "firstPwd": "p", "email": null});
    assert_eq!(server.code("/api/reg", least).await, 0);
}

#[tokio::test]
async fn log_ins_with_bad_members_are_refused() {
    let server = Server::new();
    let body = json!({"user": "a", "pwd": PASSWORD});
    all_are(&server, "/api/login", bad_texts(&body, "user", 32), 1).await;
    for value in [
        json!(null),
        json!(""),
        json!(7),
        json!("x".repeat(129)),
        json!([]),
    ] {
        let body = with(&body, "pwd", Some(value));
        assert_eq!(server.code("/api/login", body).await, 1);
    }
    assert_eq!(server.code("/api/login", json!({"user": "a"})).await, 1);
}

#[tokio::test]
async fn calls_about_files_with_bad_members_are_refused() {
    let server = Server::new();
    let user = server.user("a").await;
    let longest = "图".repeat(128);
    assert_eq!(server.upload(&user, &longest, b"x").await, 0);
    assert_eq!(server.upload(&user, "s.txt", b"x").await, 0);
    let md5 = md5_of(b"x");
    let share = "/api/dealfile?cmd=share";
    assert_eq!(server.code(share, user.label(&md5, "s.txt")).await, 0);
    for target in [
        share,
        "/api/dealfile?cmd=pv",
        "/api/dealfile?cmd=del",
        "/api/md5",
        "/api/sharepic?cmd=share",
        "/api/dealsharefile?cmd=pv",
        "/api/dealsharefile?cmd=save",
        "/api/dealsharefile?cmd=cancel",
    ] {
        let body = user.label(&md5, "s.txt");
        all_are(&server, target, bad_digests(&body, "md5"), 1).await;
        all_are(&server, target, bad_texts(&body, "filename", 128), 1).await;
        all_are(&server, target, bad_texts(&body, "user", 32), 1).await;
        let control = with(&body, "token", Some(json!(format!("{}\0", user.token))));
        assert_eq!(server.code(target, control).await, 1, "{target}");
    }
    for target in ["/api/sharepic?cmd=browse", "/api/sharepic?cmd=cancel"] {
        let body = json!({"user": "a", "token": user.token, "urlmd5": PASSWORD});
        all_are(&server, target, bad_digests(&body, "urlmd5"), 1).await;
        assert_eq!(server.code(target, body).await, 1, "{target}");
    }
    assert_eq!(server.code(share, user.label(&md5, &longest)).await, 0);
}

#[tokio::test]
async fn lists_with_bad_numbers_are_refused() {
    let server = Server::new();
    let user = server.user("a").await;
    assert_eq!(server.upload(&user, "a.txt", b"x").await, 0);
    for target in [
        "/api/myfiles?cmd=normal",
        "/api/myfiles?cmd=pvasc",
        "/api/myfiles?cmd=pvdesc",
        "/api/sharefiles?cmd=normal",
        "/api/sharefiles?cmd=pvdesc",
        "/api/sharepic?cmd=normal",
    ] {
        let body = user.rows(0, 1);
        all_are(&server, target, bad_numbers(&body, "start", 0), 1).await;
        all_are(&server, target, bad_numbers(&body, "count", 1), 1).await;
        let huge = json!(u64::MAX);
        for (start, count) in [
            (json!(0), huge.clone()),
            (huge.clone(), huge),
            (json!("2"), json!(2.0)),
        ] {
            let body = with(&with(&body, "start", Some(start)), "count", Some(count));
            assert_eq!(server.code(target, body).await, 0, "{target}");
        }
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_refused_with_1_and_status_200() {
    let server = Server::new();
    let nested = format!(
        "{{\"user\":{}{}}}",
        "[".repeat(500_000),
        "]".repeat(400_000)
    );
    let endless = format!("{{\"user\":\"{}", "a".repeat(900_000));
    let bodies: Vec<&[u8]> = vec![
        b"",
        b"{",
        b"{\"user\":\"a\"",
        b"[]",
        b"null",
        b"\"user\"",
        b"user=a&pwd=b",
        b"{\"user\":\"\xff\"}",
        br#"{"user":"\ud800"}"#,
        b"{\"user\":\"a\0b\"}",
        b"{'user':'a'}",
        b"{\"user\":\"a\",}",
        b"{} {}",
        b"/* {}",
        nested.as_bytes(),
        endless.as_bytes(),
    ];
    for target in [
        "/api/reg",
        "/api/login",
        "/api/myfiles?cmd=count",
        "/api/myfiles?cmd=normal",
        "/api/sharefiles?cmd=normal",
        "/api/dealfile?cmd=share",
        "/api/dealsharefile?cmd=save",
        "/api/md5",
        "/api/sharepic?cmd=browse",
        "/api/upload",
    ] {
        for body in &bodies {
            let before = server.state();
            let reply = server.post(target, body.to_vec()).await;
            let is_too_long = target == "/api/upload" && UPLOAD_SIZE_MAX < body.len() as u64;
            let status = if is_too_long { 413 } else { 200 };
            assert_eq!(
                (reply.status.as_u16(), reply.code()),
                (status, 1),
                "{target}"
            );
            assert_eq!(server.state(), before);
        }
        if target != "/api/upload" {
            let reply = server.post(target, vec![b' '; (1 << 20) + 1]).await;
            assert_eq!((reply.status.as_u16(), reply.code()), (413, 1), "{target}");
        }
    }
}

#[tokio::test]
async fn commands_that_nobody_knows_are_refused() {
    let server = Server::new();
    let user = server.user("a").await;
    for path in [
        "myfiles",
        "sharefiles",
        "dealfile",
        "dealsharefile",
        "sharepic",
    ] {
        for command in [
            "",
            "?cmd",
            "?cmd=",
            "?cmd=Count",
            "?cmd=count%00",
            "?x=count",
        ] {
            let target = format!("/api/{path}{command}");
            let body = user.label(PASSWORD, "a");
            assert_eq!(server.code(&target, body).await, 1, "{target}");
        }
    }
}
