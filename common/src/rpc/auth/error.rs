//! Why a connection did not become one between members, with the remedies.

use std::io;
use std::time::Duration;

use super::Purpose;
use super::tls::SetupError;
use crate::codec::CodecError;
use crate::rpc::ConnectionError;
use crate::wire::Status;

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
    /// This side goes on with TLS only, and the other side is too old for that.
    #[error(
        "this node has [cluster] tls = true, and the peer is of a version that knows no TLS between \
         nodes; remedy: upgrade the peer, or set tls = false here until all nodes are upgraded"
    )]
    PeerWithoutTls,
    /// The acceptor goes on with TLS only, and did not hear that this side can.
    #[error(
        "the peer has [cluster] tls = true and refuses to go on without TLS; remedy: give both the same \
         version of this program; if they have it, somebody in between changes what they say"
    )]
    TlsWanted,
    /// What came before TLS had begun would be taken for what is said inside.
    #[error(
        "the peer sent {0} bytes too early, before TLS had begun; remedy: check that nobody stands in \
         between"
    )]
    TooEarly(usize),
    /// The two do not agree on a TLS session.
    #[error(
        "no TLS session with the peer; remedy: if this is seen again and again, check that nobody stands \
         in between"
    )]
    Tls(#[source] io::Error),
    /// This side cannot speak TLS.
    #[error("TLS cannot be set up")]
    Setup(#[from] SetupError),
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
    pub(super) fn status(&self) -> Option<Status> {
        match self {
            Self::Stranger => Some(Status::ACCESS),
            Self::Purpose(_) | Self::Malformed(_) => Some(Status::INVALID),
            Self::PeerWithoutTls => Some(Status::UNSUPPORTED),
            Self::Connection(_)
            | Self::Silent(_)
            | Self::Refused
            | Self::NotTaken { .. }
            | Self::Status(_)
            | Self::Impostor
            | Self::TlsWanted
            | Self::TooEarly(_)
            | Self::Tls(_)
            | Self::Setup(_)
            | Self::Myself
            | Self::Version(_) => None,
        }
    }
}
