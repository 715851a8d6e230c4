//! Applications, their tokens, and passwords that are asked for again and again.

use super::scene::{Scene, assert_refused};
use super::*;
use crate::core::accounts::Standing;
use crate::core::apps::{self, AppRecord, Scopes};
use crate::core::error::CoreError;
use crate::core::grants::GrantKind;
use crate::core::id::{AppNumber, Token};

const ACCESS_LIFE: Duration = Duration::from_secs(100);
const REFRESH_LIFE: Duration = Duration::from_secs(1_000);

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

/// An account that can log in.
async fn register(service: &TestService, name: &str, password: &str) -> Actor {
    let registration = Registration {
        user: name.parse().unwrap(),
        secret: secret(password),
        profile: Profile {
            nick: name.parse().unwrap(),
            email: None,
            phone: None,
        },
    };
    Actor {
        account: service.add_account(registration).await.unwrap(),
        user: name.parse().unwrap(),
    }
}

async fn app(service: &TestService, actor: &Actor) -> (AppNumber, String) {
    let name = "app".parse().unwrap();
    let made = service.create_app(actor.account, name, Scopes::ALL).await;
    let (number, secret) = made.unwrap();
    (number, secret.0.to_string())
}

async fn issue(service: &TestService, actor: &Actor, app: Option<AppNumber>) -> Tokens {
    let new = NewTokens {
        account: actor.account,
        app,
        scopes: Scopes::ALL,
        access_life: ACCESS_LIFE,
        refresh_life: Some(REFRESH_LIFE),
    };
    service.issue_tokens(new).await.unwrap()
}

async fn refresh(
    service: &TestService,
    token: Token,
    app: AppNumber,
) -> Result<Tokens, ServiceError> {
    service
        .refresh_tokens(token.hash(), app, ACCESS_LIFE, REFRESH_LIFE)
        .await
}

async fn is_denied(service: &TestService, tokens: &Tokens) -> bool {
    let access = service.bearer(&tokens.access).await;
    let hash = tokens.refresh.unwrap().hash();
    let refresh = service.grant(hash, GrantKind::Refresh).await;
    assert_eq!(access.is_ok(), refresh.is_ok(), "both or none");
    matches!(access, Err(ServiceError::Denied))
}

#[tokio::test]
async fn guessing_the_secret_of_an_application_ends_soon_and_only_for_whoever_guesses() {
    let mut scene = Scene::new();
    scene.settings.rates.failures_per_address = Rate {
        burst: 3,
        per: Duration::from_mins(10),
    };
    let service = scene.start();
    let king = user(&service, "king").await;
    let (number, secret) = app(&service, &king).await;
    // What is right takes nothing from the attempts.
    for _ in 0..5 {
        let found = service.app_of(HERE, number, &secret).await.unwrap();
        assert_eq!(found.account, king.account);
    }
    // Nor does an application that is not there, for numbers are no secret.
    for _ in 0..5 {
        let refused = service.app_of(HERE, AppNumber(number.0 + 1), &secret).await;
        assert_refused!(refused, ServiceError::Core(CoreError::NoApp));
    }
    for guess in ["guess", "", &secret.to_uppercase()] {
        let refused = service.app_of(HERE, number, guess).await;
        assert_refused!(refused, ServiceError::WrongPassword);
    }
    let refused = service.app_of(HERE, number, &secret).await;
    assert_refused!(refused, ServiceError::TooOften);
    let elsewhere: AppRecord = service.app_of(ELSEWHERE, number, &secret).await.unwrap();
    assert_eq!(elsewhere.name.as_str(), "app");
}

#[tokio::test]
async fn tokens_end_with_their_application() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let (number, secret) = app(&service, &king).await;
    let (of_app, of_user) = (
        issue(&service, &king, Some(number)).await,
        issue(&service, &king, None).await,
    );
    let bearer = service.bearer(&of_app.access).await.unwrap();
    assert_eq!(
        (bearer.actor.account, bearer.actor.user, bearer.grant.app),
        (king.account, king.user.clone(), Some(number))
    );
    // A new process knows it, too: tokens are in the catalog.
    scene.start().bearer(&of_app.access).await.unwrap();
    let account = king.account;
    service
        .change(move |tx, _| apps::remove(tx, account, number))
        .await
        .unwrap();
    assert!(is_denied(&service, &of_app).await);
    let refreshed = refresh(&service, of_app.refresh.unwrap(), number).await;
    assert_refused!(refreshed, ServiceError::Denied);
    let refused = service.app_of(HERE, number, &secret).await;
    assert_refused!(refused, ServiceError::Core(CoreError::NoApp));
    assert!(!is_denied(&service, &of_user).await);
}

#[tokio::test]
async fn tokens_end_with_the_password_and_with_the_account() {
    let scene = Scene::new();
    let service = scene.start();
    let king = register(&service, "king", "old").await;
    let (number, _) = app(&service, &king).await;
    let session = Token([7; 16]).hash();

    let tokens = issue(&service, &king, Some(number)).await;
    let wrong = service
        .change_password(&king, session, HERE, secret("wrong"), secret("new"))
        .await;
    assert_refused!(wrong, ServiceError::WrongPassword);
    assert!(!is_denied(&service, &tokens).await);
    service
        .change_password(&king, session, HERE, secret("old"), secret("new"))
        .await
        .unwrap();
    assert!(is_denied(&service, &tokens).await);

    let tokens = issue(&service, &king, Some(number)).await;
    service
        .reset_password(king.account, secret("newer"))
        .await
        .unwrap();
    assert!(is_denied(&service, &tokens).await);

    let tokens = issue(&service, &king, None).await;
    let account = king.account;
    service
        .change(move |tx, _| accounts::set_standing(tx, account, Standing::Disabled))
        .await
        .unwrap();
    assert!(is_denied(&service, &tokens).await);
}

#[tokio::test]
async fn a_password_that_was_right_lately_is_known_until_it_is_changed() {
    let mut scene = Scene::new();
    scene.settings.rates.failures_per_address = Rate {
        burst: 2,
        per: Duration::from_mins(10),
    };
    let service = scene.start();
    let king = register(&service, "king", "old").await;
    let queen = register(&service, "queen", "hers").await;
    let check = async |name: &str, text: &str, from: IpAddr| {
        let checked = service.check_password_again(from, name.parse().unwrap(), secret(text));
        checked.await.map(|(account, _)| account)
    };
    assert_eq!(check("king", "old", HERE).await.unwrap(), king.account);
    for name in ["king", "nobody"] {
        let wrong = check(name, "wrong", HERE).await;
        assert_refused!(wrong, ServiceError::WrongPassword);
    }
    // No attempt is left here, but this one is not looked at again.
    assert_eq!(check("king", "old", HERE).await.unwrap(), king.account);
    // Another user's is, also of the same password.
    for text in ["old", "hers"] {
        assert_refused!(check("queen", text, HERE).await, ServiceError::TooOften);
    }
    service
        .reset_password(king.account, secret("new"))
        .await
        .unwrap();
    assert_refused!(check("king", "old", HERE).await, ServiceError::TooOften);
    let old = check("king", "old", ELSEWHERE).await;
    assert_refused!(old, ServiceError::WrongPassword);
    let new = check("king", "new", ELSEWHERE).await;
    assert_eq!(new.unwrap(), king.account);
    let hers = check("queen", "hers", ELSEWHERE).await;
    assert_eq!(hers.unwrap(), queen.account);
    // What is known is not of use to a user who may not act.
    let account = king.account;
    service
        .change(move |tx, _| accounts::set_standing(tx, account, Standing::Disabled))
        .await
        .unwrap();
    let disabled = check("king", "new", ELSEWHERE).await;
    assert_refused!(disabled, ServiceError::WrongPassword);
}

#[tokio::test]
async fn a_refresh_token_gives_one_other_pair_to_its_application() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let (number, _) = app(&service, &king).await;
    let (other, _) = app(&service, &king).await;
    let first = issue(&service, &king, Some(number)).await;
    for (token, app) in [
        (first.refresh.unwrap(), other),
        (first.access, number),
        (Token([1; 16]), number),
    ] {
        let refused = refresh(&service, token, app).await;
        assert_refused!(refused, ServiceError::Denied);
    }
    assert!(!is_denied(&service, &first).await, "refused, it still is");

    let second = refresh(&service, first.refresh.unwrap(), number).await;
    let second = second.unwrap();
    assert!(is_denied(&service, &first).await);
    let again = refresh(&service, first.refresh.unwrap(), number).await;
    assert_refused!(again, ServiceError::Denied);
    assert!(!is_denied(&service, &second).await);

    // Of two at once, one wins; a refresh token is no access token.
    for seed in 0..20 {
        let tokens = issue(&service, &king, Some(number)).await;
        let token = tokens.refresh.unwrap();
        assert_refused!(service.bearer(&token).await, ServiceError::Denied);
        scene.world.catalog.hesitate(Some(seed));
        let (one, two) = tokio::join!(
            refresh(&service, token, number),
            refresh(&service, token, number),
        );
        scene.world.catalog.hesitate(None);
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    }
}

#[tokio::test]
async fn tokens_end_with_their_time() {
    let scene = Scene::new();
    let service = scene.start();
    let king = user(&service, "king").await;
    let (number, _) = app(&service, &king).await;
    let tokens = issue(&service, &king, Some(number)).await;
    assert_eq!(tokens.grant.expires - tokens.grant.created, 100);
    scene.clock.put_forward(100);
    let over = service.bearer(&tokens.access).await;
    assert_refused!(over, ServiceError::Denied);
    let tokens = refresh(&service, tokens.refresh.unwrap(), number).await;
    let tokens = tokens.unwrap();
    assert!(!is_denied(&service, &tokens).await);
    scene.clock.put_forward(1_000);
    assert!(is_denied(&service, &tokens).await);
    let over = refresh(&service, tokens.refresh.unwrap(), number).await;
    assert_refused!(over, ServiceError::Denied);
}

#[tokio::test]
async fn the_key_of_the_server_stays_the_same() {
    let scene = Scene::new();
    let key = scene.start().server_key().await.unwrap();
    assert_eq!(scene.start().server_key().await.unwrap().0, key.0);
    assert_ne!(key.0, Scene::new().start().server_key().await.unwrap().0);
}
