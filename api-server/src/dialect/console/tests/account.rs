//! The user's own account.

use super::*;

#[tokio::test]
async fn everybody_may_know_what_the_server_allows() {
    let fixture = Fixture::new();
    let said = fixture.call(Method::GET, "server", None, None).await.ok();
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "registration": true, "upload_size_max": 1 << 30, "session_life": 86_400,
    });
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_user_sees_the_account_and_changes_the_profile() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    fixture.file(&user, "a.txt", "12345").await;
    let me = fixture.get(&user, "me").await.ok();
    let created = me["created"].as_u64().unwrap();
    assert!(created.abs_diff(clock::unix_seconds().into()) < 60);
    let mut expected = json!({
        "user": "king", "nick": "king", "email": "", "phone": "", "created": created,
        "administrator": true, "files": 1, "bytes": 5, "shares": 0, "pictures": 0,
        "quota": null, "used": 5, "reserved": 0, "trash": 0,
    });
    assert_eq!(me, expected);
    let wanted = json!({"nick": "陛下", "email": "k@castle.example", "phone": "1"});
    for (name, value) in wanted.as_object().unwrap() {
        expected[name] = value.clone();
    }
    let put = |body| fixture.call(Method::PUT, "me", Some(&user), Some(body));
    assert_eq!(put(wanted).await.ok(), expected);
    assert_eq!(fixture.get(&user, "me").await.ok(), expected);
    let cleared = put(json!({"nick": "k"})).await.ok();
    assert_eq!(
        (&cleared["email"], &cleared["phone"]),
        (&json!(""), &json!(""))
    );
}

#[tokio::test]
async fn a_profile_that_is_none_changes_nothing() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let before = fixture.catalog.snapshot();
    for body in [
        json!({"nick": ""}),
        json!({"nick": "a".repeat(33)}),
        json!({"nick": "a\u{0}b"}),
        json!({"nick": 1}),
        json!({"nick": null}),
        json!({"email": "a@b.c"}),
        json!({"nick": "a", "email": "nobody"}),
        json!({"nick": "a", "phone": "1".repeat(17)}),
        json!([]),
        json!("me"),
    ] {
        let said = fixture
            .call(Method::PUT, "me", Some(&user), Some(body))
            .await;
        said.refused(400, "bad_request");
    }
    let token = format!("Bearer {}", user.token);
    let headers = [("authorization", token.as_str())];
    let deep = "[".repeat(10_000);
    for body in ["", "{", "{\"nick\":\"a\"}}", &deep] {
        let body = Bytes::from(body.to_owned());
        let said = fixture.send(Method::PUT, "me", &headers, body).await;
        said.refused(400, "bad_request");
    }
    let long = json!({"nick": "a".repeat(20_000)}).to_string().into();
    let said = fixture.send(Method::PUT, "me", &headers, long).await;
    said.refused(413, "too_large");
    assert_eq!(fixture.catalog.snapshot(), before);
}

#[tokio::test]
async fn without_a_token_that_lives_nothing_is_said() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let before = fixture.catalog.snapshot();
    let mut strangers = vec![
        String::new(),
        "0".repeat(32),
        user.token[..31].to_owned(),
        format!("{}0", user.token),
        user.token.to_uppercase().replace(char::is_numeric, "x"),
    ];
    fixture
        .set_standing(user.actor.account, Standing::Disabled)
        .await;
    strangers.push(user.token.clone());
    for (method, path) in [
        (Method::GET, "me"),
        (Method::PUT, "me"),
        (Method::POST, "password"),
        (Method::GET, "sessions"),
        (Method::DELETE, "sessions/1"),
        (Method::DELETE, "session"),
        (Method::POST, "renew"),
        (Method::GET, "files"),
        (Method::DELETE, "files/1"),
        (Method::GET, "shares"),
        (Method::GET, "pictures"),
        (Method::GET, "admin/overview"),
        (Method::GET, "admin/accounts"),
        (Method::POST, "admin/accounts"),
        (Method::POST, "admin/accounts/king"),
        (Method::POST, "admin/accounts/king/password"),
    ] {
        for token in &strangers {
            let token = format!("Bearer {token}");
            let headers = [("authorization", token.as_str())];
            let said = fixture
                .send(method.clone(), path, &headers, Bytes::new())
                .await;
            assert_eq!(said.headers["www-authenticate"], "Bearer");
            said.refused(401, "session_ended");
        }
        if path != "shares" {
            let cookie = format!("token={}", user.token);
            let headers = [("cookie", cookie.as_str())];
            let said = fixture.send(method, path, &headers, Bytes::new()).await;
            said.refused(401, "session_ended");
        }
    }
    fixture.catalog.restore(before);
    fixture.get(&user, "me").await.ok();
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_whatever_they_bring() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let token = format!("Bearer {}", user.token);
    let call = async |origin: &str| {
        let headers = [("authorization", token.as_str()), ("origin", origin)];
        fixture
            .send(Method::POST, "renew", &headers, Bytes::new())
            .await
    };
    for origin in ["https://evil.example", "null"] {
        call(origin).await.refused(403, "forbidden");
    }
    call("http://img.example").await.ok();
}

#[tokio::test]
async fn unknown_calls_are_not_found_and_other_methods_are_named() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    fixture
        .get(&user, "nothing")
        .await
        .refused(404, "not_found");
    let said = fixture.delete(&user, "me").await;
    assert_eq!(said.headers["allow"], "GET, PUT");
    said.refused(405, "bad_request");
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_other_sessions_end() {
    let fixture = Fixture::new();
    let user = fixture.user_with_password("king").await;
    let elsewhere = fixture.session(user.actor.clone()).await;
    let body = |old: &str, new: &str| json!({"old": old, "new": new});

    let wrong = fixture
        .post(&user, "password", body(OTHER_PASSWORD, PASSWORD))
        .await;
    wrong.refused(403, "wrong_password");
    for bad in ["", "short", &"x".repeat(32)] {
        let said = fixture.post(&user, "password", body(PASSWORD, bad)).await;
        said.refused(400, "bad_request");
    }
    fixture.get(&elsewhere, "me").await.ok();

    let right = body(&PASSWORD.to_uppercase(), OTHER_PASSWORD);
    fixture.post(&user, "password", right).await.done();
    fixture.get(&user, "me").await.ok();
    fixture
        .get(&elsewhere, "me")
        .await
        .refused(401, "session_ended");
    let log_in = |secret: &str| {
        let secret = Secret::new(secret).unwrap();
        fixture
            .service
            .log_in(address(), user.actor.user.clone(), secret)
    };
    assert!(log_in(PASSWORD).await.is_err());
    log_in(OTHER_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_stolen_token_is_no_way_to_guess_the_password() {
    let rates = RateSettings {
        failures_per_account: Rate {
            burst: 2,
            per: Duration::from_hours(1),
        },
        ..RateSettings::default()
    };
    let fixture = Fixture::with(ServiceSettings {
        rates,
        ..ServiceSettings::default()
    });
    let user = fixture.user_with_password("king").await;
    let guess = || {
        fixture.post(
            &user,
            "password",
            json!({"old": OTHER_PASSWORD, "new": PASSWORD}),
        )
    };
    guess().await.refused(403, "wrong_password");
    guess().await.refused(403, "wrong_password");
    let said = guess().await;
    assert!(said.headers.contains_key("retry-after"));
    said.refused(429, "too_many");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_only() {
    let fixture = Fixture::new();
    let (user, other) = (fixture.user("king").await, fixture.user("queen").await);
    let second = fixture.session(user.actor.clone()).await;
    let list = fixture.get(&user, "sessions").await.ok();
    let sessions = list["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let current: Vec<_> = sessions
        .iter()
        .filter(|row| row["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["address"], "192.0.2.1");
    assert!(current[0]["created"].as_u64() < current[0]["expires"].as_u64());
    let told = list.to_string();
    assert!(!told.contains(&user.token) && !told.contains(&second.token));
    let of_second = sessions.iter().find(|row| row["current"] == false).unwrap();
    let path = format!("sessions/{}", of_second["id"].as_str().unwrap());

    fixture
        .delete(&other, &path)
        .await
        .refused(404, "not_found");
    for bad in ["sessions/0", "sessions/%00", &path[..path.len() - 1]] {
        fixture.delete(&user, bad).await.refused(404, "not_found");
    }
    fixture.get(&second, "me").await.ok();
    fixture.delete(&user, &path).await.done();
    fixture
        .get(&second, "me")
        .await
        .refused(401, "session_ended");
    fixture.delete(&user, &path).await.refused(404, "not_found");
    fixture.delete(&user, "session").await.done();
    fixture.get(&user, "me").await.refused(401, "session_ended");
    fixture.get(&other, "me").await.ok();
}

#[tokio::test]
async fn a_renewed_token_takes_the_place_of_the_old_one() {
    let fixture = Fixture::new();
    let user = fixture.user("king").await;
    let renewed = fixture.post(&user, "renew", Value::Null).await.ok();
    let token = renewed["token"].as_str().unwrap().to_owned();
    let left = renewed["expires"].as_u64().unwrap() - u64::from(clock::unix_seconds());
    assert!((86_000..=86_400).contains(&left), "{left}");
    fixture.get(&user, "me").await.refused(401, "session_ended");
    let renewed = User { token, ..user };
    fixture.get(&renewed, "me").await.ok();
}
