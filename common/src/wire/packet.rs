//! Whole packets: a header in front of a body whose length is known only when it is written.

use bytes::BytesMut;

use super::{Command, HEADER_LEN, Header, Status};
use crate::codec::Writer;

/// Appends a request: the header with `flags` in its status byte, then what `body` writes.
/// `streamed_len` bytes of content are counted in the header and sent by the caller.
pub(super) fn request(
    out: &mut BytesMut,
    command: Command,
    flags: u8,
    streamed_len: u64,
    body: impl FnOnce(&mut Writer<'_>),
) {
    let header = Header {
        status: flags,
        ..Header::request(command, streamed_len)
    };
    framed(out, header, body);
}

/// Appends a successful response.
pub(super) fn response(out: &mut BytesMut, body: impl FnOnce(&mut Writer<'_>)) {
    framed(out, Header::success(0), body);
}

fn framed(out: &mut BytesMut, header: Header, body: impl FnOnce(&mut Writer<'_>)) {
    let start = out.len();
    out.extend_from_slice(&header.encode());
    body(&mut Writer::new(out));
    let written = out.len().saturating_sub(start + HEADER_LEN);
    let header = Header {
        body_len: header.body_len.saturating_add(written as u64),
        ..header
    };
    if let Some(place) = out.get_mut(start..start + HEADER_LEN) {
        place.copy_from_slice(&header.encode());
    }
}

/// Appends a successful response without a body. It must really be empty: clients check.
pub fn encode_empty(out: &mut BytesMut) {
    out.extend_from_slice(&Header::success(0).encode());
}

/// Appends an error response, which is a header and nothing else.
pub fn encode_error(out: &mut BytesMut, status: Status) {
    out.extend_from_slice(&Header::error(status).encode());
}

/// Appends a request without a body, such as an active test.
pub fn encode_bare_request(out: &mut BytesMut, command: Command) {
    out.extend_from_slice(&Header::request(command, 0).encode());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_filled_in_behind_earlier_packets_and_count_what_streams() {
        let mut out = BytesMut::new();
        encode_empty(&mut out);
        request(&mut out, Command::Append, 0, 7, |body| body.bytes(b"abc"));
        let second = out.split_off(HEADER_LEN);
        let header = Header::decode(*second.first_chunk().unwrap()).unwrap();
        assert_eq!(header, Header::request(Command::Append, 10));
        assert_eq!(second.get(HEADER_LEN..).unwrap(), b"abc");
    }
}
