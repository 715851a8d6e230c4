//! Peers of version 1, which know no TLS. Everything they say is put together here by hand, from
//! docs/wire.md and not from the code that is tested.

use super::*;

const INITIATOR: [u8; 48] = {
    let mut named = [0x11; 48];
    named[0] = 0x10;
    named
};

/// The keyed hash over side, purpose, versions, and both identities with their nonces.
fn proof(side: u8, offered: u8, initiator: &[u8; 48], acceptor: &[u8; 48]) -> [u8; 32] {
    let key = blake3::derive_key(
        "hayloft 2026 node-to-node authentication, version 1",
        "s".repeat(20).as_bytes(),
    );
    let mut said = vec![side, 1, 0, offered, 0, 1];
    said.extend_from_slice(initiator);
    said.extend_from_slice(acceptor);
    assert_eq!(said.len(), 102);
    *blake3::keyed_hash(&key, &said).as_bytes()
}

fn packet(command: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = (body.len() as u64).to_be_bytes().to_vec();
    packet.extend_from_slice(&[command, 0]);
    packet.extend_from_slice(body);
    packet
}

fn hello() -> Vec<u8> {
    let mut hello = vec![0, 1, 1];
    hello.extend_from_slice(&INITIATOR);
    hello
}

async fn receive(stream: &mut DuplexStream, command: u8, len: usize) -> Vec<u8> {
    let mut packet = vec![0; 10 + len];
    stream.read_exact(&mut packet).await.unwrap();
    assert_eq!(packet[..8], (len as u64).to_be_bytes());
    assert_eq!(packet[8..10], [command, 0]);
    packet.split_off(10)
}

#[test]
fn version_1_has_the_bytes_that_it_had() {
    let acceptor = [0x22; 48];
    let (initiator_proof, acceptor_proof) = (
        proof(1, 1, &INITIATOR, &acceptor),
        proof(2, 1, &INITIATOR, &acceptor),
    );
    let transcript = Transcript {
        offered: 1,
        agreed: 1,
        purpose: 1,
        initiator: (
            NodeIdentity(INITIATOR[..16].try_into().unwrap()),
            Nonce(INITIATOR[16..].try_into().unwrap()),
        ),
        acceptor: (NodeIdentity([0x22; 16]), Nonce([0x22; 32])),
        // Not part of the proofs.
        wants_tls: [true; 2],
        binding: Binding([9; 32]),
    };
    let key = ProofKey::of(&secret(b's'));
    for (side, expected) in [
        (Side::Initiator, initiator_proof),
        (Side::Acceptor, acceptor_proof),
    ] {
        assert_eq!(transcript.proof(&key, side).as_bytes(), &expected);
    }
    let decoded = Hello::decode(&hello()).unwrap();
    assert_eq!((decoded.version, decoded.wants_tls), (1, false));
    assert_eq!(decoded.encode(), hello());
    let mut challenge = vec![0, 1];
    challenge.extend_from_slice(&acceptor);
    let decoded = Challenge::decode(&challenge).unwrap();
    assert_eq!((decoded.version, decoded.wants_tls), (1, false));
    assert_eq!(decoded.encode(), challenge);
}

#[tokio::test]
async fn an_initiator_of_version_1_is_accepted_by_a_member_that_encrypts_on_request() {
    let (mut near, far) = duplex(4096);
    let initiating = async {
        near.write_all(&packet(163, &hello())).await.unwrap();
        let challenge = receive(&mut near, 100, 50).await;
        assert_eq!(challenge[..2], [0, 1]);
        let acceptor: [u8; 48] = challenge[2..].try_into().unwrap();
        let mut proofs = vec![1];
        proofs.extend_from_slice(&proof(1, 1, &INITIATOR, &acceptor));
        near.write_all(&packet(163, &proofs)).await.unwrap();
        let confirmation = receive(&mut near, 100, 33).await;
        assert_eq!(confirmation[0], 0);
        assert_eq!(confirmation[1..], proof(2, 1, &INITIATOR, &acceptor));
    };
    let far = Connection::new(far, PATIENCE);
    let (far, ()) = tokio::join!(
        accept_one(far, credentials(2, b's', None), &ALL),
        initiating
    );
    let far = far.unwrap();
    assert_eq!(far.peer().0, INITIATOR[..16]);
    assert!(!far.is_encrypted());
}

#[tokio::test]
async fn an_acceptor_of_version_1_is_accepted_by_a_member_that_encrypts_on_request() {
    let (near, mut far) = duplex(4096);
    let acceptor = [0x22; 48];
    let accepting = async {
        let heard = receive(&mut far, 163, 52).await;
        // It takes the front of a later hello and passes over the rest.
        assert_eq!(heard[..3], [0, 2, 1]);
        let initiator: [u8; 48] = heard[3..51].try_into().unwrap();
        let mut challenge = vec![0, 1];
        challenge.extend_from_slice(&acceptor);
        far.write_all(&packet(100, &challenge)).await.unwrap();
        let proofs = receive(&mut far, 163, 33).await;
        assert_eq!(proofs[0], 1);
        assert_eq!(proofs[1..], proof(1, 2, &initiator, &acceptor));
        let mut confirmation = vec![0];
        confirmation.extend_from_slice(&proof(2, 2, &initiator, &acceptor));
        far.write_all(&packet(100, &confirmation)).await.unwrap();
    };
    let initiator = credentials(1, b's', None);
    let near = Connection::new(near, PATIENCE);
    let (near, ()) = tokio::join!(initiate_one(near, &initiator, Purpose::Report), accepting);
    let near = near.unwrap();
    assert_eq!(near.peer(), NodeIdentity([0x22; 16]));
    assert!(!near.is_encrypted());
}

#[tokio::test]
async fn a_member_that_always_encrypts_refuses_version_1_in_both_directions() {
    let always = |identity| credentials(identity, b's', None).with_encryption(Encryption::Always);
    let (mut near, far) = duplex(4096);
    near.write_all(&packet(163, &hello())).await.unwrap();
    let far = Connection::new(far, PATIENCE);
    let accepted = accept_one(far, always(2), &ALL).await;
    let mut told = Vec::new();
    near.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, [0, 0, 0, 0, 0, 0, 0, 0, 100, 95]);

    let (near, mut far) = duplex(4096);
    let mut challenge = vec![0, 1];
    challenge.extend_from_slice(&[0x22; 48]);
    far.write_all(&packet(100, &challenge)).await.unwrap();
    let near = Connection::new(near, PATIENCE);
    let initiated = initiate_one(near, &always(1), Purpose::Report).await;
    // Nothing behind its hello: no proof, and no word without TLS.
    receive(&mut far, 163, 52).await;
    let mut said = Vec::new();
    far.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"");

    for refused in [initiated.unwrap_err(), accepted.unwrap_err()] {
        assert!(matches!(refused, AuthError::PeerWithoutTls), "{refused:?}");
        assert!(refused.to_string().contains("upgrade the peer"));
    }
}
