//! Credentials and what they allow. Source: docs/api/pan123.md §2.

use super::*;
use crate::service::{Registration, Secret};

const TOKEN: &str = "/api/v1/access_token";
/// The MD5 of `123456`.
const PASSWORD: &str = "e10adc3949ba59abbe56e057f20f883e";

impl Server {
    /// Makes an account that can log in.
    async fn register(&self, name: &str) -> AccountId {
        let registration = Registration {
            user: name.parse().unwrap(),
            secret: Secret::new(PASSWORD).unwrap(),
            profile: Profile {
                nick: name.parse().unwrap(),
                email: Some("a@b.example".parse().unwrap()),
                phone: None,
            },
        };
        self.service.add_account(registration).await.unwrap()
    }

    async fn access_token(&self, body: Value) -> Reply {
        // It needs neither a token nor the platform.
        self.send(HttpRequest::post(TOKEN).body(body.to_string()).unwrap())
            .await
    }
}

fn user_of(account: AccountId, reply: &Reply) -> User {
    let token = reply.data()["accessToken"].as_str().unwrap().to_owned();
    User { account, token }
}

#[tokio::test]
async fn an_application_gets_a_token_for_its_user() {
    let server = Server::new();
    let account = server.register("king").await;
    let name = "backup".parse().unwrap();
    let created = server.service.create_app(account, name, Scopes::ALL).await;
    let (app, secret) = created.unwrap();
    for body in [
        json!({"clientID": app.to_string(), "clientSecret": secret.0}),
        json!({"clientId": app.to_string(), "clientsecret": secret.0}),
    ] {
        let reply = server.access_token(body).await;
        let data = reply.data();
        let expires: jiff::Timestamp = data["expiredAt"].as_str().unwrap().parse().unwrap();
        assert!(data["expiredAt"].as_str().unwrap().ends_with("+08:00"));
        let days = (expires.as_second() - i64::from(common::env::clock::unix_seconds())) / 86_400;
        assert!((29..=30).contains(&days), "{days}");
        let user = user_of(account, &reply);
        assert_eq!(
            server.get(&user, "/api/v1/user/info").await.data()["uid"],
            account.0
        );
    }
    let reply = server
        .access_token(json!({"clientID": app.to_string(), "clientSecret": secret.0}))
        .await;
    let user = user_of(account, &reply);
    server
        .service
        .change(move |tx, _| crate::core::apps::remove(tx, account, app))
        .await
        .unwrap();
    assert_eq!(server.get(&user, "/api/v1/user/info").await.code(), 401);
}

#[tokio::test]
async fn a_user_gets_one_with_name_and_password() {
    let server = Server::new();
    for name in ["king", "100001"] {
        let account = server.register(name).await;
        let body = json!({"clientID": name, "clientSecret": PASSWORD});
        let reply = server.access_token(body).await;
        let user = user_of(account, &reply);
        assert_eq!(
            server.get(&user, "/api/v1/user/info").await.data()["nickname"],
            name
        );
    }
}

#[tokio::test]
async fn wrong_credentials_are_401_and_absent_ones_1() {
    let server = Server::new();
    let account = server.register("king").await;
    let name = "backup".parse().unwrap();
    let created = server.service.create_app(account, name, Scopes::ALL).await;
    let (app, secret) = created.unwrap();
    let (app, secret) = (app.to_string(), secret.0);
    for (id, secret, code) in [
        (app.as_str(), PASSWORD, 401),
        (app.as_str(), "x", 401),
        ("1", &secret, 401),
        ("king", &secret, 401),
        ("queen", PASSWORD, 401),
        ("99999999999999999999999", PASSWORD, 401),
        (&"k".repeat(100), PASSWORD, 401),
        ("", PASSWORD, 1),
        ("king", "", 1),
    ] {
        let reply = server
            .access_token(json!({"clientID": id, "clientSecret": secret}))
            .await;
        assert_eq!(
            (reply.status, reply.code()),
            (StatusCode::OK, code),
            "{id} {secret}"
        );
    }
    assert_eq!(server.access_token(json!({})).await.code(), 1);
    assert_eq!(
        server
            .access_token(json!({"clientID": 5, "clientSecret": "x"}))
            .await
            .code(),
        1
    );
}

#[tokio::test]
async fn the_password_gets_no_token_where_the_operator_says_so() {
    let mut server = Server::new();
    server.register("king").await;
    server.dialect.password_tokens = false;
    let body = json!({"clientID": "king", "clientSecret": PASSWORD});
    assert_eq!(server.access_token(body).await.code(), 401);
}

#[tokio::test]
async fn a_token_of_a_reader_changes_nothing() {
    let server = Server::new();
    let writer = server.user("king").await;
    let content = bytes(SLICE, 1);
    let file = server.upload(&writer, "a", &content).await;
    let read = Scopes {
        read: true,
        write: false,
    };
    let token = server.token(writer.account, read).await;
    let reader = User { token, ..writer };
    assert_eq!(server.names(&reader, 0).await, ["a"]);
    assert_eq!(server.content(&reader, file).await, content);
    // Not 401, which clients take as a reason to fetch another token, for ever.
    for (target, body) in [
        ("/upload/v1/file/mkdir", json!({"name": "b", "parentID": 0})),
        ("/upload/v2/file/create", announcement("b", &content)),
        ("/api/v1/file/trash", json!({"fileIDs": [file]})),
    ] {
        assert_eq!(server.code(&reader, target, body).await, 1, "{target}");
    }
}

#[tokio::test]
async fn the_account_of_a_token_is_told_in_full() {
    let server = Server::new();
    let user = server.user_with("king", Some(1 << 30), Scopes::ALL).await;
    let content = bytes(SLICE + 7, 1);
    let file = server.upload(&user, "a", &content).await;
    let info = server.get(&user, "/api/v1/user/info").await;
    assert_eq!(
        info.data(),
        &json!({
            "uid": user.account.0,
            "nickname": "king",
            "headImage": "",
            "passport": "",
            "mail": "",
            "spaceUsed": SLICE + 7,
            "spacePermanent": 1 << 30,
            "spaceTemp": 0,
            "spaceTempExpr": 0,
            "vip": false,
            "directTraffic": 0,
            "isHideUID": false,
            "httpsCount": 0,
            "vipInfo": null,
            "developerInfo": null,
        })
    );
    let ids = json!({"fileIDs": [file]});
    server.call(&user, "/api/v1/file/trash", ids.clone()).await;
    let used = |info: &Reply| info.data()["spaceUsed"].as_u64().unwrap();
    let info = server.get(&user, "/api/v1/user/info").await;
    assert_eq!(used(&info), content.len() as u64, "the trash counts");
    server.call(&user, "/api/v1/file/delete", ids).await;
    assert_eq!(used(&server.get(&user, "/api/v1/user/info").await), 0);
}

#[tokio::test]
async fn a_token_per_call_is_fine() {
    let server = Server::new();
    let account = server.register("king").await;
    let body = json!({"clientID": "king", "clientSecret": PASSWORD});
    let first = user_of(account, &server.access_token(body.clone()).await);
    for _ in 0..20 {
        let user = user_of(account, &server.access_token(body.clone()).await);
        assert_eq!(server.get(&user, "/api/v1/user/info").await.code(), 0);
    }
    let reply = server.get(&first, "/api/v1/user/info").await;
    assert_eq!(reply.code(), 0, "later ones do not end it");
}
