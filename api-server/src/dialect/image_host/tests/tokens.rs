//! Who may act: tokens of others, wrong ones and none, and where a token may stand.

use super::*;
use crate::service::{Rate, RateSettings, TokenlessPolicy};

/// Calls that must bring a token, with what they need, and the code for a bad one.
fn required(user: &User) -> Vec<(&'static str, Value, u64)> {
    let label = user.label(PASSWORD, "a.txt");
    let link = json!({"user": user.name, "token": user.token, "urlmd5": PASSWORD});
    vec![
        ("/api/myfiles?cmd=count", user.rows(0, 1), 1),
        ("/api/myfiles?cmd=normal", user.rows(0, 1), 1),
        ("/api/myfiles?cmd=pvasc", user.rows(0, 1), 1),
        ("/api/myfiles?cmd=pvdesc", user.rows(0, 1), 1),
        ("/api/dealfile?cmd=share", label.clone(), 4),
        ("/api/dealfile?cmd=del", label.clone(), 1),
        ("/api/dealfile?cmd=pv", label.clone(), 1),
        ("/api/md5", label.clone(), 4),
        ("/api/sharepic?cmd=share", label, 4),
        ("/api/sharepic?cmd=normal", user.rows(0, 1), 1),
        ("/api/sharepic?cmd=cancel", link, 4),
    ]
}

#[tokio::test]
async fn where_a_token_is_required_only_the_users_own_will_do() {
    let server = Server::new();
    let (user, other) = (server.user("a").await, server.user("b").await);
    let bad = [
        None,
        Some(json!(null)),
        Some(json!("")),
        Some(json!(7)),
        Some(json!([user.token])),
        Some(json!(other.token)),
        Some(json!(user.token[..31])),
        Some(json!(format!("{}0", user.token))),
        Some(json!(user.token.to_uppercase())),
        Some(json!(format!(" {}", user.token))),
        Some(json!("0".repeat(32))),
    ];
    for (target, body, code) in required(&user) {
        for token in &bad {
            let body = with(&body, "token", token.clone());
            assert_eq!(
                server.code(target, body.clone()).await,
                code,
                "{target} {body}"
            );
        }
        // A cookie does not stand in.
        let request = HttpRequest::post(target)
            .header("cookie", format!("userName=a; token={}", user.token))
            .body(with(&body, "token", None).to_string())
            .unwrap();
        assert_eq!(server.send(HOME, request).await.code(), code, "{target}");
        // A token is judged before anything that is wrong with other members, a name included.
        for user in [None, Some(json!("")), Some(json!(1)), Some(json!("b"))] {
            let body = with(&body, "user", user.clone());
            let expected = if user == Some(json!("b")) { code } else { 1 };
            assert_eq!(
                server.code(target, body.clone()).await,
                expected,
                "{target} {body}"
            );
            let body = with(&body, "token", None);
            assert_eq!(server.code(target, body).await, code, "{target}");
        }
        let body = with(&with(&body, "token", None), "md5", None);
        assert_eq!(server.code(target, body).await, code, "{target}");
    }
}

#[tokio::test]
async fn a_session_that_is_over_proves_nothing() {
    let server = Server::new();
    let user = server.user("a").await;
    let moment = server.host.service.change(|tx, moment| {
        let account = accounts::find(tx, &"a".parse().unwrap())?.unwrap().0;
        sessions::close_all(tx, account, None)?;
        let token = Token([9; 16]).hash();
        sessions::open(
            tx,
            account,
            token,
            address(HOME),
            Duration::ZERO,
            moment.now,
        )?;
        Ok(())
    });
    moment.await.unwrap();
    let expired = User {
        token: Token([9; 16]).to_string(),
        ..user
    };
    for (target, body, code) in required(&expired) {
        assert_eq!(server.code(target, body).await, code, "{target}");
    }
    assert_eq!(server.upload(&expired, "a.txt", b"a").await, 1);
}

/// A server with a share of `a`, and the calls that need no token, as `a`.
async fn with_a_share(tokenless: TokenlessPolicy) -> (Server, User, Vec<(&'static str, Value)>) {
    let server = Server::with(ServiceSettings {
        tokenless,
        ..ServiceSettings::default()
    });
    let user = server.user("a").await;
    let md5 = md5_of(b"content");
    let fields = [("user", "a"), ("token", user.token.as_str())];
    let body = form(&[("a.txt", b"content")], &fields);
    assert_eq!(server.code_of("/api/upload", body).await, 0);
    let shared = server.code("/api/dealfile?cmd=share", user.label(&md5, "a.txt"));
    assert_eq!(shared.await, 0);
    let label = user.bare_label(&md5, "a.txt");
    let calls = vec![
        ("/api/dealsharefile?cmd=pv", label.clone()),
        ("/api/dealsharefile?cmd=save", label.clone()),
        ("/api/dealsharefile?cmd=cancel", label),
    ];
    (server, user, calls)
}

/// What a call with these headers answers; anything but a refusal of who asks counts as allowed.
async fn is_allowed(
    server: &Server,
    from: &str,
    target: &str,
    headers: &[(&str, String)],
    body: &Value,
) -> bool {
    let mut request = HttpRequest::post(target);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let before = server.state();
    let request = request.body(body.to_string()).unwrap();
    let code = server.send(from, request).await.code();
    if code == 1 {
        assert_eq!(server.state(), before);
    }
    code != 1
}

#[tokio::test]
async fn a_call_without_a_token_needs_a_session_from_the_same_address() {
    let (server, _, calls) = with_a_share(TokenlessPolicy::Bound).await;
    let other = server.user("b").await;
    for (target, body) in &calls {
        assert!(!is_allowed(&server, ELSEWHERE, target, &[], body).await);
        let wrong = [("cookie", format!("token={}", other.token))];
        assert!(!is_allowed(&server, HOME, target, &wrong, body).await);
        let unknown = with(body, "user", Some(json!("nobody")));
        assert!(!is_allowed(&server, HOME, target, &[], &unknown).await);
        for token in [json!(7), json!(other.token), json!("x")] {
            let body = with(body, "token", Some(token));
            assert!(!is_allowed(&server, HOME, target, &[], &body).await);
        }
        assert!(
            is_allowed(&server, HOME, target, &[], body).await,
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_token_may_stand_in_the_query_a_header_or_a_cookie() {
    let (server, user, calls) = with_a_share(TokenlessPolicy::Strict).await;
    let target = "/api/dealsharefile?cmd=pv";
    let body = &calls[0].1;
    assert!(!is_allowed(&server, HOME, target, &[], body).await);
    let places = [
        ("authorization", format!("Bearer {}", user.token)),
        ("cookie", format!("userName=a; token={}", user.token)),
    ];
    for place in places {
        assert!(is_allowed(&server, ELSEWHERE, target, &[place], body).await);
    }
    let in_query = format!("{target}&token={}", user.token);
    assert!(is_allowed(&server, ELSEWHERE, &in_query, &[], body).await);
    let in_body = with(body, "token", Some(json!(user.token)));
    let wrong = [("cookie", "token=x".to_owned())];
    assert!(is_allowed(&server, ELSEWHERE, target, &wrong, &in_body).await);
    assert!(
        !is_allowed(
            &server,
            ELSEWHERE,
            &in_query.replace("token=", "token=0"),
            &[],
            body
        )
        .await
    );
}

#[tokio::test]
async fn the_operator_may_trust_everybody_or_nobody() {
    let (server, _, calls) = with_a_share(TokenlessPolicy::Compat).await;
    for (target, body) in &calls {
        assert!(
            is_allowed(&server, ELSEWHERE, target, &[], body).await,
            "{target}"
        );
    }
    let (server, user, calls) = with_a_share(TokenlessPolicy::Ticket).await;
    assert!(is_allowed(&server, HOME, calls[0].0, &[], &calls[0].1).await);
    assert_eq!(server.upload(&user, "b.txt", b"new").await, 1);
    // The permit is all that is left of it.
    let asked = server.call("/api/md5", user.label(&md5_of(b"new"), "b.txt"));
    assert_eq!(asked.await["code"], 1);
    assert_eq!(server.upload(&user, "b.txt", b"new").await, 0);
}

#[tokio::test]
async fn a_page_of_somebody_else_cannot_use_the_cookie() {
    let (server, user, calls) = with_a_share(TokenlessPolicy::Bound).await;
    let cookie = ("cookie", format!("token={}", user.token));
    for (origin, expected) in [
        ("http://evil.example", false),
        ("null", false),
        ("http://img.example", true),
        ("https://app.example", true),
    ] {
        let headers = [cookie.clone(), ("origin", origin.to_owned())];
        let (target, body) = &calls[0];
        let allowed = is_allowed(&server, HOME, target, &headers, body).await;
        assert_eq!(allowed, expected, "{origin}");
        let request = HttpRequest::post("/api/upload")
            .header("cookie", &cookie.1)
            .header("origin", origin)
            .body(browser_form(&user, &format!("{}.txt", origin.len()), b"x"))
            .unwrap();
        let before = server.state();
        let code = server.send(HOME, request).await.code();
        assert_eq!(code == 0, expected, "{origin}");
        assert_eq!(server.state() != before, expected, "{origin}");
    }
}

#[tokio::test]
async fn what_is_tried_too_often_is_1() {
    let once = Rate {
        burst: 1,
        per: Duration::from_hours(1),
    };
    let server = Server::with(ServiceSettings {
        rates: RateSettings {
            registrations_per_address: once,
            misses_per_user: once,
            tokenless_per_address: once,
            ..RateSettings::default()
        },
        ..ServiceSettings::default()
    });
    let user = server.user("a").await;
    let registration = |name| json!({"userName": name, "nickName": "n", "firstPwd": PASSWORD});
    assert_eq!(server.code("/api/reg", registration("b")).await, 0);
    assert_eq!(server.code("/api/reg", registration("c")).await, 1);
    let md5 = md5_of(b"x");
    let token = [("user", "a"), ("token", user.token.as_str())];
    let body = form(&[("f", b"x")], &token);
    assert_eq!(server.code_of("/api/upload", body).await, 0);
    // Only digests that nobody has are counted.
    for (digest, code) in [(md5.as_str(), 5), (PASSWORD, 1), (&md5, 1)] {
        assert_eq!(server.code("/api/md5", user.label(digest, "f")).await, code);
    }
    assert_eq!(server.upload(&user, "g", b"x").await, 0);
    assert_eq!(server.upload(&user, "h", b"x").await, 1);
}
