//! OAuth 2.0: from user name and password to a call.

use crate::core::apps::AppSecret;

use super::*;

/// A user with a password and an application.
async fn registered(server: &Server) -> (AccountId, AppNumber, AppSecret) {
    let registration = crate::service::Registration {
        user: "king".parse().unwrap(),
        secret: Secret::new(PASSWORD).unwrap(),
        profile: Profile {
            nick: "king".parse().unwrap(),
            email: None,
            phone: None,
        },
    };
    let account = server.service().add_account(registration).await.unwrap();
    let created = server
        .service()
        .create_app(account, "app".parse().unwrap(), Scopes::ALL);
    let (app, secret) = created.await.unwrap();
    (account, app, secret)
}

async fn text(server: &Server, request: HttpRequest<String>) -> String {
    let (status, headers, bytes) = server.exchange(request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["cache-control"], "no-store");
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn get(server: &Server, path: &str, pairs: &[(&str, String)]) -> String {
    let request = HttpRequest::get(format!("{path}?{}", query(pairs)));
    text(server, request.body(String::new()).unwrap()).await
}

/// The object of an answer, bare or within the call of `callback`.
fn object(text: &str) -> Value {
    let bare = text
        .strip_prefix("callback( ")
        .and_then(|rest| rest.strip_suffix(" );\n"));
    serde_json::from_str(bare.unwrap_or(text)).unwrap_or_else(|_| panic!("{text}"))
}

fn by_password(app: AppNumber, secret: &AppSecret) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "password".to_owned()),
        ("client_id", app.to_string()),
        ("client_secret", secret.0.to_string()),
        ("username", "king".to_owned()),
        ("password", PASSWORD.to_owned()),
    ]
}

fn with(
    pairs: &[(&'static str, String)],
    name: &'static str,
    value: Option<&str>,
) -> Vec<(&'static str, String)> {
    let mut pairs = pairs.to_vec();
    pairs.retain(|(found, _)| *found != name);
    pairs.extend(value.map(|value| (name, value.to_owned())));
    pairs
}

#[tokio::test]
async fn a_password_gives_tokens_and_these_an_upload() {
    let server = Server::new().await;
    let (account, app, secret) = registered(&server).await;
    let pairs = by_password(app, &secret);
    // As the platform writes it, from a query and from a form.
    let answer = get(&server, "/oauth2.0/token", &pairs).await;
    let (access, rest) = answer
        .split_once("&expires_in=7776000&refresh_token=")
        .unwrap();
    let token = access.strip_prefix("access_token=").unwrap();
    assert_eq!((token.len(), rest.len()), (32, 32));
    let request = HttpRequest::post("/oauth2.0/token?fmt=json")
        .body(query(&pairs))
        .unwrap();
    let tokens = object(&text(&server, request).await);
    assert_eq!(tokens["expires_in"], 7_776_000);
    let openid = tokens["openid"].as_str().unwrap();
    assert_eq!(tokens["oauth_token_secret"].as_str().unwrap().len(), 32);

    let me = [("access_token", token.to_owned())];
    let answer = get(&server, "/oauth2.0/me", &me).await;
    assert!(answer.starts_with("callback( {\"client_id\":"), "{answer}");
    assert!(answer.ends_with("} );\n"));
    let found = object(&answer);
    assert_eq!(
        (&found["client_id"], &found["openid"]),
        (&app.to_string().into(), &openid.into())
    );
    let me = [me.to_vec(), vec![("fmt", "json".to_owned())]].concat();
    assert_eq!(object(&get(&server, "/oauth2.0/me", &me).await), found);

    let user = User {
        actor: Actor {
            account,
            user: "king".parse().unwrap(),
        },
        app,
        app_secret: secret.0.to_string(),
        token: token.to_owned(),
        openid: openid.to_owned(),
    };
    assert_eq!(
        server
            .upload(&user, &Content::new("abc.txt", "abc"))
            .await
            .ret(),
        0
    );
}

#[tokio::test]
async fn a_refresh_token_gives_one_pair_and_ends_the_old_one() {
    let server = Server::new().await;
    let (_, app, secret) = registered(&server).await;
    let json = |pairs: &[(&'static str, String)]| with(pairs, "fmt", Some("json"));
    let pairs = by_password(app, &secret);
    let first = object(&get(&server, "/oauth2.0/token", &json(&pairs)).await);
    let refresh = |token: &Value| {
        let pairs = with(&pairs, "grant_type", Some("refresh_token"));
        json(&with(&pairs, "refresh_token", token.as_str()))
    };
    let second = object(
        &get(
            &server,
            "/oauth2.0/token",
            &refresh(&first["refresh_token"]),
        )
        .await,
    );
    assert_eq!(second["openid"], first["openid"]);
    assert_ne!(second["access_token"], first["access_token"]);
    let again = object(
        &get(
            &server,
            "/oauth2.0/token",
            &refresh(&first["refresh_token"]),
        )
        .await,
    );
    assert_eq!(again["error"], 100_022);
    let me = |token: &Value| [("access_token", token.as_str().unwrap().to_owned())];
    let old = object(&get(&server, "/oauth2.0/me", &me(&first["access_token"])).await);
    assert_eq!(old["error"], 100_016);
    let new = object(&get(&server, "/oauth2.0/me", &me(&second["access_token"])).await);
    assert_eq!(new["openid"], first["openid"]);
    // An access token is no refresh token, and a refresh token proves nobody.
    let wrong = object(
        &get(
            &server,
            "/oauth2.0/token",
            &refresh(&second["access_token"]),
        )
        .await,
    );
    assert_eq!(wrong["error"], 100_022);
    let wrong = object(&get(&server, "/oauth2.0/me", &me(&second["refresh_token"])).await);
    assert_eq!(wrong["error"], 100_016);
}

#[tokio::test]
async fn every_wrong_parameter_has_its_number() {
    let server = Server::new().await;
    let (_, app, secret) = registered(&server).await;
    let pairs = by_password(app, &secret);
    let error = async |pairs: &[(&str, String)]| {
        let answer = get(&server, "/oauth2.0/token", pairs).await;
        assert!(answer.starts_with("callback( {\"error\":"), "{answer}");
        let answer = object(&answer);
        assert!(!answer["error_description"].as_str().unwrap().is_empty());
        answer["error"].as_u64().unwrap()
    };
    for (name, value, number) in [
        ("grant_type", None, 100_004),
        ("grant_type", Some("x"), 100_004),
        ("client_id", None, 100_001),
        ("client_id", Some("x"), 100_008),
        ("client_id", Some("12345"), 100_008),
        ("client_secret", None, 100_002),
        ("client_secret", Some("x"), 100_009),
        ("username", None, 100_021),
        ("username", Some("nobody"), 100_021),
        ("password", None, 100_021),
        ("password", Some("x"), 100_021),
    ] {
        assert_eq!(
            error(&with(&pairs, name, value)).await,
            number,
            "{name}={value:?}"
        );
    }
    let refresh = with(&pairs, "grant_type", Some("refresh_token"));
    assert_eq!(error(&refresh).await, 100_006);
    assert_eq!(
        error(&with(&refresh, "refresh_token", Some("x"))).await,
        100_022
    );
    let code = with(&pairs, "grant_type", Some("authorization_code"));
    assert_eq!(error(&code).await, 100_005);
    let me = async |pairs: &[(&str, String)]| {
        object(&get(&server, "/oauth2.0/me", pairs).await)["error"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(me(&[]).await, 100_007);
    assert_eq!(me(&[("access_token", "x".to_owned())]).await, 100_013);
    assert_eq!(me(&[("access_token", "0".repeat(32))]).await, 100_016);
}

#[tokio::test]
async fn an_openid_is_that_of_a_user_and_an_application() {
    let server = Server::new().await;
    let (account, app, _) = registered(&server).await;
    let names = server.dialect.names().await.unwrap();
    let openid = names.openid(account, app);
    assert_eq!(openid.len(), 32);
    assert!(
        openid
            .bytes()
            .all(|byte| b"0123456789ABCDEF".contains(&byte))
    );
    let other = server.user("queen").await;
    let all = [openid, names.openid(account, other.app), other.openid];
    assert_eq!(std::collections::BTreeSet::from(all).len(), 3);
}
