//! Who may act, and how often.

use super::*;
use crate::core::id::Token;
use crate::core::sessions::SessionRecord;

fn secret() -> Secret {
    Secret::new("e10adc3949ba59abbe56e057f20f883e").unwrap()
}

fn registration(name: &str) -> Registration {
    Registration {
        user: name.parse().unwrap(),
        secret: secret(),
        profile: Profile {
            nick: name.parse().unwrap(),
            email: None,
            phone: None,
        },
    }
}

async fn log_in(service: &TestService, name: &str) -> (Token, SessionRecord) {
    service
        .log_in(HERE, name.parse().unwrap(), secret())
        .await
        .unwrap()
}

fn is_denied<T>(result: &Result<T, ServiceError>) -> bool {
    matches!(result, Err(ServiceError::Denied))
}

#[tokio::test]
async fn a_token_proves_one_user_until_it_expires_or_is_renewed() {
    let world = World::new();
    let service = world.start();
    service.register(HERE, registration("king")).await.unwrap();
    service.register(HERE, registration("queen")).await.unwrap();
    let taken = service.register(HERE, registration("king")).await;
    assert!(matches!(
        taken,
        Err(ServiceError::Core(CoreError::NameTaken))
    ));
    let (king, queen) = ("king".parse().unwrap(), "queen".parse().unwrap());

    let (token, _) = log_in(&service, "king").await;
    let proof = Proof::Token(token);
    let actor = service.actor(&king, &proof).await.unwrap();
    assert!(is_denied(&service.actor(&queen, &proof).await));
    let other = Proof::Token(Token([1; 16]));
    for wrong in [other, Proof::Malformed, Proof::Nothing] {
        assert!(is_denied(&service.actor(&king, &wrong).await), "{wrong:?}");
    }
    let (renewed, _) = service.renew(token.hash(), &actor, HERE).await.unwrap();
    assert!(is_denied(&service.actor(&king, &proof).await));
    assert!(service.actor(&king, &Proof::Token(renewed)).await.is_ok());
    // Sessions are in the catalog, so a new process knows them.
    assert!(
        world
            .start()
            .actor(&king, &Proof::Token(renewed))
            .await
            .is_ok()
    );

    let short = world.start_with(ServiceSettings {
        session_life: Duration::ZERO,
        ..ServiceSettings::default()
    });
    let (expired, _) = log_in(&short, "king").await;
    assert!(is_denied(
        &service.actor(&king, &Proof::Token(expired)).await
    ));
}

#[tokio::test]
async fn calls_without_a_token_follow_the_policy() {
    let world = World::new();
    let service = world.start();
    service.register(HERE, registration("king")).await.unwrap();
    let king: crate::core::name::UserName = "king".parse().unwrap();
    let (token, _) = log_in(&service, "king").await;
    let md5 = "e10adc3949ba59abbe56e057f20f883e".parse().unwrap();
    let upload = TokenlessCall::Upload(Some(md5));
    for (policy, call, address, is_allowed) in [
        (TokenlessPolicy::Bound, TokenlessCall::Other, HERE, true),
        (
            TokenlessPolicy::Bound,
            TokenlessCall::Other,
            ELSEWHERE,
            false,
        ),
        (TokenlessPolicy::Bound, upload, HERE, true),
        (TokenlessPolicy::Compat, upload, ELSEWHERE, true),
        (TokenlessPolicy::Strict, upload, HERE, false),
        (TokenlessPolicy::Ticket, TokenlessCall::Other, HERE, true),
        (
            TokenlessPolicy::Ticket,
            TokenlessCall::Other,
            ELSEWHERE,
            false,
        ),
        (TokenlessPolicy::Ticket, upload, HERE, false),
        (
            TokenlessPolicy::Ticket,
            TokenlessCall::Upload(None),
            HERE,
            false,
        ),
    ] {
        let service = world.start_with(ServiceSettings {
            tokenless: policy,
            ..ServiceSettings::default()
        });
        let acted = service
            .actor_or_named(&king, &Proof::Nothing, address, call)
            .await;
        assert_eq!(acted.is_ok(), is_allowed, "{policy:?} {call:?} {address}");
        // A token that is there decides, whatever the policy.
        let right = service
            .actor_or_named(&king, &Proof::Token(token), ELSEWHERE, call)
            .await;
        assert!(right.is_ok());
        let wrong = service
            .actor_or_named(&king, &Proof::Malformed, HERE, call)
            .await;
        assert!(is_denied(&wrong));
    }
    let ticket = world.start_with(ServiceSettings {
        tokenless: TokenlessPolicy::Ticket,
        ..ServiceSettings::default()
    });
    let actor = ticket.actor(&king, &Proof::Token(token)).await.unwrap();
    ticket
        .add_by_md5(&actor, md5, "a".parse().unwrap())
        .await
        .unwrap_err();
    let acted = ticket
        .actor_or_named(&king, &Proof::Nothing, ELSEWHERE, upload)
        .await;
    assert!(acted.is_ok());
    let nobody = "nobody".parse().unwrap();
    let refused = service
        .actor_or_named(&nobody, &Proof::Nothing, HERE, upload)
        .await;
    assert!(matches!(
        refused,
        Err(ServiceError::Core(CoreError::NoAccount))
    ));
}

#[tokio::test]
async fn guessing_passwords_ends_soon_and_only_for_whoever_guesses() {
    let world = World::new();
    let mut settings = ServiceSettings::default();
    settings.rates.failures_per_account.burst = 3;
    let service = world.start_with(settings);
    service.register(HERE, registration("king")).await.unwrap();
    let wrong = Secret::new("wrong").unwrap();
    for name in ["king", "king", "king"] {
        let refused = service
            .log_in(HERE, name.parse().unwrap(), wrong.clone())
            .await;
        assert!(matches!(refused, Err(ServiceError::WrongPassword)));
    }
    let refused = service
        .log_in(HERE, "king".parse().unwrap(), secret())
        .await;
    assert!(matches!(refused, Err(ServiceError::TooOften)));
    assert!(
        service
            .log_in(ELSEWHERE, "king".parse().unwrap(), secret())
            .await
            .is_ok()
    );
    let nobody = service
        .log_in(HERE, "nobody".parse().unwrap(), secret())
        .await;
    assert!(matches!(nobody, Err(ServiceError::WrongPassword)));
}

#[tokio::test]
async fn a_closed_registration_lets_the_first_one_in() {
    let service = World::new().start_with(ServiceSettings {
        registration: RegistrationPolicy::Closed,
        ..ServiceSettings::default()
    });
    service.register(HERE, registration("king")).await.unwrap();
    let refused = service.register(HERE, registration("queen")).await;
    assert!(matches!(refused, Err(ServiceError::RegistrationClosed)));
}

#[tokio::test]
async fn of_racing_registrations_one_wins() {
    let service = World::new().start();
    let (one, other) = tokio::join!(
        service.register(HERE, registration("king")),
        service.register(HERE, registration("king")),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}
