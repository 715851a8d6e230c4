//! Who knows the cluster secret is a member: the beginning of every connection between nodes.
//!
//! A connection to a tracker or a storage node begins like a client's, and its first request asks for
//! authentication. Both sides draw a nonce, the initiator proves first and the acceptor then, each by
//! a keyed hash over all that was said (see `proof`). So a stranger learns nothing that depends
//! on the secret, not even to guess with at home, and bytes that were recorded, mirrored or carried
//! to another connection prove nothing. What follows on the connection is as safe as the network
//! under it. Source: docs/wire.md, between nodes; docs/decisions/0018-cluster-secret.md.

mod message;
mod proof;
mod rarely;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{Connection, ConnectionError};
use crate::codec::CodecError;
use crate::limits;
use crate::secret::Secrets;
use crate::wire::report::NodeIdentity;
use crate::wire::{Command, HEADER_LEN, Header, Status};
#[cfg(any(test, feature = "testing"))]
pub(crate) use message::fuzz_messages;
use message::{AUTH_VERSION, Challenge, Confirmation, Hello, Proofs};
use proof::{Nonce, ProofKey, Side, Transcript};
pub use rarely::Rarely;

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

/// Who one is, and what proves membership. Cheap to clone; never prints a key.
#[derive(Clone)]
pub struct Credentials {
    identity: NodeIdentity,
    /// The key of the secret in use, then that of the previous one.
    keys: Arc<[ProofKey]>,
}

impl Credentials {
    /// Credentials of the node with that identity, or [`NO_IDENTITY`].
    pub fn new(identity: NodeIdentity, secrets: &Secrets) -> Self {
        let secrets = std::iter::once(&secrets.current).chain(&secrets.previous);
        Self {
            identity,
            keys: secrets.map(ProofKey::of).collect(),
        }
    }

    /// The identity that goes with the proofs.
    pub fn identity(&self) -> NodeIdentity {
        self.identity
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// That the other end of a connection is a member. Only this module makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticated {
    peer: NodeIdentity,
    purpose: Purpose,
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

    /// Skips the proof, for tests of what comes behind it.
    #[cfg(any(test, feature = "testing"))]
    pub fn assume(peer: NodeIdentity, purpose: Purpose) -> Self {
        Self { peer, purpose }
    }
}

/// Why a connection did not become one between members.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The connection failed meanwhile.
    #[error("connection lost while authenticating")]
    Connection(#[from] ConnectionError),
    /// The peer says nothing.
    #[error("no answer to the authentication for {0:?}")]
    Silent(Duration),
    /// The acceptor does not believe us.
    #[error(
        "the peer refuses this node's cluster secret; remedy: give both the same [cluster] secret"
    )]
    Refused,
    /// The acceptor takes no connections for this purpose, or does not know the command.
    #[error(
        "the peer takes no connections for {purpose} (it answered: {status}); remedy: check that the \
         address is that of a node of the right kind, and upgrade it if it is older than this one"
    )]
    NotTaken {
        /// What the connection was for.
        purpose: Purpose,
        /// What it answered.
        status: Status,
    },
    /// The acceptor has other reasons, such as too many connections.
    #[error("the peer answered: {0}")]
    Status(Status),
    /// The initiator's proofs are wrong.
    #[error(
        "the peer does not know the cluster secret; remedy: if it belongs to this cluster, give both \
         the same [cluster] secret"
    )]
    Stranger,
    /// The acceptor took our proof and has none.
    #[error(
        "whoever answers there does not know the cluster secret; remedy: check the address, and that \
         nobody stands in between"
    )]
    Impostor,
    /// A purpose that this acceptor has no use for.
    #[error("the peer asks for purpose {0}, which has no place here; remedy: check its addresses")]
    Purpose(u8),
    /// Both ends have the same identity.
    #[error(
        "the peer has this node's own identity; remedy: correct the address, or, if a data directory \
         was copied, give one of the two an empty one"
    )]
    Myself,
    /// Not the messages of this version.
    #[error("malformed authentication")]
    Malformed(#[from] CodecError),
    /// A version that we did not offer.
    #[error("the peer chose version {0} of the authentication, which was not offered")]
    Version(u16),
}

impl AuthError {
    /// What the initiator is told: never which check failed of those that concern the secret.
    fn status(&self) -> Option<Status> {
        match self {
            Self::Stranger => Some(Status::ACCESS),
            Self::Purpose(_) | Self::Malformed(_) => Some(Status::INVALID),
            Self::Connection(_)
            | Self::Silent(_)
            | Self::Refused
            | Self::NotTaken { .. }
            | Self::Status(_)
            | Self::Impostor
            | Self::Myself
            | Self::Version(_) => None,
        }
    }
}

/// Authenticates a connection that this side opened, all of it within `patience`.
///
/// # Cancel safety
///
/// Not cancel safe: drop the connection too.
pub async fn initiate<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    credentials: &Credentials,
    purpose: Purpose,
    patience: Duration,
) -> Result<Authenticated, AuthError> {
    timeout(patience, prove_first(connection, credentials, purpose))
        .await
        .map_err(|_| AuthError::Silent(patience))?
}

async fn prove_first<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    credentials: &Credentials,
    purpose: Purpose,
) -> Result<Authenticated, AuthError> {
    let hello = Hello {
        version: AUTH_VERSION,
        purpose: purpose as u8,
        identity: credentials.identity,
        nonce: Nonce::draw(),
    };
    ask(connection, &hello.encode()).await?;
    let challenge = match answer(connection).await? {
        Ok(body) => Challenge::decode(&body)?,
        Err(status @ (Status::INVALID | Status::ACCESS)) => {
            return Err(AuthError::NotTaken { purpose, status });
        }
        Err(status) => return Err(AuthError::Status(status)),
    };
    if AUTH_VERSION < challenge.version {
        return Err(AuthError::Version(challenge.version));
    }
    if credentials.identity != NO_IDENTITY && challenge.identity == credentials.identity {
        return Err(AuthError::Myself);
    }
    let transcript = transcript(&hello, &challenge);
    let of = |key| transcript.proof(key, Side::Initiator);
    let proofs = Proofs(credentials.keys.iter().map(of).collect());
    ask(connection, &proofs.encode()).await?;
    let confirmation = match answer(connection).await? {
        Ok(body) => Confirmation::decode(&body)?,
        Err(Status::ACCESS) => return Err(AuthError::Refused),
        Err(status) => return Err(AuthError::Status(status)),
    };
    let key = credentials.keys.get(usize::from(confirmation.chosen));
    let expected = key.map(|key| transcript.proof(key, Side::Acceptor));
    if expected != Some(confirmation.proof) {
        return Err(AuthError::Impostor);
    }
    Ok(Authenticated {
        peer: challenge.identity,
        purpose,
    })
}

/// Authenticates a connection whose initiator has just asked for it with `header`, for one of
/// `purposes`, all of it within `patience`. After an error the connection is of no more use: the
/// initiator was told.
///
/// # Cancel safety
///
/// Not cancel safe: drop the connection too.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    header: &Header,
    credentials: &Credentials,
    purposes: &[Purpose],
    patience: Duration,
) -> Result<Authenticated, AuthError> {
    let accepting = async {
        let accepted = prove_last(connection, header, credentials, purposes).await;
        if let Some(status) = accepted.as_ref().err().and_then(AuthError::status) {
            connection.send(&Header::error(status).encode()).await?;
        }
        accepted
    };
    timeout(patience, accepting)
        .await
        .map_err(|_| AuthError::Silent(patience))?
}

async fn prove_last<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    header: &Header,
    credentials: &Credentials,
    purposes: &[Purpose],
) -> Result<Authenticated, AuthError> {
    let hello = Hello::decode(&body(connection, header).await?)?;
    let purpose = match hello.purpose() {
        Some(purpose) if purposes.contains(&purpose) => purpose,
        _ => return Err(AuthError::Purpose(hello.purpose)),
    };
    // Whether both are the same node is for the initiator to see, who has proved nothing yet.
    let challenge = Challenge {
        version: hello.version.min(AUTH_VERSION),
        identity: credentials.identity,
        nonce: Nonce::draw(),
    };
    tell(connection, &challenge.encode()).await?;
    let header = connection.header().await?.ok_or(ConnectionError::Closed)?;
    if header.command != Command::Authenticate as u8 {
        return Err(CodecError::Field("command").into());
    }
    let Proofs(proofs) = Proofs::decode(&body(connection, &header).await?)?;
    let transcript = transcript(&hello, &challenge);
    let Some((chosen, key)) = shared_key(&transcript, &proofs, &credentials.keys) else {
        return Err(AuthError::Stranger);
    };
    let proof = transcript.proof(key, Side::Acceptor);
    tell(connection, &Confirmation { chosen, proof }.encode()).await?;
    Ok(Authenticated {
        peer: hello.identity,
        purpose,
    })
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

fn transcript(hello: &Hello, challenge: &Challenge) -> Transcript {
    Transcript {
        offered: hello.version,
        agreed: challenge.version,
        purpose: hello.purpose,
        initiator: (hello.identity, hello.nonce),
        acceptor: (challenge.identity, challenge.nonce),
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
