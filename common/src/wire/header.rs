//! The 10 bytes in front of every packet.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Command, Status};

/// Bytes of a header.
pub const HEADER_LEN: usize = 10;

/// The command byte of every response.
pub const RESPONSE_COMMAND: u8 = 100;

/// Header of a packet, request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes that follow.
    pub body_len: u64,
    /// Command of a request, [`RESPONSE_COMMAND`] in a response.
    pub command: u8,
    /// 0 in requests, except the flags of a file-information query; errno in responses.
    pub status: u8,
}

/// A header that no answer can be given to: the connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("negative body length {0}")]
pub struct HeaderError(pub i64);

impl Header {
    /// Decodes a header.
    pub fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self, HeaderError> {
        let [l0, l1, l2, l3, l4, l5, l6, l7, command, status] = bytes;
        let len = i64::from_be_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let body_len = u64::try_from(len).map_err(|_| HeaderError(len))?;
        Ok(Self {
            body_len,
            command,
            status,
        })
    }

    /// Encodes a header.
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let [l0, l1, l2, l3, l4, l5, l6, l7] = self.body_len.to_be_bytes();
        [l0, l1, l2, l3, l4, l5, l6, l7, self.command, self.status]
    }

    /// The header of a request.
    pub fn request(command: Command, body_len: u64) -> Self {
        Self {
            body_len,
            command: command as u8,
            status: 0,
        }
    }

    /// The header of a successful response.
    pub fn success(body_len: u64) -> Self {
        Self {
            body_len,
            command: RESPONSE_COMMAND,
            status: 0,
        }
    }

    /// The header that is all of an error response: clients read no body behind one.
    pub fn error(status: Status) -> Self {
        Self {
            body_len: 0,
            command: RESPONSE_COMMAND,
            status: status.0,
        }
    }
}

/// A whole small response, header and body in one buffer, because clients read each with one call.
pub fn response(body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_LEN + body.len());
    out.put_slice(&Header::success(body.len() as u64).encode());
    out.put_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip_and_negative_lengths_are_refused() {
        let header = Header {
            body_len: 0x0102_0304,
            command: 11,
            status: 3,
        };
        assert_eq!(Header::decode(header.encode()), Ok(header));
        assert_eq!(Header::decode([0xff; 10]), Err(HeaderError(-1)));
    }

    #[test]
    fn error_responses_are_ten_bytes() {
        assert_eq!(
            Header::error(Status::INVALID).encode(),
            [0, 0, 0, 0, 0, 0, 0, 0, 100, 22]
        );
    }
}
