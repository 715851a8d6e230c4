//! The four messages of an authentication as bytes. Source: docs/wire.md, between nodes.

use bytes::{Bytes, BytesMut};

use super::Purpose;
use super::proof::{Nonce, PROOF_LEN, Proof};
use crate::codec::{CodecError, Reader, Writer};
use crate::wire::report::NodeIdentity;

/// Version of the layouts in this file and of what proofs are made over.
pub(super) const AUTH_VERSION: u16 = 2;

/// First version whose sides say whether they want TLS.
pub(super) const TLS_SINCE: u16 = 2;

/// Secrets that one side may offer a proof of: the current one and the previous.
pub(super) const PROOFS_MAX: usize = 2;

/// First message, from the initiator: who it says it is, and what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The latest version that it speaks.
    pub(super) version: u16,
    /// What the connection shall be for, as it stands on the wire: a purpose of a later version is
    /// refused by name.
    pub(super) purpose: u8,
    pub(super) identity: NodeIdentity,
    pub(super) nonce: Nonce,
    /// Whether it goes on with TLS only. Before version 2, it cannot.
    pub(super) wants_tls: bool,
}

/// Second message, from the acceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The version that both speak from here on.
    pub(super) version: u16,
    pub(super) identity: NodeIdentity,
    pub(super) nonce: Nonce,
    /// Whether it goes on with TLS only. Before version 2, it cannot.
    pub(super) wants_tls: bool,
}

/// Third message, from the initiator: a proof by each secret it has, the one in use first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proofs(pub(super) Vec<Proof>);

/// Last message, from the acceptor: which secret they share, and that it has it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Confirmation {
    /// The place of the proof that convinced.
    pub(super) chosen: u8,
    pub(super) proof: Proof,
}

impl Hello {
    /// Reads a hello. A later version may have appended to it, which is passed over.
    pub(super) fn decode(body: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let version = version(&mut reader)?;
        let hello = Self {
            version,
            purpose: reader.u8()?,
            identity: NodeIdentity(reader.array()?),
            nonce: Nonce(reader.array()?),
            wants_tls: wants_tls(version, &mut reader)?,
        };
        if hello.version <= AUTH_VERSION {
            reader.finish()?;
        }
        Ok(hello)
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.u16(self.version);
        writer.u8(self.purpose);
        writer.bytes(&self.identity.0);
        writer.bytes(&self.nonce.0);
        put_wants_tls(self.version, self.wants_tls, &mut writer);
        out.freeze()
    }

    /// What it is for, if this version knows it.
    pub(super) fn purpose(&self) -> Option<Purpose> {
        Purpose::from_byte(self.purpose)
    }
}

impl Challenge {
    pub(super) fn decode(body: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let version = version(&mut reader)?;
        let challenge = Self {
            version,
            identity: NodeIdentity(reader.array()?),
            nonce: Nonce(reader.array()?),
            wants_tls: wants_tls(version, &mut reader)?,
        };
        reader.finish()?;
        Ok(challenge)
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.u16(self.version);
        writer.bytes(&self.identity.0);
        writer.bytes(&self.nonce.0);
        put_wants_tls(self.version, self.wants_tls, &mut writer);
        out.freeze()
    }
}

impl Proofs {
    pub(super) fn decode(body: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let count = usize::from(reader.u8()?);
        if !(1..=PROOFS_MAX).contains(&count) {
            return Err(CodecError::Field("count of proofs"));
        }
        let mut proofs = Vec::with_capacity(count);
        for _ in 0..count {
            proofs.push(Proof::from(reader.array::<PROOF_LEN>()?));
        }
        reader.finish()?;
        Ok(Self(proofs))
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        let kept = self.0.iter().take(PROOFS_MAX);
        writer.u8(u8::try_from(kept.len()).unwrap_or(u8::MAX));
        for proof in kept {
            writer.bytes(proof.as_bytes());
        }
        out.freeze()
    }
}

impl Confirmation {
    pub(super) fn decode(body: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(body);
        let confirmation = Self {
            chosen: reader.u8()?,
            proof: Proof::from(reader.array::<PROOF_LEN>()?),
        };
        reader.finish()?;
        Ok(confirmation)
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.u8(self.chosen);
        writer.bytes(self.proof.as_bytes());
        out.freeze()
    }
}

fn version(reader: &mut Reader<'_>) -> Result<u16, CodecError> {
    match reader.u16()? {
        0 => Err(CodecError::Field("version")),
        version => Ok(version),
    }
}

fn wants_tls(version: u16, reader: &mut Reader<'_>) -> Result<bool, CodecError> {
    if version < TLS_SINCE {
        return Ok(false);
    }
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Field("whether TLS is wanted")),
    }
}

fn put_wants_tls(version: u16, wants_tls: bool, writer: &mut Writer<'_>) {
    if TLS_SINCE <= version {
        writer.u8(u8::from(wants_tls));
    }
}

/// Fuzz target `node`, one half: what decodes as a message of an authentication encodes to the same
/// bytes.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn fuzz_messages(bytes: &[u8]) {
    if let Ok(hello) = Hello::decode(bytes) {
        let encoded = hello.encode();
        if hello.version <= AUTH_VERSION {
            assert_eq!(encoded, bytes, "a hello encodes to itself");
        } else {
            assert!(
                bytes.starts_with(&encoded),
                "what is appended is passed over"
            );
        }
    }
    if let Ok(challenge) = Challenge::decode(bytes) {
        assert_eq!(challenge.encode(), bytes, "a challenge encodes to itself");
    }
    if let Ok(proofs) = Proofs::decode(bytes) {
        assert_eq!(proofs.encode(), bytes, "proofs encode to themselves");
    }
    if let Ok(confirmation) = Confirmation::decode(bytes) {
        assert_eq!(
            confirmation.encode(),
            bytes,
            "a confirmation encodes to itself"
        );
    }
}
