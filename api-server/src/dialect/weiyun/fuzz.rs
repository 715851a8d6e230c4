//! What holds for every body that comes to `/ftn_handler/`, for the fuzz target `weiyun`.

use bytes::Bytes;

use super::form::{Charset, Event, FormError, Parser};
use super::packet::{Decoder, PacketError, PacketHead};

/// Lengths of the pieces in which a body comes.
const PIECE_LENS: [usize; 5] = [1, 2, 7, 64, 1000];
/// More than the parser of a form may ever keep: header lines twice, and what is held back.
const KEPT_LEN_MAX: usize = 2 * crate::http::multipart::HEAD_LEN_MAX + 8 * 1024;

/// Reads `bytes` as a form and as a packet. How they are cut into pieces changes nothing, what is kept is
/// bounded, and nothing is both.
pub(crate) fn check_body(bytes: &[u8]) {
    let (form, packet) = (read_form([bytes]), read_packet([bytes]));
    for len in PIECE_LENS {
        assert_eq!(read_form(bytes.chunks(len)), form);
        assert_eq!(read_packet(bytes.chunks(len)), packet);
    }
    assert!(form.is_err() || packet.is_err(), "a body of two meanings");
}

/// Whether `bytes` are a body that could be taken.
#[cfg(test)]
pub(crate) fn is_sound(bytes: &[u8]) -> bool {
    read_form([bytes]).is_ok() || read_packet([bytes]).is_ok()
}

fn read_form<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, Charset), FormError> {
    let mut parser = Parser::new(None);
    let mut events = Vec::new();
    for piece in pieces {
        parser.feed(Bytes::copy_from_slice(piece), &mut events)?;
        assert!(parser.kept_len() <= KEPT_LEN_MAX);
    }
    let charset = parser.finish()?;
    let mut content = Vec::new();
    for event in events {
        if let Event::Content(piece) = event {
            content.extend_from_slice(&piece);
        }
    }
    Ok((content, charset))
}

fn read_packet<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Option<PacketHead>, Vec<u8>), PacketError> {
    let mut decoder = Decoder::new();
    let (mut head, mut block) = (None, Vec::new());
    for piece in pieces {
        let mut piece = Bytes::copy_from_slice(piece);
        if head.is_none() {
            head = decoder.head(&mut piece)?;
        }
        if !piece.is_empty() {
            decoder.block(&piece)?;
            block.extend_from_slice(&piece);
        }
    }
    decoder.finish()?;
    Ok((head, block))
}
