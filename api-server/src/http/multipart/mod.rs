//! Multipart bodies, as far as all dialects read them alike: where parts begin and end, and what their
//! header lines say. Source: RFC 2046 §5.1, RFC 7578.
//!
//! What the parts mean, and in which order they may come, is a dialect's business. Nothing here does
//! IO, and what is kept between two pieces of a body is bounded, whatever the body holds.

mod head;
mod splitter;

use bytes::Bytes;

pub(crate) use head::{Head, HeadError};
pub(crate) use splitter::{End, Piece, Rule, Splitter};

/// Bytes of a first line that is the delimiter, without its line end.
pub(crate) const FIRST_LINE_LEN_MAX: usize = 200;
/// Bytes of all header lines of a part.
pub(crate) const HEAD_LEN_MAX: usize = 8 * 1024;

/// A first line that goes on for too long to be a delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first line of the body is longer than {FIRST_LINE_LEN_MAX} bytes")]
pub(crate) struct FirstLineTooLong;

/// The boundary that a Content-Type names, if it is of a multipart type and names one.
pub(crate) fn boundary_of(content_type: &str) -> Option<&str> {
    let (media_type, parameters) = content_type.split_once(';')?;
    let family = media_type.trim().get(.."multipart/".len())?;
    if !family.eq_ignore_ascii_case("multipart/") {
        return None;
    }
    let mut rest = parameters;
    loop {
        let (name, value) = rest.split_once('=')?;
        // A value in quotes may hold the separator.
        let (value, behind) = match value.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_once(';').unwrap_or((value, "")),
        };
        let name = name.rsplit(';').next().unwrap_or(name);
        if name.trim().eq_ignore_ascii_case("boundary") {
            return Some(value.trim()).filter(|value| !value.is_empty());
        }
        rest = behind;
    }
}

/// Reads the first line without its line end, once it is complete. `line` keeps what came of it.
pub(crate) fn read_first_line(
    line: &mut Vec<u8>,
    input: &mut Bytes,
) -> Result<Option<Vec<u8>>, FirstLineTooLong> {
    let end = memchr::memchr(b'\n', input);
    let piece = input.split_to(end.map_or(input.len(), |at| at + 1));
    if FIRST_LINE_LEN_MAX + b"\r\n".len() < line.len() + piece.len() {
        return Err(FirstLineTooLong);
    }
    line.extend_from_slice(&piece);
    if end.is_none() {
        return Ok(None);
    }
    let text = head::without_line_end(line);
    if FIRST_LINE_LEN_MAX < text.len() {
        return Err(FirstLineTooLong);
    }
    Ok(Some(text.to_vec()))
}
