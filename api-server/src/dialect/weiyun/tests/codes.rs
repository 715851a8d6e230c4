//! Every return code under its condition.

use std::collections::BTreeSet;

use common::code::ErrorCode;

use super::*;
use crate::backend::Step;
use crate::backend::catalog::Fault;
use crate::core::accounts::Standing;
use crate::core::catalog::CatalogError;
use crate::core::error::CoreError;
use crate::core::id::Token;

fn abc() -> Content {
    Content::new("abc.txt", "abc")
}

async fn server_and_user() -> (Server, User) {
    let server = Server::new().await;
    let user = server.user("king").await;
    (server, user)
}

/// Applies with some parameters set to other values, or taken away, and makes sure that a refusal
/// leaves no trace.
async fn apply_with(server: &Server, user: &User, changes: &[(&'static str, Option<&str>)]) -> i64 {
    let mut pairs = [user.parameters(), abc().parameters("normal")].concat();
    for (name, value) in changes {
        pairs.retain(|(found, _)| found != name);
        pairs.extend(value.map(|value| (*name, value.to_owned())));
    }
    let before = server.state();
    let ret = server.get("/weiyun/upload_file", &pairs).await.ret();
    if ret != 0 {
        assert_eq!(server.state(), before, "{changes:?}");
    }
    ret
}

#[tokio::test]
async fn storage_that_is_busy_is_1013_and_silent_100009() {
    let (server, user) = server_and_user().await;
    let key = server.key(&user, &abc(), "normal").await;
    for (code, ret) in [
        (ErrorCode::Busy, 1013),
        (ErrorCode::NoSpace, 1013),
        (ErrorCode::Unavailable, 100_009),
        (ErrorCode::Storage, 1014),
    ] {
        for step in [Step::Begin, Step::Finish, Step::Commit] {
            server.blobs.fail(step, code);
            let reply = server.post_form(&key, form(b"abc")).await;
            assert_eq!(reply.ret(), ret, "{step:?} {code:?}");
            server.blobs.heal();
        }
    }
    // The same request may be sent again.
    assert_eq!(server.post_form(&key, form(b"abc")).await.ret(), 0);
}

#[tokio::test]
async fn a_user_who_was_locked_meanwhile_is_1016() {
    let (server, user) = server_and_user().await;
    let key = server.key(&user, &abc(), "normal").await;
    let account = user.actor.account;
    let locked = server
        .service()
        .change(move |tx, _| accounts::set_standing(tx, account, Standing::Disabled));
    locked.await.unwrap();
    assert_eq!(server.post_form(&key, form(b"abc")).await.ret(), 1016);
    // The tokens went with the standing.
    assert_eq!(apply_with(&server, &user, &[]).await, 100_014);
}

#[tokio::test]
async fn an_upload_that_nobody_takes_now_is_1023_and_is_resumed_later() {
    let (server, user) = server_and_user().await;
    server.set_writable(0);
    assert_eq!(server.apply(&user, &abc(), "normal").await.ret(), 1023);
    server.set_writable(1);
    server.blobs.fail(Step::Cluster, ErrorCode::Unavailable);
    assert_eq!(server.apply(&user, &abc(), "normal").await.ret(), 1023);
    server.blobs.heal();
    // Another content of that name shows that the first attempt was recorded.
    let other = Content::new("abc.txt", "other");
    assert_eq!(server.apply(&user, &other, "normal").await.ret(), 1057);
    assert_eq!(server.upload(&user, &abc()).await.ret(), 0);
}

#[tokio::test]
async fn a_catalog_that_fails_is_1025() {
    let (server, user) = server_and_user().await;
    server.catalog.fail_write(1, Fault::Before);
    assert_eq!(server.apply(&user, &abc(), "normal").await.ret(), 1025);
    assert_eq!(server.apply(&user, &abc(), "normal").await.ret(), 0);
}

#[tokio::test]
async fn a_file_above_the_limit_is_1029_and_above_the_quota_1053() {
    let (server, user) = server_and_user().await;
    let size = |size: u64| size.to_string();
    let apply = async |size: &str| apply_with(&server, &user, &[("size", Some(size))]).await;
    assert_eq!(apply(&size(SIZE_MAX + 1)).await, 1029);
    let account = user.actor.account;
    let set = server
        .service()
        .change(move |tx, _| accounts::set_quota(tx, account, Some(1000)));
    set.await.unwrap();
    assert_eq!(apply(&size(1001)).await, 1053);
    assert_eq!(apply(&size(600)).await, 0);
    // Open uploads count.
    let changes = [("size", Some("401")), ("name", Some("other"))];
    assert_eq!(apply_with(&server, &user, &changes).await, 1053);
    let changes = [("size", Some("400")), ("name", Some("other"))];
    assert_eq!(apply_with(&server, &user, &changes).await, 0);
}

#[tokio::test]
async fn other_bytes_for_an_open_upload_are_1057() {
    let (server, user) = server_and_user().await;
    let first = server.apply(&user, &abc(), "normal").await;
    let md5 = "0".repeat(32);
    let sha = "0".repeat(40);
    for change in [("size", "4"), ("md5", md5.as_str()), ("sha", sha.as_str())] {
        assert_eq!(
            apply_with(&server, &user, &[(change.0, Some(change.1))]).await,
            1057
        );
    }
    let other = Content::new("abc.txt", "other");
    let reply = server.apply(&user, &other, "control").await;
    assert_eq!(reply.ret(), 1057);
    // It tells of the upload that is there.
    assert_eq!(reply.data("file_id"), first.data("file_id"));
    assert_eq!(
        (reply.data("file_size"), reply.data("file_cur_size")),
        ("3", "0")
    );
    assert_eq!(
        (reply.data("file_md5"), reply.data("file_sha")),
        (&*abc().md5(), &*abc().sha())
    );
}

#[tokio::test]
async fn a_damaged_account_is_1072_and_a_closed_store_100013() {
    let (server, user) = server_and_user().await;
    let token: Token = user.token.parse().unwrap();
    let key = [b"K".as_slice(), &token.hash().0].concat();
    let damaged = server
        .service()
        .change(move |tx, _| Ok(tx.put(&key, b"?")?));
    damaged.await.unwrap();
    assert_eq!(apply_with(&server, &user, &[]).await, 1072);
    server.catalog.close();
    let pairs = [user.parameters(), abc().parameters("normal")].concat();
    assert_eq!(server.get("/weiyun/put", &pairs).await.ret(), 100_013);
}

#[tokio::test]
async fn what_the_operator_refuses_is_1076_and_1078() {
    let mut settings = WeiyunSettings {
        size_max: SIZE_MAX,
        cross_domain: Vec::new(),
        blocked: BTreeSet::from([abc().sha().parse().unwrap()]),
        users: BTreeSet::new(),
    };
    let server = Server::with(settings.clone(), ServiceSettings::default()).await;
    let user = server.user("king").await;
    assert_eq!(apply_with(&server, &user, &[]).await, 1076);
    let other = Content::new("abc.txt", "other");
    assert_eq!(server.apply(&user, &other, "normal").await.ret(), 0);

    settings.users.insert("queen".parse().unwrap());
    let server = Server::with(settings, ServiceSettings::default()).await;
    let (king, queen) = (server.user("king").await, server.user("queen").await);
    assert_eq!(server.apply(&king, &other, "normal").await.ret(), 1078);
    assert_eq!(server.apply(&queen, &other, "normal").await.ret(), 0);
}

#[tokio::test]
async fn an_application_may_do_what_its_scopes_say() {
    let server = Server::new().await;
    let life = Duration::from_hours(1);
    let reads = Scopes {
        read: true,
        write: false,
    };
    let viewer = server.user_with("viewer", reads, life).await;
    assert_eq!(server.apply(&viewer, &abc(), "normal").await.ret(), 1078);
    assert_eq!(
        server
            .get("/weiyun/get_file_list", &viewer.parameters())
            .await
            .ret(),
        0
    );
    let writes = Scopes {
        read: false,
        write: true,
    };
    let sender = server.user_with("sender", writes, life).await;
    assert_eq!(server.upload(&sender, &abc()).await.ret(), 0);
    assert_eq!(
        server
            .get("/weiyun/get_file_list", &sender.parameters())
            .await
            .ret(),
        1078
    );
}

#[tokio::test]
async fn a_failure_of_the_dialect_itself_is_20008() {
    let server = Server::new().await;
    let response = server.dialect.failed();
    // Whoever sent a packet must not take it for a success.
    assert_eq!(response.status(), 500);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let json: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["ret"], 20008);
}

#[tokio::test]
async fn applications_and_their_keys_have_codes_of_their_own() {
    let (server, user) = server_and_user().await;
    let other = server.user("queen").await;
    let (app, theirs) = (user.app.to_string(), other.app.to_string());
    for (changes, ret) in [
        (vec![("oauth_consumer_key", Some("12345"))], 20014),
        (vec![("oauth_consumer_key", Some(theirs.as_str()))], 20015),
        (vec![("oauth_consumer_key", None)], 100_017),
        (vec![("oauth_consumer_key", Some(""))], 100_017),
        (vec![("oauth_consumer_key", Some("x"))], 100_017),
        (vec![("appid", Some(""))], 100_017),
        (vec![("appid", Some("x"))], 100_017),
        (vec![("appid", Some(theirs.as_str()))], 100_017),
        (vec![("appid", Some(app.as_str()))], 0),
        (vec![("openid", None)], 20015),
        (vec![("openid", Some(""))], 20015),
        (vec![("openid", Some(other.openid.as_str()))], 20015),
        (vec![("openid", Some(&user.openid.to_lowercase()))], 0),
    ] {
        assert_eq!(
            apply_with(&server, &user, &changes).await,
            ret,
            "{changes:?}"
        );
    }
}

#[tokio::test]
async fn tokens_that_are_none_are_100014() {
    let (server, user) = server_and_user().await;
    let random = "0".repeat(32);
    for token in [
        None,
        Some(""),
        Some("x"),
        Some(random.as_str()),
        Some(&user.token[1..]),
    ] {
        assert_eq!(
            apply_with(&server, &user, &[("access_token", token)]).await,
            100_014
        );
    }
    let over = server.user_with("over", Scopes::ALL, Duration::ZERO).await;
    assert_eq!(apply_with(&server, &over, &[]).await, 100_014);
    let (token, account): (Token, _) = (user.token.parse().unwrap(), user.actor.account);
    let revoked = server.service().change(move |tx, _| {
        crate::core::grants::revoke(tx, &token.hash())?;
        crate::core::apps::of_account(tx, account).map(drop)
    });
    revoked.await.unwrap();
    assert_eq!(apply_with(&server, &user, &[]).await, 100_014);
}

#[tokio::test]
async fn every_parameter_has_its_code_and_their_order_is_kept() {
    let (server, user) = server_and_user().await;
    let long = "x".repeat(parameters::LEN_MAX);
    for (name, value, ret) in [
        ("upload_type", "flash", 100_018),
        ("sha", "x", 100_003),
        ("md5", "x", 100_004),
        ("size", "x", 1014),
        ("name", "a/b", 1014),
        ("unknown", &long, 30003),
    ] {
        assert_eq!(
            apply_with(&server, &user, &[(name, Some(value))]).await,
            ret,
            "{name}"
        );
    }
    // Token, openid, application, upload type, sha, md5, size, name, name taken, quota.
    assert_eq!(server.upload(&user, &abc()).await.ret(), 0);
    let account = user.actor.account;
    let full = server
        .service()
        .change(move |tx, _| accounts::set_quota(tx, account, Some(1)));
    full.await.unwrap();
    let order = [
        ("access_token", "x", 100_014),
        ("openid", "x", 20015),
        ("oauth_consumer_key", "x", 100_017),
        ("upload_type", "x", 100_018),
        ("sha", "x", 100_003),
        ("md5", "x", 100_004),
        ("size", "99999999999", 1029),
        ("name", "a:b", 1014),
    ];
    for (at, (_, _, ret)) in order.iter().enumerate() {
        let wrong: Vec<_> = order[at..]
            .iter()
            .map(|(name, value, _)| (*name, Some(*value)))
            .collect();
        assert_eq!(apply_with(&server, &user, &wrong).await, *ret);
    }
    assert_eq!(apply_with(&server, &user, &[]).await, 1051);
    assert_eq!(
        apply_with(&server, &user, &[("name", Some("new"))]).await,
        1053
    );
}

#[tokio::test]
async fn unknown_calls_and_methods_are_refused() {
    let server = Server::new().await;
    for path in ["/weiyun/x", "/weiyun/", "/oauth2.0/x", "/ftn_handler/a/b"] {
        let reply = server.send(HttpRequest::get(path).body("").unwrap()).await;
        assert_eq!(
            (reply.status, reply.ret()),
            (StatusCode::NOT_FOUND, -1),
            "{path}"
        );
    }
    for (method, path) in [
        ("POST", "/weiyun/upload_file"),
        ("DELETE", "/weiyun/put"),
        ("OPTIONS", "/weiyun/put"),
        ("GET", "/ftn_handler/"),
        ("PUT", "/ftn_handler"),
        ("DELETE", "/oauth2.0/token"),
    ] {
        let request = HttpRequest::builder().method(method).uri(path);
        let reply = server.send(request.body("").unwrap()).await;
        assert_eq!(
            (reply.status, reply.ret()),
            (StatusCode::OK, -1),
            "{method} {path}"
        );
    }
}

/// What only happens to accounts or servers that are too large for a test.
#[test]
fn rare_failures_of_the_core_have_their_numbers() {
    let ret = |error: CoreError| Refusal::from(ServiceError::from(error)).ret();
    assert_eq!(ret(CoreError::TooManyEntries(1)), Ret::TooMany);
    assert_eq!(ret(CoreError::TooManyUploads(1)), Ret::Busy);
    assert_eq!(ret(CoreError::NoFolder), Ret::NoFolder);
    assert_eq!(ret(CatalogError::Busy.into()), Ret::Busy);
    assert_eq!(
        ret(CatalogError::Database(String::new()).into()),
        Ret::Bitmap
    );
    let store = |error: CatalogError| {
        let error = ServiceError::from(error);
        Refusal::AccountStore(error).ret()
    };
    assert_eq!(
        store(CatalogError::Database(String::new())),
        Ret::AccountStore
    );
    assert_eq!(store(CatalogError::Contradiction("")), Ret::AccountRecord);
    assert_eq!(store(CatalogError::Closed), Ret::LoginNotReady);
    assert_eq!(store(CatalogError::Busy), Ret::Busy);
}
