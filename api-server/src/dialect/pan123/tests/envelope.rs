//! What holds for all calls: paths, methods, headers, the order of checks.

use super::*;
use crate::backend::Step;
use crate::service::{Rate, RateSettings};
use common::code::ErrorCode;

const DOMAIN: &str = "/upload/v2/file/domain";

#[tokio::test]
async fn unknown_paths_are_404_and_other_methods_are_refused() {
    let server = Server::new();
    let user = server.user("a").await;
    for path in [
        "/api/v1/share/create",
        "/upload/v2/file",
        "/api/v2",
        "/upload/v1/file/slice",
    ] {
        let reply = server.post(&user, path, json!({})).await;
        assert_eq!(
            (reply.status, reply.code()),
            (StatusCode::NOT_FOUND, 404),
            "{path}"
        );
    }
    let reply = server.post(&user, DOMAIN, json!({})).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, 1));
    assert_eq!(reply.message(), "the call is made by GET");
}

#[tokio::test]
async fn the_platform_is_checked_before_the_token_and_the_token_before_the_rest() {
    let server = Server::new();
    let user = server.user("a").await;
    let broken = || Bytes::from_static(b"{");
    for platform in [None, Some(""), Some("web")] {
        let mut request = HttpRequest::post("/upload/v2/file/create");
        if let Some(platform) = platform {
            request = request.header("platform", platform);
        }
        let reply = server.send(request.body(broken()).unwrap()).await;
        assert_eq!(reply.code(), 1, "{platform:?}");
        assert_eq!(reply.message(), "the header Platform is not open_platform");
    }
    for token in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer nonsense"),
        Some("Basic YTpi"),
        Some("Bearer eyJ.eyJ.AAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        let mut request =
            HttpRequest::post("/upload/v2/file/create").header("platform", "OPEN_Platform");
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let reply = server.send(request.body(broken()).unwrap()).await;
        assert_eq!(
            (reply.status, reply.code()),
            (StatusCode::OK, 401),
            "{token:?}"
        );
    }
    let request = user.request("POST", "/upload/v2/file/create");
    let reply = server.send(request.body(broken()).unwrap()).await;
    assert_eq!(reply.code(), 1);
    assert!(reply.message().contains("JSON"), "{reply:?}");
}

#[tokio::test]
async fn a_bare_token_is_one_too() {
    let server = Server::new();
    let user = server.user("a").await;
    for authorization in [user.token.clone(), format!("bEARER  {}", user.token)] {
        let request = HttpRequest::get(DOMAIN)
            .header("PLATFORM", "open_platform")
            .header("authorization", authorization);
        assert_eq!(server.send(request.body("").unwrap()).await.code(), 0);
    }
}

#[tokio::test]
async fn a_body_over_its_cap_is_413() {
    let server = Server::new();
    let user = server.user("a").await;
    let request = user.request("POST", "/upload/v2/file/create");
    let body = vec![b' '; 1024 * 1024 + 1];
    let reply = server.send(request.body(body).unwrap()).await;
    assert_eq!(
        (reply.status, reply.code()),
        (StatusCode::PAYLOAD_TOO_LARGE, 1)
    );
}

#[tokio::test]
async fn a_fault_is_500_and_tells_nothing() {
    let server = Server::new();
    let user = server.user("a").await;
    let content = bytes(SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    server.blobs.fail(Step::Extend, ErrorCode::Unavailable);
    let reply = server.slice(&user, &id, 1, &content).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, 500));
    assert_eq!(reply.message(), "the server failed; its log says more");
    server.blobs.heal();
    assert_eq!(
        server.slice(&user, &id, 1, &content).await.code(),
        0,
        "nothing is lost"
    );
    server.catalog.close();
    let reply = server.get(&user, DOMAIN).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, 500));
}

#[tokio::test]
async fn calls_too_many_are_429_if_that_is_limited_but_never_slices() {
    let limited = Rate {
        burst: 3,
        per: Duration::from_hours(1),
    };
    let server = Server::with(ServiceSettings {
        rates: RateSettings {
            calls_per_token: limited,
            ..RateSettings::default()
        },
        ..ServiceSettings::default()
    });
    let user = server.user("a").await;
    for _ in 0..3 {
        assert_eq!(server.get(&user, DOMAIN).await.code(), 0);
    }
    let reply = server.get(&user, DOMAIN).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::OK, 429));
    // Another call, and another token, have not been used.
    let content = bytes(8 * SLICE, 1);
    let id = server.open(&user, "a", &content).await;
    for (number, slice) in (1..).zip(content.chunks(SLICE)) {
        assert_eq!(server.slice(&user, &id, number, slice).await.code(), 0);
    }
    for _ in 0..5 {
        server.completed(&user, &id).await;
    }
    let token = server.token(user.account, Scopes::ALL).await;
    let again = User { token, ..user };
    assert_eq!(server.get(&again, DOMAIN).await.code(), 0);
}
