//! What travels: a header of 17 bytes, then a head and a payload. Source: docs/wire.md, between nodes.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::MuxLimits;
use crate::codec::{CodecError, Reader, Writer};
use crate::limits;

/// Bytes in front of every frame: length, length of the head, request number, kind.
pub(super) const FRAME_HEADER_LEN: usize = 17;

/// Bytes of the frame that tells the own limits.
const SETTINGS_LEN: usize = 16;

/// A request or an answer. What is in them is the business of those who call and handle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What is said about the payload, encoded.
    pub head: Bytes,
    /// Bytes that are sent as they are, and received as a slice of the buffer they came in.
    pub payload: Bytes,
}

impl Frame {
    /// A frame without payload.
    pub fn of_head(head: Bytes) -> Self {
        Self {
            head,
            payload: Bytes::new(),
        }
    }

    /// Bytes of both together.
    pub fn len(&self) -> usize {
        self.head.len().saturating_add(self.payload.len())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a frame is. The numbers are stable: they are the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FrameKind {
    /// The first one in each direction: what the sender allows.
    Settings = 1,
    /// From the side that opened the connection.
    Request = 2,
    /// To it, with the request's number.
    Answer = 3,
    /// A sign of life.
    Alive = 4,
    /// From the answering side: no request behind this is read.
    Leaving = 5,
}

/// What the peer sent is no frame that may come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than any frame may be.
    #[error("a frame of {len} bytes, {} allowed", limits::NODE_FRAME_LEN_MAX)]
    TooLong {
        /// The announced length.
        len: u32,
    },
    /// A head that is longer than the frame.
    #[error("a frame of {len} bytes with a head of {head_len}")]
    Head {
        /// Bytes of the frame.
        len: u32,
        /// Bytes of its head.
        head_len: u32,
    },
    /// A kind that this version does not know.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// A kind that has no place in this direction or at this time.
    #[error("a frame of kind {0} out of place")]
    OutOfPlace(u8),
    /// An answer to nothing that was asked.
    #[error("an answer to request {0}, which does not wait for one")]
    NotAsked(u64),
    /// The first frame is not what both must begin with.
    #[error("the connection does not begin with the peer's limits")]
    Settings,
}

/// The header of a frame, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes behind it, at most [`limits::NODE_FRAME_LEN_MAX`].
    pub(super) len: usize,
    /// How many of them are the head, at most `len`.
    pub(super) head_len: usize,
    /// The number of the request; 0 where there is none.
    pub(super) request: u64,
    pub(super) kind: FrameKind,
}

impl FrameHeader {
    /// Reads a header; nothing is allocated for a frame whose header is refused.
    pub(super) fn decode(bytes: &[u8; FRAME_HEADER_LEN]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, h0, h1, h2, h3, request @ .., kind] = *bytes;
        let len = u32::from_be_bytes([l0, l1, l2, l3]);
        let head_len = u32::from_be_bytes([h0, h1, h2, h3]);
        let too_long = FrameError::TooLong { len };
        let fits = usize::try_from(len).map_err(|_| too_long)?;
        if limits::NODE_FRAME_LEN_MAX < fits {
            return Err(too_long);
        }
        let malformed = FrameError::Head { len, head_len };
        let head_fits = usize::try_from(head_len).map_err(|_| malformed)?;
        if fits < head_fits {
            return Err(malformed);
        }
        Ok(Self {
            len: fits,
            head_len: head_fits,
            request: u64::from_be_bytes(request),
            kind: FrameKind::from_byte(kind)?,
        })
    }

    /// The header of `frame`, whose length was compared with the limit.
    pub(super) fn put(frame: &Frame, request: u64, kind: FrameKind, out: &mut BytesMut) {
        // Saturating: a frame that long is refused before it comes here.
        out.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        out.put_u32(u32::try_from(frame.head.len()).unwrap_or(u32::MAX));
        out.put_u64(request);
        out.put_u8(kind as u8);
    }
}

impl FrameKind {
    fn from_byte(byte: u8) -> Result<Self, FrameError> {
        [
            Self::Settings,
            Self::Request,
            Self::Answer,
            Self::Alive,
            Self::Leaving,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
        .ok_or(FrameError::Kind(byte))
    }
}

/// What a side allows and expects, as it tells the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) requests: u32,
    pub(super) bytes: u64,
    /// Milliseconds.
    silence: u32,
}

impl Settings {
    pub(super) fn of(limits: &MuxLimits) -> Self {
        Self {
            requests: u32::try_from(limits.requests_max).unwrap_or(u32::MAX),
            bytes: limits.bytes_max as u64,
            silence: u32::try_from(limits.silence_max.as_millis()).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn silence(&self) -> Duration {
        Duration::from_millis(u64::from(self.silence))
    }

    /// Reads the body of such a frame. A later version may have appended to it.
    pub(super) fn decode(head: &[u8]) -> Result<Self, FrameError> {
        let read = |reader: &mut Reader<'_>| -> Result<Self, CodecError> {
            Ok(Self {
                requests: reader.u32()?,
                bytes: reader.u64()?,
                silence: reader.u32()?,
            })
        };
        read(&mut Reader::new(head)).map_err(|_| FrameError::Settings)
    }

    /// A whole frame.
    pub(super) fn encode(&self) -> Bytes {
        let mut head = BytesMut::with_capacity(SETTINGS_LEN);
        let mut writer = Writer::new(&mut head);
        writer.u32(self.requests);
        writer.u64(self.bytes);
        writer.u32(self.silence);
        let frame = Frame::of_head(head.freeze());
        let mut out = BytesMut::with_capacity(FRAME_HEADER_LEN + SETTINGS_LEN);
        FrameHeader::put(&frame, 0, FrameKind::Settings, &mut out);
        out.extend_from_slice(&frame.head);
        out.freeze()
    }
}

/// Fuzz target `node`, the other half: frames are within their limits, and encode to what they were
/// decoded from.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn fuzz_frames(bytes: &[u8]) {
    let mut rest = Bytes::copy_from_slice(bytes);
    while let Some(header) = rest.first_chunk::<FRAME_HEADER_LEN>() {
        let Ok(decoded) = FrameHeader::decode(header) else {
            return;
        };
        assert!(
            decoded.len <= limits::NODE_FRAME_LEN_MAX,
            "within the limit"
        );
        assert!(decoded.head_len <= decoded.len, "the head is a part");
        let taken = rest.split_to(FRAME_HEADER_LEN);
        if rest.len() < decoded.len {
            return;
        }
        let mut payload = rest.split_to(decoded.len);
        let head = payload.split_to(decoded.head_len);
        let frame = Frame { head, payload };
        let mut again = BytesMut::new();
        FrameHeader::put(&frame, decoded.request, decoded.kind, &mut again);
        assert_eq!(again, taken, "a header encodes to itself");
        if decoded.kind == FrameKind::Settings
            && let Ok(settings) = Settings::decode(&frame.head)
        {
            let whole = settings.encode();
            let told = whole.get(FRAME_HEADER_LEN..).unwrap_or_default();
            assert!(
                frame.head.starts_with(told),
                "settings encode to themselves"
            );
        }
    }
}
