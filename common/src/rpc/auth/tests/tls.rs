//! Authentication with TLS: who gets it, and what somebody in between can make of it.

use super::*;
use tokio::io::copy_bidirectional;

/// Said by both sides after the authentication.
const WORDS: &[u8] = b"words that are for the two of them only";

fn with(identity: u8, encryption: Encryption) -> Credentials {
    credentials(identity, b's', None).with_encryption(encryption)
}

/// What each side of a connection may want: initiator, acceptor.
fn wishes() -> [(Encryption, Encryption); 4] {
    use Encryption::{Always, OnRequest};
    [
        (OnRequest, OnRequest),
        (OnRequest, Always),
        (Always, OnRequest),
        (Always, Always),
    ]
}

fn is_seen(words: &[u8], bytes: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

/// Says the words and hears those of the other side.
async fn converse(member: Result<Member<DuplexStream>, AuthError>) -> Authenticated {
    let (mut connection, authenticated) = member.unwrap();
    connection.send(WORDS).await.unwrap();
    assert_eq!(connection.take(WORDS.len()).await.unwrap(), WORDS);
    connection.half_close().await.unwrap();
    assert!(!connection.readable().await.unwrap());
    authenticated
}

#[tokio::test]
async fn every_purpose_goes_inside_of_tls_if_either_side_wants_that() {
    for purpose in ALL {
        for (initiator, acceptor) in wishes() {
            let (near, middle_near) = duplex(4096);
            let (middle_far, far) = duplex(4096);
            let credentials = with(1, initiator);
            let initiating = async {
                let near = Connection::new(near, PATIENCE);
                converse(initiate(near, &credentials, purpose, PATIENCE).await).await
            };
            let accepting = async {
                let far = Connection::new(far, PATIENCE);
                converse(accept_member(far, with(2, acceptor), &ALL).await).await
            };
            let (near, far, (asked, told)) =
                tokio::join!(initiating, accepting, carry(middle_near, middle_far));
            let is_wanted = (initiator, acceptor) != (Encryption::OnRequest, Encryption::OnRequest);
            assert_eq!((near.peer(), far.peer()), (node(2), node(1)));
            assert_eq!((near.purpose(), far.purpose()), (purpose, purpose));
            for (is_encrypted, heard) in [(near.is_encrypted(), asked), (far.is_encrypted(), told)]
            {
                assert_eq!(is_encrypted, is_wanted, "{initiator:?} {acceptor:?}");
                assert_eq!(is_seen(WORDS, &heard), !is_wanted);
            }
        }
    }
}

#[tokio::test]
async fn another_secret_is_refused_inside_of_tls_too() {
    let stranger = credentials(1, b'x', None).with_encryption(Encryption::Always);
    let (near, far) = meet(stranger, with(2, Encryption::Always), Purpose::Report).await;
    assert!(matches!(near, Err(AuthError::Refused)), "{near:?}");
    assert!(matches!(far, Err(AuthError::Stranger)), "{far:?}");
}

/// What somebody in between changes of what the two say.
#[derive(Clone, Copy, Debug, Default)]
struct Tampering {
    /// Says that the initiator wants TLS, or does not.
    hello: Option<bool>,
    /// The same of the acceptor.
    challenge: Option<bool>,
}

/// Stands in between: lets each side have the TLS that it expects, or none, and hands on all that is
/// said inside.
async fn intercept(near: DuplexStream, far: DuplexStream, tampering: Tampering) {
    let mut near = Connection::new(near, PATIENCE);
    let mut far = Connection::new(far, PATIENCE);
    let header = near.header().await.unwrap().unwrap();
    let hello = Hello::decode(&body(&mut near, &header).await.unwrap()).unwrap();
    let handed_on = Hello {
        wants_tls: tampering.hello.unwrap_or(hello.wants_tls),
        ..hello
    };
    ask(&mut far, &handed_on.encode()).await.unwrap();
    let challenge = Challenge::decode(&answer(&mut far).await.unwrap().unwrap()).unwrap();
    let told = Challenge {
        wants_tls: tampering.challenge.unwrap_or(challenge.wants_tls),
        ..challenge
    };
    tell(&mut near, &told.encode()).await.unwrap();
    let ends = Ends::default();
    let near = async {
        if hello.wants_tls || told.wants_tls {
            ends.accept(near).await.unwrap().0
        } else {
            near.map(MemberStream::plain)
        }
    };
    let far = async {
        if handed_on.wants_tls || challenge.wants_tls {
            ends.connect(far).await.unwrap().0
        } else {
            far.map(MemberStream::plain)
        }
    };
    let (near, far) = tokio::join!(near, far);
    let ((mut near, early), (mut far, _)) = (near.into_parts(), far.into_parts());
    assert!(early.is_empty());
    // Ends when both sides have given up.
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// Both ends of an authentication with somebody in between.
async fn meet_intercepted(
    initiator: Encryption,
    acceptor: Encryption,
    tampering: Tampering,
) -> (Outcome, Outcome) {
    let (near, middle_near) = duplex(4096);
    let (middle_far, far) = duplex(4096);
    let credentials = with(1, initiator);
    let near = Connection::new(near, PATIENCE);
    let far = Connection::new(far, PATIENCE);
    let (near, far, ()) = tokio::join!(
        initiate_one(near, &credentials, Purpose::Replicate),
        accept_one(far, with(2, acceptor), &ALL),
        intercept(middle_near, middle_far, tampering),
    );
    (near, far)
}

#[tokio::test]
async fn somebody_in_between_who_speaks_tls_with_both_sides_is_noticed_by_both() {
    for (initiator, acceptor) in wishes() {
        let (near, far) = meet_intercepted(initiator, acceptor, Tampering::default()).await;
        if (initiator, acceptor) == (Encryption::OnRequest, Encryption::OnRequest) {
            // Who only hands on bytes of a plain connection is part of the network.
            assert!(near.is_ok() && far.is_ok(), "{near:?} {far:?}");
            continue;
        }
        assert!(matches!(near, Err(AuthError::Refused)), "{near:?}");
        assert!(matches!(far, Err(AuthError::Stranger)), "{far:?}");
    }
}

#[tokio::test]
async fn a_wish_for_tls_that_is_taken_out_or_put_in_on_the_way_is_noticed() {
    for (initiator, acceptor) in wishes() {
        for (hello, challenge) in [
            (Some(false), None),
            (None, Some(false)),
            (Some(false), Some(false)),
            (Some(true), None),
            (None, Some(true)),
        ] {
            let says = |said: Option<bool>, wish| said.is_none_or(|said| said == wish);
            let is_true = says(hello, initiator == Encryption::Always)
                && says(challenge, acceptor == Encryption::Always);
            if is_true {
                continue;
            }
            let tampering = Tampering { hello, challenge };
            let (near, far) = meet_intercepted(initiator, acceptor, tampering).await;
            let what = format!("{initiator:?} {acceptor:?} {tampering:?}: {near:?} {far:?}");
            assert!(matches!(near, Err(AuthError::Refused)), "{what}");
            assert!(matches!(far, Err(AuthError::Stranger)), "{what}");
        }
    }
}

#[tokio::test]
async fn a_version_that_is_taken_down_on_the_way_is_refused_and_both_say_why() {
    let (near, middle_near) = duplex(4096);
    let (middle_far, far) = duplex(4096);
    let changing = async {
        let mut near = Connection::new(middle_near, PATIENCE);
        let mut far = Connection::new(middle_far, PATIENCE);
        let header = near.header().await.unwrap().unwrap();
        let hello = Hello::decode(&body(&mut near, &header).await.unwrap()).unwrap();
        let old = Hello {
            version: 1,
            ..hello
        };
        ask(&mut far, &old.encode()).await.unwrap();
        let refused = answer(&mut far).await.unwrap().unwrap_err();
        near.send(&Header::error(refused).encode()).await.unwrap();
    };
    let credentials = with(1, Encryption::OnRequest);
    let near = Connection::new(near, PATIENCE);
    let far = Connection::new(far, PATIENCE);
    let (near, far, ()) = tokio::join!(
        initiate_one(near, &credentials, Purpose::Report),
        accept_one(far, with(2, Encryption::Always), &ALL),
        changing,
    );
    let (near, far) = (near.unwrap_err(), far.unwrap_err());
    assert!(matches!(near, AuthError::TlsWanted), "{near:?}");
    assert!(matches!(far, AuthError::PeerWithoutTls), "{far:?}");
    for message in [near.to_string(), far.to_string()] {
        assert!(message.contains("tls = true"), "{message}");
        assert!(message.contains("remedy: "), "{message}");
    }
}

#[tokio::test]
async fn bytes_in_front_of_the_handshake_are_refused_and_never_read_as_said_inside() {
    // By an initiator, behind its hello: in one piece with it, so that both are read at once.
    let hello = Hello {
        version: AUTH_VERSION,
        purpose: 1,
        identity: node(1),
        nonce: Nonce::draw(),
        wants_tls: true,
    };
    let mut packet = Header::request(Command::Authenticate, 52).encode().to_vec();
    packet.extend_from_slice(&hello.encode());
    packet.extend_from_slice(b"early");
    let (mut near, far) = duplex(4096);
    near.write_all(&packet).await.unwrap();
    let far = Connection::new(far, PATIENCE);
    let far = accept_one(far, with(2, Encryption::OnRequest), &ALL).await;
    assert!(matches!(far, Err(AuthError::TooEarly(5))), "{far:?}");

    // By an acceptor, behind its challenge.
    let challenge = Challenge {
        version: AUTH_VERSION,
        identity: node(2),
        nonce: Nonce::draw(),
        wants_tls: true,
    };
    let mut packet = Header::success(51).encode().to_vec();
    packet.extend_from_slice(&challenge.encode());
    packet.extend_from_slice(b"early");
    let (near, mut far) = duplex(4096);
    far.write_all(&packet).await.unwrap();
    let near = Connection::new(near, PATIENCE);
    let near = initiate_one(near, &with(1, Encryption::OnRequest), Purpose::Report).await;
    assert!(matches!(near, Err(AuthError::TooEarly(5))), "{near:?}");

    // And what is no handshake when one is due.
    let (mut near, far) = pair();
    let asking = async {
        ask(&mut near, &hello.encode()).await.unwrap();
        answer(&mut near).await.unwrap().unwrap();
        let proofs = Proofs(vec![[7; 32].into()]);
        ask(&mut near, &proofs.encode()).await.unwrap();
    };
    let accepting = accept_one(far, with(2, Encryption::OnRequest), &ALL);
    let (far, ()) = tokio::join!(accepting, asking);
    assert!(matches!(far, Err(AuthError::Tls(_))), "{far:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_in_the_middle_of_the_handshake_is_given_up() {
    let (mut near, far) = pair();
    let hello = Hello {
        version: AUTH_VERSION,
        purpose: 1,
        identity: node(1),
        nonce: Nonce::draw(),
        wants_tls: true,
    };
    ask(&mut near, &hello.encode()).await.unwrap();
    let far = accept_one(far, with(2, Encryption::OnRequest), &ALL).await;
    assert!(matches!(far, Err(AuthError::Silent(_))), "{far:?}");
}

#[tokio::test]
async fn an_end_without_farewell_is_an_end() {
    let (near, far) = pair();
    let initiator = with(1, Encryption::Always);
    let (near, far) = tokio::join!(
        initiate(near, &initiator, Purpose::Report, PATIENCE),
        accept_member(far, with(2, Encryption::OnRequest), &ALL),
    );
    let ((near, _), (mut far, _)) = (near.unwrap(), far.unwrap());
    drop(near);
    assert!(far.header().await.unwrap().is_none());
}
