mod tls;
mod version1;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::secret::Secret;

const PATIENCE: Duration = Duration::from_secs(5);
const ALL: [Purpose; 4] = [
    Purpose::Report,
    Purpose::Hello,
    Purpose::Replicate,
    Purpose::Control,
];

fn node(byte: u8) -> NodeIdentity {
    NodeIdentity([byte; 16])
}

fn secret(byte: u8) -> Secret {
    let text = char::from(byte).to_string().repeat(20);
    Secret::try_from(text.as_str()).unwrap()
}

fn secrets(current: u8, previous: Option<u8>) -> Secrets {
    Secrets {
        current: secret(current),
        previous: previous.map(secret),
    }
}

fn credentials(identity: u8, current: u8, previous: Option<u8>) -> Credentials {
    Credentials::new(node(identity), &secrets(current, previous))
}

fn pair() -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (one, other) = duplex(4096);
    (
        Connection::new(one, PATIENCE),
        Connection::new(other, PATIENCE),
    )
}

async fn accept_member(
    mut connection: Connection<DuplexStream>,
    credentials: Credentials,
    purposes: &[Purpose],
) -> Result<Member<DuplexStream>, AuthError> {
    let header = connection.header().await?.ok_or(ConnectionError::Closed)?;
    assert_eq!(header.command, Command::Authenticate as u8);
    accept(connection, &header, &credentials, purposes, PATIENCE).await
}

type Outcome = Result<Authenticated, AuthError>;

async fn accept_one(
    connection: Connection<DuplexStream>,
    credentials: Credentials,
    purposes: &[Purpose],
) -> Outcome {
    let accepted = accept_member(connection, credentials, purposes).await;
    accepted.map(|(_, authenticated)| authenticated)
}

async fn initiate_one(
    connection: Connection<DuplexStream>,
    credentials: &Credentials,
    purpose: Purpose,
) -> Outcome {
    let initiated = initiate(connection, credentials, purpose, PATIENCE).await;
    initiated.map(|(_, authenticated)| authenticated)
}

/// Both ends of one authentication.
async fn meet(
    initiator: Credentials,
    acceptor: Credentials,
    purpose: Purpose,
) -> (Outcome, Outcome) {
    let (near, far) = pair();
    tokio::join!(
        initiate_one(near, &initiator, purpose),
        accept_one(far, acceptor, &ALL)
    )
}

#[tokio::test]
async fn two_that_share_the_secret_learn_who_the_other_is() {
    for purpose in ALL {
        let (near, far) = meet(
            credentials(1, b's', None),
            credentials(2, b's', None),
            purpose,
        )
        .await;
        let (near, far) = (near.unwrap(), far.unwrap());
        assert_eq!((near.peer(), near.purpose()), (node(2), purpose));
        assert_eq!((far.peer(), far.purpose()), (node(1), purpose));
    }
}

#[tokio::test]
async fn another_secret_is_refused_and_both_say_what_to_do() {
    let (near, far) = meet(
        credentials(1, b'x', Some(b'y')),
        credentials(2, b's', Some(b't')),
        Purpose::Report,
    )
    .await;
    let (near, far) = (near.unwrap_err(), far.unwrap_err());
    assert!(matches!(near, AuthError::Refused), "{near:?}");
    assert!(matches!(far, AuthError::Stranger), "{far:?}");
    for message in [near.to_string(), far.to_string()] {
        assert!(message.contains("same [cluster] secret"), "{message}");
    }
}

#[tokio::test]
async fn a_secret_can_be_changed_node_by_node() {
    // Old and new secret, in every stage of the change.
    let (old, both, new) = ((b'o', None), (b'n', Some(b'o')), (b'n', None));
    let (before, after) = ((b'o', Some(b'n')), new);
    for (one, other) in [
        (old, both),
        (old, before),
        (both, before),
        (both, after),
        (before, after),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            let initiator = credentials(1, one.0, one.1);
            let acceptor = credentials(2, other.0, other.1);
            let (near, far) = meet(initiator, acceptor, Purpose::Replicate).await;
            assert!(near.is_ok() && far.is_ok(), "{one:?} {other:?}");
        }
    }
}

#[tokio::test]
async fn a_node_that_reaches_itself_or_its_copy_says_so() {
    let (near, far) = meet(
        credentials(1, b's', None),
        credentials(1, b's', None),
        Purpose::Replicate,
    )
    .await;
    assert!(matches!(near, Err(AuthError::Myself)));
    assert!(far.is_err());
    // Trackers have no identity; they recognise themselves by other means.
    let tracker = || Credentials::new(NO_IDENTITY, &secrets(b's', None));
    let (near, far) = meet(tracker(), tracker(), Purpose::Hello).await;
    assert!(near.is_ok() && far.is_ok());
}

#[tokio::test]
async fn a_purpose_that_has_no_place_is_refused_before_any_proof() {
    let (near, far) = pair();
    let initiator = credentials(1, b's', None);
    let (near, far) = tokio::join!(
        initiate_one(near, &initiator, Purpose::Replicate),
        accept_one(far, credentials(2, b's', None), &[Purpose::Report]),
    );
    assert!(matches!(far, Err(AuthError::Purpose(3))));
    let Err(AuthError::NotTaken { purpose, status }) = near else {
        panic!("{near:?}");
    };
    assert_eq!((purpose, status), (Purpose::Replicate, Status::INVALID));
}

/// Copies what passes, in both directions, until both ends are done.
async fn carry(one: DuplexStream, other: DuplexStream) -> (Vec<u8>, Vec<u8>) {
    let (mut one_in, mut one_out) = tokio::io::split(one);
    let (mut other_in, mut other_out) = tokio::io::split(other);
    tokio::join!(
        pass(&mut one_in, &mut other_out),
        pass(&mut other_in, &mut one_out)
    )
}

async fn pass(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> Vec<u8> {
    let mut passed = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        passed.extend_from_slice(&buffer[..len]);
        if to.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    passed
}

#[tokio::test]
async fn recorded_bytes_prove_nothing_on_another_connection() {
    let (near, middle_near) = duplex(4096);
    let (middle_far, far) = duplex(4096);
    let initiator = credentials(1, b's', None);
    let near = Connection::new(near, PATIENCE);
    let initiating = initiate_one(near, &initiator, Purpose::Report);
    let accepting = accept_one(
        Connection::new(far, PATIENCE),
        credentials(2, b's', None),
        &ALL,
    );
    let (near, far, (asked, told)) =
        tokio::join!(initiating, accepting, carry(middle_near, middle_far));
    assert!(near.is_ok() && far.is_ok());

    // The same words again to the acceptor, which has drawn another nonce.
    let (mut replaying, far) = duplex(4096);
    replaying.write_all(&asked).await.unwrap();
    let far = accept_one(
        Connection::new(far, PATIENCE),
        credentials(2, b's', None),
        &ALL,
    );
    assert!(matches!(far.await, Err(AuthError::Stranger)));

    // And the answers again to the initiator, which has drawn another nonce too.
    let (mut replaying, near) = duplex(4096);
    replaying.write_all(&told).await.unwrap();
    let near = Connection::new(near, PATIENCE);
    let near = initiate_one(near, &initiator, Purpose::Report).await;
    assert!(matches!(near, Err(AuthError::Impostor)), "{near:?}");
}

#[tokio::test]
async fn a_proof_that_is_mirrored_proves_nothing() {
    // A stranger takes the initiator's place as acceptor and says back what it hears: its nonce, and
    // its proof.
    let (near, mut mirror) = duplex(4096);
    let mirroring = async {
        let mut hello = [0; 10 + 52];
        mirror.read_exact(&mut hello).await.unwrap();
        let heard = Hello::decode(&hello[10..]).unwrap();
        let challenge = Challenge {
            version: AUTH_VERSION,
            identity: node(9),
            nonce: heard.nonce,
            wants_tls: false,
        };
        let mut connection = Connection::new(mirror, PATIENCE);
        tell(&mut connection, &challenge.encode()).await.unwrap();
        let header = connection.header().await.unwrap().unwrap();
        let Proofs(proofs) =
            Proofs::decode(&body(&mut connection, &header).await.unwrap()).unwrap();
        let said_back = Confirmation {
            chosen: 0,
            proof: proofs[0],
        };
        tell(&mut connection, &said_back.encode()).await.unwrap();
    };
    let near = Connection::new(near, PATIENCE);
    let initiator = credentials(1, b's', None);
    let (near, ()) = tokio::join!(initiate_one(near, &initiator, Purpose::Report), mirroring);
    assert!(matches!(near, Err(AuthError::Impostor)), "{near:?}");
}

#[tokio::test]
async fn an_acceptor_proves_nothing_to_a_stranger() {
    let (stranger, far) = pair();
    let mut stranger = stranger;
    let accepting = accept_one(far, credentials(2, b's', None), &ALL);
    let guessing = async {
        let hello = Hello {
            version: AUTH_VERSION,
            purpose: 1,
            identity: node(1),
            nonce: Nonce::draw(),
            wants_tls: false,
        };
        ask(&mut stranger, &hello.encode()).await.unwrap();
        let challenge = answer(&mut stranger).await.unwrap().unwrap();
        let proofs = Proofs(vec![[7; 32].into(), [8; 32].into()]);
        ask(&mut stranger, &proofs.encode()).await.unwrap();
        let refused = answer(&mut stranger).await.unwrap();
        (challenge, refused)
    };
    let (far, (challenge, refused)) = tokio::join!(accepting, guessing);
    assert!(matches!(far, Err(AuthError::Stranger)));
    assert_eq!(refused, Err(Status::ACCESS));
    // Version, identity, nonce, a wish, and nothing that was computed from the secret.
    assert_eq!(challenge.len(), 2 + 16 + 32 + 1);
}

#[test]
fn a_proof_is_of_one_side_purpose_pair_of_nodes_and_version() {
    let key = ProofKey::of(&secret(b's'));
    let base = Transcript {
        offered: 2,
        agreed: 2,
        purpose: 1,
        initiator: (node(1), Nonce([1; 32])),
        acceptor: (node(2), Nonce([2; 32])),
        wants_tls: [true, false],
        binding: Binding([7; 32]),
    };
    let swapped = Transcript {
        initiator: base.acceptor,
        acceptor: base.initiator,
        ..base
    };
    let others = [
        Transcript { offered: 1, ..base },
        Transcript { agreed: 1, ..base },
        Transcript { agreed: 3, ..base },
        Transcript { purpose: 2, ..base },
        swapped,
        Transcript {
            initiator: (node(3), base.initiator.1),
            ..base
        },
        Transcript {
            acceptor: (node(3), base.acceptor.1),
            ..base
        },
        Transcript {
            initiator: (node(1), Nonce([3; 32])),
            ..base
        },
        Transcript {
            acceptor: (node(2), Nonce([3; 32])),
            ..base
        },
        Transcript {
            wants_tls: [false, true],
            ..base
        },
        Transcript {
            wants_tls: [true, true],
            ..base
        },
        Transcript {
            binding: Binding([8; 32]),
            ..base
        },
        Transcript {
            binding: Binding::NONE,
            ..base
        },
    ];
    let proof = base.proof(&key, Side::Initiator);
    assert_eq!(proof, base.proof(&key, Side::Initiator));
    assert_ne!(proof, base.proof(&key, Side::Acceptor));
    assert_ne!(
        proof,
        base.proof(&ProofKey::of(&secret(b't')), Side::Initiator)
    );
    for other in others {
        assert_ne!(proof, other.proof(&key, Side::Initiator), "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_in_the_middle_is_given_up() {
    let (near, _silent) = pair();
    let near = initiate(
        near,
        &credentials(1, b's', None),
        Purpose::Report,
        PATIENCE / 2,
    )
    .await;
    assert!(matches!(near, Err(AuthError::Silent(_))), "{near:?}");

    let (mut stranger, far) = pair();
    let hello = Hello {
        version: AUTH_VERSION,
        purpose: 1,
        identity: node(1),
        nonce: Nonce::draw(),
        wants_tls: false,
    };
    ask(&mut stranger, &hello.encode()).await.unwrap();
    let far = accept_one(far, credentials(2, b's', None), &ALL).await;
    assert!(
        matches!(
            far,
            Err(AuthError::Silent(_) | AuthError::Connection(ConnectionError::Timeout(_)))
        ),
        "{far:?}"
    );
}

#[tokio::test]
async fn a_long_or_malformed_message_ends_the_authentication() {
    let mut malformed = Vec::new();
    for (len, with_status) in [(0, true), (50, true), (52, true), (129, false)] {
        let mut packet = Header::request(Command::Authenticate, len)
            .encode()
            .to_vec();
        // Version 1, then whatever.
        packet.extend((0..len).map(|place| u8::from(place != 0)));
        malformed.push((packet, with_status));
    }
    // A length that nobody would allocate.
    let huge = Header::request(Command::Authenticate, u64::MAX >> 1);
    malformed.push((huge.encode().to_vec(), false));
    for (packet, with_status) in malformed {
        let (mut stranger, far) = duplex(4096);
        stranger.write_all(&packet).await.unwrap();
        let far = Connection::new(far, PATIENCE);
        assert!(
            accept_one(far, credentials(2, b's', None), &ALL)
                .await
                .is_err()
        );
        let mut said = Vec::new();
        stranger.read_to_end(&mut said).await.unwrap();
        let expected = Header::error(Status::INVALID).encode();
        assert_eq!(
            said,
            if with_status {
                expected.to_vec()
            } else {
                Vec::new()
            }
        );
    }
}

#[test]
fn a_later_version_may_append_to_its_hello() {
    let hello = Hello {
        version: AUTH_VERSION + 1,
        purpose: 1,
        identity: node(1),
        nonce: Nonce([5; 32]),
        wants_tls: true,
    };
    let mut bytes = hello.encode().to_vec();
    bytes.extend_from_slice(b"more");
    assert_eq!(Hello::decode(&bytes), Ok(hello));
    bytes[1] = 2;
    assert_eq!(Hello::decode(&bytes), Err(CodecError::Trailing(4)));
    bytes[1] = 1;
    assert_eq!(Hello::decode(&bytes), Err(CodecError::Trailing(5)));
    bytes[1] = 2;
    bytes[51] = 2;
    assert!(matches!(Hello::decode(&bytes), Err(CodecError::Field(_))));
}

#[test]
fn credentials_never_print_a_key() {
    let printed = format!("{:?}", credentials(1, b's', None));
    assert!(printed.ends_with(".. }"), "{printed}");
    assert!(!printed.contains("keys"));
}
