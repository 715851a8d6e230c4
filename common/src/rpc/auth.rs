//! Who knows the cluster secret is a member: the beginning of every connection between nodes.
//!
//! A connection to a tracker or a storage node begins like a client's, and its first request asks for
//! authentication. Both sides draw a nonce, the initiator proves first and the acceptor then, each by
//! a keyed hash over all that was said (see `proof`). So a stranger learns nothing that depends
//! on the secret, not even to guess with at home, and bytes that were recorded, mirrored or carried
//! to another connection prove nothing.
//!
//! If either side wants it, both speak TLS before they prove anything, and the proofs are of that TLS
//! session: whoever stands in between has two sessions and can carry no proof from one to the other.
//! Without TLS, what follows on the connection is as safe as the network under it. Source:
//! docs/wire.md, between nodes; docs/decisions/0018-cluster-secret.md.

mod error;
mod message;
mod proof;
mod rarely;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{Connection, ConnectionError, MemberStream};
use crate::codec::CodecError;
use crate::limits;
use crate::secret::Secrets;
use crate::wire::report::NodeIdentity;
use crate::wire::{Command, HEADER_LEN, Header, Status};
pub use error::AuthError;
#[cfg(any(test, feature = "testing"))]
pub(crate) use message::fuzz_messages;
use message::{AUTH_VERSION, Challenge, Confirmation, Hello, Proofs, TLS_SINCE};
use proof::{Binding, Nonce, ProofKey, Side, Transcript};
pub use rarely::Rarely;
use tls::Ends;
pub use tls::SetupError;

/// The identity of a tracker or an operator, who have none.
pub const NO_IDENTITY: NodeIdentity = NodeIdentity([0; 16]);

/// What a connection between members is for. The numbers are stable: they are the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A storage node reports to a tracker.
    Report = 1,
    /// A tracker greets a tracker.
    Hello = 2,
    /// A storage node replicates with a storage node.
    Replicate = 3,
    /// An operator's command.
    Control = 4,
}

impl Purpose {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Report, Self::Hello, Self::Replicate, Self::Control]
            .into_iter()
            .find(|purpose| *purpose as u8 == byte)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Report => "report",
            Self::Hello => "hello",
            Self::Replicate => "replicate",
            Self::Control => "control",
        })
    }
}

/// When a member encrypts its connections with other members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// When the other side wants that.
    #[default]
    OnRequest,
    /// Always; a member that is too old for it is refused.
    Always,
}

/// Who one is, what proves membership, and whether to encrypt. Cheap to clone; never prints a key.
#[derive(Clone)]
pub struct Credentials {
    identity: NodeIdentity,
    /// The key of the secret in use, then that of the previous one.
    keys: Arc<[ProofKey]>,
    encryption: Encryption,
    tls: Arc<Ends>,
}

impl Credentials {
    /// Credentials of the node with that identity, or [`NO_IDENTITY`]. Encrypt on request.
    pub fn new(identity: NodeIdentity, secrets: &Secrets) -> Self {
        let secrets = std::iter::once(&secrets.current).chain(&secrets.previous);
        Self {
            identity,
            keys: secrets.map(ProofKey::of).collect(),
            encryption: Encryption::default(),
            tls: Arc::default(),
        }
    }

    /// The same credentials that encrypt as said.
    #[must_use]
    pub fn with_encryption(self, encryption: Encryption) -> Self {
        Self { encryption, ..self }
    }

    /// The identity that goes with the proofs.
    pub fn identity(&self) -> NodeIdentity {
        self.identity
    }

    fn wants_tls(&self) -> bool {
        match self.encryption {
            Encryption::OnRequest => false,
            Encryption::Always => true,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("identity", &self.identity)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}

/// A connection with a member, and who that is.
pub type Member<S> = (Connection<MemberStream<S>>, Authenticated);

/// That the other end of a connection is a member. Only this module makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticated {
    peer: NodeIdentity,
    purpose: Purpose,
    is_encrypted: bool,
}

impl Authenticated {
    /// Who the peer is; [`NO_IDENTITY`] of a tracker or an operator. It is what the peer says, but
    /// only a member can say it.
    pub fn peer(&self) -> NodeIdentity {
        self.peer
    }

    /// What the connection is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Whether the connection is TLS.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Skips the proof, for tests of what comes behind it.
    #[cfg(any(test, feature = "testing"))]
    pub fn assume(peer: NodeIdentity, purpose: Purpose) -> Self {
        Self {
            peer,
            purpose,
            is_encrypted: false,
        }
    }
}

/// Authenticates a connection that this side opened, all of it within `patience`. What comes out is
/// what to go on with: inside TLS if either side wants that.
///
/// # Errors
///
/// [`AuthError`]; the connection is closed then.
///
/// # Cancel safety
///
/// Dropping the future ends the connection.
pub async fn initiate<S: AsyncRead + AsyncWrite + Unpin>(
    connection: Connection<S>,
    credentials: &Credentials,
    purpose: Purpose,
    patience: Duration,
) -> Result<Member<S>, AuthError> {
    // The TLS handshake makes a large future of it.
    let proving = Box::pin(prove_first(connection, credentials, purpose));
    timeout(patience, proving)
        .await
        .map_err(|_| AuthError::Silent(patience))?
}

async fn prove_first<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: Connection<S>,
    credentials: &Credentials,
    purpose: Purpose,
) -> Result<Member<S>, AuthError> {
    let hello = Hello {
        version: AUTH_VERSION,
        purpose: purpose as u8,
        identity: credentials.identity,
        nonce: Nonce::draw(),
        wants_tls: credentials.wants_tls(),
    };
    ask(&mut connection, &hello.encode()).await?;
    let challenge = match answer(&mut connection).await? {
        Ok(body) => Challenge::decode(&body)?,
        Err(status @ (Status::INVALID | Status::ACCESS)) => {
            return Err(AuthError::NotTaken { purpose, status });
        }
        Err(Status::UNSUPPORTED) => return Err(AuthError::TlsWanted),
        Err(status) => return Err(AuthError::Status(status)),
    };
    if AUTH_VERSION < challenge.version {
        return Err(AuthError::Version(challenge.version));
    }
    if credentials.wants_tls() && challenge.version < TLS_SINCE {
        return Err(AuthError::PeerWithoutTls);
    }
    if credentials.identity != NO_IDENTITY && challenge.identity == credentials.identity {
        return Err(AuthError::Myself);
    }
    let is_encrypted = hello.wants_tls || challenge.wants_tls;
    let (mut connection, binding) = if is_encrypted {
        credentials.tls.connect(connection).await?
    } else {
        (connection.map(MemberStream::plain), Binding::NONE)
    };
    let transcript = transcript(&hello, &challenge, binding);
    let of = |key| transcript.proof(key, Side::Initiator);
    let proofs = Proofs(credentials.keys.iter().map(of).collect());
    ask(&mut connection, &proofs.encode()).await?;
    let confirmation = match answer(&mut connection).await? {
        Ok(body) => Confirmation::decode(&body)?,
        Err(Status::ACCESS) => return Err(AuthError::Refused),
        Err(status) => return Err(AuthError::Status(status)),
    };
    let key = credentials.keys.get(usize::from(confirmation.chosen));
    let expected = key.map(|key| transcript.proof(key, Side::Acceptor));
    if expected != Some(confirmation.proof) {
        return Err(AuthError::Impostor);
    }
    let authenticated = Authenticated {
        peer: challenge.identity,
        purpose,
        is_encrypted,
    };
    Ok((connection, authenticated))
}

/// Authenticates a connection whose initiator has just asked for it with `header`, for one of
/// `purposes`, all of it within `patience`. What comes out is what to go on with: inside TLS if either
/// side wants that.
///
/// # Errors
///
/// [`AuthError`]; the initiator was told, and the connection is closed.
///
/// # Cancel safety
///
/// Dropping the future ends the connection.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    connection: Connection<S>,
    header: &Header,
    credentials: &Credentials,
    purposes: &[Purpose],
    patience: Duration,
) -> Result<Member<S>, AuthError> {
    // The TLS handshake makes a large future of it.
    let accepting = Box::pin(prove_last(connection, header, credentials, purposes));
    timeout(patience, accepting)
        .await
        .map_err(|_| AuthError::Silent(patience))?
}

async fn prove_last<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: Connection<S>,
    header: &Header,
    credentials: &Credentials,
    purposes: &[Purpose],
) -> Result<Member<S>, AuthError> {
    let heard = hear(&mut connection, header, credentials, purposes).await;
    let (hello, purpose) = told(&mut connection, heard).await?;
    // Whether both are the same node is for the initiator to see, who has proved nothing yet.
    let challenge = Challenge {
        version: hello.version.min(AUTH_VERSION),
        identity: credentials.identity,
        nonce: Nonce::draw(),
        wants_tls: credentials.wants_tls(),
    };
    tell(&mut connection, &challenge.encode()).await?;
    let is_encrypted = hello.wants_tls || challenge.wants_tls;
    let (mut connection, binding) = if is_encrypted {
        credentials.tls.accept(connection).await?
    } else {
        (connection.map(MemberStream::plain), Binding::NONE)
    };
    let transcript = transcript(&hello, &challenge, binding);
    let judged = judge(&mut connection, &transcript, &credentials.keys).await;
    let confirmation = told(&mut connection, judged).await?;
    tell(&mut connection, &confirmation.encode()).await?;
    let authenticated = Authenticated {
        peer: hello.identity,
        purpose,
        is_encrypted,
    };
    Ok((connection, authenticated))
}

/// The first message, if this acceptor goes on with who sent it.
async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    header: &Header,
    credentials: &Credentials,
    purposes: &[Purpose],
) -> Result<(Hello, Purpose), AuthError> {
    let hello = Hello::decode(&body(connection, header).await?)?;
    let purpose = match hello.purpose() {
        Some(purpose) if purposes.contains(&purpose) => purpose,
        _ => return Err(AuthError::Purpose(hello.purpose)),
    };
    if credentials.wants_tls() && hello.version < TLS_SINCE {
        return Err(AuthError::PeerWithoutTls);
    }
    Ok((hello, purpose))
}

/// The answer to the initiator's proofs, if one of them convinces.
async fn judge<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    transcript: &Transcript,
    keys: &[ProofKey],
) -> Result<Confirmation, AuthError> {
    let header = connection.header().await?.ok_or(ConnectionError::Closed)?;
    if header.command != Command::Authenticate as u8 {
        return Err(CodecError::Field("command").into());
    }
    let Proofs(proofs) = Proofs::decode(&body(connection, &header).await?)?;
    let (chosen, key) = shared_key(transcript, &proofs, keys).ok_or(AuthError::Stranger)?;
    let proof = transcript.proof(key, Side::Acceptor);
    Ok(Confirmation { chosen, proof })
}

/// What was made of the initiator's words, which it is told if that is a refusal.
async fn told<S: AsyncRead + AsyncWrite + Unpin, T>(
    connection: &mut Connection<S>,
    made: Result<T, AuthError>,
) -> Result<T, AuthError> {
    if let Some(status) = made.as_ref().err().and_then(AuthError::status) {
        connection.send(&Header::error(status).encode()).await?;
    }
    made
}

/// The key that one of `proofs` was made with, and the place of that proof.
fn shared_key<'k>(
    transcript: &Transcript,
    proofs: &[proof::Proof],
    keys: &'k [ProofKey],
) -> Option<(u8, &'k ProofKey)> {
    (0..).zip(proofs).find_map(|(place, proof)| {
        let made_with = |key: &&ProofKey| transcript.proof(key, Side::Initiator) == *proof;
        Some((place, keys.iter().find(made_with)?))
    })
}

fn transcript(hello: &Hello, challenge: &Challenge, binding: Binding) -> Transcript {
    Transcript {
        offered: hello.version,
        agreed: challenge.version,
        purpose: hello.purpose,
        initiator: (hello.identity, hello.nonce),
        acceptor: (challenge.identity, challenge.nonce),
        wants_tls: [hello.wants_tls, challenge.wants_tls],
        binding,
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    body: &[u8],
) -> Result<(), ConnectionError> {
    let header = Header::request(Command::Authenticate, body.len() as u64);
    send(connection, header, body).await
}

async fn tell<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    body: &[u8],
) -> Result<(), ConnectionError> {
    send(connection, Header::success(body.len() as u64), body).await
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    header: Header,
    body: &[u8],
) -> Result<(), ConnectionError> {
    let mut packet = BytesMut::with_capacity(HEADER_LEN + body.len());
    packet.extend_from_slice(&header.encode());
    packet.extend_from_slice(body);
    connection.send(&packet).await
}

/// The body of an answer, or its status if that is not success.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
) -> Result<Result<Bytes, Status>, ConnectionError> {
    let header = connection.header().await?.ok_or(ConnectionError::Closed)?;
    let status = Status(header.status);
    if !status.is_ok() {
        return Ok(Err(status));
    }
    body(connection, &header).await.map(Ok)
}

async fn body<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    header: &Header,
) -> Result<Bytes, ConnectionError> {
    connection
        .body(header, limits::AUTHENTICATION_LEN_MAX)
        .await
}

#[cfg(test)]
mod tests;
