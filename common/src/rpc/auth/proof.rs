//! What proves that a side knows the secret: a keyed hash over everything that both have said.
//!
//! A proof is of no use elsewhere, because what it covers is of one connection (both nonces), one
//! direction (who began), one purpose and one pair of nodes.

use super::message::TLS_SINCE;
use crate::env::entropy;
use crate::secret::Secret;
use crate::wire::report::NodeIdentity;

/// Bytes of a proof: those of a BLAKE3 hash.
pub(super) const PROOF_LEN: usize = 32;

/// Separates these keys from whatever else may ever be derived from the secret. Never changes.
const KEY_CONTEXT: &str = "hayloft 2026 node-to-node authentication, version 1";

/// Bytes that a side drew for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonce(pub(super) [u8; 32]);

impl Nonce {
    pub(super) fn draw() -> Self {
        Self(entropy::random_bytes())
    }
}

/// A keyed hash. Comparing two takes the same time whatever they are, which `blake3::Hash` promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof(blake3::Hash);

impl Proof {
    pub(super) fn as_bytes(&self) -> &[u8; PROOF_LEN] {
        self.0.as_bytes()
    }
}

impl From<[u8; PROOF_LEN]> for Proof {
    fn from(bytes: [u8; PROOF_LEN]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }
}

/// What only the two ends of one TLS session know, as RFC 5705 has TLS export it; zeros without TLS.
///
/// Whoever stands in between and speaks TLS with both has two sessions, and so two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding(pub(super) [u8; 32]);

impl Binding {
    /// Of a connection without TLS.
    pub(super) const NONE: Self = Self([0; 32]);
}

/// What a secret becomes for this use.
#[derive(Clone)]
pub(super) struct ProofKey([u8; 32]);

impl ProofKey {
    pub(super) fn of(secret: &Secret) -> Self {
        Self(blake3::derive_key(KEY_CONTEXT, secret.reveal().as_bytes()))
    }
}

/// Who proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Side {
    /// Who opened the connection.
    Initiator = 1,
    /// Who accepted it.
    Acceptor = 2,
}

/// Everything that the two have said before the proofs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transcript {
    /// The version that the initiator offered: nobody in between can talk both into an older one.
    pub(super) offered: u16,
    pub(super) agreed: u16,
    pub(super) purpose: u8,
    pub(super) initiator: (NodeIdentity, Nonce),
    pub(super) acceptor: (NodeIdentity, Nonce),
    /// Whether the initiator wants TLS, and whether the acceptor does: what is taken out on the way
    /// is missing in the proofs. Since version 2.
    pub(super) wants_tls: [bool; 2],
    /// The TLS session that the proofs go through. Since version 2.
    pub(super) binding: Binding,
}

impl Transcript {
    /// The proof of `side` by `key`. Every field has a fixed width, and the version that decides how many
    /// there are has its place among the first, so two transcripts are never the same bytes.
    pub(super) fn proof(&self, key: &ProofKey, side: Side) -> Proof {
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        hasher.update(&[side as u8, self.purpose]);
        hasher.update(&self.offered.to_be_bytes());
        hasher.update(&self.agreed.to_be_bytes());
        for (identity, nonce) in [&self.initiator, &self.acceptor] {
            hasher.update(&identity.0);
            hasher.update(&nonce.0);
        }
        if TLS_SINCE <= self.agreed {
            hasher.update(&self.wants_tls.map(u8::from));
            hasher.update(&self.binding.0);
        }
        Proof(hasher.finalize())
    }
}
