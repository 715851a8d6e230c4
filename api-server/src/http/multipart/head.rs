//! The header lines of a part, of which only Content-Disposition matters.

use bytes::Bytes;

use super::HEAD_LEN_MAX;

/// Why the header lines of a part say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    /// They go on for too long.
    #[error("the header lines of a part are longer than {HEAD_LEN_MAX} bytes together")]
    TooLong,
    /// One is no `name: value`.
    #[error("a header line of a part has no colon")]
    Line,
    /// None of them names the part.
    #[error("a part has no Content-Disposition")]
    NoDisposition,
    /// Two of them name it.
    #[error("a part has two Content-Disposition lines")]
    TwoDispositions,
}

/// Header lines of one part, as far as they came.
#[derive(Default)]
pub(crate) struct Head {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// Bytes of all lines so far.
    len: usize,
    disposition: Option<Vec<u8>>,
}

impl Head {
    /// Reads lines up to the empty one, and then gives the value of Content-Disposition. Lines end
    /// with CRLF or LF.
    pub(crate) fn read(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, HeadError> {
        while !input.is_empty() {
            let end = memchr::memchr(b'\n', input);
            let piece = input.split_to(end.map_or(input.len(), |at| at + 1));
            self.len += piece.len();
            if HEAD_LEN_MAX < self.len {
                return Err(HeadError::TooLong);
            }
            self.line.extend_from_slice(&piece);
            if end.is_none() {
                return Ok(None);
            }
            let line = std::mem::take(&mut self.line);
            let line = without_line_end(&line);
            if line.is_empty() {
                let disposition = self.disposition.take();
                return disposition.ok_or(HeadError::NoDisposition).map(Some);
            }
            self.take_line(line)?;
        }
        Ok(None)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), HeadError> {
        let colon = memchr::memchr(b':', line).ok_or(HeadError::Line)?;
        let (name, value) = line.split_at(colon);
        if !name
            .trim_ascii()
            .eq_ignore_ascii_case(b"content-disposition")
        {
            return Ok(());
        }
        if self.disposition.is_some() {
            return Err(HeadError::TwoDispositions);
        }
        self.disposition = Some(value.strip_prefix(b":").unwrap_or(value).to_vec());
        Ok(())
    }

    /// Bytes kept.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn kept_len(&self) -> usize {
        self.line.len() + self.disposition.as_ref().map_or(0, Vec::len)
    }
}

/// `line` without the CRLF or LF at its end.
pub(super) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
